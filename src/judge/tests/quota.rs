//! F08: how full, and how soon.

use crate::model::etcd::{Condition, MemberMetrics};
use crate::model::inventory::Inventory;
use crate::model::rule::Level::{Critical, Info, Warning};
use crate::model::rule::RuleId::{F02, F08, F53};

use super::fixture::Member::{Gone, Up};
use super::fixture::{Says, Seen, check_in, each, healths, inventory, listening, pages_of, round_with, together};

const ETCD: &str = "prod/etcd/main";
const QUOTA: u64 = 1_000_000_000;

fn filled(permille: u64) -> Option<Seen> {
    round_with(&[Up, Up, Up], |status| {
        status.db_quota_bytes = Some(QUOTA);
        // Members differ by several per cent for equal data; the fullest decides.
        status.db_size_bytes = QUOTA / 1000 * permille - (status.member_id - 1) * 1_000_000;
    })
}

#[test]
fn the_fullest_member_decides_the_tier() {
    for (permille, says) in [
        (649, Says::Unclear),
        (650, Says::Bad(Info, 30)),
        (749, Says::Bad(Info, 30)),
        (750, Says::Bad(Warning, 30)),
        (849, Says::Bad(Warning, 30)),
        (850, Says::Bad(Critical, 30)),
        (1100, Says::Bad(Critical, 30)),
    ] {
        check_in(inventory(2, 3), &each(&[0, 500, 1000], filled(permille)), &[(F08, ETCD, says)]);
    }
}

/// A probe a minute, growing by `step` bytes each.
fn growing(minutes: u64, from: u64, step: u64) -> Vec<(u64, Option<Seen>)> {
    (0..=minutes)
        .map(|minute| {
            let seen = round_with(&[Up, Up, Up], |status| {
                status.db_quota_bytes = Some(QUOTA);
                status.db_size_bytes = from + minute * step;
            });
            (minute * 60_000, seen)
        })
        .collect()
}

#[test]
fn the_forecast_tells_how_soon_it_is_full() {
    // Full in 24 h: 41.67 MB an hour on an empty database, a little less as it fills.
    for (minutes, step, says) in [
        (29, 5_000_000, Says::Unclear),
        (30, 0, Says::Good),
        (30, 400_000, Says::Good),
        (30, 600_000, Says::Unclear),
        (30, 700_000, Says::Bad(Warning, 30)),
        (30, 3_600_000, Says::Bad(Warning, 30)),
        (30, 5_000_000, Says::Bad(Critical, 30)),
    ] {
        check_in(inventory(2, 3), &growing(minutes, 1_000_000, step), &[(F08, ETCD, says)]);
    }
}

#[test]
fn space_given_back_clears_without_a_forecast() {
    let full = each(&[0, 3000, 6000], filled(900));
    let probes = together(&[full, each(&[9000, 12_000, 15_000], filled(300))]);

    check_in(inventory(2, 3), &probes, &[(F08, ETCD, Says::Good)]);
}

#[test]
fn a_member_that_cannot_be_seen_forbids_the_all_clear_and_hides_no_warning() {
    for (permille, says) in [(300, Says::Unclear), (800, Says::Bad(Warning, 30))] {
        let probes: Vec<_> = (0..=31)
            .map(|minute| {
                let seen = round_with(&[Up, Up, Gone], |status| {
                    status.db_quota_bytes = Some(QUOTA);
                    status.db_size_bytes = QUOTA / 1000 * permille;
                });
                (minute * 60_000, seen)
            })
            .collect();
        let down = Says::Bad(Critical, 30);

        let never_seen = (F53, "prod", Says::Bad(Info, 0));
        check_in(inventory(2, 3), &probes, &[(F08, ETCD, says), (F02, "prod/etcd/main/etcd-3", down), never_seen]);
    }
}

#[test]
fn a_late_round_says_nothing_of_how_full_it_is_now() {
    let probes = [each(&[0, 500, 3000], filled(900)), each(&[1000], filled(100)), each(&[3100], None)].concat();

    check_in(inventory(2, 3), &probes, &[(F08, ETCD, Says::Bad(Critical, 30))]);
}

#[test]
fn an_etcd_seen_by_listeners_alone_is_judged_by_their_pages_while_these_are_fresh() {
    let page = MemberMetrics { db_size_bytes: Some(90), db_quota_bytes: Some(100), ..MemberMetrics::default() };
    let pages = each(&[100], pages_of(&[page.clone(), page.clone(), page]));
    for (until, says) in [(1000, Says::Bad(Critical, 30)), (90_100, Says::Bad(Critical, 30)), (93_100, Says::NeverSeen)]
    {
        let times: Vec<u64> = (0..until).step_by(3000).chain([until]).collect();
        let probes = together(&[pages.clone(), each(&times, healths(&[Condition::Well; 3]))]);

        check_in(listening(3), &probes, &[(F08, ETCD, says)]);
    }
}

#[test]
fn without_a_quota_nothing_is_said_of_it() {
    let probes = each(&[0, 500, 1000], round_with(&[Up, Up, Up], |status| status.db_size_bytes = 7 << 30));
    check_in(inventory(2, 3), &probes, &[(F08, ETCD, Says::NeverSeen), (F53, "prod", Says::Bad(Info, 0))]);

    let mut configured: Inventory = inventory(2, 3);
    configured.clusters.values_mut().next().unwrap().etcds.values_mut().next().unwrap().quota_bytes = Some(8 << 30);
    check_in(configured, &probes, &[(F08, ETCD, Says::Bad(Critical, 30))]);
}
