//! F21, F34, F35 and F38: what confirms, what does not count, and what ends them.

use std::time::Duration;

use crate::model::canary::{Canaries, Canary, CanaryResult, WebhookFault};
use crate::model::inventory::Inventory;
use crate::model::probe::ProbeKind::{
    self, AccessReview, CreateConfigMap, CreatePod, LeaseRead, LeaseWrite, SecretRead,
};
use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::{F18, F21, F34, F35, F38, F50};

use super::fixture::{
    Says, Seen, canary, each, end, inventory, name, not_ready, ready, said, together, took, verdicts, version, view,
};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";

/// The first of a canary, and the two that follow it at once.
const TWICE: [u64; 2] = [20_000, 20_500];
const THRICE: [u64; 3] = [20_000, 20_500, 21_100];

type Probes = Vec<(u64, Option<Seen>)>;

fn asked() -> Inventory {
    let mut inventory = inventory(2, 3);
    inventory.clusters.get_mut(&name("prod")).unwrap().canaries = Some(Canaries {
        on: Canary::ALL.into(),
        namespace: "vedette".into(),
        lease: "vedette-bastion-1".into(),
        secret: "vedette-canary".into(),
    });
    inventory
}

/// Exempt and ordinary requests are quick.
fn brisk() -> Probes {
    let at: Vec<u64> = (0..=8).map(|n| n * 3000).collect();
    together(&[A1, A2].map(|one| [each(&at, ready(one)), each(&[0, 10_000, 20_000], version(one))].concat()))
}

fn well() -> CanaryResult {
    CanaryResult::Done { revision: Some(7) }
}

fn webhook() -> CanaryResult {
    CanaryResult::Webhook { name: "policy.example.com".into(), fault: WebhookFault::Unreachable }
}

fn says(probes: &[Probes], rule: crate::model::rule::RuleId, subject: &str) -> Says {
    let probes = together(probes);
    said(&verdicts(&view(asked(), &probes), end(&probes)), rule, subject)
}

fn everywhere(kinds: &[ProbeKind], times: &[u64], result: &CanaryResult, millis: u64) -> Probes {
    let of = |one: &str, kind: ProbeKind| each(times, took(millis, canary(one, kind, result.clone())));
    [A1, A2].iter().flat_map(|one| kinds.iter().flat_map(|kind| of(one, *kind))).collect()
}

#[test]
fn three_dry_runs_that_fail_at_a_webhook_confirm_and_two_do_not() {
    let creates = [CreateConfigMap, CreatePod];
    for (times, result, millis, expected) in [
        (&THRICE[..], webhook(), 12, Says::Bad(Critical, 30)),
        (&TWICE[..], webhook(), 12, Says::Suspected),
        (&THRICE[..], CanaryResult::TimedOut, 4000, Says::Bad(Critical, 30)),
        (&THRICE[..], well(), 1001, Says::Bad(Warning, 300)),
        (&TWICE[..], well(), 1001, Says::Suspected),
        (&THRICE[..], well(), 1000, Says::Good),
        (&THRICE[..], CanaryResult::Rejected, 12, Says::Good),
        (&THRICE[..], CanaryResult::Forbidden, 12, Says::NeverSeen),
        (&THRICE[..], CanaryResult::Missing, 12, Says::NeverSeen),
        (&THRICE[..], CanaryResult::Status(500), 12, Says::NeverSeen),
        (&THRICE[..], CanaryResult::Shed { retry_after_secs: Some(1) }, 12, Says::NeverSeen),
    ] {
        let probes = [brisk(), everywhere(&creates, times, &result, millis)];

        let found = says(&probes, F21, "prod");

        let is_unknown = |says| matches!(says, Says::NeverSeen | Says::Unclear);
        assert!(found == expected || is_unknown(found) && is_unknown(expected), "{result:?} {millis}: {found:?}");
    }
}

#[test]
fn what_is_slow_before_admission_is_not_blamed_on_it() {
    let slow: Probes = [A1, A2].iter().flat_map(|one| each(&[0, 10_000, 20_000], took(1500, version(one)))).collect();
    let exempt: Probes = [A1, A2].iter().flat_map(|one| each(&[0, 9000, 21_000], ready(one))).collect();
    for (result, millis) in [(well(), 1500), (CanaryResult::TimedOut, 4000)] {
        let creates = everywhere(&[CreateConfigMap, CreatePod], &THRICE, &result, millis);

        assert_eq!(says(&[slow.clone(), exempt.clone(), creates], F21, "prod"), Says::Suspected, "{result:?}");
    }
}

#[test]
fn access_reviews_above_half_a_second_are_slow_and_no_overload() {
    for (millis, expected) in [
        (500, Says::Good),
        (501, Says::Bad(Warning, 30)),
        (1000, Says::Bad(Warning, 30)),
        (1001, Says::Bad(Critical, 10)),
    ] {
        let probes = [brisk(), everywhere(&[AccessReview], &THRICE, &well(), millis)];
        assert_eq!(says(&probes, F34, "prod"), expected, "{millis}");
    }
    let slow: Probes = [A1, A2].iter().flat_map(|one| each(&[0, 10_000, 20_000], took(1500, version(one)))).collect();
    let exempt: Probes = [A1, A2].iter().flat_map(|one| each(&[0, 9000, 21_000], ready(one))).collect();
    let reviews = everywhere(&[AccessReview], &THRICE, &well(), 1500);

    assert_eq!(says(&[slow.clone(), exempt.clone()], F18, "prod"), Says::Bad(Critical, 0));
    assert_eq!(says(&[slow.clone(), exempt.clone(), reviews.clone()], F18, "prod"), Says::Unclear);
    assert_eq!(says(&[slow, exempt, reviews], F34, "prod"), Says::Bad(Critical, 10));
}

#[test]
fn a_secret_that_cannot_be_decrypted_is_critical_and_other_errors_are_not_blamed_on_it() {
    let secret = |one: &str, result: CanaryResult| each(&THRICE, canary(one, SecretRead, result));
    for (results, expected) in [
        ([CanaryResult::Undecryptable, well()], Says::Bad(Critical, 30)),
        ([CanaryResult::Undecryptable, CanaryResult::Undecryptable], Says::Bad(Critical, 10)),
        ([CanaryResult::Status(500), well()], Says::Good),
        ([well(), well()], Says::Good),
    ] {
        let [first, second] = results.clone();
        assert_eq!(says(&[brisk(), secret(A1, first), secret(A2, second)], F35, "prod"), expected, "{results:?}");
    }
}

#[test]
fn a_key_plugin_that_fails_its_check_is_not_told_as_not_ready_as_well() {
    let probes = [each(&[0, 500, 1100], not_ready(A1, &["kms-provider-0"])), each(&[0, 500, 1200], ready(A2))];

    assert_eq!(says(&probes, F35, "prod"), Says::Bad(Warning, 30));
    assert_ne!(says(&probes, F50, "prod"), Says::Bad(Warning, 30));
}

#[test]
fn a_cache_is_stale_after_three_late_reads_and_critical_with_half_a_minute() {
    let write = |at: u64, revision: u64| (at, canary(A1, LeaseWrite, CanaryResult::Done { revision: Some(revision) }));
    let read = |at: u64, revision: u64| (at, canary(A2, LeaseRead, CanaryResult::Done { revision: Some(revision) }));
    let writes = |n: u64| (0..n).map(move |k| write(15_000 * k, 100 + k));
    let reads = |n: u64, lags: u64| (0..n).map(move |k| read(15_000 * k + 6000, (100 + k).saturating_sub(lags)));
    for (n, lags, expected) in [
        (3, 0, Says::Good),
        (2, 1, Says::Suspected),
        (3, 1, Says::Bad(Warning, 0)),
        (4, 2, Says::Bad(Warning, 0)),
        (5, 3, Says::Bad(Critical, 0)),
    ] {
        let probes: Probes = writes(n).chain(reads(n, lags)).collect();
        assert_eq!(says(&[probes], F38, A2), expected, "{n} reads, {lags} writes behind");
    }
    // Without writes nothing shows that a cache is fresh.
    let probes: Probes = writes(1).chain([read(80_000, 100), read(95_000, 100), read(110_000, 100)]).collect();
    assert_eq!(says(&[probes], F38, A2), Says::Unclear);
    assert_eq!(Duration::from_secs(5), crate::observe::canaries::LATE);
}
