//! Alarms of which nobody hears: what a person sees who compares the page with their mails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vedette::judge::edges::explains;
use vedette::model::incident::{Alarm, Incident, Stage};
use vedette::model::rule::{Level, RuleId};
use vedette::model::verdict::{Finding, FindingKey};

use super::world::{Relay, World, seconds};

/// How long an alarm may stand past its hold, while mail gets out, before somebody knows of it: it waits for a cause
/// (10 s) and for the longest hold of one (30 s), for a mail's retry (30 s), and after its cause for 60 s.
pub(super) const LONGEST: Duration = seconds(140);

/// Runs the world until `end` and returns the alarms that were mute for too long.
pub(super) fn watch(world: &mut World, end: Duration) -> Vec<String> {
    let mut mute_since: BTreeMap<FindingKey, Duration> = BTreeMap::new();
    let mut found = BTreeSet::new();
    let mut at = Duration::ZERO;
    while at < end {
        at += seconds(2);
        world.run_until(at);
        let mute = mute(world);
        mute_since.retain(|key, _| mute.contains(key));
        for key in mute {
            let since = *mute_since.entry(key.clone()).or_insert(at);
            if at.saturating_sub(since) > LONGEST {
                found.insert(format!("{} {} since {since:?}", key.rule, key.subject));
            }
        }
    }
    found.into_iter().collect()
}

/// Alarms that stand past their hold and of which nobody knows, while people could be told.
fn mute(world: &World) -> BTreeSet<FindingKey> {
    let snapshot = world.snapshot();
    let cannot_tell = world.cut_off || world.relay != Relay::Accepting || snapshot.isolated_since.is_some();
    if cannot_tell || !snapshot.silences.is_empty() {
        return BTreeSet::new();
    }
    let open = snapshot.incidents.iter().filter(|incident| incident.over.is_none());
    let open: Vec<&Incident> = open.map(|incident| incident.as_ref()).collect();
    let alarms = snapshot.alarms.iter().map(AsRef::as_ref);
    let stands = |alarm: &&Alarm| matches!(alarm.stage, Stage::Firing { .. }) && alarm.finding.level > Level::Info;
    let alarms = alarms.filter(stands);
    // Its own isolation is told when it is over.
    let alarms = alarms.filter(|alarm| alarm.finding.rule != RuleId::F04);
    alarms.map(Alarm::key).filter(|key| !open.iter().any(|incident| is_known(world, incident, key))).collect()
}

/// Whether people know of a finding by an open incident: a mail of it shows the finding, or something that stands and
/// explains it, by others that stand where need be.
fn is_known(world: &World, incident: &Incident, key: &FindingKey) -> bool {
    let mails = world.mails.iter().filter(|mail| mail.message.incident.id == incident.id);
    let shown: BTreeSet<FindingKey> =
        mails.flat_map(|mail| mail.message.incident.ongoing().map(Finding::key)).collect();
    let (mut known, mut others): (Vec<&Finding>, Vec<&Finding>) =
        incident.ongoing().partition(|finding| shown.contains(&finding.key()));
    loop {
        let (explained, rest): (Vec<&Finding>, Vec<&Finding>) =
            others.into_iter().partition(|other| known.iter().any(|cause| explains(cause, other)));
        if explained.is_empty() {
            break;
        }
        known.extend(explained);
        others = rest;
    }
    known.iter().any(|finding| finding.key() == *key)
}
