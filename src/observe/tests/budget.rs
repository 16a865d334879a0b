//! The budget of a cluster: never above the ceiling, what confirms goes first, nothing is lost.

use std::time::Duration;

use proptest::prelude::*;

use super::{at, inventory, name, of};
use crate::model::cost::Rate;
use crate::model::plan::{Plan, Scope};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::time::Mono;
use crate::observe::budget::{Budget, Taken, Wanted};
use crate::observe::in_flight::Full;
use crate::observe::urgency::Urgency;

use Urgency::{Confirmation, Scheduled, Spare};

/// A budget for `prod` and the vantage, both with the least ceiling.
fn budget() -> Budget {
    let mut budget = Budget::default();
    budget.set_plan(&Plan::new(&inventory(0, 0), &Policy::default()), &Policy::default());
    budget
}

fn readyz(n: u64) -> Probe {
    Probe::anew(of(&format!("prod/apiserver/api-{n}")), ProbeKind::Readyz)
}

fn want(budget: &mut Budget, probe: Probe, urgency: Urgency, millis: u64) -> Taken {
    budget.want(probe, 1, at(millis).mono, urgency, at(millis).mono)
}

fn nothing_planned(_: &Scope) -> Option<(Mono, u32)> {
    None
}

/// Sends all that may be sent at `now`.
fn send(budget: &mut Budget, now: Mono) -> Vec<Wanted> {
    let mut sent = Vec::new();
    while let Some(wanted) = budget.pop(nothing_planned, now) {
        budget.charge(&wanted, now);
        sent.push(wanted);
    }
    sent
}

/// Sends everything, each when it may go; when each went, and what it cost.
fn run(budget: &mut Budget) -> Vec<(Mono, Wanted)> {
    let mut sent = Vec::new();
    while let Some(now) = budget.next() {
        sent.extend(send(budget, now).into_iter().map(|wanted| (now, wanted)));
    }
    sent
}

#[test]
fn what_is_above_the_ceiling_goes_a_second_later() {
    let mut budget = budget();
    for n in 1..=25 {
        want(&mut budget, readyz(n), Scheduled, 0);
    }

    let sent = run(&mut budget);

    let at_second = |second: u64| sent.iter().filter(|(now, _)| *now == at(second * 1000).mono).count();
    assert_eq!([at_second(0), at_second(1), at_second(2)], [10, 10, 5]);
    assert_eq!(sent.iter().filter(|(_, wanted)| wanted.was_deferred).count(), 15);
    assert_eq!(budget.deferred(), 15);
}

/// What may be sent in a second follows from the sum of the plan, and from nothing else.
#[test]
fn the_budget_of_a_cluster_is_the_sum_of_its_plan() {
    for (apiservers, members) in [(0, 0), (3, 3), (9, 5), (40, 7)] {
        let policy = Policy::default();
        let plan = Plan::new(&inventory(apiservers, members), &policy);
        let of_prod = plan.probes().iter().filter(|line| line.probe.subject.cluster() == Some(&name("prod")));
        let sum: Rate = of_prod.map(|line| Rate::new(line.cost, line.interval)).sum();
        let mut budget = Budget::default();
        budget.set_plan(&plan, &policy);
        for n in 0..200 {
            want(&mut budget, readyz(n), Confirmation, 0);
        }

        let sent = send(&mut budget, at(0).mono).len();

        assert_eq!(u32::try_from(sent).unwrap(), policy.ceiling(sum.requests), "{apiservers} {members}");
    }
}

#[test]
fn the_vantage_has_a_budget_of_its_own() {
    let mut budget = budget();
    for n in 1..=20 {
        want(&mut budget, readyz(n), Scheduled, 0);
    }
    want(&mut budget, Probe::anew(of("vantage/reference/relay"), ProbeKind::Reference), Confirmation, 0);

    let sent = send(&mut budget, at(0).mono);

    assert_eq!(sent.len(), 11);
    assert!(sent.iter().any(|wanted| wanted.probe.kind == ProbeKind::Reference));
}

#[test]
fn what_confirms_goes_before_the_schedule_and_that_before_the_spare() {
    let mut budget = budget();
    for n in 1..=10 {
        want(&mut budget, readyz(n), Scheduled, 0);
    }
    send(&mut budget, at(0).mono);
    want(&mut budget, readyz(1), Scheduled, 100);
    want(&mut budget, readyz(2), Spare, 200);
    want(&mut budget, readyz(3), Confirmation, 300);

    let order: Vec<Urgency> = run(&mut budget).into_iter().map(|(_, wanted)| wanted.urgency).collect();

    assert_eq!(order, [Confirmation, Scheduled, Spare]);
}

#[test]
fn a_spare_leaves_half_of_the_ceiling_to_what_confirms() {
    let mut budget = budget();
    for n in 1..=10 {
        want(&mut budget, readyz(n), Spare, 0);
    }

    let sent = send(&mut budget, at(0).mono).len();

    assert_eq!(sent, 5);
    for n in 11..=15 {
        want(&mut budget, readyz(n), Confirmation, 100);
    }
    assert_eq!(send(&mut budget, at(100).mono).len(), 5, "and waits behind it");
}

#[test]
fn a_round_costs_a_request_for_each_member() {
    let round = |kind| Probe::reused(of("prod/etcd/main"), kind);
    let mut budget = budget();
    for kind in [ProbeKind::EtcdStatus, ProbeKind::EtcdRead, ProbeKind::EtcdMembers] {
        budget.want(round(kind), 5, at(0).mono, Scheduled, at(0).mono);
    }

    let sent = run(&mut budget);

    let times: Vec<Mono> = sent.iter().map(|(now, _)| *now).collect();
    assert_eq!(times, [at(0).mono, at(0).mono, at(1000).mono]);
}

#[test]
fn a_round_that_costs_more_than_the_ceiling_goes_when_nothing_else_did() {
    let mut budget = budget();
    want(&mut budget, readyz(1), Confirmation, 0);
    budget.want(Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdStatus), 25, at(0).mono, Scheduled, at(0).mono);

    let times: Vec<Mono> = run(&mut budget).into_iter().map(|(now, _)| now).collect();

    assert_eq!(times, [at(0).mono, at(1000).mono]);
}

#[test]
fn one_question_waits_once_and_as_urgently_as_anybody_wants_it() {
    for (first, second, taken, sent) in [
        (Scheduled, Scheduled, Taken::Missed, Scheduled),
        (Scheduled, Confirmation, Taken::Waits, Confirmation),
        (Scheduled, Spare, Taken::Shared, Scheduled),
        (Spare, Confirmation, Taken::Waits, Confirmation),
        (Spare, Scheduled, Taken::Waits, Scheduled),
        (Confirmation, Scheduled, Taken::Shared, Confirmation),
        (Confirmation, Spare, Taken::Shared, Confirmation),
        (Confirmation, Confirmation, Taken::Again, Confirmation),
    ] {
        for is_held in [false, true] {
            let mut budget = budget();
            want(&mut budget, readyz(1), first, 0);
            if is_held {
                let wanted = budget.pop(nothing_planned, at(0).mono).unwrap();
                budget.hold(wanted, Full::Endpoint);
            }

            assert_eq!(want(&mut budget, readyz(1), second, 200), taken, "{first:?} {second:?} {is_held}");

            budget.free(&of("prod/apiserver/api-1"), at(220).mono);
            let all: Vec<Urgency> = run(&mut budget).into_iter().map(|(_, wanted)| wanted.urgency).collect();
            assert_eq!(all, [sent], "{first:?} {second:?} {is_held}");
        }
    }
}

#[test]
fn tokens_are_kept_for_confirmations_that_come_before_they_are_back() {
    // The ceiling of nothing planned is ten a second.
    for (urgency, kept, due, goes) in [
        (Scheduled, 6, 900, 4),
        (Spare, 6, 900, 0),
        (Spare, 2, 900, 3),
        (Scheduled, 10, 900, 0),
        (Scheduled, 40, 900, 0),
        // Confirmations keep nothing from each other, and what is due now waits itself.
        (Confirmation, 6, 900, 10),
        (Scheduled, 6, 0, 10),
    ] {
        let mut budget = budget();
        for n in 1..=12 {
            want(&mut budget, readyz(n), urgency, 0);
        }
        let planned = |scope: &Scope| (*scope == Some(name("prod"))).then_some((at(due).mono, kept));
        let mut sent = 0;
        while let Some(wanted) = budget.pop(planned, at(0).mono) {
            budget.charge(&wanted, at(0).mono);
            sent += 1;
        }
        assert_eq!(sent, goes, "{urgency:?} {kept} {due}");
        let asked_again = budget.next().unwrap();
        assert!(at(0).mono < asked_again && asked_again <= at(1000).mono, "{urgency:?} {kept} {due}");
    }
}

#[test]
fn confirmations_wanted_at_about_the_same_time_are_one() {
    for (due, taken) in [(0, Taken::Shared), (124, Taken::Shared), (125, Taken::Again), (1020, Taken::Again)] {
        let mut budget = budget();
        want(&mut budget, readyz(1), Confirmation, 0);

        assert_eq!(want(&mut budget, readyz(1), Confirmation, due), taken, "{due}");
    }
}

#[test]
fn what_found_no_room_comes_back_when_there_is_some() {
    for (full, freed) in [(Full::Endpoint, "prod/apiserver/api-1"), (Full::Share, "prod/apiserver/api-2")] {
        let mut budget = budget();
        want(&mut budget, readyz(1), Scheduled, 0);
        let wanted = budget.pop(nothing_planned, at(0).mono).unwrap();
        budget.hold(wanted, full);
        assert_eq!(budget.pop(nothing_planned, at(5_000).mono), None, "it would find no room either");

        budget.free(&of(freed), at(5_000).mono);

        let back = budget.pop(nothing_planned, at(5_000).mono).unwrap();
        assert_eq!((back.probe, back.was_deferred), (readyz(1), true));
    }
}

#[test]
fn nothing_waits_for_what_is_watched_no_longer() {
    let mut budget = budget();
    for n in 1..=12 {
        want(&mut budget, readyz(n), Scheduled, 0);
    }
    let first = budget.pop(nothing_planned, at(0).mono).unwrap();
    budget.hold(first, Full::Endpoint);

    budget.drop_probes(|subject| subject.cluster().is_some());

    budget.free(&of("prod/apiserver/api-1"), at(0).mono);
    assert!(run(&mut budget).is_empty());
    assert_eq!(want(&mut budget, readyz(1), Scheduled, 10), Taken::Waits, "it may come back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is wanted and when: no second holds more than the ceiling, and every question is asked once it waits.
    #[test]
    fn no_second_holds_more_than_the_ceiling_and_nothing_is_lost(
        wishes in proptest::collection::vec((0_u64..6_000, 1_u64..40, 1_u32..8, 0_usize..3), 1..200)
    ) {
        let mut wishes = wishes;
        wishes.sort_unstable();
        let mut budget = budget();
        let (mut sent, mut waits) = (Vec::new(), 0);
        for (millis, n, requests, urgency) in wishes {
            while budget.next().is_some_and(|next| next < at(millis).mono) {
                let now = budget.next().unwrap();
                sent.extend(send(&mut budget, now).into_iter().map(|wanted| (now, wanted)));
            }
            let urgency = [Confirmation, Spare, Scheduled][urgency];
            let before = budget.clone();
            let taken = budget.want(readyz(n), requests, at(millis).mono, urgency, at(millis).mono);
            // One that takes the place of another is no further one.
            let replaces = before.is_waiting(&readyz(n));
            waits += usize::from(taken == Taken::Waits && !replaces);
        }
        sent.extend(run(&mut budget));

        prop_assert_eq!(sent.len(), waits);
        for (begin, _) in &sent {
            let within = sent.iter().filter(|(now, _)| now >= begin && now.since(*begin) < Duration::from_secs(1));
            prop_assert!(within.map(|(_, wanted)| wanted.requests).sum::<u32>() <= 10);
        }
    }
}
