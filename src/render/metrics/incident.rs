//! Families about what is wrong: findings, and incidents, one per mail thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::judge::words;
use crate::model::incident::{Alarm, Incident, Stage};
use crate::model::rule::{Level, RuleId};
use crate::model::snapshot::Snapshot;
use crate::model::subject::Subject;

use super::Page;
use super::drawing::Drawing;
use super::family::{Family, count, instant};
use super::sample::Labels;

type Key = (Vec<(&'static str, String)>, RuleId, Level, &'static str);

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let snapshot = page.snapshot;
    let incidents = snapshot.incidents.iter().filter(|incident| incident.over.is_none()).map(|incident| {
        (place(&incident.headline.subject), incident.headline.rule, incident.level, stage(snapshot, incident))
    });
    let findings = snapshot.alarms.iter().map(|alarm| {
        let finding = &alarm.finding;
        let cluster = finding.subject.cluster().map(|name| ("cluster", name.as_str().to_owned()));
        (cluster.into_iter().collect(), finding.rule, finding.level, name(alarm.stage))
    });
    let mut silences = page.format.gauge(
        "vedette_silence_end_timestamp_seconds",
        "Time the silence of the cluster expires. Absent when the cluster is not silenced.",
    );
    for silence in &snapshot.silences {
        let labels = Labels::default().with("cluster", silence.cluster.as_str());
        silences.sample(&labels, instant(silence.until));
    }
    let mut rules = page.format.gauge("vedette_rule_info", "Name of each rule, to join on the label rule; always 1.");
    for rule in RuleId::ALL {
        rules.sample(&Labels::default().with("rule", rule.as_str()).with("name", words::of(rule).name), 1.0);
    }
    let all = [
        counted(
            page.format.gauge(
                "vedette_incidents",
                "Open incidents, by the rule and the subject of their headline. Absent when none is open.",
            ),
            incidents,
        ),
        counted(
            page.format.gauge(
                "vedette_findings",
                "Current findings, by rule and state; those grouped into an incident of another rule included.",
            ),
            findings,
        ),
        silences,
        rules,
    ];
    all.map(Drawing::from).into()
}

/// What an incident is about, as far as the inventory bounds it: a certificate's digest would make a series of each
/// renewal.
///
/// An empty `instance` is the same as none: where a series lacks the label, Prometheus with `honor_labels` adds the
/// scraped address, and an alert would name it as the part that is at fault.
fn place(subject: &Subject) -> Vec<(&'static str, String)> {
    let mut labels: Vec<_> = Labels::of(subject).into_iter().filter(|(name, _)| *name != "item").collect();
    if labels.iter().all(|(name, _)| *name != "instance") {
        labels.push(("instance", String::new()));
    }
    labels
}

fn counted(mut family: Family, keys: impl Iterator<Item = Key>) -> Family {
    let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    for ((place, rule, level, stage), number) in counts {
        let labels = Labels::from_iter(place);
        let labels = labels.with("rule", rule.as_str()).with("severity", level.as_str()).with("state", stage);
        family.sample(&labels, count(number));
    }
    family
}

/// The stage of an incident: firing while any of its alarms fires.
fn stage(snapshot: &Snapshot, incident: &Incident) -> &'static str {
    let own = |alarm: &&Arc<Alarm>| alarm.incident.as_ref() == Some(&incident.id);
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
