//! F05: leaders that do not last.

use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::F05;

use super::fixture::Member::Up;
use super::fixture::{Says, Seen, check_in, inventory, round_with};

const ETCD: &str = "prod/etcd/main";

/// Rounds every 3 s for `minutes`; the term rises at each of these seconds.
fn rounds(seconds: u64, elections: &[u64]) -> Vec<(u64, Option<Seen>)> {
    let term = |at: u64| 3 + u64::try_from(elections.iter().filter(|due| **due <= at).count()).unwrap();
    (0..=seconds / 3).map(|n| (n * 3000, round_with(&[Up, Up, Up], |status| status.raft_term = term(n * 3)))).collect()
}

#[test]
fn elections_are_counted_over_a_quarter_of_an_hour() {
    let early = [60, 120, 180, 240, 300, 360];
    for (seconds, elections, says) in [
        (900, 0, Says::Good),
        (900, 1, Says::Good),
        (900, 2, Says::Unclear),
        (900, 3, Says::Bad(Warning, 0)),
        (900, 5, Says::Bad(Warning, 0)),
        (900, 6, Says::Bad(Critical, 0)),
        // One after the other leaves the window.
        (960, 6, Says::Bad(Critical, 0)),
        (963, 6, Says::Bad(Warning, 0)),
        (1143, 6, Says::Unclear),
        (1203, 6, Says::Good),
    ] {
        let probes = rounds(seconds, &early[..elections]);

        check_in(inventory(2, 3), &probes, &[(F05, ETCD, says)]);
    }
}

#[test]
fn too_short_a_history_is_no_all_clear() {
    check_in(inventory(2, 3), &rounds(897, &[]), &[(F05, ETCD, Says::Unclear)]);
    check_in(inventory(2, 3), &rounds(30, &[6, 12, 18]), &[(F05, ETCD, Says::Bad(Warning, 0))]);
}

#[test]
fn a_sole_member_elects_nobody_but_itself() {
    let probes: Vec<_> = (0..6).map(|n| (n * 3000, round_with(&[Up], |status| status.raft_term = 3 + n))).collect();

    check_in(inventory(2, 1), &probes, &[(F05, ETCD, Says::Nothing)]);
}
