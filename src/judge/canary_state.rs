//! How the canaries of a cluster are read by the rules that need them: confirmed at which instances, or good at all.

use std::time::Duration;

use crate::model::canary::Canary;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::canaries::{CanaryRuns, Sign, Track};
use crate::observe::probe_runs::Run;

use super::context::RuleContext;

/// One canary of a cluster that has it.
pub(super) struct Asked<'a> {
    context: &'a RuleContext<'a>,
    canary: Canary,
    kinds: &'static [ProbeKind],
    pub(super) whole: Subject,
    pub(super) instances: Vec<Subject>,
    runs: Option<&'a CanaryRuns>,
}

/// A canary that is not as it should be at one instance.
pub(super) struct Bad<'a> {
    pub(super) instance: &'a Subject,
    pub(super) kind: ProbeKind,
    pub(super) track: &'a Track,
    pub(super) run: Run,
}

impl<'a> Asked<'a> {
    /// `canary`, sent as probes of these kinds; `None` where the cluster does not have it.
    pub(super) fn of(context: &'a RuleContext<'a>, canary: Canary, kinds: &'static [ProbeKind]) -> Option<Self> {
        let (name, cluster) = context.cluster?;
        let instances = cluster.instances(name);
        cluster.canaries.as_ref().filter(|canaries| canaries.has(canary) && !instances.is_empty())?;
        let (whole, runs) = (Subject::Cluster(name.clone()), context.view.canaries(name));
        Some(Self { context, canary, kinds, whole, instances, runs })
    }

    /// Instances at which it is confirmed to have one of these signs, freshly, by every kind that has.
    pub(super) fn confirmed(&self, signs: &'static [Sign]) -> Vec<Bad<'_>> {
        let policy = self.context.policy();
        let is_confirmed = |bad: &Bad<'_>| {
            let span = bad.run.last.mono.since(bad.run.first.mono);
            bad.run.probes >= policy.confirm_probes
                && span >= policy.confirm_span
                && self.is_fresh(bad.kind, bad.run.last)
        };
        self.having(signs).filter(is_confirmed).collect()
    }

    fn having(&self, signs: &'static [Sign]) -> impl Iterator<Item = Bad<'_>> {
        let all = self.instances.iter().flat_map(|instance| self.kinds.iter().map(move |kind| (instance, *kind)));
        all.filter_map(move |(instance, kind)| {
            let track = self.runs?.track(instance, kind)?;
            let run = *track.run().filter(|_| track.sign().is_some_and(|sign| signs.contains(&sign)))?;
            Some(Bad { instance, kind, track, run })
        })
    }

    /// Good while every instance that is up answers every kind of it as it should, with what all of them answered in a
    /// row: a single instance is asked so rarely that its own row would keep a finding open for minutes.
    pub(super) fn good(&self) -> Verdict {
        let suspected = self.having(&[Sign::Slow, Sign::TimedOut, Sign::Failed]).map(|bad| bad.run.first);
        if let Some(since) = suspected.min_by_key(|first| first.mono) {
            return Verdict::Unknown(Why::Suspected { since });
        }
        let Some(runs) = self.runs else { return Verdict::Unknown(Why::NeverSeen) };
        let is_up =
            |one: &&Subject| self.context.view.track(one, Aspect::Answer).is_none_or(|track| track.bad().is_none());
        for instance in self.instances.iter().filter(is_up) {
            for kind in self.kinds {
                let run = runs.track(instance, *kind).and_then(Track::run);
                if run.is_none_or(|run| !self.is_fresh(*kind, run.last)) {
                    return Verdict::Unknown(Why::Unclear);
                }
            }
        }
        match runs.good(self.canary) {
            Some(run) => Verdict::Good { since: run.first, until: run.last, probes: run.probes },
            None => Verdict::Unknown(Why::Unclear),
        }
    }

    /// Whether what was seen at `at` still shows the present: it goes from one instance to the next.
    fn is_fresh(&self, kind: ProbeKind, at: Now) -> bool {
        let turns = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        let every = self.context.policy().interval(&self.whole, kind).saturating_mul(turns);
        self.context.now.mono.since(at.mono) <= self.context.policy().decides_for(every)
    }
}

/// Whether requests to `instance` that need neither authorization by a webhook nor admission are answered quickly, and
/// the instance is ready, etcd included: what is slow or fails beside that is slow or fails behind it.
pub(super) fn is_brisk(context: &RuleContext<'_>, instance: &Subject, aspects: &[Aspect]) -> bool {
    aspects.iter().all(|aspect| {
        let freshness = aspect.freshness(instance, context.policy());
        let track = context.view.track(instance, *aspect);
        track.is_some_and(|track| track.brisk().is_some() && track.is_freshly_good(freshness, context.now.mono))
    })
}

/// The longest that the server took in any of these.
pub(super) fn longest(bad: &[Bad<'_>]) -> Duration {
    bad.iter().map(|bad| bad.track.took()).max().unwrap_or_default()
}
