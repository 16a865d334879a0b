//! Proof of our own path.

use std::time::Duration;

use super::at;
use crate::observe::own_network::OwnNetwork;

fn proven_at(times: &[u64]) -> OwnNetwork {
    let mut path = OwnNetwork::default();
    times.iter().for_each(|millis| path.prove(at(*millis)));
    path
}

#[test]
fn a_proof_counts_between_two_instants_that_it_may_touch() {
    let path = proven_at(&[1000]);
    for (from, to, is_proven) in [
        (0, 999, false),
        (0, 1000, true),
        (1000, 1000, true),
        (999, 1001, true),
        (1000, 5000, true),
        (1001, 5000, false),
        (1001, 999, false),
    ] {
        assert_eq!(path.is_proven_between(at(from).mono, at(to).mono), is_proven, "{from} to {to}");
    }
}

#[test]
fn any_of_several_proofs_counts() {
    let path = proven_at(&[0, 1000, 2000]);

    assert!(path.is_proven_between(at(900).mono, at(1100).mono));
    assert!(!path.is_proven_between(at(1100).mono, at(1900).mono));
    assert_eq!(path.last(), Some(at(2000).mono));
}

#[test]
fn proofs_are_thinned_and_forgotten_after_a_minute() {
    let path = proven_at(&[0, 49, 50, 60_050, 60_051]);

    assert!(path.is_proven_between(at(50).mono, at(50).mono));
    assert!(!path.is_proven_between(at(1).mono, at(49).mono), "thinned");
    assert!(!path.is_proven_between(at(0).mono, at(49).mono), "forgotten");
}

#[test]
fn nothing_is_proven_before_the_first_proof() {
    let path = OwnNetwork::default();

    assert_eq!(path.last(), None);
    assert_eq!(path.since_isolated(), None);
    assert!(!path.is_proven_between(at(0).mono, at(0).mono.plus(Duration::MAX)));
}

#[test]
fn proofs_are_counted_anew_from_each_isolation() {
    let mut path = proven_at(&[0, 1000]);
    assert_eq!(path.since_isolated(), Some((at(0), at(1000), 2)));

    path.set_isolated(true, at(3000).mono);
    assert_eq!(path.since_isolated(), None);

    path.prove(at(2999));
    assert_eq!(path.since_isolated(), None, "it was under way when the path broke");
    assert_eq!(path.last(), Some(at(2999).mono));

    path.prove(at(5000));
    path.set_isolated(true, at(5500).mono);
    path.prove(at(6000));
    path.set_isolated(false, at(6000).mono);
    assert_eq!(path.since_isolated(), Some((at(5000), at(6000), 2)), "isolation that goes on begins nothing anew");
    assert!(!path.is_isolated());
}
