//! F56: the path to a cluster drops large ClientHellos, so that newer clients fail where older ones work.
//!
//! The servers are well and are asked with a small hello meanwhile. One finding for a cluster, because one middlebox is
//! in front of all its endpoints.

use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::client_hello::Passage;
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good, gravest};
use super::edges::Edge;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F56: large ClientHellos are dropped on the path.
pub struct HelloDropped;

impl Words for HelloDropped {
    fn id(&self) -> RuleId {
        RuleId::F56
    }

    fn title(&self) -> &'static str {
        "the path drops large ClientHellos"
    }

    fn headline(&self, _: &Finding) -> String {
        "path drops large ClientHellos".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::Hello { endpoints, of, pairs } = &finding.evidence else {
            return "The path from here drops large ClientHellos.".into();
        };
        let places: Vec<String> = endpoints.iter().map(|endpoint| phrases::place(endpoint, addresses)).collect();
        format!(
            "The path from here to {} ({} of {of} endpoints) drops large ClientHellos: of {pairs} pairs of handshakes \
             each one with a post-quantum key share (X25519MLKEM768, two packets) got a reset or no answer, and each one with X25519 alone succeeded.",
            phrases::list(&places),
            endpoints.len()
        )
    }

    fn impact(&self, _: &Finding) -> String {
        "Newer kubectl fails here (1.33 and later, and everything built with Go 1.24 or later), with a reset or a \
         handshake timeout; older clients work. The apiservers are healthy: vedette keeps probing them with a small ClientHello."
            .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "A firewall, load balancer or proxy on the path that expects the whole ClientHello in one packet, such as an \
         HAProxy frontend that routes by req.ssl_sni without a 'tcp-request inspect-delay' and a 'tcp-request content' \
         rule, or a packet filter that drops what follows the first segment; or a path MTU that is not honoured."
            .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Evidence::Hello { endpoints, .. } = &finding.evidence else { return Vec::new() };
        endpoints.first().map_or_else(Vec::new, |first| commands.hellos(first))
    }
}

impl Rule for HelloDropped {
    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let endpoints = endpoints(context);
        let whole = context.whole().filter(|_| !endpoints.is_empty());
        whole.map(|whole| (whole.clone(), judge_paths(context, whole, &endpoints))).into_iter().collect()
    }
}

fn endpoints(context: &RuleContext<'_>) -> Vec<Subject> {
    let Some((name, cluster)) = context.cluster else { return Vec::new() };
    cluster.apiserver_subjects(name).chain(cluster.vip.iter().map(|_| Subject::Vip(name.clone()))).collect()
}

fn judge_paths(context: &RuleContext<'_>, whole: Subject, endpoints: &[Subject]) -> Verdict {
    let passages: Vec<(&Subject, Passage)> =
        endpoints.iter().map(|endpoint| (endpoint, context.view.passage(endpoint))).collect();
    let narrow = passages.iter().filter_map(|(endpoint, passage)| match passage {
        Passage::Narrow(since) => Some(((*endpoint).clone(), *since)),
        Passage::Unknown | Passage::Free(_) | Passage::Doubtful(_) => None,
    });
    let (narrow, since): (Vec<Subject>, Vec<Now>) = narrow.unzip();
    let Some(since) = since.into_iter().min_by_key(|since| since.mono) else {
        let runs: Option<Vec<_>> =
            passages.iter().map(|(endpoint, passage)| fresh(context, endpoint, *passage).ok()).collect();
        return runs.and_then(|runs| all_good(&runs)).unwrap_or_else(|| {
            Verdict::Unknown(gravest(
                passages.iter().filter_map(|(endpoint, passage)| fresh(context, endpoint, *passage).err()),
            ))
        });
    };
    Verdict::Bad(Finding {
        rule: RuleId::F56,
        subject: whole,
        level: Level::Warning,
        since: since.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven: false,
        evidence: Evidence::Hello { endpoints: narrow, of: endpoints.len(), pairs: context.policy().hello_pairs },
    })
}

fn fresh(context: &RuleContext<'_>, endpoint: &Subject, passage: Passage) -> Result<Run, Why> {
    match passage {
        Passage::Free(run) if context.view.is_fresh(endpoint, run.last.mono, context.now.mono) => Ok(run),
        Passage::Free(_) => Err(Why::Stale),
        Passage::Doubtful(since) => Err(Why::Suspected { since }),
        Passage::Unknown | Passage::Narrow(_) => Err(Why::NeverSeen),
    }
}
