//! F55: a reference target does not answer any more, while others do.
//!
//! While it counts as a reference target, its silence is taken for a lost network of our own. So it must be reported
//! before it is needed. Its silence counts only while something else answers, because then our own network works. A
//! cluster is a reference target for the others; its own findings report its silence, and it is listed here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::inventory::Inventory;
use crate::model::phase::Unseen;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::UnixTime;
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F55: a reference target has been silent for long.
pub struct ReferenceSilent;

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "The target is down, was moved or taken away, or a firewall drops what this host sends \
    it.";

/// A place that proves our path no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentReference {
    /// Its last probe in this silence, wall time of the scheduled start.
    pub last: UnixTime,
    /// Why that saw nothing; `None` for a cluster, which has many endpoints.
    pub unseen: Option<Unseen>,
    /// When it last answered; `None` for never since vedette started.
    pub answered: Option<UnixTime>,
    /// Reference targets, resolvers and clusters that still prove our path.
    pub left: usize,
}

impl Kind for SilentReference {
    const TAG: &'static str = "silent_reference";
}

impl Evidence for SilentReference {
    fn headline(&self, finding: &Finding) -> String {
        format!("reference target {} down", phrases::fit(finding.subject.short(), 24))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Self { last, unseen, answered, left } = self;
        let why = unseen.map_or_else(String::new, |unseen: Unseen| format!(" ({unseen})"));
        let before = answered.map_or_else(
            || "It has not responded since vedette started".to_owned(),
            |answered| format!("It last responded at {answered}"),
        );
        let others = match left {
            0 => "no other target outside the clusters is left that could prove that vedette's own network \
                 works"
                .to_owned(),
            1 => "one other target still proves that vedette's own network works".to_owned(),
            left => format!("{left} other targets still prove that vedette's own network works"),
        };
        format!("{place} does not respond{why}, last probed at {last}, while other targets do. {before}; {others}.")
    }

    fn impact(&self, _: &Finding) -> String {
        let alone = self.left == 0;
        let effect = if alone {
            "An outage of a cluster can no longer be told from a loss of this host's own network: it is paged after \
             30 s, as \"path unproven\"."
        } else {
            "If the others fail too, faults of clusters are confirmed later."
        };
        format!("For users: nothing. {effect}")
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        if finding.subject.is_resolver() {
            "The DNS server is down or was replaced, or a firewall drops what this host sends it."
        } else {
            LIKELY_CAUSE
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let check = commands.check().note("after another place is named under vantage.references");
        commands.place_answers(&finding.subject).into_iter().chain([check]).collect()
    }
}

impl Rule for ReferenceSilent {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F55,
            name: "ReferenceTargetDown",
            in_short: "reference down",
            title: "reference target not responding",
            impact: "For users: nothing. If the others fail too, faults of clusters are confirmed later.",
            likely_cause: LIKELY_CAUSE,
            shows: Shows::All,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<SilentReference>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    /// A cluster that is silent has findings of its own.
    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let inventory: &Inventory = context.view.inventory();
        let places: Vec<Subject> = match context.cluster {
            None => inventory.remote_points().collect(),
            Some((name, cluster)) if cluster.is_remote() && context.view.references().has_several_clusters() => {
                vec![Subject::Cluster(name.clone())]
            }
            Some(_) => Vec::new(),
        };
        places.into_iter().map(|place| (place.clone(), judge_place(context, place))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, OPENED, Sample};
        use std::time::Duration;

        Sample::of(
            "vantage/reference/gateway",
            Level::Warning,
            Arc::new(SilentReference {
                last: OPENED.plus(Duration::from_secs(610)),
                unseen: Some(MUTE),
                answered: Some(OPENED.minus(Duration::from_secs(10))),
                left: 2,
            }),
        )
    }
}

fn judge_place(context: &RuleContext<'_>, place: Subject) -> Verdict {
    let policy = context.policy();
    let references = context.view.references();
    let Some(hearing) = references.hearing(&place) else { return Verdict::Unknown(Why::NeverSeen) };
    let Some(silence) = hearing.silence.filter(|_| hearing.is_silent(policy)) else {
        let good = |proofs: Run| Verdict::Good { since: proofs.first, until: proofs.last, probes: proofs.probes };
        return hearing.proofs.map_or(Verdict::Unknown(Why::Unclear), good);
    };
    // When nothing else answers either, the place may work and our own network be lost.
    let asked = silence.last.mono.minus(policy.reference_interval);
    if context.view.path().last().is_none_or(|proof| proof < asked) {
        return Verdict::Unknown(Why::Vantage);
    }
    let is_cluster = place.is_cluster();
    let symptom = context.view.track(&place, Aspect::Answer).and_then(|track| track.bad()).map(|bad| &bad.symptom);
    let unseen = if let Some(Symptom::Silent(unseen)) = symptom { Some(*unseen) } else { None };
    Verdict::Bad(Finding {
        rule: RuleId::F55,
        level: if is_cluster { Level::Info } else { Level::Warning },
        since: silence.first.wall,
        hold: policy.reference_silent_after,
        path_unproven: false,
        evidence: Arc::new(SilentReference {
            last: silence.last.wall,
            unseen,
            answered: hearing.proofs.map(|proofs| proofs.last.wall),
            left: left(context, &place),
        }),
        subject: place,
    })
}

/// Other places that prove our own network at present. A sole cluster has no other.
fn left(context: &RuleContext<'_>, place: &Subject) -> usize {
    let inventory = context.view.inventory();
    let clusters = inventory.remote_clusters().cloned().map(Subject::Cluster);
    let is_sole = !context.view.references().has_several_clusters();
    let others = inventory.remote_points().chain(clusters.filter(|_| !is_sole)).filter(|other| other != place);
    let answers = |other: &Subject| {
        let references = context.view.references();
        !references.is_silent(other)
            && references.hearing(other).is_some_and(|hearing| !hearing.is_silent(context.policy()))
    };
    others.filter(answers).count()
}
