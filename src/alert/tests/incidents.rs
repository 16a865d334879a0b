//! Which findings are told together, and when.

use std::time::Duration;

use super::{at, finding};
use crate::alert::group::{Incidents, Utterance};
use crate::model::incident::IncidentId;
use crate::model::policy::Policy;
use crate::model::reason::MessageReason::{self, CauseFound, Escalated, First, Remains, Repeated};
use crate::model::rule::Level::{self, Critical, Info, Warning};
use crate::model::rule::RuleId::{self, F01, F02, F04, F09, F22, F24, F26};
use crate::model::samples;
use crate::model::verdict::{Band, Evidence, Finding};

/// As the rules have it, in short.
fn explains(cause: &Finding, effect: &Finding) -> bool {
    matches!((cause.rule, effect.rule), (F01, F02 | F22 | F24) | (F24, F22))
}

fn none() -> Incidents {
    Incidents::new(explains)
}

fn open(incidents: &mut Incidents, rule: RuleId, level: Level, second: u64) -> IncidentId {
    let (id, said) = incidents.join_or_open(&finding(rule, level, 0), &Policy::default(), at(second));
    assert_eq!(said, None);
    id
}

/// What is said at that second because of time alone; each is noted as told.
fn due(incidents: &mut Incidents, second: u64) -> Vec<(IncidentId, MessageReason)> {
    let said = incidents.due(&Policy::default(), at(second).mono, false, |_| false);
    said.into_iter().map(|Utterance { incident, reason }| tell(incidents, incident, reason, second)).collect()
}

fn tell(incidents: &mut Incidents, id: IncidentId, reason: MessageReason, second: u64) -> (IncidentId, MessageReason) {
    incidents.note_told(&id, reason, at(second).wall).unwrap();
    (id, reason)
}

fn recover(incidents: &mut Incidents, id: &IncidentId, rule: RuleId, second: u64) -> bool {
    incidents.recover(id, &samples::finding(rule).key(), at(second).wall, false, at(second).mono)
}

/// One critical F24, told at second 1.
fn told() -> (Incidents, IncidentId) {
    let mut incidents = none();
    let id = open(&mut incidents, F24, Critical, 0);
    assert_eq!(due(&mut incidents, 1), [(id.clone(), First)]);
    (incidents, id)
}

/// What is said at that second while everything recovers.
fn due_while_easing(incidents: &mut Incidents, second: u64) -> Vec<Utterance> {
    incidents.due(&Policy::default(), at(second).mono, false, |_| true)
}

const HOURS: u64 = 3600;

#[test]
fn a_warning_that_recovers_as_its_hold_ends_is_told_only_when_it_stands_again() {
    let mut incidents = none();
    let id = open(&mut incidents, F22, Warning, 0);

    assert_eq!(due_while_easing(&mut incidents, 1), []);
    assert_eq!(incidents.next(&Policy::default(), false), None, "nothing is due while it recovers");
    incidents.relapse(&id, &finding(F22, Warning, 0), at(4).mono);
    assert_eq!(due(&mut incidents, 4), [(id.clone(), First)]);
    assert!(recover(&mut incidents, &id, F22, 30));
}

#[test]
fn what_is_critical_is_told_though_it_recovers_already() {
    let mut incidents = none();
    let id = open(&mut incidents, F24, Critical, 0);

    assert_eq!(due_while_easing(&mut incidents, 1), [Utterance { incident: id, reason: First }]);
}

#[test]
fn a_warning_of_which_a_part_still_stands_is_told() {
    let mut incidents = none();
    let id = open(&mut incidents, F22, Warning, 0);
    open(&mut incidents, F02, Warning, 0);

    let said = incidents.due(&Policy::default(), at(1).mono, false, |key| key.rule == F22);
    assert_eq!(said, [Utterance { incident: id, reason: First }]);
}

#[test]
fn what_began_under_a_cause_and_is_believed_after_its_end_is_told_in_its_thread_if_it_remains() {
    let mut incidents = none();
    let id = open(&mut incidents, F01, Critical, 0);
    assert_eq!(due(&mut incidents, 1), [(id.clone(), First)]);
    incidents.fold(&id, &finding(F24, Critical, 0), at(5).mono);
    let late = Finding { since: at(35).wall, ..finding(F22, Warning, 0) };
    assert_eq!(incidents.aftermath_of(&late), None, "the cause stands: it is asked itself");

    assert!(!recover(&mut incidents, &id, F01, 40));
    let later = Finding { since: at(41).wall, ..late.clone() };
    assert_eq!(incidents.aftermath_of(&later), None, "it began after the cause");
    let unrelated = Finding { rule: F09, ..late.clone() };
    assert_eq!(incidents.aftermath_of(&unrelated), None);
    let elsewhere = Finding { subject: samples::subject("other/apiserver/api-1"), ..late.clone() };
    assert_eq!(incidents.aftermath_of(&elsewhere), None);
    assert_eq!(incidents.aftermath_of(&late), Some(id.clone()));

    assert_eq!(incidents.fold(&id, &late, at(65).mono), None);
    assert!(!recover(&mut incidents, &id, F24, 70));
    assert_eq!(due(&mut incidents, 101), [(id.clone(), Remains)]);
    assert_eq!(incidents.aftermath_of(&late), None, "what remains was told: nobody would hear of it");
}

#[test]
fn an_incident_is_told_once_after_the_settle_window() {
    let policy = Policy::default();
    let mut incidents = none();
    let id = open(&mut incidents, F24, Critical, 0);

    let settled = at(0).mono.plus(policy.settle);
    assert_eq!(incidents.next(&policy, false), Some(settled));
    assert_eq!(incidents.due(&policy, settled.minus(Duration::from_millis(1)), false, |_| false), []);
    assert_eq!(incidents.due(&policy, settled, false, |_| false), [Utterance { incident: id, reason: First }]);
    assert_eq!(incidents.due(&policy, settled, false, |_| false), []);
}

#[test]
fn findings_of_one_cluster_inside_the_window_are_one_incident_named_after_the_cause() {
    let mut incidents = none();
    let id = open(&mut incidents, F22, Warning, 0);
    assert_eq!(open(&mut incidents, F24, Critical, 0), id);
    assert_eq!(open(&mut incidents, F09, Critical, 0), id, "related or not");

    let incident = incidents.incident(&id).unwrap();
    assert_eq!((incident.headline.rule, incident.level, incident.parts.len()), (F24, Critical, 3));
    assert_eq!(due(&mut incidents, 1), [(id, First)]);
}

#[test]
fn another_cluster_and_the_vantage_are_incidents_of_their_own() {
    let mut incidents = none();
    let elsewhere = Finding { subject: samples::subject("test-eu1"), ..finding(F24, Critical, 0) };
    let here = open(&mut incidents, F24, Critical, 0);
    let (there, _) = incidents.join_or_open(&elsewhere, &Policy::default(), at(0));
    let vantage = open(&mut incidents, F04, Critical, 0);

    assert!(here != there && here != vantage && there != vantage);
    assert_eq!(due(&mut incidents, 1).len(), 3);
}

#[test]
fn after_the_window_only_related_findings_join() {
    let (mut incidents, id) = told();

    assert_ne!(open(&mut incidents, F09, Critical, 2), id);
}

#[test]
fn a_deeper_cause_is_told_in_the_thread_of_its_effect() {
    let (mut incidents, id) = told();

    let (joined, said) = incidents.join_or_open(&finding(F01, Critical, 0), &Policy::default(), at(5));

    assert_eq!(joined, id);
    assert_eq!(said, Some(Utterance { incident: id.clone(), reason: CauseFound }));
    let incident = incidents.incident(&id).unwrap();
    assert_eq!((incident.headline.rule, incident.root().rule), (F24, F01));
}

#[test]
fn what_follows_is_folded_without_a_word() {
    let (mut incidents, id) = told();

    assert_eq!(incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono), None);

    assert_eq!(due(&mut incidents, 100), []);
    assert_eq!(incidents.incident(&id).unwrap().standing().count(), 2);
}

#[test]
fn an_incident_is_over_when_everything_in_it_has_recovered() {
    let (mut incidents, id) = told();
    assert_eq!(incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono), None);

    assert!(!recover(&mut incidents, &id, F24, 50));
    assert!(recover(&mut incidents, &id, F22, 40));
    assert!(!recover(&mut incidents, &id, F22, 60), "it was over before");

    let ended = incidents.incident(&id).unwrap();
    assert_eq!(ended.over.unwrap().at, at(50).wall, "with the part that recovered last");
    assert_eq!(incidents.open().count(), 0);
    assert_eq!(due(&mut incidents, 5 * HOURS), []);
}

#[test]
fn what_outlives_its_cause_by_a_minute_is_named() {
    let (mut incidents, id) = told();
    assert_eq!(incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono), None);
    recover(&mut incidents, &id, F24, 50);

    assert_eq!(due(&mut incidents, 109), []);
    assert_eq!(due(&mut incidents, 110), [(id.clone(), Remains)]);
    assert_eq!(due(&mut incidents, 111), []);
    assert_eq!(incidents.incident(&id).unwrap().root().rule, F22);
}

#[test]
fn what_remains_and_grows_as_grave_as_its_cause_was_is_said_again() {
    let (mut incidents, id) = told();
    incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono);
    recover(&mut incidents, &id, F24, 50);
    assert_eq!(due(&mut incidents, 110), [(id.clone(), Remains)]);

    let said = incidents.worsen(&id, &finding(F22, Critical, 0), at(650).mono);

    assert_eq!(said, Some(Utterance { incident: id, reason: Escalated }));
}

#[test]
fn what_outlives_its_cause_is_named_after_a_restart_as_well() {
    let (mut incidents, id) = told();
    incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono);
    recover(&mut incidents, &id, F24, 50);
    let known = incidents.incident(&id).unwrap().as_ref().clone();

    let mut anew = none();
    anew.restore(known, &Policy::default(), at(80).mono);

    assert_eq!(due(&mut anew, 139), []);
    assert_eq!(due(&mut anew, 140), [(id.clone(), Remains)]);
    let named = anew.incident(&id).unwrap().as_ref().clone();
    let mut again = none();
    again.restore(named, &Policy::default(), at(200).mono);
    assert_eq!(due(&mut again, 300), [], "it was named before");
}

#[test]
fn what_comes_back_under_a_headline_that_is_over_is_told_by_its_own_name() {
    let mut incidents = none();
    let id = open(&mut incidents, F22, Warning, 0);
    open(&mut incidents, F02, Warning, 0);
    assert_eq!(due_while_easing(&mut incidents, 1), []);
    assert!(!recover(&mut incidents, &id, F22, 20));

    incidents.relapse(&id, &finding(F02, Warning, 0), at(25).mono);

    assert_eq!(due(&mut incidents, 25), [(id.clone(), First)]);
    assert_eq!(incidents.incident(&id).unwrap().headline.rule, F02);
}

#[test]
fn what_recovers_within_the_minute_is_not_named() {
    let (mut incidents, id) = told();
    assert_eq!(incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono), None);
    recover(&mut incidents, &id, F24, 50);
    recover(&mut incidents, &id, F22, 80);

    assert_eq!(due(&mut incidents, 200), []);
}

#[test]
fn an_open_critical_incident_is_said_again_every_four_hours_and_a_warning_is_not() {
    let (mut incidents, id) = told();
    open(&mut incidents, F26, Warning, 1);
    due(&mut incidents, 2);

    assert_eq!(due(&mut incidents, 4 * HOURS), []);
    assert_eq!(due(&mut incidents, 4 * HOURS + 1), [(id.clone(), Repeated)]);
    assert_eq!(due(&mut incidents, 8 * HOURS), []);
    assert_eq!(due(&mut incidents, 8 * HOURS + 1), [(id, Repeated)]);
}

#[test]
fn info_is_never_said() {
    let mut incidents = none();
    let id = open(&mut incidents, F26, Info, 0);

    for second in [1, 4 * HOURS + 2, 8 * HOURS + 4] {
        assert_eq!(due(&mut incidents, second), []);
    }
    assert_eq!(incidents.worsen(&id, &finding(F26, Info, 0), at(9).mono), None, "another band, still info");
    assert!(recover(&mut incidents, &id, F26, 9 * HOURS));
    assert_eq!(incidents.incident(&id).unwrap().told.messages, 0);
}

#[test]
fn info_that_grows_louder_is_told_as_what_it_is_then() {
    let mut incidents = none();
    let id = open(&mut incidents, F26, Info, 0);
    assert_eq!(due(&mut incidents, 1), []);

    assert_eq!(incidents.worsen(&id, &finding(F26, Warning, 0), at(60).mono), None);

    assert_eq!(due(&mut incidents, 60), [(id, First)]);
}

#[test]
fn what_grows_louder_than_all_that_was_told_is_said_once() {
    let mut incidents = none();
    let id = open(&mut incidents, F02, Warning, 0);
    open(&mut incidents, F22, Warning, 0);
    due(&mut incidents, 1);
    for (rule, level, expected) in
        [(F02, Warning, None), (F22, Warning, None), (F22, Critical, Some(Escalated)), (F02, Critical, None)]
    {
        let said = incidents.worsen(&id, &finding(rule, level, 0), at(2).mono);

        assert_eq!(said.as_ref().map(|said| said.reason), expected, "{rule} {level}");
        said.map(|said| tell(&mut incidents, said.incident, said.reason, 2));
    }
}

#[test]
fn a_later_band_of_a_certificate_is_said_though_its_level_stays() {
    let within = |band: Band| {
        let mut finding = finding(F26, Warning, 0);
        if let Evidence::Expiry { band: known, .. } = &mut finding.evidence {
            *known = band;
        }
        finding
    };
    let mut incidents = none();
    let (id, _) = incidents.join_or_open(&within(Band::Warning), &Policy::default(), at(0));
    due(&mut incidents, 1);

    assert_eq!(incidents.worsen(&id, &within(Band::Warning), at(2).mono), None);
    let said = incidents.worsen(&id, &within(Band::Urgent), at(2).mono);
    assert_eq!(said, Some(Utterance { incident: id, reason: Escalated }));
}

#[test]
fn a_consequence_that_is_graver_than_what_was_told_is_said() {
    let mut incidents = none();
    let id = open(&mut incidents, F24, Warning, 0);
    due(&mut incidents, 1);

    let said = incidents.fold(&id, &finding(F22, Critical, 0), at(2).mono);

    assert_eq!(said, Some(Utterance { incident: id, reason: Escalated }));
}

#[test]
fn while_mute_nothing_is_said_of_clusters_and_all_of_it_afterwards() {
    let policy = Policy::default();
    let mut incidents = none();
    let cluster = open(&mut incidents, F24, Critical, 0);
    let vantage = open(&mut incidents, F04, Critical, 0);

    assert_eq!(incidents.due(&policy, at(1).mono, true, |_| false), [Utterance { incident: vantage, reason: First }]);
    assert_eq!(incidents.due(&policy, at(60).mono, false, |_| false), [Utterance { incident: cluster, reason: First }]);
}

#[test]
fn a_restored_incident_that_was_told_is_not_told_again_and_one_that_was_not_is() {
    let policy = Policy::default();
    for (messages, expected) in [(0, Some(First)), (1, None)] {
        let mut incident = samples::incident(F24);
        incident.told.messages = messages;
        let mut incidents = none();
        incidents.restore(incident, &policy, at(0).mono);

        let said: Vec<_> =
            incidents.due(&policy, at(1).mono, false, |_| false).into_iter().map(|said| said.reason).collect();

        assert_eq!(said.first().copied(), expected);
    }
}

#[test]
fn the_same_fault_has_one_identity_and_the_next_time_another() {
    let (first, again, later) = (none(), none(), none());
    let [first, again] = [first, again].map(|mut incidents| open(&mut incidents, F24, Critical, 0));
    let next_time = Finding { since: at(1).wall, ..finding(F24, Critical, 0) };
    let (later, _) = { later }.join_or_open(&next_time, &Policy::default(), at(0));

    assert_eq!(first, again);
    assert_ne!(first, later);
}
