//! Somebody overloads the API: who it is stands in the mail or follows in its thread, and a busy day mails nothing.

use std::time::Duration;

use vedette::judge::overload::{Overloaded, Queueing, Who};
use vedette::model::flow_control::NoDump;
use vedette::model::inventory::Inventory;
use vedette::model::probe::ProbeKind;
use vedette::model::reason::MessageReason::{CulpritFound, First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::load::Sending;
use super::world::{Doing, World, api, inventory, name, seconds, vip};

/// A quiet hour, in which usual shares become known.
const HOUR: u64 = 3700;

/// When those stories begin that need no usual shares.
const START: u64 = 600;

const KCM: Sending = ("system:kube-controller-manager", "pods", "workload-low", 20);
const LISTER: Sending = ("system:serviceaccount:gitops:sync", "deployments.apps", "workload-low", 60);
const AGENT: Sending = ("system:serviceaccount:telemetry:agent", "configmaps", "workload-low", 900);

fn asked() -> Inventory {
    let mut inventory = inventory();
    inventory.clusters.get_mut(&name("prod")).unwrap().flow_control = true;
    inventory
}

/// A world with its usual senders.
fn world() -> World {
    let mut world = World::with(asked());
    world.load.senders = vec![KCM, LISTER];
    world
}

/// From `second` on the apiservers do this, because of these senders beside the usual ones.
fn storm(world: &mut World, second: u64, doing: Doing, senders: &[Sending]) {
    let senders = senders.to_vec();
    world.at(seconds(second), move |world| {
        [api(1), api(2)].into_iter().for_each(|one| world.set(&one, doing.clone()));
        world.load.senders.extend(senders);
    });
}

fn calm(world: &mut World, second: u64) {
    world.at(seconds(second), |world| {
        world.heal();
        world.load.senders = vec![KCM, LISTER];
    });
}

fn slow() -> Doing {
    Doing::Crowded(Duration::from_millis(2300))
}

fn evidence(world: &World, mail: usize) -> Overloaded {
    let message = &world.mails[mail].message;
    message.incident.root().seen::<Overloaded>().expect("of an overload").clone()
}

/// The users that a mail names as culprits.
fn named(world: &World, mail: usize) -> Vec<String> {
    let Who::Culprits(culprits) = evidence(world, mail).who else { return Vec::new() };
    culprits.into_iter().map(|culprit| culprit.sender.user).collect()
}

#[test]
fn an_overload_is_paged_within_a_minute_and_its_first_mail_names_who_does_it() {
    let mut world = world();
    storm(&mut world, HOUR, slow(), &[AGENT]);
    calm(&mut world, HOUR + 300);

    world.run_until(seconds(HOUR + 600));

    assert_eq!(world.told(), [(RuleId::F18, First), (RuleId::F18, Resolved)]);
    assert!(world.mails[0].at <= seconds(HOUR + 60), "{:?}", world.mails[0].at);
    assert_eq!(world.mails[0].message.level, Level::Critical);
    let Who::Culprits(culprits) = evidence(&world, 0).who else { panic!("nobody is named") };
    assert_eq!(culprits.len(), 1);
    assert_eq!((culprits[0].sender.user.as_str(), culprits[0].sender.what.as_str()), (AGENT.0, AGENT.1));
    assert!(culprits[0].percent >= 90, "{culprits:?}");
    assert_eq!(culprits[0].usual_percent, Some(0));
    let root = world.mails[0].message.incident.root();
    assert!(root.evidence.objects(root)[0].yaml.contains("name: \"agent\""));
}

#[test]
fn requests_that_are_turned_away_are_an_overload_too() {
    let mut world = world();
    world.load.has_seats_of_our_own = true;
    storm(&mut world, START, Doing::TurningAway(30), &[AGENT]);

    world.run_until(seconds(START + 120));

    assert_eq!(world.told(), [(RuleId::F18, First)]);
    assert!(world.mails[0].at <= seconds(START + 60), "{:?}", world.mails[0].at);
    assert_eq!(evidence(&world, 0).shed, [api(1), api(2)]);
    assert_eq!(named(&world, 0), [AGENT.0]);
}

#[test]
fn a_culprit_that_is_seen_later_follows_in_the_thread_within_half_a_minute() {
    let mut world = world();
    storm(&mut world, START, Doing::Queueing, &[AGENT]);
    // Somebody applies the FlowSchema of config/rbac/.
    world.at(seconds(START + 100), |world| world.load.has_seats_of_our_own = true);

    world.run_until(seconds(START + 200));

    assert_eq!(world.told(), [(RuleId::F18, First), (RuleId::F18, CulpritFound)]);
    assert!(world.mails[0].at <= seconds(START + 60), "{:?}", world.mails[0].at);
    assert_eq!(evidence(&world, 0).who, Who::Unanswered);
    assert_eq!(world.threads().len(), 1);
    assert!(world.mails[1].at <= seconds(START + 132), "{:?}", world.mails[1].at);
    assert_eq!(named(&world, 1), [AGENT.0]);
}

#[test]
fn two_culprits_are_both_named_and_the_usual_lister_is_not() {
    let mut world = world();
    let exporter = ("system:serviceaccount:metrics:exporter", "pods", "workload-low", 800);
    storm(&mut world, START, slow(), &[AGENT, exporter]);

    world.run_until(seconds(START + 120));

    assert_eq!(named(&world, 0), [AGENT.0, exporter.0]);
}

#[test]
fn a_big_user_at_its_usual_share_is_not_named() {
    let mut world = world();
    world.at(seconds(HOUR), |world| {
        [api(1), api(2)].into_iter().for_each(|one| world.set(&one, slow()));
        world.load.senders = vec![(KCM.0, KCM.1, KCM.2, 200), (LISTER.0, LISTER.1, LISTER.2, 600)];
    });

    world.run_until(seconds(HOUR + 120));

    assert_eq!(world.told(), [(RuleId::F18, First)]);
    assert!(matches!(evidence(&world, 0).who, Who::Everybody(_)), "{:?}", evidence(&world, 0).who);
}

#[test]
fn before_an_hour_is_known_the_usual_share_is_said_to_be_unknown() {
    let mut world = world();
    storm(&mut world, 600, slow(), &[AGENT]);

    world.run_until(seconds(720));

    let Who::Culprits(culprits) = evidence(&world, 0).who else { panic!("nobody is named") };
    assert_eq!((culprits[0].sender.user.as_str(), culprits[0].usual_percent), (AGENT.0, None));
}

#[test]
fn without_seats_held_or_waited_for_the_user_is_not_visible() {
    let mut world = World::with(asked());
    storm(&mut world, 600, slow(), &[]);

    world.run_until(seconds(720));

    assert_eq!(world.told(), [(RuleId::F18, First)]);
    assert_eq!(evidence(&world, 0).who, Who::NotVisible);
}

#[test]
fn a_missing_right_is_a_gap_and_the_mail_says_what_to_grant() {
    let mut world = world();
    world.load.instead = Some(NoDump::Forbidden);
    world.at(seconds(300), |world| {
        assert_eq!(world.told(), []);
        let listed = world.listed();
        let listed = |text: &str| listed.iter().any(|evidence| format!("{evidence:?}").contains(text));
        assert!(listed("LoadForbidden"));
    });
    storm(&mut world, 600, slow(), &[AGENT]);

    world.run_until(seconds(720));

    assert_eq!(world.told(), [(RuleId::F18, First)]);
    assert_eq!(evidence(&world, 0).who, Who::Forbidden);
}

#[test]
fn one_slow_instance_of_two_is_no_overload() {
    let mut world = world();
    world.at(seconds(600), |world| world.set(&api(1), slow()));

    world.run_until(seconds(900));

    assert_eq!(world.told(), [(RuleId::F49, First)]);
}

#[test]
fn what_the_cluster_itself_depends_on_may_wait_nowhere() {
    for level in ["system", "leader-election", "node-high"] {
        let mut world = world();
        world.at(seconds(600), move |world| {
            world.load.waiting.insert((Some(api(2)), level), 130);
        });
        world.at(seconds(900), |world| world.load.waiting.clear());

        world.run_until(seconds(1200));

        assert_eq!(world.told(), [(RuleId::F18, First), (RuleId::F18, Resolved)], "{level}");
        assert!(world.mails[0].at <= seconds(660), "{level}: {:?}", world.mails[0].at);
        assert_eq!(evidence(&world, 0).levels[0].name, level);
    }
}

#[test]
fn a_day_of_batch_jobs_mails_nothing_and_lists_the_level_that_waits() {
    let mut world = World::unhurried(asked());
    world.load.senders = vec![KCM, LISTER];
    for hour in 1..24 {
        let jobs = ("system:serviceaccount:batch:jobs", "jobs.batch", "workload-low", 300 + 20 * hour);
        world.at(seconds(hour * 3600), move |world| world.load.senders.push(jobs));
        world.at(seconds(hour * 3600 + 1800), move |world| world.load.senders.retain(|sender| *sender != jobs));
    }
    let mut seen = false;
    for hour in 1..=24 {
        world.run_until(seconds(hour * 3600 + 1200));
        let snapshot = world.snapshot();
        seen |= snapshot.alarms.iter().any(|alarm| alarm.finding.seen::<Queueing>().is_some());
    }

    assert_eq!(world.told(), []);
    assert!(seen, "nothing was listed");
    assert_eq!(world.open(), []);
}

#[test]
fn under_an_overload_vedette_asks_less_and_the_dumps_go_on() {
    let mut world = world();
    storm(&mut world, START, slow(), &[AGENT]);
    world.run_until(seconds(START + 300));
    let asked = |kind: ProbeKind, from: u64, until: u64| {
        let within = seconds(from)..seconds(until);
        world
            .probes
            .iter()
            .filter(|(at, probe)| probe.kind == kind && probe.subject == api(1) && within.contains(at))
            .count()
    };

    assert_eq!(asked(ProbeKind::PriorityLevels, 300, 600), 30);
    assert!((9..=12).contains(&asked(ProbeKind::PriorityLevels, START, START + 300)));
    // One of two instances a minute, and each every half minute.
    assert!((2..=3).contains(&asked(ProbeKind::RequestDump, 300, 600)));
    assert!((9..=11).contains(&asked(ProbeKind::RequestDump, START, START + 300)));
    assert_eq!(asked(ProbeKind::Readyz, START, START + 300), 100);
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_left_alone() {
    let mut world = world();
    storm(&mut world, 600, Doing::TurningAway(30), &[AGENT]);
    world.run_until(seconds(900));

    for kind in [ProbeKind::Version, ProbeKind::PriorityLevels, ProbeKind::RequestDump] {
        let times: Vec<Duration> = world
            .probes
            .iter()
            .filter(|(at, probe)| probe.kind == kind && probe.subject == api(1) && *at > seconds(630))
            .map(|(at, _)| *at)
            .collect();
        assert!(times.len() >= 4, "{kind:?}: {times:?}");
        let apart = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min().unwrap();
        assert!(apart >= seconds(29), "{kind:?} after {apart:?}");
    }
}

#[test]
fn dumps_that_fail_say_nothing_of_an_instance_that_lives() {
    let mut world = world();
    for (minute, instead) in [NoDump::Missing, NoDump::Status(500), NoDump::Foreign].into_iter().enumerate() {
        world.at(seconds(60 * (u64::try_from(minute).unwrap() + 1)), move |world| world.load.instead = Some(instead));
    }

    world.run_until(seconds(600));

    assert_eq!(world.told(), []);
    assert!(world.snapshot().worst(&name("prod")).is_none_or(|level| level == Level::Info));
    assert_eq!(world.probes.iter().filter(|(_, probe)| probe.kind.shows_use() && probe.subject == vip()).count(), 0);
}
