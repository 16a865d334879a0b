//! What the pages of metrics add to F18 and F21: the resources that lists read, the watches that are open, and the webhook
//! that hangs for longer than a canary waits.

use crate::judge::admission::AdmissionFails;
use crate::judge::overload::Overloaded;
use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::{ApiserverMetrics, Listed, WebhookCounts};
use crate::model::canary::{Canaries, Canary, CanaryResult};
use crate::model::inventory::Inventory;
use crate::model::probe::ProbeKind::{CreateConfigMap, CreatePod};
use crate::model::rule::RuleId;
use crate::model::time::UnixTime;
use crate::model::verdict::{Finding, Verdict};

use super::fixture::{
    Seen, canary, each, end, inventory, metrics_page, name, ready, together, took, verdicts, version, version_status,
    view,
};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";

type Probes = Vec<(u64, Option<Seen>)>;

fn asked() -> Inventory {
    let mut inventory = inventory(2, 3);
    let prod = inventory.clusters.get_mut(&name("prod")).unwrap();
    prod.apiserver_metrics = true;
    prod.canaries = Some(Canaries {
        on: Canary::ALL.into(),
        namespace: "vedette".into(),
        lease: "vedette-bastion-1".into(),
        secret: "vedette-canary".into(),
    });
    inventory
}

fn page() -> ApiserverMetrics {
    ApiserverMetrics { started: Some(UnixTime::from_secs(1)), ..ApiserverMetrics::default() }
}

/// The finding of `rule` about the whole cluster.
fn found(probes: &[Probes], rule: RuleId) -> Finding {
    let probes = together(probes);
    let verdicts = verdicts(&view(asked(), &probes), end(&probes));
    let of_it = verdicts.into_iter().filter(|(key, _)| key.rule == rule);
    let bad = of_it.filter_map(|(_, verdict)| if let Verdict::Bad(finding) = verdict { Some(finding) } else { None });
    bad.last().expect("it is bad")
}

fn items(finding: &Finding) -> Vec<String> {
    finding.listed(&Addresses::default()).map(|(_, items)| items).unwrap_or_default()
}

/// Both instances turn ordinary requests away, from 200 s on.
fn shedding() -> Probes {
    let of = |one: &str| {
        let exempt = each(&[200_000, 205_000, 210_000, 215_000], ready(one));
        [exempt, each(&[200_000, 210_000, 220_000], version_status(one, 429))].concat()
    };
    [A1, A2].map(of).concat()
}

fn listed(configmaps: u64, pods: u64) -> ApiserverMetrics {
    let of = |from_cache| Listed { from_etcd: 0, from_cache };
    ApiserverMetrics { listed: [("configmaps".into(), of(configmaps)), ("pods".into(), of(pods))].into(), ..page() }
}

#[test]
fn what_lists_read_is_named_with_its_time_and_as_probable() {
    let pages =
        vec![(60_000, metrics_page(A1, listed(5_000, 900))), (180_000, metrics_page(A1, listed(95_000, 1_900)))];

    let finding = found(&[pages, shedding()], RuleId::F18);

    let expected = "lists at api-1 read, from 2026-09-21T14:14:20Z to 2026-09-21T14:16:20Z: 90000 configmaps (98 %, \
                    from the watch cache) and 1000 pods (1 %, from the watch cache); the load is probably lists of \
                    configmaps, user not visible (the page of metrics knows none)";
    let said = items(&finding);
    assert!(said.iter().any(|item| item == expected), "{said:#?}");
}

#[test]
fn few_objects_an_old_page_and_another_process_say_nothing_of_lists() {
    let other = ApiserverMetrics { started: Some(UnixTime::from_secs(2)), ..listed(95_000, 0) };
    for (pages, why) in [
        ([(60_000, listed(5_000, 0)), (180_000, listed(14_999, 0))], "few"),
        ([(60_000, listed(5_000, 0)), (180_000, other)], "another process"),
    ] {
        let pages = pages.map(|(at, page)| (at, metrics_page(A1, page))).into();
        let finding = found(&[pages, shedding()], RuleId::F18);
        assert_eq!(finding.seen::<Overloaded>().unwrap().resources.lists, None, "{why}");
    }
    // The overload begins ten minutes after the page.
    let pages = [(60_000, 5_000), (180_000, 95_000)].map(|(at, read)| (at, metrics_page(A1, listed(read, 0)))).into();
    let later = shedding().into_iter().map(|(at, seen)| (at + 600_000, seen)).collect();
    let finding = found(&[pages, later], RuleId::F18);
    assert_eq!(finding.seen::<Overloaded>().unwrap().resources.lists, None, "old");
}

#[test]
fn a_storm_of_watches_has_no_user_but_a_resource() {
    let watched = |configmaps: u64| ApiserverMetrics {
        watches: [("configmaps".into(), configmaps), ("pods".into(), 90)].into(),
        ..page()
    };
    for (configmaps, expected) in [
        (
            12_000,
            Some(
                "12090 watches were open at api-1 at 2026-09-21T14:16:20Z, user not visible: watch configmaps: 12000 and watch pods: 90",
            ),
        ),
        (909, None),
    ] {
        let pages = vec![(180_000, metrics_page(A1, watched(configmaps)))];
        let said = items(&found(&[pages, shedding()], RuleId::F18));
        let watches = said.iter().find(|item| item.contains("watches were open")).map(String::as_str);
        assert_eq!(watches, expected, "{said:#?}");
    }
}

/// Dry runs that are not completed, from 200 s on.
fn hanging() -> Probes {
    let exempt: Vec<u64> = (0..=8).map(|n| 182_000 + n * 3000).collect();
    let brisk = |one: &str| [each(&exempt, ready(one)), each(&[186_000, 196_000, 206_000], version(one))].concat();
    let create = |one: &str| {
        let of = |kind| each(&[200_000, 200_500, 201_100], took(4000, canary(one, kind, CanaryResult::TimedOut)));
        [of(CreateConfigMap), of(CreatePod)].concat()
    };
    [A1, A2].map(|one| [brisk(one), create(one)].concat()).concat()
}

fn webhooks(webhooks: &[(&str, [u64; 4])]) -> ApiserverMetrics {
    let counts =
        |[calls, millis, not_called, failed_open]: [u64; 4]| WebhookCounts { calls, millis, not_called, failed_open };
    let webhooks = webhooks.iter().map(|(name, of)| ((*name).to_owned(), counts(*of))).collect();
    ApiserverMetrics { webhooks, ..page() }
}

#[test]
fn a_webhook_that_hangs_for_longer_than_a_canary_waits_is_named_by_the_page_that_follows() {
    let before = webhooks(&[("hangs.example.org", [10, 50, 0, 0]), ("quick.example.org", [10, 50, 0, 0])]);
    let hangs = |failed| webhooks(&[("hangs.example.org", failed), ("quick.example.org", [90, 450, 0, 0])]);
    for (failed, policy) in [
        ([13, 12_050, 3, 0], "3 times the call failed and the request with it (its failurePolicy is Fail)"),
        ([13, 12_050, 0, 1], "once the call failed and the request passed (its failurePolicy is Ignore)"),
    ] {
        let pages = vec![(90_000, metrics_page(A1, before.clone())), (206_000, metrics_page(A1, hangs(failed)))];

        let finding = found(&[pages, hanging()], RuleId::F21);

        let what = finding.evidence.what(&finding, &Addresses::default());
        assert!(what.ends_with("by its metrics it is probably hangs.example.org."), "{what}");
        let expected = "by the metrics of the apiservers hangs.example.org was called 3 times from \
                        2026-09-21T14:14:50Z to 2026-09-21T14:16:46Z, 4 s each on average; ";
        assert_eq!(items(&finding), [format!("{expected}{policy}")]);
        assert!(finding.evidence.names_culprit());
    }
}

#[test]
fn a_page_from_before_names_no_webhook_for_what_began_later() {
    let pages = [(90_000, [10, 50, 0, 0]), (190_000, [13, 12_050, 3, 0])];
    let pages = pages.map(|(at, counts)| (at, metrics_page(A1, webhooks(&[("once.example.org", counts)])))).into();

    let finding = found(&[pages, hanging()], RuleId::F21);

    assert_eq!(finding.seen::<AdmissionFails>().unwrap().counted, []);
    assert_eq!(finding.evidence.headline(&finding), "creating objects hangs in admission");
    assert!(!finding.evidence.names_culprit());
}
