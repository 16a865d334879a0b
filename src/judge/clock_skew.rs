//! F16: the clock of an apiserver, or our own, is wrong.
//!
//! By the `Date` of answers, put to the vote of all apiservers and our own clock, so that an error of ours is told as ours.
//! A date has whole seconds, so nothing is said of less than two.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::observation::Reading;
use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::UnixTime;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::clock_error::OwnClockRun;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F16: a clock that is wrong.
pub struct ClockSkew;

/// An error of more is a warning. Source: the failure modes' table (F16); the expiry of certificates is not judged by our
/// own clock beyond it either.
const WARNING: Duration = Duration::from_secs(10);

/// How long a clock must be wrong: one that was suspended with its machine is set by the time service within minutes.
const LASTS: Duration = Duration::from_secs(300);

/// What stops working, whatever was seen.
const IMPACT: &str = "Tokens and certificates that it makes or checks count as not yet valid, or as expired before their \
                      time, so that logins fail at this instance and not at others. Leases and the times of events are off \
                      by as much.";

/// The same of our own clock.
const OWN_IMPACT: &str = "For users: nothing. Times in mails and on the status page are off by as much, and vedette judges \
                          the expiry of certificates by this clock: beyond 10 s it judges none.";

const LIKELY_CAUSE: &str = "The time service (chrony, systemd-timesyncd, ntpd) does not run there or reaches no server, or the \
                            machine was suspended or restored.";

/// A clock that differs from those that agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skew {
    /// How far it is ahead, in milliseconds, to a second or so; behind where negative.
    pub ahead_millis: i64,
    /// Places whose clocks were compared, our own among them.
    pub places: usize,
    /// Those of them that agree within 2 s.
    pub agree: usize,
}

impl Kind for Skew {
    const TAG: &'static str = "skew";
}

impl Skew {
    fn size(&self) -> Duration {
        Duration::from_millis(self.ahead_millis.unsigned_abs())
    }

    /// `14 s ahead of`, to whole seconds: the date has no more.
    fn said(&self) -> String {
        let seconds = (self.size().as_millis() + 500) / 1000;
        let size = phrases::lasting(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)));
        format!("{size} {}", if self.ahead_millis < 0 { "behind" } else { "ahead of" })
    }
}

impl Evidence for Skew {
    fn headline(&self, finding: &Finding) -> String {
        if finding.subject == Subject::Vantage {
            return "the clock of the vedette host is wrong".into();
        }
        format!("clock of kube-apiserver {} wrong", phrases::fit(finding.subject.short(), 18))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { places, agree, .. } = self;
        let whose = if finding.subject == Subject::Vantage {
            "the vedette host".to_owned()
        } else {
            format!("kube-apiserver {}", phrases::place(&finding.subject, addresses))
        };
        format!(
            "The clock of {whose} is {} what {agree} of the {places} clocks compared agree on: those of the apiservers, by \
             the dates of their answers, and of the vedette host. Give or take 1 s.",
            self.said()
        )
    }

    fn impact(&self, finding: &Finding) -> String {
        if finding.subject == Subject::Vantage { OWN_IMPACT } else { IMPACT }.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        if finding.subject == Subject::Vantage {
            return vec![commands.own_clock()];
        }
        vec![commands.clocks(&finding.subject)]
    }
}

impl Rule for ClockSkew {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F16,
            name: "ClockSkew",
            in_short: "clock wrong",
            title: "the clock of an apiserver, or of the vedette host, is wrong",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Skew>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        if context.cluster.is_none() {
            return vec![(Subject::Vantage, judge_own(context))];
        }
        let instances = context.instances().into_iter().filter(Subject::is_apiserver);
        instances.map(|instance| (instance.clone(), judge_instance(context, instance))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::Sample;

        let skew = Skew { ahead_millis: -14_200, places: 4, agree: 3 };
        Sample::of("prod-eu1/apiserver/api-2", Level::Warning, Arc::new(skew))
    }
}

fn judge_instance(context: &RuleContext<'_>, instance: Subject) -> Verdict {
    let state = context.subject_state(&instance, Aspect::Clock);
    let SubjectState::Bad { bad, path_unproven } = state else { return state.unless_bad() };
    let now = context.now.mono;
    match (context.view.clock_deviation_millis(&instance, now), context.view.clock_vote(now)) {
        (Some(ahead_millis), Some(vote)) => {
            let skew = Skew { ahead_millis, places: vote.places, agree: vote.agree };
            let level = if skew.size() > WARNING { Level::Warning } else { Level::Info };
            Verdict::Bad(finding(instance, level, bad.run.first.wall, path_unproven, skew))
        }
        // Nobody agrees any more, or nothing is heard.
        (None, _) | (_, None) => Verdict::Unknown(Why::Stale),
    }
}

fn judge_own(context: &RuleContext<'_>) -> Verdict {
    let (Some(own), Some(vote)) = (context.view.own_clock(), context.view.clock_vote(context.now.mono)) else {
        return Verdict::Unknown(Why::NeverSeen);
    };
    let run = match own {
        OwnClockRun::Right(run) => return Verdict::Good { since: run.first, until: run.last, probes: run.probes },
        OwnClockRun::Wrong(run) => run,
    };
    if run.probes < context.policy().confirm_probes {
        return Verdict::Unknown(Why::Suspected { since: run.first });
    }
    let skew = Skew { ahead_millis: vote.millis.saturating_neg(), places: vote.places, agree: vote.agree };
    // A clock that nobody sets gets worse; one that is set is brought back slowly at times.
    let is_weighty = skew.size() > WARNING || is_unsynchronised(context);
    let level = if is_weighty { Level::Warning } else { Level::Info };
    Verdict::Bad(finding(Subject::Vantage, level, run.first.wall, false, skew))
}

/// Whether the kernel says that nobody sets its clock.
fn is_unsynchronised(context: &RuleContext<'_>) -> bool {
    let own = context.view.vantage().iter().find(|(probe, _)| probe.kind == ProbeKind::OwnClock);
    own.is_some_and(
        |(_, observation)| matches!(&observation.outcome, Ok(Reading::OwnClock(clock)) if !clock.is_synchronised),
    )
}

fn finding(subject: Subject, level: Level, since: UnixTime, path_unproven: bool, skew: Skew) -> Finding {
    Finding { rule: RuleId::F16, subject, level, since, hold: LASTS, path_unproven, evidence: Arc::new(skew) }
}
