//! Work grows with what stands and not with its square: counted in steps at one size and at twice that size.

use std::cell::Cell;

use crate::alert::group::Incidents;
use crate::alert::index::WALKED;
use crate::alert::lifecycle::Lifecycle;
use crate::alert::outbox::{Outbox, UnsentKey};
use crate::alert::relations::{Near, Relations, RuleScope};
use crate::model::delivery::DeliveryResult;
use crate::model::incident::{Alarm, IncidentId};
use crate::model::message::{Message, MessageId};
use crate::model::outlet::Outlet;
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::rule::Level;
use crate::model::rule::RuleId::{F22, F24, F26};
use crate::model::verdict::{Finding, FindingKey, Verdict};
use crate::samples;

use super::{at, finding};

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn ask() {
    ASKED.set(ASKED.get() + 1);
}

/// F24 explains every F22 of its cluster, F26 the F22 at its own subject.
fn relations() -> Relations {
    Relations {
        explains: |cause, effect| {
            ask();
            effect.rule == F22 && (cause.rule == F24 || cause.rule == F26 && cause.subject == effect.subject)
        },
        is_cause: |finding| matches!(finding.rule, F24 | F26),
        causes: |key| match key.rule == F22 {
            true => {
                vec![
                    Near::In(RuleScope::beside(key, F24)),
                    Near::At(FindingKey { rule: F26, subject: key.subject.clone() }),
                ]
            }
            false => Vec::new(),
        },
        effects: |key| match key.rule == F24 {
            true => vec![Near::In(RuleScope::beside(key, F22))],
            false => vec![Near::At(FindingKey { rule: F22, subject: key.subject.clone() })],
        },
        is_listed: |_| false,
    }
}

fn nth(rule: crate::model::rule::RuleId, n: u32) -> Finding {
    let subject = samples::subject(&format!("prod-eu1/apiserver/api-{n}"));
    Finding { subject, ..finding(rule, Level::Warning, 0) }
}

/// Steps of `run`: relations asked and filed things walked over.
fn steps(run: impl FnOnce()) -> u64 {
    ASKED.set(0);
    WALKED.set(0);
    run();
    ASKED.get() + WALKED.get()
}

fn grows_evenly(n: u32, run: impl Fn(u32)) {
    let (once, twice) = (steps(|| run(n)), steps(|| run(2 * n)));

    assert!(twice <= 2 * once + 1_000, "{once} steps for {n}, {twice} for twice as many");
}

/// A cluster where `n` certificates have ended and `n` instances are down, one after the other and with their common
/// cause in the end: told, grown worse, and recovered. `settles` tells whether all of it is one incident.
fn outage(n: u32, settles: bool) {
    let policy = Policy::default();
    let (mut lifecycle, mut incidents) = (Lifecycle::new(relations()), Incidents::new(relations()));
    let mut second = 0;
    let all = (0..n)
        .flat_map(|at| [nth(F26, at), nth(F22, at)])
        .chain([Finding { subject: samples::subject("prod-eu1"), ..nth(F24, 0) }]);
    let all: Vec<Finding> = all.collect();
    for finding in &all {
        let key = finding.key();
        second += u64::from(!settles);
        lifecycle.take(&key, Verdict::Bad(finding.clone()), &policy, at(second));
        let cause = (relations().causes)(&key)
            .iter()
            .flat_map(|near| lifecycle.causes(near))
            .find_map(|cause| cause.incident.clone());
        let id = match cause {
            Some(id) => {
                incidents.fold(&id, finding, at(second).mono);
                id
            }
            None => incidents.join_or_open(finding, &policy, at(second)).0,
        };
        lifecycle.set_incident(&key, Some(id));
        assert!(lifecycle.next().is_none() && incidents.next(false).is_some());
        say_due(&lifecycle, &mut incidents, second);
    }
    second += 60;
    say_due(&lifecycle, &mut incidents, second);
    for finding in &all {
        let louder = Finding { level: Level::Critical, ..finding.clone() };
        lifecycle.take(&finding.key(), Verdict::Bad(louder.clone()), &policy, at(second));
        let id = lifecycle.alarm(&finding.key()).and_then(|alarm| alarm.incident.clone()).unwrap();
        incidents.worsen(&id, &louder, &policy, at(second).mono);
    }
    say_due(&lifecycle, &mut incidents, second);
    for finding in &all {
        let key = finding.key();
        lifecycle.withdraw(&key);
        let ids: Vec<IncidentId> = incidents.with_part(&key).cloned().collect();
        for id in &ids {
            incidents.recover(id, &key, at(second).wall, false, &policy, at(second).mono);
        }
    }
    assert_eq!((lifecycle.alarms().count(), incidents.open().count()), (0, 0));
}

fn say_due(lifecycle: &Lifecycle, incidents: &mut Incidents, second: u64) {
    for said in incidents.due(&Policy::default(), at(second).mono, false, |_| false) {
        let current: Vec<Finding> =
            lifecycle.spoken_by(&said.incident).map(|alarm: &Alarm| alarm.finding.clone()).collect();
        current.iter().for_each(|finding| incidents.refresh(&said.incident, finding));
        incidents.note_told(&said.incident, said.reason, at(second).wall);
    }
}

#[test]
fn thousands_of_alarms_that_settle_together_take_steps_in_proportion() {
    grows_evenly(2_500, |n| outage(n, true));
}

#[test]
fn thousands_of_incidents_of_one_cluster_take_steps_in_proportion() {
    grows_evenly(500, |n| outage(n, false));
}

#[test]
fn thousands_that_wait_for_a_incident_or_are_held_back_cost_nothing_while_nothing_changes() {
    let mut lifecycle = Lifecycle::new(relations());
    for n in 0..10_000 {
        let held = Finding { hold: std::time::Duration::from_secs(3_600), ..nth(F22, n) };
        lifecycle.take(&nth(F26, n).key(), Verdict::Bad(nth(F26, n)), &Policy::default(), at(0));
        lifecycle.take(&held.key(), Verdict::Bad(held), &Policy::default(), at(0));
    }

    let asked = steps(|| {
        for _ in 0..1_000 {
            assert!(lifecycle.next().is_some());
            assert!(lifecycle.unassigned_places().next().is_some());
        }
    });

    assert!(asked <= 1_000, "{asked}");
}

#[test]
fn a_full_outbox_is_emptied_in_steps_in_proportion() {
    let tried = |n: u32| {
        let policy = Policy::default();
        let tries = Cell::new(0_u64);
        let mut outbox = Outbox::default();
        for at_incident in 0..n {
            for number in 0..2 {
                let mut delivery = samples::unsent(F24, MessageReason::First);
                delivery.message.incident.id = IncidentId(format!("i{at_incident:04}"));
                delivery.message.id = MessageId(format!("i{at_incident:04}.{number}"));
                outbox.restore(delivery, at(0).mono);
            }
        }
        let may_go = |_: &Outlet, _: &Message| {
            tries.set(tries.get() + 1);
            true
        };
        while let Some(sent) = outbox.pop(&policy, at(1).mono, may_go, |_| ()) {
            let next = outbox.next(&policy, may_go);
            assert!(next.is_none_or(|next| next <= at(1).mono));
            let results = sent.recipients.into_iter().map(|who| (who, DeliveryResult::Accepted)).collect();
            let key = UnsentKey { message: sent.message.id, outlet: sent.outlet };
            outbox.settle(&key, results, &policy, at(1).mono);
        }
        assert_eq!(outbox.backlog(&policy).waiting, 0);
        tries.get()
    };

    let (once, twice) = (tried(120), tried(240));
    assert!(twice <= 2 * once + 100, "{once} looks at messages for 240, {twice} for 480");
}
