//! Probes under way: bounded, noticed, given up.

use std::time::Duration;

use proptest::prelude::*;

use super::{at, of};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeId, ProbeKind};
use crate::model::subject::Subject;
use crate::observe::in_flight::{Attention, InFlight};
use crate::observe::urgency::Urgency::{Confirmation, Sample, Scheduled};

fn readyz(subject: &str) -> Probe {
    Probe::anew(of(subject), ProbeKind::Readyz)
}

const API: &str = "prod/apiserver/api-1";

#[test]
fn an_endpoint_has_four_probes_under_way_three_more_of_a_burst_and_fifteen_samples() {
    let policy = Policy::default();
    let mut in_flight = InFlight::default();
    let mut start = |subject: &str, urgency| in_flight.start(readyz(subject), at(0), urgency, &policy, 1).is_ok();

    let ordinary = (0..10).filter(|_| start(API, Scheduled)).count();
    let burst = (0..10).filter(|_| start(API, Confirmation)).count();
    let samples = (0..20).filter(|_| start(API, Sample)).count();

    assert_eq!((ordinary, burst, samples), (4, 3, 15));
    assert!(start("prod/apiserver/api-2", Scheduled), "each endpoint by itself");
    assert_eq!(in_flight.len(), 23);
}

#[test]
fn a_probe_that_comes_back_makes_room_once() {
    let policy = Policy::default();
    let mut in_flight = InFlight::default();
    let start = |in_flight: &mut InFlight| in_flight.start(readyz(API), at(0), Scheduled, &policy, 1);
    let first = start(&mut in_flight).unwrap();
    while start(&mut in_flight).is_ok() {}

    assert!(in_flight.land(first.id));
    assert!(!in_flight.land(first.id), "it has come back already");
    assert!(start(&mut in_flight).is_ok());
    assert!(start(&mut in_flight).is_err());
}

#[test]
fn a_probe_is_overdue_after_a_second_and_given_up_after_three_times_its_deadlines() {
    let mut in_flight = InFlight::default();
    let request = in_flight.start(readyz(API), at(0), Scheduled, &Policy::default(), 1).unwrap();

    assert_eq!(in_flight.pop(&Policy::default(), at(999).mono), None);
    assert_eq!(in_flight.next(), Some(at(1000).mono));
    assert_eq!(in_flight.pop(&Policy::default(), at(1000).mono), Some(Attention::Overdue(readyz(API), at(0))));
    assert_eq!(in_flight.pop(&Policy::default(), at(23_999).mono), None, "said once");
    assert_eq!(in_flight.pop(&Policy::default(), at(24_000).mono), Some(Attention::GivenUp(readyz(API))));
    assert!(in_flight.is_empty());
    assert!(!in_flight.land(request.id), "nobody waits for it any more");
    assert_eq!(in_flight.next(), None);
}

#[test]
fn a_probe_that_is_given_up_makes_room() {
    let policy = Policy::default();
    let mut in_flight = InFlight::default();
    while in_flight.start(readyz(API), at(0), Confirmation, &policy, 1).is_ok() {}
    while in_flight.pop(&Policy::default(), at(24_000).mono).is_some() {}

    assert!(in_flight.start(readyz(API), at(24_000), Confirmation, &policy, 1).is_ok());
}

#[test]
fn a_probe_that_came_back_in_time_needs_no_attention() {
    let mut in_flight = InFlight::default();
    let request = in_flight.start(readyz(API), at(0), Scheduled, &Policy::default(), 1).unwrap();
    in_flight.land(request.id);

    assert_eq!(in_flight.pop(&Policy::default(), at(60_000).mono), None);
}

#[test]
fn above_the_bound_every_cluster_keeps_its_share_and_confirmation_goes_on() {
    let policy = Policy { in_flight_at_all: 12, ..Policy::default() };
    let mut in_flight = InFlight::default();
    let mut start = |cluster: &str, instance: usize, urgency| {
        in_flight.start(readyz(&format!("{cluster}/apiserver/{instance}")), at(0), urgency, &policy, 3).is_ok()
    };

    let hanging = (0..20).filter(|instance| start("hangs", *instance, Scheduled)).count();
    let living = (0..20).filter(|instance| start("lives", *instance, Scheduled)).count();

    assert_eq!((hanging, living), (12, 4));
    assert!(!start("hangs", 99, Scheduled));
    assert!(start("hangs", 99, Confirmation), "what confirms is not refused");
    let rare = Probe::reused(of("hangs/apiserver/99"), ProbeKind::Version);
    assert!(in_flight.start(rare, at(0), Scheduled, &policy, 3).is_ok(), "its next tick may be an hour away");
    let vantage = in_flight.start(Probe::anew(Subject::Vantage, ProbeKind::OwnClock), at(0), Scheduled, &policy, 3);
    assert!(vantage.is_ok());
}

proptest! {
    #[test]
    fn room_is_never_lost_and_never_gained(steps in proptest::collection::vec((0_u8..5, 0_u64..40), 0..200)) {
        let policy = Policy::default();
        let mut in_flight = InFlight::default();
        let mut now = at(0);
        for (step, pick) in steps {
            match step {
                0..3 => {
                    let urgency = [Scheduled, Confirmation, Sample][usize::from(step)];
                    drop(in_flight.start(readyz(API), now, urgency, &policy, 1));
                }
                3 => drop(in_flight.land(ProbeId(pick))),
                _ => {
                    now = now.plus(Duration::from_secs(pick));
                    while in_flight.pop(&Policy::default(), now.mono).is_some() {}
                }
            }
            prop_assert!(in_flight.len() <= policy.in_flight + policy.burst_in_flight + policy.samples_in_flight);
        }
        while in_flight.pop(&Policy::default(), now.plus(Duration::from_secs(100)).mono).is_some() {}

        prop_assert!(in_flight.is_empty());
        let bounds = [policy.in_flight, policy.burst_in_flight, policy.samples_in_flight];
        for (urgency, bound) in [Scheduled, Confirmation, Sample].into_iter().zip(bounds) {
            let room = std::iter::from_fn(|| in_flight.start(readyz(API), now, urgency, &policy, 1).ok()).count();
            prop_assert_eq!(room, bound);
        }
    }
}
