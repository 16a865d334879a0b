//! F51: parts of which there is only one, or a number that adds no redundancy. Listed, never mailed on its own.
//!
//! Read off the configuration and, for etcd, off who has a vote: until every member has reported that, no finding
//! resolves.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::gap::Single;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F51: single points of failure.
pub struct SinglePoints;

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing fails because of it. If one of these fails or is restarted, the cluster is down.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "The cluster was built so, or the configuration of vedette does not name every part.";

/// What there is only one of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Points {
    /// Each of them.
    pub points: Vec<Single>,
}

impl Kind for Points {
    const TAG: &'static str = "single_points";
}

impl Evidence for Points {
    fn headline(&self, _: &Finding) -> String {
        "single points of failure".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { points } = self;
        let each: Vec<String> = points.iter().map(|point| point_of(point, addresses)).collect();
        format!("{}.", each.join("; "))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.check()]
    }
}

/// One point as a sentence without its full stop.
#[must_use]
pub fn point_of(point: &Single, addresses: &Addresses) -> String {
    match point {
        Single::Apiserver(subject) => format!("one kube-apiserver: {}", phrases::place(subject, addresses)),
        Single::Voter(subject) => format!("one etcd member: {}", phrases::place(subject, addresses)),
        Single::EvenVoters { etcd, voters } => format!(
            "{} has {voters} voting members: it tolerates as many failures as {} would",
            etcd.short(),
            voters.saturating_sub(1)
        ),
        Single::WayIn(subject) => format!("one API endpoint: {}", phrases::place(subject, addresses)),
        Single::Resolver(subject) => {
            format!("one DNS server for the vedette host: {}", phrases::place(subject, addresses))
        }
    }
}

impl Rule for SinglePoints {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F51,
            name: "SinglePointOfFailure",
            in_short: "single point",
            title: "single points of failure",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Points>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let (subject, points) = match context.whole() {
            Some(whole) => (whole, points(context)),
            None => (Subject::Vantage, sole_resolver(context)),
        };
        if points.is_empty() {
            return vec![(subject, none_left(context))];
        }
        let finding = Finding {
            rule: RuleId::F51,
            subject: subject.clone(),
            level: Level::Info,
            since: context.now.wall,
            hold: Duration::ZERO,
            path_unproven: false,
            evidence: Arc::new(Points { points }),
        };
        vec![(subject, Verdict::Bad(finding))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, subject};

        Sample::of(
            "prod-eu1",
            Level::Info,
            Arc::new(Points { points: vec![Single::EvenVoters { etcd: subject("prod-eu1/etcd/etcd"), voters: 4 }] }),
        )
    }
}

/// Nothing is single: known from the configuration, and from each etcd member's report whether it has a vote.
fn none_left(context: &RuleContext<'_>) -> Verdict {
    let members: Vec<Subject> = context.etcds().iter().flat_map(|etcd| context.members(etcd)).collect();
    if members.is_empty() {
        return context.as_configured();
    }
    let runs: Option<Vec<_>> =
        members.iter().map(|member| context.subject_state(member, Aspect::Answer).good().copied()).collect();
    runs.as_ref().and_then(all_good).unwrap_or(Verdict::Unknown(Why::Unclear))
}

fn points(context: &RuleContext<'_>) -> Vec<Single> {
    let Some((name, cluster)) = context.cluster else { return Vec::new() };
    let instances: Vec<Subject> = cluster.apiserver_subjects(name).collect();
    let mut points = Vec::new();
    if let [sole] = instances.as_slice() {
        points.push(Single::Apiserver(sole.clone()));
    }
    let ways: Vec<Subject> =
        instances.into_iter().chain(cluster.vip.iter().map(|_| Subject::Vip(name.clone()))).collect();
    if let [way] = ways.as_slice() {
        points.push(Single::WayIn(way.clone()));
    }
    for etcd in context.etcds() {
        // By etcd's own list where it is known: whether a member is watched or has started changes no majority.
        let voters = context.voters(&etcd).all;
        let first = context.members(&etcd).into_iter().find(|member| context.is_voter(member));
        match (voters, first) {
            (0, _) | (1, None) => {}
            (1, Some(sole)) => points.push(Single::Voter(sole)),
            (even, _) if even.is_multiple_of(2) => points.push(Single::EvenVoters { etcd, voters: even }),
            _ => {}
        }
    }
    points
}

/// A stub on this machine may ask several servers behind it: of that nothing is known.
fn sole_resolver(context: &RuleContext<'_>) -> Vec<Single> {
    match context.view.inventory().resolvers.as_slice() {
        [sole] if !sole.is_loopback => vec![Single::Resolver(Subject::Resolver(sole.name.clone()))],
        _ => Vec::new(),
    }
}
