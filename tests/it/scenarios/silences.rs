//! A silence changes what is said and nothing else: what is seen, judged and remembered goes on as without it.

use std::time::Duration;

use vedette::model::reason::MessageReason::{self, Escalated, First, Resolved};
use vedette::model::rule::RuleId::{self, F01, F02, F22, F24, F26};

use super::world::{World, api, etcd, seconds};

/// A world that is silenced from 30 s on for `lasting`.
fn silenced(lasting: u64, include_outages: bool) -> World {
    let mut world = World::new();
    world.at(seconds(30), move |world| world.silence(seconds(lasting), include_outages));
    world
}

/// What was said, and in which second.
fn told(world: &World) -> Vec<(u64, RuleId, MessageReason)> {
    let said = |(mail, (rule, reason)): (&super::world::Mail, _)| (mail.at.as_secs(), rule, reason);
    world.mails.iter().zip(world.told()).map(said).collect()
}

fn kill_both(world: &mut World) {
    world.slay(&api(1));
    world.slay(&api(2));
}

#[test]
fn what_begins_and_ends_in_a_silence_is_never_mailed_but_known() {
    let mut world = silenced(600, false);
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(200), World::heal);
    world.run_until(seconds(150));
    assert_eq!(world.open(), [F22]);
    assert_eq!(world.snapshot().silences.len(), 1);

    world.run_until(seconds(900));

    assert_eq!(told(&world), []);
    let snapshot = world.snapshot();
    let incident = &snapshot.incidents[0];
    assert!(incident.over.is_some() && incident.told.messages == 0);
    assert_eq!(incident.silenced.as_ref().unwrap().silence.author, "anna (uid 1000)");
    assert!(snapshot.silences.is_empty() && world.durable_silences().is_empty(), "it ends by itself");
    assert!(world.beats.len() > 170, "{} beats: a silence withholds none", world.beats.len());
}

#[test]
fn what_outlasts_a_silence_is_told_once_when_it_ends() {
    let mut world = silenced(400, false);
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(500), World::heal);

    world.run_until(seconds(600));

    assert_eq!(told(&world)[..1], [(430, F22, First)]);
    assert_eq!(world.told()[1..], [(F22, Resolved)]);
    let incident = &world.mails[0].message.incident;
    assert_eq!(incident.opened, world.start.wall.plus(seconds(60)), "since when it really is so");
    let silence = &incident.silenced.as_ref().unwrap().silence;
    assert_eq!(silence.until, world.start.wall.plus(seconds(430)));
}

#[test]
fn a_dead_cluster_breaks_a_silence() {
    let mut world = silenced(600, false);
    world.at(seconds(60), kill_both);
    world.at(seconds(120), World::heal);

    world.run_until(seconds(700));

    assert_eq!(world.told(), [(F24, First), (F24, Resolved)]);
    assert!(world.mails[0].at < seconds(63), "as fast as without: {:?}", world.mails[0].at);
}

#[test]
fn a_dead_cluster_is_held_back_where_even_that_is_asked_for() {
    let mut world = silenced(600, true);
    world.at(seconds(60), kill_both);

    world.run_until(seconds(700));

    assert_eq!(told(&world), [(630, F24, First)]);
}

#[test]
fn a_held_back_fault_that_becomes_the_death_of_the_cluster_is_one_thread_named_after_the_death() {
    let mut world = silenced(600, false);
    world.at(seconds(60), |world| world.slay(&etcd(3)));
    world.at(seconds(200), |world| world.slay(&etcd(2)));
    world.at(seconds(300), World::heal);

    world.run_until(seconds(700));

    assert_eq!(world.told(), [(F01, First), (F01, Resolved)]);
    assert!(world.mails[0].at < seconds(210), "{:?}", world.mails[0].at);
    let opened = world.mails[0].message.incident.opened;
    assert_eq!(opened, world.start.wall.plus(seconds(60)), "the first member belongs to it");
}

#[test]
fn the_end_of_what_was_told_is_said_in_a_silence() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(120), |world| world.silence(seconds(600), true));
    world.at(seconds(200), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(F22, First), (F22, Resolved)]);
}

#[test]
fn what_became_worse_in_a_silence_is_told_once_when_it_ends() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(120), |world| world.silence(seconds(1000), false));

    world.run_until(seconds(1300));

    // Critical at 670 s, since no further loss could be borne for 10 minutes.
    assert_eq!(told(&world)[1..], [(1120, F22, Escalated)]);
    assert_eq!(world.threads().len(), 1);
}

#[test]
fn what_became_worse_and_better_in_a_silence_is_not_told() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(120), |world| world.silence(seconds(600), true));
    world.at(seconds(200), |world| world.slay(&api(1)));
    world.at(seconds(260), |world| {
        world.heal();
        world.slay(&api(2));
    });
    world.at(seconds(900), World::heal);

    world.run_until(seconds(1100));

    let reasons: Vec<MessageReason> = world.told().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons.first(), Some(&First));
    assert!(!world.told().contains(&(F24, MessageReason::CauseFound)), "{:?}", told(&world));
    assert_eq!(reasons.last(), Some(&Resolved));
}

#[test]
fn faults_that_have_nothing_to_do_with_each_other_stay_apart_in_a_silence() {
    let mut world = silenced(400, false);
    world.at(seconds(60), |world| world.slay(&etcd(3)));
    world.at(seconds(300), |world| {
        world.expired.insert(api(1));
    });

    world.run_until(seconds(500));

    let mut said = told(&world);
    said.sort_unstable_by_key(|(_, rule, _)| *rule);
    assert_eq!(said, [(430, F02, First), (430, F26, First)]);
    assert_eq!(world.threads().len(), 2);
}

#[test]
fn a_silence_that_is_ended_early_speaks_at_once() {
    let mut world = silenced(3600, false);
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(300), World::end_silence);

    world.run_until(seconds(400));

    assert_eq!(told(&world), [(300, F22, First)]);
    let silence = &world.mails[0].message.incident.silenced.as_ref().unwrap().silence;
    assert_eq!(silence.until, world.start.wall.plus(seconds(300)), "the mail says when it really ended");
}

#[test]
fn a_second_silence_takes_the_place_of_the_first() {
    let mut world = silenced(300, false);
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(200), |world| world.silence(seconds(600), false));

    world.run_until(seconds(900));

    assert_eq!(told(&world), [(800, F22, First)]);
    let silence = &world.mails[0].message.incident.silenced.as_ref().unwrap().silence;
    assert_eq!(silence.since, world.start.wall.plus(seconds(30)), "silent since the first of them");
}

#[test]
fn a_silence_survives_kill_9_at_any_instant_and_holds_back_the_same() {
    for at in (31..200).step_by(23) {
        let mut world = silenced(230, false);
        world.at(seconds(60), |world| world.slay(&api(2)));
        world.at(seconds(at), World::kill);
        world.at(seconds(at + 2), World::restart);

        world.run_until(seconds(300));

        assert_eq!(told(&world), [(260, F22, First)], "killed at {at} s");
    }
}

#[test]
fn a_silence_that_ended_while_we_were_dead_is_over_at_the_start() {
    let mut world = silenced(300, false);
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(200), World::kill);
    world.at(seconds(400), World::restart);

    world.run_until(seconds(500));

    assert_eq!(told(&world), [(400, F22, First)]);
    assert!(world.durable_silences().is_empty());
}

#[test]
fn what_was_held_back_of_a_told_incident_survives_a_restart() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(120), |world| world.silence(seconds(1000), false));
    world.at(seconds(900), World::kill);
    world.at(seconds(902), World::restart);

    world.run_until(seconds(1300));

    assert_eq!(told(&world)[1..], [(1120, F22, Escalated)]);
}

#[test]
fn a_clock_that_steps_makes_no_silence_longer() {
    for (step, ends) in [(-3_600_000, 630), (400_000, 230)] {
        let mut world = silenced(600, false);
        world.at(seconds(60), |world| world.slay(&api(2)));
        world.at(seconds(200), move |world| world.step_wall(step));

        world.run_until(seconds(700));

        let (second, ..) = told(&world)[0];
        assert!((ends..ends + 3).contains(&second), "{second} after a step of {step} ms");
    }
}

#[test]
fn a_silence_reaches_the_store_when_it_works_again() {
    let mut world = silenced(600, false);
    world.at(seconds(20), |world| world.store_fails = true);
    world.at(seconds(90), |world| world.store_fails = false);

    world.run_until(seconds(80));
    assert!(world.durable_silences().is_empty());
    world.run_until(seconds(120));

    assert_eq!(world.durable_silences(), world.snapshot().silences);
    assert_eq!(world.durable_silences().len(), 1);
}

#[test]
fn the_same_is_probed_at_and_found_with_a_silence_and_without() {
    let play = |is_silenced: bool| {
        let mut world = if is_silenced { silenced(900, true) } else { World::new() };
        world.at(seconds(60), |world| world.slay(&etcd(3)));
        world.at(seconds(100), kill_both);
        world.at(seconds(300), World::heal);
        world.run_until(seconds(600));
        world
    };

    let (with, without) = (play(true), play(false));

    assert_eq!(with.probes, without.probes);
    let incidents = |world: &World| {
        let seen = world.snapshot();
        let known = seen.incidents.iter().map(|known| (known.id.clone(), known.opened, known.level, known.over));
        known.collect::<Vec<_>>()
    };
    assert_eq!(incidents(&with), incidents(&without));
    assert!(with.mails.is_empty() && !without.mails.is_empty());
}

#[test]
fn a_silence_of_the_cluster_does_not_silence_our_own_isolation() {
    let mut world = silenced(3600, true);
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(200), World::heal);

    world.run_until(seconds(400));

    assert!(world.told().iter().any(|(rule, _)| *rule == RuleId::F04), "{:?}", world.told());
    assert!(world.told().iter().all(|(rule, _)| *rule == RuleId::F04), "{:?}", world.told());
    assert!(Duration::from_secs(400) > world.mails[0].at);
}
