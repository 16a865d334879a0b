//! F38: the watch cache of an apiserver is stale, so that controllers act on an old state.
//!
//! Seen by the canaries' Lease: it is written through one instance after the other, and read some seconds later from the
//! cache of each. Health checks do not notice it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::canary::Canary;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F38: a watch cache is stale.
pub struct StaleCache;

/// Late reads in a row that make a finding: a cache that is rebuilt after a lost watch is late for one or two.
const READS: u32 = 3;

/// So late it is critical: a node that has just failed is then taken for alive twice as long as kubelets need to say
/// that they are (10 s), and leases of 15 s look expired.
const CRITICAL: Duration = Duration::from_secs(30);

/// How old the latest read may be: three of them.
const FRESH: u32 = 3;

/// What stops working, whatever was seen.
const IMPACT: &str = "Clients of this apiserver see an old state: controllers and schedulers decide on what is not so \
    any more, kubelets start and stop pods late. Nothing reports an error.";

/// The likely cause.
const LIKELY_CAUSE: &str = "Its watch of etcd hangs or lags: a slow or broken connection to etcd, a slow etcd member \
    behind it, or an apiserver without CPU. Where etcd is well, a restart of this apiserver rebuilds the cache.";

/// A cache that is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCache {
    /// By how much at least.
    pub late_by: Duration,
    /// Reads in a row.
    pub reads: u32,
}

impl Kind for LateCache {
    const TAG: &'static str = "late_cache";
}

impl Evidence for LateCache {
    fn headline(&self, finding: &Finding) -> String {
        format!("apiserver {} shows an old state", phrases::fit(finding.subject.short(), 18))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        format!(
            "What was written to etcd more than {} ago is not in the watch cache of {} yet. The last {} reads of vedette's \
             Lease from it were all too old.",
            phrases::lasting(self.late_by),
            phrases::place(&finding.subject, addresses),
            self.reads
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = &finding.subject;
        let mut next = vec![commands.apiserver_on_etcd(instance), commands.logs(instance, Program::Apiserver)];
        next.push(commands.pressure(std::slice::from_ref(instance)));
        next
    }
}

impl Rule for StaleCache {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F38,
            name: "WatchCacheStale",
            in_short: "stale cache",
            title: "the watch cache of an apiserver is stale",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<LateCache>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        if cluster.canaries.as_ref().is_none_or(|canaries| !canaries.has(Canary::Propagation)) {
            return Vec::new();
        }
        let instances = cluster.instances(name).into_iter();
        instances.map(|instance| (instance.clone(), judge_cache(context, name, instance))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, lines};

        Sample::of(
            "prod-eu1/apiserver/api-2",
            Level::Critical,
            Arc::new(LateCache { late_by: Duration::from_secs(36), reads: 5 }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
    }
}

fn judge_cache(context: &RuleContext<'_>, name: &Name, instance: Subject) -> Verdict {
    let Some(cache) = context.view.canaries(name).and_then(|known| known.cache(&instance)) else {
        return Verdict::Unknown(Why::NeverSeen);
    };
    let lasting = context.policy().lease_interval * FRESH + context.policy().longest_probe();
    let is_fresh = |run: &Run| context.now.mono.since(run.last.mono) <= lasting;
    match (cache.stale(), cache.fresh()) {
        (Some(run), _) if run.probes >= READS && is_fresh(run) => Verdict::Bad(Finding {
            rule: RuleId::F38,
            subject: instance,
            level: if cache.late_by() > CRITICAL { Level::Critical } else { Level::Warning },
            since: run.first.wall,
            // Confirmed by reads over half a minute.
            hold: Duration::ZERO,
            path_unproven: false,
            evidence: Arc::new(LateCache { late_by: cache.late_by(), reads: run.probes }),
        }),
        (Some(run), _) => Verdict::Unknown(Why::Suspected { since: run.first }),
        (None, Some(run)) if is_fresh(run) => Verdict::Good { since: run.first, until: run.last, probes: run.probes },
        (None, Some(_)) => Verdict::Unknown(Why::Stale),
        (None, None) => Verdict::Unknown(Why::Unclear),
    }
}
