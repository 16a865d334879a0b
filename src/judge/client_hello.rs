//! F56: the path to a cluster drops large ClientHellos, so that newer clients fail where older ones work.
//!
//! The servers are well and are asked with a small hello meanwhile. One finding for a cluster, because one middlebox is
//! in front of all its endpoints.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::client_hello::Passage;
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F56: large ClientHellos are dropped on the path.
pub struct HelloDropped;

/// What stops working, whatever was seen.
const IMPACT: &str = "Newer kubectl fails here (1.33 and later, and everything built with Go 1.24 or later), with a \
    reset or a handshake timeout; older clients work. The apiservers are healthy: vedette keeps probing them with a \
    small ClientHello.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "A firewall, load balancer or proxy on the path that expects the whole ClientHello in one \
    packet, such as an HAProxy frontend that routes by req.ssl_sni without a 'tcp-request inspect-delay' and a \
    'tcp-request content' rule, or a packet filter that drops what follows the first segment; or a path MTU that is \
    not honoured.";

/// The path drops large ClientHellos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Endpoints it leads to.
    pub endpoints: Vec<Subject>,
    /// Of how many of the cluster.
    pub of: usize,
    /// Pairs of handshakes that showed it.
    pub pairs: usize,
}

impl Kind for Hello {
    const TAG: &'static str = "hello";
}

impl Evidence for Hello {
    fn headline(&self, _: &Finding) -> String {
        "path drops large ClientHellos".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { endpoints, of, pairs } = self;
        let places: Vec<String> = endpoints.iter().map(|endpoint| phrases::place(endpoint, addresses)).collect();
        format!(
            "The path from here to {} ({} of {of} endpoints) drops large ClientHellos: of {pairs} pairs of handshakes \
             each one with a post-quantum key share (X25519MLKEM768, two packets) got a reset or no answer, and each one with X25519 alone succeeded.",
            phrases::list(&places),
            endpoints.len()
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { endpoints, .. } = self;
        endpoints.first().map_or_else(Vec::new, |first| commands.hellos(first))
    }

    fn concerned(&self) -> Vec<Subject> {
        self.endpoints.clone()
    }
}

impl Rule for HelloDropped {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F56,
            name: "LargeClientHelloDropped",
            in_short: "ClientHello dropped",
            title: "the path drops large ClientHellos",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Hello>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let endpoints = endpoints(context);
        let whole = context.whole().filter(|_| !endpoints.is_empty());
        whole.map(|whole| (whole.clone(), judge_paths(context, whole, &endpoints))).into_iter().collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api, lines, subject};

        Sample::of(
            "prod-eu1",
            Level::Warning,
            Arc::new(Hello { endpoints: vec![api("api-1"), subject("prod-eu1/vip")], of: 3, pairs: 3 }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200")])
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
        evidence: Arc::new(Hello { endpoints: narrow, of: endpoints.len(), pairs: context.policy().hello_pairs }),
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
