//! Rules that read the `/metrics` of apiservers: what makes each of them bad, unclear and good again.

use crate::model::apiserver_metrics::{ApiserverMetrics, Configuration, Counter, DeprecatedApi, Loaded, NoPage, Seats};
use crate::model::inventory::Inventory;
use crate::model::rule::Level::{Info, Warning};
use crate::model::rule::RuleId::{self, F36, F39, F43, F45, F46, F64, F65};
use crate::model::time::UnixTime;

use super::fixture::{Says, Seen, check_in, inventory, metrics_page, no_metrics_page};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const MINUTE: u64 = 60_000;

fn asked() -> Inventory {
    let mut inventory = inventory(2, 3);
    inventory.clusters.get_mut(&"prod".parse().unwrap()).unwrap().apiserver_metrics = true;
    inventory
}

/// Pages of api-1, one every two minutes, made by `page` from the number of the minute; api-2 has a usual one each.
fn pages(count: u64, page: impl Fn(u64) -> ApiserverMetrics) -> Vec<(u64, Option<Seen>)> {
    let both = |turn: u64| {
        let at = turn * 2 * MINUTE;
        [(at, metrics_page(A1, page(turn * 2))), (at + MINUTE, metrics_page(A2, usual()))]
    };
    (0..count).flat_map(both).collect()
}

fn usual() -> ApiserverMetrics {
    let seats = [("global-default".to_owned(), Seats { used: 20, nominal: 600, limit: 600 })].into();
    ApiserverMetrics { started: Some(UnixTime::from_secs(1)), seats, ..ApiserverMetrics::default() }
}

fn counted(counter: Counter, count: u64) -> ApiserverMetrics {
    ApiserverMetrics { counters: [(counter, count)].into(), ..usual() }
}

fn table(probes: &[(u64, Option<Seen>)], expected: &[(RuleId, &str, Says)]) {
    check_in(asked(), probes, expected);
}

#[test]
fn a_counter_that_rises_is_bad_and_one_that_rests_is_good() {
    let rules = [
        (F36, Counter::AuditLost, 1, Says::Bad(Warning, 300)),
        (F46, Counter::EgressFailures, 1, Says::Bad(Warning, 300)),
        (F39, Counter::WatchesEnded, 11, Says::Bad(Info, 300)),
        (F39, Counter::WatchesEnded, 9, Says::Good),
    ];
    for (rule, counter, per_minute, says) in rules {
        table(
            &pages(6, |minute| counted(counter, 70 + minute * per_minute)),
            &[(rule, A1, says), (rule, A2, Says::Good)],
        );
        table(&pages(6, |_| counted(counter, 70)), &[(rule, A1, Says::Good)]);
        // A process that counts anew has shown one page, which shows no rise and no rest.
        let restarted = |minute: u64| ApiserverMetrics {
            started: Some(UnixTime::from_secs(if minute < 10 { 1 } else { 2 })),
            ..counted(counter, minute * per_minute)
        };
        table(&pages(6, restarted), &[(rule, A1, Says::Unclear)]);
    }
}

#[test]
fn events_are_a_flood_by_what_is_usual_and_not_by_their_number() {
    for (usual, now, says) in [(100, 900, Says::Bad(Info, 600)), (800, 900, Says::Good), (1, 90, Says::Good)] {
        let events = |minute: u64| usual * minute + minute.saturating_sub(24) * now;
        table(&pages(18, |minute| counted(Counter::EventsCreated, events(minute))), &[(F45, A1, says)]);
    }
}

#[test]
fn an_api_that_an_upgrade_removes_is_listed_until_no_page_names_it() {
    let old = DeprecatedApi { removed_in: "1.38".into(), what: "flowschemas/v1beta3".into() };
    let asked_for = ApiserverMetrics { deprecated: [old].into(), ..usual() };
    table(&pages(2, |_| asked_for.clone()), &[(F43, "prod", Says::Bad(Info, 0))]);
    table(&pages(2, |_| usual()), &[(F43, "prod", Says::Good)]);
    table(
        &[(0, metrics_page(A1, usual())), (0, no_metrics_page(A2, NoPage::TooLarge))],
        &[(F43, "prod", Says::NeverSeen)],
    );
}

#[test]
fn a_configuration_is_bad_where_its_last_load_failed_or_where_it_differs() {
    let loaded = |hash: &str, failed: Option<i64>| Loaded {
        hash: Some(hash.into()),
        failed: 1,
        succeeded_at: Some(UnixTime::from_secs(100)),
        failed_at: failed.map(UnixTime::from_secs),
    };
    for (ours, theirs, says) in [
        (loaded("a", None), loaded("a", Some(50)), Says::Good),
        (loaded("a", None), loaded("a", Some(150)), Says::Bad(Warning, 900)),
        (loaded("a", None), loaded("b", None), Says::Bad(Warning, 900)),
    ] {
        let with = |loaded: Loaded| ApiserverMetrics {
            configurations: [(Configuration::Encryption, loaded)].into(),
            ..usual()
        };
        table(&[(0, metrics_page(A1, with(ours))), (MINUTE, metrics_page(A2, with(theirs)))], &[(F64, "prod", says)]);
    }
}

#[test]
fn seats_are_judged_by_the_mean_of_several_pages() {
    let taken = |used| ApiserverMetrics {
        seats: [("global-default".to_owned(), Seats { used, nominal: 600, limit: 600 })].into(),
        ..usual()
    };
    for (used, says) in [(300, Says::Good), (430, Says::Bad(Info, 600)), (550, Says::Bad(Warning, 600))] {
        table(&pages(6, |_| taken(used)), &[(F65, A1, says)]);
    }
    // One moment at which all were taken.
    let once = |minute| if minute == 8 { taken(600) } else { usual() };
    table(&pages(6, once), &[(F65, A1, Says::Good)]);
}
