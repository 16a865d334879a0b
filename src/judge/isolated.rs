//! F04: the vantage is cut off. Nothing outside answers, reference targets included.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::ProbeRuns;

use super::Rule;
use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::{Edge, Relation};
use super::stored::{ReadBack, Stored};

/// F04: nothing outside answers, reference targets included.
pub struct Isolated;

/// What stops working, whatever was seen.
const IMPACT: &str = "For users: unknown. The clusters may be fine or not: vedette cannot probe them and sends no \
    mail about them while this lasts. Check a cluster from another network now.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "This host's own network: link, route, firewall or the uplink of its site. Targets \
    outside the clusters fail at the same time, so the clusters are not the cause.";

/// Nothing outside answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Subjects that do not answer.
    pub silent: usize,
    /// Reference targets among them.
    pub references: usize,
}

impl Kind for Isolation {
    const TAG: &'static str = "isolated";
    const OLDER_TAGS: &'static [&'static str] = &["Blind"];
}

impl Evidence for Isolation {
    fn headline(&self, _: &Finding) -> String {
        "vedette has lost its network".into()
    }

    fn what(&self, _: &Finding, _: &Addresses) -> String {
        let Self { silent, references } = self;
        format!("0 of {silent} targets respond, including {references} reference targets outside the clusters.")
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let mut next = commands.own_network();
        next.push(commands.probe());
        next
    }
}

impl Rule for Isolated {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F04,
            name: "VantageIsolated",
            in_short: "vedette isolated",
            title: "vedette's own host has lost its network",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::All,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Isolation>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge { effect: None, relation: Relation::Vantage }];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        if context.cluster.is_some() || !context.view.references().has_remote() {
            return Vec::new();
        }
        vec![(Subject::Vantage, judge_path(context))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::Sample;

        Sample::of("vantage", Level::Critical, Arc::new(Isolation { silent: 9, references: 2 }))
    }
}

fn judge_path(context: &RuleContext<'_>) -> Verdict {
    let references = context.view.references();
    // With no other place to compare with, the silence of the only cluster is reported as its outage, as "path
    // unproven".
    if !references.can_tell_isolation() {
        return not_isolated(context);
    }
    let expected: Vec<Subject> =
        context.references().into_iter().filter(|reference| !references.is_silent(reference)).collect();
    let seen: Vec<&ProbeRuns> =
        expected.iter().filter_map(|reference| context.view.track(reference, Aspect::Answer)).collect();
    // A burst probes every reference target at once. Until then one silent endpoint does not show a lost network.
    if seen.len() < expected.len() && !context.view.path().is_isolated() {
        return not_isolated(context);
    }
    // Reference targets decide where there are any that could know; else every endpoint must be silent.
    let first_silent = match first_if_all_silent(context, seen.iter().copied()) {
        AllSilent::Since(first) => Some(first),
        AllSilent::No => None,
        AllSilent::Unknown => match first_if_all_silent(context, remote_tracks(context)) {
            AllSilent::Since(first) => Some(first),
            AllSilent::No | AllSilent::Unknown => None,
        },
    };
    let Some(since) = first_silent else { return not_isolated(context) };
    Verdict::Bad(Finding {
        rule: RuleId::F04,
        subject: Subject::Vantage,
        level: Level::Critical,
        since: since.wall,
        hold: context.policy().isolated_for,
        path_unproven: false,
        evidence: Arc::new(Isolation { silent: remote_tracks(context).count(), references: seen.len() }),
    })
}

/// Everything outside this machine that was ever probed, reference targets included.
fn remote_tracks<'a>(context: &RuleContext<'a>) -> impl Iterator<Item = &'a ProbeRuns> + use<'a> {
    let view = context.view;
    view.answering().filter(|(subject, _)| view.inventory().is_remote(subject)).map(|(_, track)| track)
}

/// What several places show together.
enum AllSilent {
    /// All that could know are silent; when the first of them fell silent.
    Since(Now),
    /// One answers.
    No,
    /// None of them could know.
    Unknown,
}

fn first_if_all_silent<'a>(context: &RuleContext<'_>, witnesses: impl Iterator<Item = &'a ProbeRuns>) -> AllSilent {
    let proof = context.view.path().last();
    let mut since: Option<Now> = None;
    for track in witnesses {
        match testimony(context, track, proof) {
            Testimony::Silent(first) => since = since.filter(|known| known.mono <= first.mono).or(Some(first)),
            Testimony::SilentBefore => {}
            Testimony::Speaks => return AllSilent::No,
        }
    }
    since.map_or(AllSilent::Unknown, AllSilent::Since)
}

/// What one place shows about our own network.
enum Testimony {
    /// Enough bad probes since the last proof of our path; the scheduled start of the first of them.
    Silent(Now),
    /// It was silent already while something else answered: it cannot know whether that has changed.
    SilentBefore,
    /// It answers, or is not yet confirmed to be silent.
    Speaks,
}

fn testimony(context: &RuleContext<'_>, track: &ProbeRuns, proof: Option<Mono>) -> Testimony {
    let Some(bad) = track.bad() else {
        // Where the name has no address, no probe was sent.
        return if track.unresolved().is_some() { Testimony::SilentBefore } else { Testimony::Speaks };
    };
    let enough = bad.is_long_enough(context.policy()) && !bad.is_doubtful;
    let after_proof = proof.is_none_or(|proof| bad.noticed > proof);
    match (enough, after_proof) {
        (true, true) => Testimony::Silent(bad.run.first),
        (_, false) => Testimony::SilentBefore,
        (false, true) => Testimony::Speaks,
    }
}

fn not_isolated(context: &RuleContext<'_>) -> Verdict {
    let path = context.view.path();
    match path.since_isolated() {
        Some((since, until, probes)) => Verdict::Good { since, until, probes },
        None => Verdict::Unknown(Why::NeverSeen),
    }
}
