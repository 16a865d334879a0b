//! What is owed to people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use crate::alert::outbox::{Outbox, Settlement, UnsentKey};
use crate::model::delivery::{DeliveryFailure, DeliveryResult, FailureClass, Progress, Unsent};
use crate::model::incident::IncidentId;
use crate::model::message::{Caveat, Message, MessageId};
use crate::model::outlet::Outlet;
use crate::model::policy::Policy;
use crate::model::reason::MessageReason::{self, Escalated, First, Repeated, Resolved};
use crate::model::rule::{Level, RuleId};
use crate::model::time::Mono;
use crate::samples;

use super::at;

const OPS: &str = "ops@example.org";
const BOSS: &str = "boss@example.org";

fn delivery(incident: &str, number: u32, reason: MessageReason, level: Level) -> Unsent {
    let mut delivery = samples::unsent(RuleId::F24, reason);
    delivery.message.incident.id = IncidentId(incident.into());
    delivery.message.id = MessageId(format!("{incident}.{number}"));
    delivery.message.level = level;
    delivery
}

fn critical(incident: &str, number: u32) -> Unsent {
    delivery(incident, number, if number == 0 { First } else { Escalated }, Level::Critical)
}

/// Owes critical messages that are durable already.
fn owing(messages: &[(&str, u32)]) -> Outbox {
    let mut outbox = Outbox::default();
    for (incident, number) in messages {
        outbox.restore(critical(incident, *number), at(0).mono);
    }
    outbox
}

fn pop(outbox: &mut Outbox, now: Mono) -> Option<String> {
    outbox.pop(&Policy::default(), now, |_, _| true, mark).map(|delivery| delivery.message.id.0)
}

fn mark(message: &mut Message) {
    message.caveats.push(Caveat::NotStored);
}

fn key(id: &str) -> UnsentKey {
    UnsentKey { message: MessageId(id.into()), outlet: Outlet::Mail }
}

/// An attempt ends so for both recipients.
fn settle(outbox: &mut Outbox, id: &str, result: &DeliveryResult, now: Mono) -> Settlement {
    let results = [OPS, BOSS].map(|who| (who.to_owned(), result.clone()));
    outbox.settle(&key(id), results.into(), &Policy::default(), now)
}

/// An attempt ends so for one recipient, and so for the other.
fn settle_each(outbox: &mut Outbox, id: &str, results: &[(&str, DeliveryResult)], now: Mono) -> Settlement {
    let results = results.iter().map(|(who, result)| ((*who).to_owned(), result.clone())).collect();
    outbox.settle(&key(id), results, &Policy::default(), now)
}

fn failed(class: FailureClass) -> DeliveryResult {
    DeliveryResult::Failed(DeliveryFailure { class, text: "the relay says no".into() })
}

#[test]
fn messages_of_one_incident_go_one_after_the_other_and_incidents_do_not_wait_for_each_other() {
    let now = at(0).mono;
    let mut outbox = owing(&[("a", 0), ("a", 1), ("b", 0)]);

    assert_eq!(pop(&mut outbox, now).as_deref(), Some("a.0"));
    assert_eq!(pop(&mut outbox, now).as_deref(), Some("b.0"));
    assert_eq!(pop(&mut outbox, now), None);
    settle(&mut outbox, "a.0", &failed(FailureClass::Unreachable), now);
    assert_eq!(pop(&mut outbox, now), None, "the second never overtakes the first");
    settle(&mut outbox, "a.0", &DeliveryResult::Accepted, now);
    assert_eq!(pop(&mut outbox, now).as_deref(), Some("a.1"));
}

#[test]
fn the_delay_doubles_up_to_half_a_minute() {
    let mut outbox = owing(&[("a", 0)]);
    let mut now = at(0).mono;
    for seconds in [2, 4, 8, 16, 30, 30, 30] {
        assert!(pop(&mut outbox, now).is_some());
        settle(&mut outbox, "a.0", &failed(FailureClass::Unreachable), now);

        let due = now.plus(Duration::from_secs(seconds));
        assert_eq!(outbox.next(&Policy::default(), |_, _| true), Some(due));
        assert_eq!(pop(&mut outbox, due.minus(Duration::from_millis(1))), None);
        now = due;
    }
}

#[test]
fn what_was_rejected_waits_for_five_minutes_and_stays_owed() {
    let mut outbox = owing(&[("a", 0)]);
    pop(&mut outbox, at(0).mono);

    let settled = settle(&mut outbox, "a.0", &failed(FailureClass::Refused), at(0).mono);

    assert!(matches!(settled, Settlement::Owed(unsent) if unsent.attempts == 1));
    assert_eq!(pop(&mut outbox, at(299).mono), None);
    assert!(pop(&mut outbox, at(300).mono).is_some());
}

#[test]
fn what_the_old_relay_rejects_after_a_reload_is_tried_at_once_and_once() {
    let mut outbox = owing(&[("a", 0)]);
    pop(&mut outbox, at(0).mono);
    outbox.hurry(at(5).mono);
    settle(&mut outbox, "a.0", &failed(FailureClass::Refused), at(10).mono);

    assert!(pop(&mut outbox, at(10).mono).is_some());
    settle(&mut outbox, "a.0", &failed(FailureClass::Refused), at(11).mono);
    assert_eq!(pop(&mut outbox, at(310).mono), None);
}

#[test]
fn with_the_path_back_everything_that_waits_may_go_at_once() {
    let mut outbox = owing(&[("a", 0), ("b", 0)]);
    pop(&mut outbox, at(0).mono);
    pop(&mut outbox, at(0).mono);
    settle(&mut outbox, "a.0", &failed(FailureClass::Refused), at(0).mono);

    outbox.hurry(at(10).mono);

    assert_eq!(pop(&mut outbox, at(10).mono).as_deref(), Some("a.0"));
    assert_eq!(pop(&mut outbox, at(10).mono), None, "what is under way is not sent twice");
}

#[test]
fn a_message_waits_for_its_persist_and_no_longer_than_promised() {
    let owe = || {
        let mut outbox = Outbox::default();
        outbox.owe(critical("a", 0), 7, at(2).mono, at(0).mono);
        outbox
    };
    let caveats = |outbox: &mut Outbox, now| {
        outbox.pop(&Policy::default(), now, |_, _| true, mark).map(|sent| sent.message.caveats)
    };

    let mut early = owe();
    early.written(6, true, at(1).mono, mark);
    assert_eq!(caveats(&mut early, at(1).mono), None, "an earlier persist is not its own");
    early.written(7, true, at(1).mono, mark);
    assert_eq!(caveats(&mut early, at(1).mono), Some(vec![]));

    let mut failed = owe();
    failed.written(7, false, at(1).mono, mark);
    assert_eq!(caveats(&mut failed, at(1).mono), Some(vec![Caveat::NotStored]));

    let mut hung = owe();
    assert_eq!(hung.next(&Policy::default(), |_, _| true), Some(at(2).mono));
    assert_eq!(caveats(&mut hung, at(2).mono), Some(vec![Caveat::NotStored]));
}

#[test]
fn what_is_critical_goes_first_and_of_that_what_nobody_heard_of_whatever_came_before() {
    let now = at(0).mono;
    let mut outbox = Outbox::default();
    for (incident, number, reason, level) in [
        ("info", 0, First, Level::Info),
        ("warned", 0, First, Level::Warning),
        ("again", 1, Repeated, Level::Critical),
        ("over", 1, Resolved, Level::Critical),
        ("worse", 1, Escalated, Level::Critical),
        ("first", 0, First, Level::Critical),
        ("second", 0, First, Level::Critical),
        // Its warning must go first, and so goes as what stands behind it.
        ("grew", 0, First, Level::Warning),
        ("grew", 1, Escalated, Level::Critical),
    ] {
        outbox.restore(delivery(incident, number, reason, level), now);
    }

    let mut order = Vec::new();
    while let Some(next) = pop(&mut outbox, now) {
        settle(&mut outbox, &next, &DeliveryResult::Accepted, now);
        order.push(next);
    }

    let expected = ["first.0", "second.0", "worse.1", "grew.0", "grew.1", "over.1", "again.1", "warned.0", "info.0"];
    assert_eq!(order, expected);
}

#[test]
fn of_the_four_attempts_at_once_one_is_kept_for_what_is_critical() {
    let now = at(0).mono;
    let mut outbox = Outbox::default();
    (0..9).for_each(|n| outbox.restore(delivery(&format!("w{n}"), 0, First, Level::Warning), now));

    let warned: Vec<_> = std::iter::from_fn(|| pop(&mut outbox, now)).collect();
    assert_eq!(warned, ["w0.0", "w1.0", "w2.0"]);
    assert_eq!(outbox.next(&Policy::default(), |_, _| true), None, "the end of an attempt comes first");

    outbox.restore(critical("late", 0), now);
    outbox.restore(critical("later", 0), now);
    assert_eq!(pop(&mut outbox, now).as_deref(), Some("late.0"), "it waits for none of the six before it");
    assert_eq!(pop(&mut outbox, now), None);
    settle(&mut outbox, "w1.0", &DeliveryResult::Accepted, now);
    assert_eq!(pop(&mut outbox, now).as_deref(), Some("later.0"));
}

#[test]
fn a_refused_critical_holds_back_nothing_else() {
    let mut outbox = owing(&[("a", 0)]);
    pop(&mut outbox, at(0).mono);
    settle(&mut outbox, "a.0", &failed(FailureClass::Refused), at(0).mono);

    outbox.restore(delivery("w", 0, First, Level::Warning), at(1).mono);

    assert_eq!(pop(&mut outbox, at(1).mono).as_deref(), Some("w.0"));
}

#[test]
fn what_is_refused_for_what_it_is_lets_the_rest_of_its_incident_pass_and_is_replaced_by_it() {
    let mut outbox = owing(&[("a", 0), ("a", 1)]);
    assert_eq!(pop(&mut outbox, at(0).mono).as_deref(), Some("a.0"));
    assert_eq!(pop(&mut outbox, at(0).mono), None, "one after the other");
    settle(&mut outbox, "a.0", &failed(FailureClass::Refused), at(0).mono);

    assert_eq!(pop(&mut outbox, at(1).mono).as_deref(), Some("a.1"));
    assert_eq!(pop(&mut outbox, at(300).mono), None, "and again one after the other");
    let settled = settle(&mut outbox, "a.1", &DeliveryResult::Accepted, at(301).mono);

    let Settlement::Accepted { replaced, .. } = settled else { panic!("{settled:?}") };
    assert_eq!(replaced, [key("a.0")]);
    assert_eq!(outbox.backlog(&Policy::default()).waiting, 0);
}

#[test]
fn what_is_refused_with_everything_else_keeps_its_place() {
    for class in [FailureClass::CredentialRefused, FailureClass::Untrusted, FailureClass::Unreachable] {
        let mut outbox = owing(&[("a", 0), ("a", 1)]);
        pop(&mut outbox, at(0).mono);
        settle(&mut outbox, "a.0", &failed(class), at(0).mono);

        assert_eq!(pop(&mut outbox, at(1).mono), None, "{class:?}");
        assert_eq!(pop(&mut outbox, at(30).mono).as_deref(), Some("a.0"), "{class:?}");
    }
}

#[test]
fn what_is_deferred_for_ever_lets_the_rest_of_its_incident_pass_after_five_minutes() {
    let mut outbox = owing(&[("a", 0), ("a", 1)]);
    let passed = (0..600).find(|second| match pop(&mut outbox, at(*second).mono) {
        Some(id) if id == "a.0" => {
            settle(&mut outbox, &id, &failed(FailureClass::Deferred), at(*second).mono);
            false
        }
        other => other.is_some(),
    });

    assert!(passed.is_some_and(|second| (240..=360).contains(&second)), "{passed:?}");
}

#[test]
fn what_may_not_go_holds_back_only_itself() {
    let mut outbox = owing(&[("a", 0), ("b", 0)]);

    let sent = outbox.pop(&Policy::default(), at(0).mono, |_, message| message.incident.id.0 != "a", mark);

    assert_eq!(sent.map(|sent| sent.message.id.0).as_deref(), Some("b.0"));
}

#[test]
fn the_five_hundred_and_first_drops_the_oldest_of_the_least_grave() {
    let owe = |outbox: &mut Outbox, n: usize, level| {
        outbox.owe(delivery(&format!("i{n:03}"), 0, First, level), 1, at(2).mono, at(0).mono)
    };
    let mut outbox = Outbox::default();
    for n in 0..500 {
        let level = if (10..12).contains(&n) { Level::Warning } else { Level::Critical };
        assert_eq!(owe(&mut outbox, n, level), None);
    }

    let dropped: Vec<String> = (500..504).map(|n| owe(&mut outbox, n, Level::Critical).unwrap().message.id.0).collect();

    assert_eq!(dropped, ["i010.0", "i011.0", "i000.0", "i001.0"]);
    assert_eq!(outbox.backlog(&Policy::default()).waiting, 500);
    let late_warning = owe(&mut outbox, 504, Level::Warning).unwrap();
    assert_eq!(late_warning.message.id.0, "i504.0");
}

#[test]
fn what_is_under_way_is_not_dropped() {
    let mut outbox = Outbox::default();
    for n in 0..500 {
        outbox.restore(delivery(&format!("i{n:03}"), 0, First, Level::Warning), at(0).mono);
    }
    assert_eq!(pop(&mut outbox, at(0).mono).as_deref(), Some("i000.0"));

    let dropped = outbox.owe(critical("z", 0), 1, at(2).mono, at(0).mono);

    assert_eq!(dropped.map(|dropped| dropped.message.id.0).as_deref(), Some("i001.0"));
}

#[test]
fn an_incident_is_untold_while_its_first_message_waits_and_none_is_under_way() {
    let id = IncidentId("a".into());
    let mut outbox = owing(&[("a", 0)]);
    outbox.restore(delivery("a", 1, Resolved, Level::Critical), at(0).mono);
    assert!(outbox.is_untold(&id));
    assert!(!outbox.is_untold(&IncidentId("b".into())));

    pop(&mut outbox, at(0).mono);
    assert!(!outbox.is_untold(&id), "the relay may have it already");
    settle(&mut outbox, "a.0", &failed(FailureClass::Unreachable), at(0).mono);
    assert!(outbox.is_untold(&id));
    settle(&mut outbox, "a.0", &DeliveryResult::Accepted, at(0).mono);
    assert!(!outbox.is_untold(&id), "somebody knows");
    assert_eq!(outbox.owes(&id), 1);
    assert_eq!(outbox.withdraw(&id), [key("a.1")]);
    assert_eq!(outbox.owes(&id), 0);
}

#[test]
fn the_age_of_critical_mail_is_that_of_the_oldest() {
    let mut outbox = Outbox::default();
    outbox.restore(delivery("w", 0, First, Level::Warning), at(1).mono);
    assert_eq!(outbox.oldest_critical(), None);

    outbox.restore(critical("a", 0), at(2).mono);
    outbox.restore(critical("b", 0), at(3).mono);
    assert_eq!(outbox.oldest_critical(), Some(at(2).mono));
    settle(&mut outbox, "a.0", &DeliveryResult::Accepted, at(4).mono);
    assert_eq!(outbox.oldest_critical(), Some(at(3).mono));
}

/// One recipient has got it, the other is put off.
fn put_off() -> [(&'static str, DeliveryResult); 2] {
    [(OPS, DeliveryResult::Accepted), (BOSS, failed(FailureClass::Deferred))]
}

#[test]
fn only_who_waits_is_asked_again_and_the_age_of_critical_mail_ends_when_somebody_knows() {
    let mut outbox = owing(&[("a", 0)]);
    assert!(pop(&mut outbox, at(0).mono).is_some());
    settle(&mut outbox, "a.0", &failed(FailureClass::Deferred), at(0).mono);
    assert_eq!(outbox.oldest_critical(), Some(at(0).mono), "nobody knows");
    assert!(pop(&mut outbox, at(2).mono).is_some());
    let settled = settle_each(&mut outbox, "a.0", &put_off(), at(2).mono);

    let Settlement::Owed(unsent) = settled else { panic!("{settled:?}") };
    let progress: Vec<_> = unsent.deliveries.values().map(|delivery| delivery.progress).collect();
    assert_eq!(progress, [Progress::Waiting, Progress::Accepted]);
    assert_eq!(outbox.oldest_critical(), None);
    let asked = outbox.pop(&Policy::default(), at(60).mono, |_, _| true, mark).unwrap().recipients;
    assert_eq!(asked, BTreeSet::from([BOSS.to_owned()]));
    assert!(matches!(
        settle_each(&mut outbox, "a.0", &[(BOSS, DeliveryResult::Accepted)], at(60).mono),
        Settlement::Accepted { .. }
    ));
}

#[test]
fn whoever_is_put_off_for_a_day_costs_some_hundred_attempts_and_is_shown() {
    let mut outbox = owing(&[("a", 0)]);
    let mut attempts = 0;
    let mut now = at(0).mono;
    while now < at(86_400).mono {
        assert!(pop(&mut outbox, now).is_some());
        attempts += 1;
        settle_each(&mut outbox, "a.0", &put_off()[usize::from(attempts > 1)..], now);
        now = outbox.next(&Policy::default(), |_, _| true).unwrap();
    }

    assert!((100..130).contains(&attempts), "{attempts}");
    let deferred = outbox.deferred();
    assert_eq!(deferred.len(), 1);
    assert_eq!((deferred[0].recipient.as_str(), deferred[0].waiting), (BOSS, 1));
}

#[test]
fn refused_recipients_are_asked_again_together_and_only_when_nobody_else_is_left() {
    let gone = || DeliveryResult::Rejected("550 gone".into());
    let asked = |outbox: &mut Outbox, seconds: u64| -> Option<Vec<String>> {
        let attempt = outbox.pop(&Policy::default(), at(seconds).mono, |_, _| true, mark)?;
        Some(attempt.recipients.into_iter().collect())
    };
    let mut outbox = owing(&[("a", 0)]);
    asked(&mut outbox, 0);
    settle_each(&mut outbox, "a.0", &[(BOSS, gone()), (OPS, failed(FailureClass::Deferred))], at(0).mono);

    assert_eq!(asked(&mut outbox, 2), Some(vec![OPS.to_owned()]));
    settle_each(&mut outbox, "a.0", &[(OPS, gone())], at(2).mono);
    assert_eq!(asked(&mut outbox, 301), None);
    assert_eq!(asked(&mut outbox, 302), Some(vec![BOSS.to_owned(), OPS.to_owned()]));
    let settled = settle_each(&mut outbox, "a.0", &[(OPS, DeliveryResult::Accepted), (BOSS, gone())], at(302).mono);
    assert!(matches!(settled, Settlement::Accepted { .. }), "whoever is left is refused for good");
}

#[test]
fn an_attempt_that_says_nothing_of_a_recipient_failed() {
    let mut outbox = owing(&[("a", 0)]);
    pop(&mut outbox, at(0).mono);

    settle_each(&mut outbox, "a.0", &[], at(0).mono);

    assert_eq!(outbox.next(&Policy::default(), |_, _| true), Some(at(2).mono), "it is not tried without a pause");
    assert_eq!(outbox.backlog(&Policy::default()).last_failure.unwrap().class, FailureClass::Broken);
}

#[test]
fn what_may_have_been_accepted_is_not_replaced_by_another_message() {
    let mut outbox = owing(&[("a", 0)]);
    pop(&mut outbox, at(0).mono);

    settle(&mut outbox, "a.0", &failed(FailureClass::Uncertain), at(0).mono);

    assert!(!outbox.is_untold(&IncidentId("a".into())));
}

#[test]
fn other_recipients_after_a_reload_get_what_is_owed_and_who_has_it_is_not_asked_again() {
    let late = "late@example.org".to_owned();
    let mut outbox = owing(&[("a", 0), ("b", 0)]);
    pop(&mut outbox, at(0).mono);
    settle_each(&mut outbox, "a.0", &put_off(), at(0).mono);

    let readdressed = outbox.readdress(|_, _| BTreeSet::from([late.clone()]), at(10).mono);

    assert_eq!(readdressed.owed.len(), 2);
    let asked =
        |outbox: &mut Outbox| outbox.pop(&Policy::default(), at(10).mono, |_, _| true, mark).unwrap().recipients;
    assert_eq!(asked(&mut outbox), BTreeSet::from([late.clone()]));
    settle_each(&mut outbox, "a.0", &[(&late, failed(FailureClass::Deferred))], at(10).mono);
    let readdressed = outbox.readdress(|_, _| BTreeSet::from([OPS.to_owned()]), at(11).mono);
    let done: Vec<_> = readdressed.done.iter().map(|unsent| unsent.message.id.0.as_str()).collect();
    assert_eq!(done, ["a.0"], "who is left has got it");
    assert_eq!(outbox.backlog(&Policy::default()).waiting, 1);
}

#[derive(Debug, Clone)]
enum Act {
    Owe(u8),
    Written(bool),
    Pop,
    Settle(u8, u8),
    Withdraw(u8),
    Hurry,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0_u8..4).prop_map(Act::Owe),
        1 => any::<bool>().prop_map(Act::Written),
        3 => Just(Act::Pop),
        3 => (0_u8..4, 0_u8..3).prop_map(|(pick, how)| Act::Settle(pick, how)),
        1 => (0_u8..4).prop_map(Act::Withdraw),
        1 => Just(Act::Hurry),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_accepted_withdrawn_or_owed_and_goes_in_order(
        acts in proptest::collection::vec((0_u64..40, act()), 1..80)
    ) {
        let (mut outbox, mut second, mut sequence) = (Outbox::default(), 0, 0);
        let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut under_way: BTreeSet<String> = BTreeSet::new();
        for (wait, act) in acts {
            second += wait;
            let now = at(second).mono;
            match act {
                Act::Owe(incident) => {
                    sequence += 1;
                    let delivery = critical(&format!("i{incident}"), sequence);
                    known.entry(format!("i{incident}")).or_default().push(delivery.message.id.0.clone());
                    prop_assert_eq!(outbox.owe(delivery, u64::from(sequence), now.plus(Duration::from_secs(2)), now), None);
                }
                Act::Written(works) => outbox.written(u64::from(sequence), works, now, mark),
                Act::Pop => {
                    if let Some(sent) = outbox.pop(&Policy::default(), now, |_, _| true, mark) {
                        let Message { id, incident, .. } = sent.message;
                        prop_assert_eq!(known[&incident.id.0].first(), Some(&id.0), "the oldest of its incident");
                        prop_assert!(under_way.insert(id.0), "sent twice at a time");
                    }
                }
                Act::Settle(pick, how) => {
                    let Some(id) = under_way.iter().nth(usize::from(pick)).cloned() else { continue };
                    under_way.remove(&id);
                    let how_it_ends = [
                        DeliveryResult::Accepted,
                        failed(FailureClass::Unreachable),
                        failed(FailureClass::CredentialRefused),
                    ];
                    let is_known = known.values().flatten().any(|owed| *owed == id);
                    let settled = settle(&mut outbox, &id, &how_it_ends[usize::from(how)], now);
                    prop_assert_eq!(settled == Settlement::Unknown, !is_known, "only what was withdrawn is unknown");
                    if how == 0 {
                        known.values_mut().for_each(|owed| owed.retain(|owed| *owed != id));
                    }
                }
                Act::Withdraw(incident) => {
                    let withdrawn = outbox.withdraw(&IncidentId(format!("i{incident}")));
                    let expected = known.remove(&format!("i{incident}")).unwrap_or_default();
                    prop_assert_eq!(withdrawn.into_iter().map(|key| key.message.0).collect::<Vec<_>>(), expected);
                }
                Act::Hurry => outbox.hurry(now),
            }
            prop_assert_eq!(outbox.backlog(&Policy::default()).waiting, known.values().map(Vec::len).sum::<usize>());
        }
        under_way.iter().for_each(|id| drop(settle(&mut outbox, id, &failed(FailureClass::Unreachable), at(second).mono)));

        // Whatever is still owed goes out in the end.
        while let Some(next) = outbox.next(&Policy::default(), |_, _| true) {
            let id = pop(&mut outbox, next).unwrap();
            settle(&mut outbox, &id, &DeliveryResult::Accepted, next);
            known.values_mut().for_each(|owed| owed.retain(|owed| *owed != id));
        }
        prop_assert_eq!(known.values().flatten().count(), 0);
    }
}
