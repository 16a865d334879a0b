//! Which findings are mailed together, and when.

use std::time::Duration;

use crate::alert::group::{Incidents, Notification};
use crate::alert::relations::{Near, Relations, RuleScope};
use crate::judge::expiry::ServedExpiry;
use crate::model::incident::{IncidentId, Said};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason::{
    self, CauseFound, Escalated, First, HappenedWhileMute, Remains, Repeated, Resolved,
};
use crate::model::rule::Level::{self, Critical, Info, Warning};
use crate::model::rule::RuleId::{self, F01, F02, F04, F09, F22, F24, F26};
use crate::model::verdict::{ExpiryThreshold, Finding, FindingKey};
use crate::samples;

use super::{at, finding};

/// As the rules have it, in short.
fn explains(cause: &Finding, effect: &Finding) -> bool {
    matches!((cause.rule, effect.rule), (F01, F02 | F22 | F24) | (F24, F22))
}

fn beside(key: &FindingKey, rules: &[RuleId]) -> Vec<Near> {
    rules.iter().map(|rule| Near::In(RuleScope::beside(key, *rule))).collect()
}

fn relations() -> Relations {
    Relations {
        explains,
        is_cause: |finding| matches!(finding.rule, F01 | F24),
        causes: |key| beside(key, &[F01, F24]),
        effects: |key| beside(key, &[F02, F22, F24]),
        is_listed: |_| false,
    }
}

fn none() -> Incidents {
    Incidents::new(relations())
}

fn open(incidents: &mut Incidents, rule: RuleId, level: Level, second: u64) -> IncidentId {
    let (id, said) = incidents.join_or_open(&finding(rule, level, 0), &Policy::default(), at(second));
    assert_eq!(said, None);
    id
}

/// The mails that are due at that second because of time alone; each is noted as sent.
fn due(incidents: &mut Incidents, second: u64) -> Vec<(IncidentId, MessageReason)> {
    let said = incidents.due(&Policy::default(), at(second).mono, false, |_| false);
    said.into_iter().map(|Notification { incident, reason }| notify(incidents, incident, reason, second)).collect()
}

fn notify(
    incidents: &mut Incidents,
    id: IncidentId,
    reason: MessageReason,
    second: u64,
) -> (IncidentId, MessageReason) {
    incidents.note_told(&id, reason, at(second).wall).unwrap();
    (id, reason)
}

fn recover(incidents: &mut Incidents, id: &IncidentId, rule: RuleId, second: u64) -> bool {
    let policy = Policy::default();
    incidents.recover(id, &samples::finding(rule).key(), at(second).wall, false, &policy, at(second).mono)
}

/// One critical F24, mailed at second 1.
fn told() -> (Incidents, IncidentId) {
    let mut incidents = none();
    let id = open(&mut incidents, F24, Critical, 0);
    assert_eq!(due(&mut incidents, 1), [(id.clone(), First)]);
    (incidents, id)
}

/// The mails that are due at that second while everything recovers.
fn due_while_easing(incidents: &mut Incidents, second: u64) -> Vec<Notification> {
    incidents.due(&Policy::default(), at(second).mono, false, |_| true)
}

const HOURS: u64 = 3600;

#[test]
fn a_warning_that_recovers_as_its_hold_ends_is_told_only_when_it_stands_again() {
    let mut incidents = none();
    let id = open(&mut incidents, F22, Warning, 0);

    assert_eq!(due_while_easing(&mut incidents, 1), []);
    assert_eq!(incidents.next(false), None, "nothing is due while it recovers");
    incidents.relapse(&id, &finding(F22, Warning, 0), at(4).mono);
    assert_eq!(due(&mut incidents, 4), [(id.clone(), First)]);
    assert!(recover(&mut incidents, &id, F22, 30));
}

#[test]
fn what_is_critical_is_told_though_it_recovers_already() {
    let mut incidents = none();
    let id = open(&mut incidents, F24, Critical, 0);

    assert_eq!(due_while_easing(&mut incidents, 1), [Notification { incident: id, reason: First }]);
}

#[test]
fn a_warning_of_which_a_part_still_stands_is_told() {
    let mut incidents = none();
    let id = open(&mut incidents, F22, Warning, 0);
    open(&mut incidents, F02, Warning, 0);

    let said = incidents.due(&Policy::default(), at(1).mono, false, |key| key.rule == F22);
    assert_eq!(said, [Notification { incident: id, reason: First }]);
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
    assert_eq!(incidents.next(false), Some(settled));
    assert_eq!(incidents.due(&policy, settled.minus(Duration::from_millis(1)), false, |_| false), []);
    assert_eq!(incidents.due(&policy, settled, false, |_| false), [Notification { incident: id, reason: First }]);
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
fn a_root_cause_is_told_in_the_thread_of_its_effect() {
    let (mut incidents, id) = told();

    let (joined, said) = incidents.join_or_open(&finding(F01, Critical, 0), &Policy::default(), at(5));

    assert_eq!(joined, id);
    assert_eq!(said, Some(Notification { incident: id.clone(), reason: CauseFound }));
    let incident = incidents.incident(&id).unwrap();
    assert_eq!((incident.headline.rule, incident.root().rule), (F24, F01));
}

#[test]
fn what_follows_is_folded_without_a_word() {
    let (mut incidents, id) = told();

    assert_eq!(incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono), None);

    assert_eq!(due(&mut incidents, 100), []);
    assert_eq!(incidents.incident(&id).unwrap().ongoing().count(), 2);
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

    worsen(&mut incidents, &id, &finding(F22, Critical, 0), 650);

    assert_eq!(due(&mut incidents, 650), [(id, Escalated)]);
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
    worsen(&mut incidents, &id, &finding(F26, Info, 0), 9);
    assert_eq!(due(&mut incidents, 60), [], "another band, still info");
    assert!(recover(&mut incidents, &id, F26, 9 * HOURS));
    assert_eq!(incidents.incident(&id).unwrap().told.messages, 0);
}

#[test]
fn info_that_grows_louder_is_told_as_what_it_is_then() {
    let mut incidents = none();
    let id = open(&mut incidents, F26, Info, 0);
    assert_eq!(due(&mut incidents, 1), []);

    worsen(&mut incidents, &id, &finding(F26, Warning, 0), 60);

    assert_eq!(due(&mut incidents, 60), [(id, First)]);
}

/// A part grows worse at that second.
fn worsen(incidents: &mut Incidents, id: &IncidentId, finding: &Finding, second: u64) {
    incidents.worsen(id, finding, &Policy::default(), at(second).mono);
}

#[test]
fn what_grows_louder_than_what_was_told_of_it_is_said_at_once_if_it_is_the_loudest_and_with_the_others_if_not() {
    let mut incidents = none();
    let id = open(&mut incidents, F02, Warning, 0);
    open(&mut incidents, F09, Warning, 0);
    due(&mut incidents, 1);

    worsen(&mut incidents, &id, &finding(F02, Warning, 0), 2);
    worsen(&mut incidents, &id, &finding(F09, Critical, 0), 2);
    assert_eq!(due(&mut incidents, 2), [(id.clone(), Escalated)]);

    worsen(&mut incidents, &id, &finding(F02, Critical, 0), 4);
    assert_eq!(due(&mut incidents, 13), []);
    assert_eq!(due(&mut incidents, 14), [(id.clone(), Escalated)]);
    worsen(&mut incidents, &id, &finding(F02, Warning, 0), 20);
    worsen(&mut incidents, &id, &finding(F02, Critical, 0), 40);
    assert_eq!(due(&mut incidents, 100), [], "up and down is no news each time");
}

#[test]
fn what_follows_and_grows_as_grave_as_its_cause_is_not_said() {
    let (mut incidents, id) = told();
    incidents.fold(&id, &finding(F22, Warning, 0), at(2).mono);

    worsen(&mut incidents, &id, &finding(F22, Critical, 0), 650);

    assert_eq!(due(&mut incidents, 700), []);
}

fn certificate(subject: &str, band: ExpiryThreshold) -> Finding {
    let mut finding = Finding { subject: samples::subject(subject), ..finding(F26, Warning, 0) };
    samples::change(&mut finding, |expiry: &mut ServedExpiry| expiry.band = band);
    finding
}

const FIRST: &str = "prod-fra1/apiserver/api-1";
const SECOND: &str = "prod-fra1/apiserver/api-2";

/// Two certificates in one incident, mailed at second 1.
fn certificates(band: ExpiryThreshold) -> (Incidents, IncidentId) {
    let mut incidents = none();
    let (id, _) = incidents.join_or_open(&certificate(FIRST, band), &Policy::default(), at(0));
    incidents.join_or_open(&certificate(SECOND, band), &Policy::default(), at(0));
    assert_eq!(due(&mut incidents, 1), [(id.clone(), First)]);
    (incidents, id)
}

#[test]
fn each_certificate_of_an_incident_crosses_its_thresholds_audibly() {
    let (mut incidents, id) = certificates(ExpiryThreshold::Warning);

    worsen(&mut incidents, &id, &certificate(FIRST, ExpiryThreshold::Warning), 2);
    assert_eq!(due(&mut incidents, 60), [], "no later band");
    worsen(&mut incidents, &id, &certificate(FIRST, ExpiryThreshold::Urgent), 100);
    assert_eq!(due(&mut incidents, 110), [(id.clone(), Escalated)]);
    worsen(&mut incidents, &id, &certificate(SECOND, ExpiryThreshold::Urgent), 200);
    assert_eq!(due(&mut incidents, 210), [(id, Escalated)], "the second of them is news as well");
}

#[test]
fn certificates_that_cross_a_threshold_within_seconds_are_one_mail() {
    let (mut incidents, id) = certificates(ExpiryThreshold::Warning);
    worsen(&mut incidents, &id, &certificate(FIRST, ExpiryThreshold::Urgent), 100);
    worsen(&mut incidents, &id, &certificate(SECOND, ExpiryThreshold::Urgent), 106);

    assert_eq!(due(&mut incidents, 110), [(id, Escalated)]);
    assert_eq!(due(&mut incidents, 400), []);
}

#[test]
fn what_was_told_of_each_part_outlives_a_restart_and_what_was_not_is_told_after_it() {
    let (mut incidents, id) = certificates(ExpiryThreshold::Warning);
    worsen(&mut incidents, &id, &certificate(FIRST, ExpiryThreshold::Urgent), 100);
    due(&mut incidents, 110);
    worsen(&mut incidents, &id, &certificate(SECOND, ExpiryThreshold::Urgent), 112);
    let known = incidents.incident(&id).unwrap().as_ref().clone();

    let mut anew = none();
    anew.restore(known, &Policy::default(), at(115).mono);

    assert_eq!(due(&mut anew, 125), [(id, Escalated)]);
    assert_eq!(due(&mut anew, 400), []);
}

#[test]
fn an_incident_of_an_older_release_counts_as_told_as_far_as_any_of_it_was() {
    let (incidents, id) = certificates(ExpiryThreshold::Warning);
    let mut old = incidents.incident(&id).unwrap().as_ref().clone();
    old.told.settled = None;
    old.told.band = Some(ExpiryThreshold::Urgent);
    old.parts.iter_mut().for_each(|part| part.said = Said::default());
    old.parts[0].finding = certificate(FIRST, ExpiryThreshold::Urgent);

    let mut anew = none();
    anew.restore(old, &Policy::default(), at(0).mono);

    assert_eq!(due(&mut anew, 60), [], "nothing of it is told twice");
    worsen(&mut anew, &id, &certificate(SECOND, ExpiryThreshold::Urgent), 100);
    assert_eq!(due(&mut anew, 110), [(id, Escalated)]);
}

#[test]
fn the_gravest_root_names_the_thread_whatever_settled_first() {
    for order in [[F26, F02, F09], [F09, F02, F26], [F02, F26, F09]] {
        let level = |rule| {
            if rule == F26 {
                Info
            } else if rule == F02 {
                Warning
            } else {
                Critical
            }
        };
        let mut incidents = none();
        let mut id = None;
        for rule in order {
            id = Some(open(&mut incidents, rule, level(rule), 0));
        }
        let id = id.unwrap();

        assert_eq!(due(&mut incidents, 1), [(id.clone(), First)]);
        assert_eq!(incidents.incident(&id).unwrap().headline.rule, F09, "{order:?}");
    }
}

#[test]
fn a_part_tells_whether_it_follows_from_another_or_was_only_there_at_the_same_time() {
    for order in [[F22, F24, F09], [F24, F22, F09]] {
        let mut incidents = none();
        let mut id = None;
        for rule in order {
            id = Some(open(&mut incidents, rule, Critical, 0));
        }
        let incident = incidents.incident(&id.unwrap()).unwrap().clone();

        let mut follows: Vec<RuleId> =
            incident.parts.iter().filter(|part| part.follows).map(|part| part.finding.rule).collect();
        follows.sort_unstable();
        assert_eq!(follows, [F22], "{order:?}");
    }
}

#[test]
fn what_is_left_mute_by_the_end_of_its_cause_is_told_though_the_headline_stands() {
    let mut incidents = none();
    let id = open(&mut incidents, F09, Critical, 0);
    open(&mut incidents, F24, Warning, 0);
    due(&mut incidents, 1);
    incidents.fold(&id, &finding(F22, Warning, 0), at(5).mono);

    assert!(!recover(&mut incidents, &id, F24, 50));

    assert_eq!(due(&mut incidents, 110), [(id.clone(), Remains)]);
    assert_eq!(incidents.incident(&id).unwrap().headline.rule, F09);
}

#[test]
fn a_message_that_is_lost_is_said_again() {
    let policy = Policy::default();
    for (settled, over, expected) in
        [(0, false, First), (1, false, Repeated), (0, true, HappenedWhileMute), (1, true, Resolved)]
    {
        let (mut incidents, id) = told();
        incidents.note_settled(&id, 1 - settled);
        if over {
            assert!(recover(&mut incidents, &id, F24, 10));
        }

        let mut said: Vec<_> =
            incidents.retract(&id, 0, &policy, at(20).mono).map(|said| said.reason).into_iter().collect();
        said.extend(due(&mut incidents, 21).into_iter().map(|(_, reason)| reason));

        assert_eq!(said, [expected], "{settled} {over}");
    }
}

#[test]
fn an_incident_never_bears_the_name_of_one_that_is_over_or_lost() {
    let (mut incidents, id) = told();
    recover(&mut incidents, &id, F24, 10);
    let again = open(&mut incidents, F24, Critical, 20);
    incidents.spend(samples::incident(F09).id);

    assert_ne!(again, id);
}

#[test]
fn a_consequence_that_is_graver_than_what_was_told_is_said() {
    let mut incidents = none();
    let id = open(&mut incidents, F24, Warning, 0);
    due(&mut incidents, 1);

    let said = incidents.fold(&id, &finding(F22, Critical, 0), at(2).mono);

    assert_eq!(said, Some(Notification { incident: id, reason: Escalated }));
}

#[test]
fn while_mute_nothing_is_said_of_clusters_and_all_of_it_afterwards() {
    let policy = Policy::default();
    let mut incidents = none();
    let cluster = open(&mut incidents, F24, Critical, 0);
    let vantage = open(&mut incidents, F04, Critical, 0);

    assert_eq!(
        incidents.due(&policy, at(1).mono, true, |_| false),
        [Notification { incident: vantage, reason: First }]
    );
    assert_eq!(
        incidents.due(&policy, at(60).mono, false, |_| false),
        [Notification { incident: cluster, reason: First }]
    );
}

#[test]
fn a_restored_incident_that_was_told_is_not_told_again_and_one_that_was_not_is() {
    let policy = Policy::default();
    for (messages, expected) in [(0, Some(First)), (1, None)] {
        let mut incident = samples::incident(F24);
        incident.told.messages = messages;
        incident.told.level = (messages > 0).then_some(incident.level);
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
