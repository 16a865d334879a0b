//! What the rules ask of the `/metrics` of apiservers: whether a counter rises, at one instance or at all of them.
//!
//! A page comes once in a few minutes, and of a server that is overloaded none comes at all: an old page decides nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::model::apiserver_metrics::Counter;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::metrics_pages::{InstancePages, Rise};
use crate::observe::probe_runs::Run;

use super::context::RuleContext;

/// Of how much time a rise is told: with three instances each has three pages in it. Whether it goes on is judged by the
/// latest two.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// A page that is older says nothing of now. The dearest pages are asked for once in some minutes.
const DECIDES_FOR: Duration = Duration::from_secs(1800);

/// The instances whose pages are asked for, each with what is known by them.
pub(super) fn instances<'a>(context: &RuleContext<'a>) -> Vec<(Subject, Result<&'a InstancePages, Why>)> {
    let Some((name, cluster)) = context.cluster.filter(|(_, cluster)| cluster.apiserver_metrics) else {
        return Vec::new();
    };
    let pages = context.view.metrics_pages(name);
    let known = |instance: Subject| {
        let known = pages.and_then(|pages| pages.instance(&instance));
        (instance, fresh(context, known))
    };
    cluster.instances(name).into_iter().map(known).collect()
}

/// A verdict for each of them, by `judge` where its page is fresh.
pub(super) fn each(
    context: &RuleContext<'_>,
    judge: impl Fn(&Subject, &InstancePages) -> Verdict,
) -> Vec<(Subject, Verdict)> {
    let verdict = |(instance, known): (Subject, Result<&InstancePages, Why>)| {
        let verdict = known.map_or_else(Verdict::Unknown, |known| judge(&instance, known));
        (instance, verdict)
    };
    instances(context).into_iter().map(verdict).collect()
}

fn fresh<'a>(context: &RuleContext<'_>, known: Option<&'a InstancePages>) -> Result<&'a InstancePages, Why> {
    let known = known.ok_or(Why::NeverSeen)?;
    let (at, _) = known.latest().ok_or(Why::NeverSeen)?;
    if context.now.since(*at) <= DECIDES_FOR { Ok(known) } else { Err(Why::Stale) }
}

/// When a counter rises too fast.
pub(super) struct Limit {
    pub(super) rule: RuleId,
    pub(super) counter: Counter,
    /// As much as this a minute is nothing.
    pub(super) per_minute: f64,
    pub(super) level: Level,
    pub(super) hold: Duration,
}

impl Limit {
    /// A verdict for each instance.
    pub(super) fn judge<E: Evidence + 'static>(
        &self,
        context: &RuleContext<'_>,
        evidence: impl Fn(Rise) -> E,
    ) -> Vec<(Subject, Verdict)> {
        each(context, |instance, known| self.judge_one(context, instance, known, &evidence))
    }

    fn judge_one<E: Evidence + 'static>(
        &self,
        context: &RuleContext<'_>,
        instance: &Subject,
        known: &InstancePages,
        evidence: &impl Fn(Rise) -> E,
    ) -> Verdict {
        let rises_now = known.rises(self.counter).last().is_some_and(|rise| rise.per_minute() > self.per_minute);
        if let Some(rise) = known.rise(self.counter, WINDOW).filter(|_| rises_now) {
            return Verdict::Bad(finding(
                context,
                (self.rule, instance),
                self.level,
                self.hold,
                Arc::new(evidence(rise)),
            ));
        }
        let calm = known.calm(self.counter, self.per_minute);
        calm.map_or(Verdict::Unknown(Why::Unclear), Run::good)
    }
}

/// A finding that began when it was first evaluated as bad.
pub(super) fn finding(
    context: &RuleContext<'_>,
    (rule, subject): (RuleId, &Subject),
    level: Level,
    hold: Duration,
    evidence: Arc<dyn Evidence>,
) -> Finding {
    let raised = context.raised_of(rule, subject);
    Finding {
        rule,
        subject: subject.clone(),
        level,
        since: raised.map_or(context.now.wall, |known| known.since),
        hold,
        path_unproven: false,
        evidence,
    }
}
