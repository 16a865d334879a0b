//! F60: the proxy in front of clusters fails, so that nothing can be seen of them.
//!
//! A proxy is part of our own path. When it fails, the clusters behind it cannot be probed: that is of the severity and
//! hold of F04, reported once for all of them, and nothing is reported of what is behind it meanwhile. What is probed
//! directly, as etcd members are, is evaluated as always.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::inventory::Proxy;
use crate::model::phase::{Cause, Unseen};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F60: the proxy in front of clusters fails.
pub struct ProxyFails;

/// How a proxy fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Login,
    Down,
    Rules,
    Unreachable,
    Silent,
}

/// The first of these that a cluster reports is the fault of the proxy: the most specific ones come first.
const FAULTS: [(Cause, Fault); 5] = [
    (Cause::ProxyLogin, Fault::Login),
    (Cause::ProxyDown, Fault::Down),
    (Cause::ProxyDenied, Fault::Rules),
    (Cause::ProxyUnreachable, Fault::Unreachable),
    (Cause::ProxySilent, Fault::Silent),
];

/// What stops working, whatever was seen.
const IMPACT: &str = "For users: unknown. The clusters behind the proxy may be fine or not; vedette cannot probe \
    their apiservers and sends no mail about them while this lasts. Whoever else uses this proxy is cut off as well.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "The proxy itself, vedette's login at it, or the network to it.";

/// A proxy on the path does not work for clusters behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyFailure {
    /// Its URL, without a login.
    pub url: String,
    /// Clusters that cannot be seen for it, each with how it fails.
    pub lost: Vec<(Name, Unseen)>,
    /// Clusters behind it.
    pub of: usize,
}

impl Kind for ProxyFailure {
    const TAG: &'static str = "proxy";
}

impl ProxyFailure {
    fn fault(&self) -> Option<Fault> {
        let is_seen = |cause: Cause| self.lost.iter().any(|(_, unseen)| unseen.cause == cause);
        FAULTS.into_iter().find(|(cause, _)| is_seen(*cause)).map(|(_, fault)| fault)
    }
}

impl Evidence for ProxyFailure {
    /// How it fails may change while it lasts, so the text has it and the headline does not.
    fn headline(&self, finding: &Finding) -> String {
        format!("proxy {} fails", phrases::fit(finding.subject.short(), 24))
    }

    fn what(&self, _: &Finding, _: &Addresses) -> String {
        let Self { url, lost, of } = self;
        let does = match self.fault() {
            Some(Fault::Login) => "rejects vedette's login",
            Some(Fault::Down) => "is down: its host responds, and no working proxy does",
            Some(Fault::Unreachable) => "cannot be reached from here",
            Some(Fault::Silent) => "accepts connections and then does not say whether it reaches the clusters",
            Some(Fault::Rules) => "denies vedette access to the clusters",
            None => "fails",
        };
        let names: Vec<String> = lost.iter().map(|(name, _)| name.to_string()).collect();
        format!(
            "The proxy {url} {does}. Without it vedette cannot probe the apiservers of {} ({} of {of} clusters \
             behind it).",
            phrases::list(&names),
            lost.len()
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        match self.fault() {
            Some(Fault::Login) => {
                "The user or password in the proxy's URL is wrong, has expired or was changed, or the proxy wants \
                 one and \
                 none is configured (proxy-url of the kubeconfig, or proxy under credentials). Special characters in \
                 them must be percent-encoded."
            }
            Some(Fault::Down) => {
                "The proxy's process ended or is being restarted, the port is another one, or something that is no \
                 proxy \
                 of this kind listens there (http, https and socks5 differ)."
            }
            Some(Fault::Unreachable) => "The proxy's host, its name in DNS, or the network between.",
            Some(Fault::Silent) => {
                "The proxy hangs or is overloaded, or it waits for a cluster that its own network does not reach: it \
                 has said neither within the timeout, so what is behind it is not called down."
            }
            Some(Fault::Rules) => "The proxy's rules do not allow vedette's address or login to reach these addresses.",
            None => LIKELY_CAUSE,
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { url, lost, .. } = self;
        let is_lost =
            |known: &Subject| known.cluster().is_some_and(|cluster| lost.iter().any(|(name, _)| name == cluster));
        let target = commands.addresses.iter().find(|(known, _)| is_lost(known)).map(|(_, address)| address.as_str());
        vec![
            commands.ask_proxy(url, target.unwrap_or("APISERVER:6443")),
            commands.proxy_host(&finding.subject),
            commands.check(),
            commands.probe(),
        ]
    }

    fn lost_clusters(&self) -> &[(Name, Unseen)] {
        &self.lost
    }
}

impl Rule for ProxyFails {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F60,
            name: "ProxyDown",
            in_short: "proxy fails",
            title: "the proxy in front of clusters fails",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::All,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<ProxyFailure>()
    }

    fn explains(&self) -> &'static [Edge] {
        // What is behind it cannot be known to be bad.
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        if context.cluster.is_some() {
            return Vec::new();
        }
        let mut named = BTreeSet::new();
        let proxies = context.view.inventory().proxies();
        proxies
            .into_iter()
            // One address that is written in two ways is one proxy, and it is reported once for everything behind it.
            .filter(|(proxy, _)| named.insert(&proxy.name))
            .map(|(proxy, _)| (Subject::Proxy(proxy.name.clone()), judge_proxy(context, proxy)))
            .collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::Sample;

        use crate::model::phase::Phase;
        Sample::of(
            "vantage/proxy/squid.example:3128",
            Level::Critical,
            Arc::new(ProxyFailure {
                url: "http://USER:PASSWORD@squid.example:3128".into(),
                lost: vec![("prod-eu1".parse().unwrap(), Unseen { phase: Phase::Dial, cause: Cause::ProxyLogin })],
                of: 2,
            }),
        )
    }
}

fn judge_proxy(context: &RuleContext<'_>, proxy: &Proxy) -> Verdict {
    let clusters: Vec<&Name> = context
        .view
        .inventory()
        .clusters
        .iter()
        .filter(|(_, cluster)| cluster.proxy.as_ref().is_some_and(|known| known.name == proxy.name))
        .map(|(name, _)| name)
        .collect();
    if context.view.path().is_isolated() {
        return Verdict::Unknown(Why::Vantage);
    }
    let mut lost: Vec<(Name, Unseen)> = Vec::new();
    let mut since = None;
    let mut is_unproven = true;
    for name in &clusters {
        let Some((bad, path_unproven)) = context.view.lost_way(name, context.now.mono) else { continue };
        let Symptom::Silent(unseen) = bad.symptom else { continue };
        lost.push(((*name).clone(), unseen));
        since = Some(since.map_or(bad.run.first.wall, |known| bad.run.first.wall.min(known)));
        is_unproven &= path_unproven;
    }
    let Some(since) = since else {
        let subject_states: Vec<SubjectState<'_>> = clusters
            .iter()
            .map(|name| context.subject_state(&Subject::Cluster((*name).clone()), Aspect::Way))
            .collect();
        let runs: Option<Vec<_>> = subject_states.iter().map(SubjectState::good).collect();
        return runs.and_then(all_good).unwrap_or_else(|| {
            Verdict::Unknown(gravest(subject_states.iter().filter_map(|subject_state| match subject_state {
                SubjectState::Unknown(why) => Some(*why),
                SubjectState::Good(_) | SubjectState::Bad { .. } => None,
            })))
        });
    };
    Verdict::Bad(Finding {
        rule: RuleId::F60,
        subject: Subject::Proxy(proxy.name.clone()),
        level: Level::Critical,
        since,
        hold: context.policy().isolated_for,
        path_unproven: is_unproven,
        evidence: Arc::new(ProxyFailure { url: proxy.url.clone(), lost, of: clusters.len() }),
    })
}
