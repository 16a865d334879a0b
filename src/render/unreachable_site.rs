//! A site of which nothing answers. To the rules it looks like a lost quorum, but the mail must tell them apart: a
//! quorum is restored from a terminal, a site without power or network is not.

use std::collections::BTreeSet;

use crate::judge::commands::any_host;
use crate::judge::phrases;
use crate::model::message::{Message, ProbeLine};
use crate::model::phase::Phase;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;
use crate::model::verdict::Finding;

use super::document::Command;

/// Hosts that the first command asks; more do not fit into a line.
const ASKED: usize = 8;

/// Whether apiservers and etcd were probed, and every deciding probe got neither an answer nor a refusal. Only for
/// findings that a whole part of the cluster is down: the mail about a certificate is the same on an unreachable site.
pub(super) fn is_silent(message: &Message, root: &Finding) -> bool {
    let deciding = || message.probes.iter().filter(|line| decides(line));
    let any = |of: fn(&Subject) -> bool| deciding().any(|line| of(&line.probe.subject));
    let Some(first) = deciding().map(|line| line.at).min() else { return false };
    root.evidence.may_be_lost_site()
        && any(Subject::is_apiserver)
        && any(Subject::is_etcd_member)
        && deciding().all(is_mute)
        && !message.probes.iter().any(|line| line.at >= first && line.outcome.is_ok())
}

/// What is so, for the top of the message.
pub(super) fn sentence(message: &Message) -> String {
    let tls_endpoint = message.incident.cluster.as_ref().map_or("the cluster", |cluster| cluster.as_str());
    format!(
        "No endpoint of {tls_endpoint} responds to {vantage}, and none refuses the connection: the site, or the network to it, is down.",
        vantage = message.vantage
    )
}

/// The impact, in place of the rule's text, which is for a site that still runs.
pub(super) const IMPACT: &str = "If the site is down, so is all that runs there. If only the network to it is, it may \
    still be working for its users: check from another network.";

/// Commands that show which of the two it is.
pub(super) fn command(message: &Message) -> Command {
    let addresses = message.probes.iter().filter(|line| decides(line)).map(|line| phrases::host(&line.address));
    let hosts: BTreeSet<&str> = addresses.filter(|host| !host.is_empty()).collect();
    let hosts: Vec<&str> = hosts.into_iter().take(ASKED).collect();
    Command::shown(&any_host(&hosts, &message.vantage))
}

fn decides(line: &ProbeLine) -> bool {
    matches!(line.probe.kind, ProbeKind::Readyz | ProbeKind::EtcdStatus)
}

/// A readyz must fail while connecting: a process that hangs still has a kernel that takes connections, until as many
/// wait as it lets wait. Status goes over a connection that is kept, where the first silence is that of an answer.
fn is_mute(line: &ProbeLine) -> bool {
    let Err(unseen) = line.outcome else { return false };
    let is_connect = unseen.phase == Phase::Dial || line.probe.kind == ProbeKind::EtcdStatus;
    is_connect && unseen.is_silence()
}
