//! Families about what is wrong: alarms, one per finding, and incidents, one per mail thread.

use std::collections::BTreeMap;

use crate::model::incident::{Alarm, Incident, Stage};
use crate::model::rule::{Level, RuleId};
use crate::model::snapshot::Snapshot;
use crate::model::subject::Name;

use super::Page;
use super::family::{Family, Labels, count, instant};

type Key<'a> = (Option<&'a Name>, RuleId, Level, &'static str);

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let snapshot = page.snapshot;
    let incidents =
        snapshot.incidents.iter().filter(|incident| incident.over.is_none()).map(|incident| {
            (incident.cluster.as_ref(), incident.headline.rule, incident.level, stage(snapshot, incident))
        });
    let alarms = snapshot.alarms.iter().map(|alarm| {
        let finding = &alarm.finding;
        (finding.subject.cluster(), finding.rule, finding.level, name(alarm.stage))
    });
    let mut silences = Family::gauge(
        "vedette_silence_end_timestamp_seconds",
        "When the silence of a cluster ends by itself. No sample: everything about it is said.",
    );
    for silence in &snapshot.silences {
        let labels = Labels::default().with("cluster", silence.cluster.as_str());
        silences.sample(&labels, instant(silence.until));
    }
    vec![
        counted("vedette_incidents", "Open incidents by the rule that named them. No sample: none is open.", incidents),
        counted(
            "vedette_alarms",
            "Findings that stand, by stage; those folded into the incident of their cause included.",
            alarms,
        ),
        silences,
    ]
}

fn counted<'a>(family: &'static str, help: &'static str, keys: impl Iterator<Item = Key<'a>>) -> Family {
    let mut counts: BTreeMap<Key<'a>, u64> = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let mut family = Family::gauge(family, help);
    for ((cluster, rule, level, stage), number) in counts {
        let labels = cluster.map_or_else(Labels::default, |name| Labels::default().with("cluster", name.as_str()));
        let labels = labels.with("rule", rule.as_str()).with("level", level.as_str()).with("stage", stage);
        family.sample(&labels, count(number));
    }
    family
}

/// The stage of an incident: firing while any of its alarms fires.
fn stage(snapshot: &Snapshot, incident: &Incident) -> &'static str {
    let own = |alarm: &&Alarm| alarm.incident.as_ref() == Some(&incident.id);
    let stages: Vec<&'static str> = snapshot.alarms.iter().filter(own).map(|alarm| name(alarm.stage)).collect();
    ["firing", "clearing", "pending"].into_iter().find(|stage| stages.contains(stage)).unwrap_or("firing")
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending { .. } => "pending",
        Stage::Firing { .. } => "firing",
        Stage::Clearing { .. } => "clearing",
    }
}
