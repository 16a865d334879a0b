//! F51: parts of which there is only one, or a number that adds no redundancy. Listed, never mailed on its own.
//!
//! Read off the configuration and, for etcd, off who has a vote: until every member has reported that, no finding
//! resolves.

use std::time::Duration;

use crate::model::gap::Single;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::view::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good};
use super::edges::Edge;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F51: single points of failure.
pub struct SinglePoints;

impl Words for SinglePoints {
    fn id(&self) -> RuleId {
        RuleId::F51
    }

    fn title(&self) -> &'static str {
        "single points of failure"
    }

    fn headline(&self, _: &Finding) -> String {
        "single points of failure".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::SinglePoints { points } = &finding.evidence else {
            return "There is only one of something that everything needs.".into();
        };
        let each: Vec<String> = points.iter().map(|point| point_of(point, addresses)).collect();
        format!("{}.", each.join("; "))
    }

    fn impact(&self, _: &Finding) -> String {
        "Nothing fails because of it. If one of these fails or is restarted, the cluster is down.".into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "The cluster was built so, or the configuration of vedette does not name every part.".into()
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
            evidence: Evidence::SinglePoints { points },
        };
        vec![(subject, Verdict::Bad(finding))]
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
