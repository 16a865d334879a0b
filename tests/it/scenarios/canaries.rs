//! What health checks do not see: admission, authorization, decryption, watch caches.

use std::time::Duration;

use vedette::judge::admission::AdmissionFails;
use vedette::judge::decryption::KeysLost;
use vedette::model::canary::{Canaries, Canary, CanaryResult, WebhookFault};
use vedette::model::inventory::Inventory;
use vedette::model::probe::ProbeKind;
use vedette::model::reason::MessageReason::{Escalated, First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, inventory, name, seconds};

/// Everything has been asked by then, everywhere.
const START: u64 = 600;

fn asked() -> Inventory {
    let mut inventory = inventory();
    let cluster = inventory.clusters.get_mut(&name("prod")).unwrap();
    cluster.flow_control = true;
    cluster.canaries = Some(Canaries {
        on: Canary::ALL.into(),
        namespace: "vedette".into(),
        lease: "vedette-bastion-1".into(),
        secret: "vedette-canary".into(),
    });
    inventory
}

fn world() -> World {
    World::with(asked())
}

fn is_listed(world: &World, text: &str) -> bool {
    world.listed().iter().any(|evidence| format!("{evidence:?}").contains(text))
}

#[test]
fn canaries_that_are_well_are_silent_for_hours() {
    let mut world = World::unhurried(asked());

    world.run_until(seconds(4 * 3600));

    assert_eq!(world.told(), []);
    assert!(!is_listed(&world, "Canar"), "{:?}", world.listed());
}

#[test]
fn a_webhook_that_cannot_be_called_is_named_within_two_minutes_and_is_over_when_it_is_back() {
    for fault in [WebhookFault::Unreachable, WebhookFault::Certificate, WebhookFault::Error] {
        let mut world = world();
        world.at(seconds(START), move |world| world.behind.webhook = Some(("policy.example.com", fault)));
        world.at(seconds(START + 600), |world| world.behind.webhook = None);

        world.run_until(seconds(START + 1200));

        assert_eq!(world.told(), [(RuleId::F21, First), (RuleId::F21, Resolved)], "{fault:?}");
        assert_eq!(world.mails[0].message.level, Level::Critical);
        assert!(world.mails[0].at <= seconds(START + 120), "{fault:?}: {:?}", world.mails[0].at);
        assert!(world.mails[1].at <= seconds(START + 800), "{fault:?}: {:?}", world.mails[1].at);
        let root = world.mails[0].message.incident.root();
        let seen = root.seen::<AdmissionFails>().unwrap();
        assert_eq!(seen.webhooks[0].0, "policy.example.com");
    }
}

#[test]
fn a_webhook_that_is_away_for_twenty_seconds_mails_nothing() {
    let mut world = world();
    let away = Some(("policy.example.com", WebhookFault::Unreachable));
    world.at(seconds(START), move |world| world.behind.webhook = away);
    world.at(seconds(START + 20), |world| world.behind.webhook = None);

    world.run_until(seconds(START + 600));

    assert_eq!(world.told(), []);
}

#[test]
fn creates_that_hang_in_admission_are_critical_and_slow_ones_are_mailed_after_five_minutes() {
    for (takes, level, within) in
        [(seconds(10), Level::Critical, 120), (Duration::from_millis(1_500), Level::Warning, 420)]
    {
        let mut world = world();
        world.at(seconds(START), move |world| world.behind.admission = takes);

        world.run_until(seconds(START + 500));

        assert_eq!(world.told(), [(RuleId::F21, First)], "{takes:?}");
        assert_eq!(world.mails[0].message.level, level);
        assert!(world.mails[0].at <= seconds(START + within), "{takes:?}: {:?}", world.mails[0].at);
    }
}

#[test]
fn a_slow_authorization_webhook_is_no_overload() {
    let mut world = world();
    world.at(seconds(START), |world| {
        [api(1), api(2)].into_iter().for_each(|one| world.set(&one, Doing::Crowded(Duration::from_millis(2_300))));
    });
    world.at(seconds(START + 300), |world| {
        world.heal();
    });

    world.run_until(seconds(START + 700));

    assert_eq!(world.told(), [(RuleId::F34, First), (RuleId::F34, Resolved)]);
    assert_eq!(world.mails[0].message.level, Level::Critical);
    assert!(world.mails[0].at <= seconds(START + 60), "{:?}", world.mails[0].at);
}

#[test]
fn secrets_that_cannot_be_decrypted_are_told_by_the_instance_and_over_when_they_can() {
    let mut world = world();
    world.at(seconds(START), |world| {
        world.behind.undecryptable.insert(api(2));
    });
    world.at(seconds(START + 600), |world| world.behind.undecryptable.clear());

    world.run_until(seconds(START + 1200));

    assert_eq!(world.told(), [(RuleId::F35, First), (RuleId::F35, Resolved)]);
    assert_eq!(world.mails[0].message.level, Level::Critical);
    assert!(world.mails[0].at <= seconds(START + 160), "{:?}", world.mails[0].at);
    let root = world.mails[0].message.incident.root();
    assert_eq!(root.seen::<KeysLost>().unwrap().unread[0].0, api(2));
}

#[test]
fn a_key_plugin_that_readiness_names_needs_no_canary() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.set(&api(1), Doing::NotReady(&["kms-providers"])));

    world.run_until(seconds(180));

    assert_eq!(world.told(), [(RuleId::F35, First)]);
    assert_eq!(world.mails[0].message.level, Level::Warning);
}

#[test]
fn a_stale_cache_is_told_by_its_instance_and_becomes_critical_with_half_a_minute() {
    let mut world = world();
    world.at(seconds(START), |world| {
        world.behind.late_by.insert(api(2), seconds(9));
    });
    world.at(seconds(START + 200), |world| {
        world.behind.late_by.insert(api(2), seconds(60));
    });
    world.at(seconds(START + 500), |world| world.behind.late_by.clear());

    world.run_until(seconds(START + 700));

    assert_eq!(world.told(), [(RuleId::F38, First), (RuleId::F38, Escalated), (RuleId::F38, Resolved)]);
    assert_eq!(world.mails[0].message.incident.root().subject, api(2));
    assert!(world.mails[0].at <= seconds(START + 60), "{:?}", world.mails[0].at);
}

#[test]
fn a_cache_that_is_four_seconds_late_is_none_of_our_business() {
    let mut world = world();
    world.at(seconds(START), |world| {
        world.behind.late_by.insert(api(2), seconds(4));
    });

    world.run_until(seconds(START + 600));

    assert_eq!(world.told(), []);
}

#[test]
fn what_the_canaries_lack_themselves_is_a_gap_and_no_fault() {
    for (instead, gap) in [
        (CanaryResult::Forbidden, "Right"),
        (CanaryResult::Missing, "Object"),
        (CanaryResult::Terminating, "Object"),
        (CanaryResult::Conflict, "Contested"),
    ] {
        let mut world = world();
        world.behind.instead = Some(instead.clone());
        world.run_until(seconds(300));
        assert!(is_listed(&world, gap), "{instead:?}: {:?}", world.listed());

        world.at(seconds(300), |world| world.behind.instead = None);
        world.run_until(seconds(600));

        assert!(!is_listed(&world, "CanariesLack"), "{instead:?}: {:?}", world.listed());
        assert_eq!(world.told(), [], "{instead:?}");
    }
}

#[test]
fn a_rejected_writer_is_told_as_such_and_the_reader_goes_on() {
    let mut world = world();
    world.at(seconds(START), |world| world.behind.refuses_writer = true);
    world.at(seconds(START + 300), |world| world.behind.refuses_writer = false);

    world.run_until(seconds(START + 600));

    assert_eq!(world.told(), [(RuleId::F52, First), (RuleId::F52, Resolved)]);
    let text = format!("{:?}", world.mails[0].message.incident.root());
    assert!(text.contains("Canary") && !text.contains("Ordinary"), "{text}");
}

#[test]
fn without_a_writer_nothing_is_written_and_the_gap_says_what_stays_unseen() {
    let mut world = World::new();

    world.run_until(seconds(300));

    assert!(world.probes.iter().all(|(_, probe)| probe.kind.canary().is_none()));
    assert!(is_listed(&world, "CanariesOff"), "{:?}", world.listed());
}

#[test]
fn under_an_overload_the_canaries_go_first_and_the_dumps_stay() {
    let mut world = world();
    world.load.senders = vec![("system:serviceaccount:telemetry:agent", "configmaps", "workload-low", 900)];
    world.at(seconds(START), |world| {
        [api(1), api(2)].into_iter().for_each(|one| world.set(&one, Doing::Crowded(Duration::from_millis(2_300))));
    });
    world.run_until(seconds(START + 300));
    let sent = |is_meant: &dyn Fn(ProbeKind) -> bool, from: u64| {
        let within = seconds(from)..seconds(from + 240);
        world.probes.iter().filter(|(at, probe)| is_meant(probe.kind) && within.contains(at)).count()
    };

    assert!(sent(&|kind| kind.canary().is_some(), START - 240) > 60);
    assert_eq!(sent(&|kind| kind.canary().is_some(), START + 60), 0);
    assert!(sent(&|kind| kind.shows_use(), START + 60) > 10);
    assert_eq!(world.told(), [(RuleId::F18, First)]);
}

#[test]
fn an_outage_of_etcd_is_told_once_with_canaries_as_without() {
    let mut world = world();
    world.at(seconds(START), |world| {
        world.leaderless = true;
        [api(1), api(2)].into_iter().for_each(|one| world.set(&one, Doing::NotReady(&["etcd"])));
        world.behind.admission = seconds(10);
        world.behind.instead = Some(CanaryResult::Status(500));
    });
    world.at(seconds(START + 300), |world| {
        world.leaderless = false;
        world.heal();
        world.behind = Default::default();
    });

    world.run_until(seconds(START + 900));

    assert_eq!(world.told(), [(RuleId::F01, First), (RuleId::F01, Resolved)]);
}

#[test]
fn canaries_that_are_switched_off_are_not_sent_again_and_what_they_found_is_withdrawn() {
    let mut world = world();
    world.at(seconds(START), |world| world.behind.webhook = Some(("policy.example.com", WebhookFault::Unreachable)));
    world.at(seconds(START + 120), |world| world.reload(inventory()));
    world.run_until(seconds(START + 180));
    let sent = |from: u64| {
        world.probes.iter().filter(|(at, probe)| *at > seconds(from) && probe.kind.canary().is_some()).count()
    };

    assert!(sent(START) > 0);
    assert_eq!(sent(START + 120), 0);
    assert_eq!(world.told().first(), Some(&(RuleId::F21, First)));
    assert_eq!(world.open(), []);
}
