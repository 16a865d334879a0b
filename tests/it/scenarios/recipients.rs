//! A relay that serves some recipients and not others.

use std::collections::BTreeMap;

use vedette::model::delivery::{Attempt, DeliveryFailure, DeliveryResult, FailureClass, Receipt};
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::recipient::Rejection;
use vedette::model::rule::RuleId;
use vedette::model::snapshot::HeartbeatState;

use super::world::{World, api, inventory, seconds};

pub(super) const OPS: &str = "ops@example.org";
pub(super) const BOSS: &str = "boss@example.org";

/// What the relay says to a recipient whom it does not serve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unserved {
    /// `550`: never.
    Refused,
    /// `451`: not now.
    Deferred,
}

/// What a relay that takes mail makes of `attempt`.
pub(super) fn serve(unserved: &BTreeMap<&'static str, Unserved>, attempt: &Attempt) -> Vec<Receipt> {
    let result = |who: &str| match unserved.get(who) {
        None => DeliveryResult::Accepted,
        Some(Unserved::Refused) => DeliveryResult::Rejected("550 5.1.1 nobody of that name".into()),
        Some(Unserved::Deferred) => {
            DeliveryResult::Failed(DeliveryFailure { class: FailureClass::Deferred, text: "test".into() })
        }
    };
    let receipt = |who: &String| Receipt { delivery: attempt.delivery(who), result: result(who) };
    attempt.recipients.iter().map(receipt).collect()
}

fn refused(world: &World) -> Vec<String> {
    world.snapshot().refused.iter().map(|known| known.rejection.recipient.clone()).collect()
}

/// Both apiservers are dead from `from` to `to` seconds.
fn outage(world: &mut World, from: u64, to: u64) {
    world.at(seconds(from), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(to), World::heal);
}

/// What each mail says of other recipients.
fn said(world: &World) -> Vec<Vec<&str>> {
    let of_mail = |rejections: &'_ [Rejection]| {
        rejections
            .iter()
            .map(|known| match known.recipient.as_str() {
                OPS => OPS,
                _ => BOSS,
            })
            .collect()
    };
    world.mails.iter().map(|mail| of_mail(&mail.rejections)).collect()
}

#[test]
fn a_refused_recipient_is_counted_shown_and_said_once_in_the_next_mail_that_gets_through() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Refused);
    outage(&mut world, 60, 100);
    outage(&mut world, 300, 340);

    world.run_until(seconds(70));
    assert_eq!(said(&world), [Vec::<&str>::new()]);
    assert_eq!((refused(&world), world.counters().recipient_refusals), (vec![BOSS.to_owned()], 1));
    assert_eq!(world.snapshot().backlog.waiting, 0, "the mail has been taken for everybody else");

    world.run_until(seconds(500));

    let f24 = RuleId::F24;
    assert_eq!(world.told(), [(f24, First), (f24, Resolved), (f24, First), (f24, Resolved)]);
    assert_eq!(said(&world), [vec![], vec![BOSS], vec![], vec![]]);
    assert!(world.mails.iter().all(|mail| mail.to == [OPS.to_owned()].into()));
    assert_eq!((refused(&world), world.counters().recipient_refusals), (vec![BOSS.to_owned()], 4));
}

#[test]
fn what_was_refused_is_still_said_after_a_restart_and_only_once() {
    for killed_at in [70, 105] {
        let mut world = World::new();
        world.unserved.insert(BOSS, Unserved::Refused);
        outage(&mut world, 60, 100);
        outage(&mut world, 300, 340);
        world.at(seconds(killed_at), World::kill);
        world.at(seconds(killed_at + 2), World::restart);
        world.at(seconds(200), World::kill);
        world.at(seconds(202), World::restart);

        world.run_until(seconds(500));

        assert_eq!(said(&world), [vec![], vec![BOSS], vec![], vec![]], "killed at {killed_at} s");
        assert_eq!(refused(&world), [BOSS]);
    }
}

#[test]
fn a_mail_that_reaches_nobody_has_told_nobody() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Refused);
    outage(&mut world, 60, 400);
    world.at(seconds(70), |world| {
        world.unserved.insert(OPS, Unserved::Refused);
    });
    outage(&mut world, 600, 640);
    world.at(seconds(590), |world| {
        world.unserved.remove(OPS);
    });

    world.run_until(seconds(900));

    // The all-clear of the first outage waits for somebody to be served again.
    let told: Vec<_> = world.mails.iter().flat_map(|mail| &mail.rejections).map(|known| &known.recipient).collect();
    assert_eq!(told.iter().filter(|who| **who == BOSS).count(), 1, "{:?}", said(&world));
    assert_eq!(refused(&world), [BOSS]);
}

#[test]
fn a_recipient_who_is_served_again_or_none_any_more_is_shown_no_longer() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Refused);
    outage(&mut world, 60, 100);
    world.at(seconds(80), |world| world.unserved.clear());
    world.run_until(seconds(200));
    assert_eq!(refused(&world), Vec::<String>::new());

    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Refused);
    outage(&mut world, 60, 100);
    world.at(seconds(80), |world| {
        let mut without = inventory();
        without.recipients.remove(BOSS);
        world.reload(without);
    });
    world.run_until(seconds(200));
    assert_eq!(refused(&world), Vec::<String>::new());
    assert_eq!(said(&world), [Vec::<&str>::new(), vec![]]);
}

#[test]
fn a_recipient_who_is_deferred_gets_every_mail_later_and_the_others_get_each_once() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Deferred);
    outage(&mut world, 60, 100);
    world.at(seconds(75), World::kill);
    world.at(seconds(77), World::restart);
    world.at(seconds(90), |world| world.unserved.clear());

    world.run_until(seconds(300));

    let to = |who: &str| -> Vec<_> {
        let mails = world.mails.iter().filter(|mail| mail.to.contains(who));
        mails.map(|mail| mail.message.reason).collect()
    };
    assert_eq!((to(OPS), to(BOSS)), (vec![First, Resolved], vec![First, Resolved]));
    assert_eq!(refused(&world), Vec::<String>::new());
}

#[test]
fn a_recipient_who_is_deferred_for_long_keeps_nothing_from_the_others() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Deferred);
    outage(&mut world, 60, 100);
    world.at(seconds(400), |world| world.unserved.clear());
    let to = |world: &World, who: &str| -> Vec<_> {
        let mails = world.mails.iter().filter(|mail| mail.to.contains(who));
        mails.map(|mail| mail.message.reason).collect()
    };

    world.run_until(seconds(150));
    assert_eq!((to(&world, OPS), to(&world, BOSS)), (vec![First, Resolved], vec![]));
    assert_eq!(world.snapshot().backlog.waiting, 2, "the one who is deferred is owed both");

    world.run_until(seconds(900));
    assert_eq!(to(&world, OPS), [First, Resolved], "nobody gets a mail twice");
    assert_eq!(to(&world, BOSS).last(), Some(&Resolved), "what was owed does not end in an alarm that is over");
    assert_eq!(world.snapshot().backlog.waiting, 0);
}

#[test]
fn one_who_is_deferred_withholds_no_heartbeat_is_asked_ever_less_often_and_is_shown() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Deferred);
    outage(&mut world, 60, 3600);

    world.run_until(seconds(300));

    assert_eq!(world.heartbeat(), HeartbeatState::Sending, "somebody has got the mail");
    let deferred = world.snapshot().deferred.clone();
    let known: Vec<_> = deferred.iter().map(|known| (known.recipient.as_str(), known.waiting)).collect();
    assert_eq!(known, [(BOSS, 1)]);
    assert_eq!(world.snapshot().backlog.oldest, None, "nothing waits that nobody has got");
    let before = world.attempts;
    world.run_until(seconds(3500));
    let later = world.attempts - before;
    assert!((4..=16).contains(&later), "{later} attempts in the hour after the first five minutes");
    assert!(world.beats.iter().any(|beat| *beat > seconds(3490)));

    world.at(seconds(3550), |world| world.unserved.clear());
    world.run_until(seconds(5400));
    assert!(world.snapshot().deferred.is_empty());
    assert_eq!(world.snapshot().backlog.waiting, 0);
}

#[test]
fn when_nobody_gets_the_mail_the_heartbeat_is_withheld_and_the_relay_asked_every_half_minute() {
    let mut world = World::new();
    world.unserved.insert(BOSS, Unserved::Deferred);
    world.unserved.insert(OPS, Unserved::Deferred);
    outage(&mut world, 60, 3600);

    world.run_until(seconds(1200));

    assert_eq!(world.heartbeat(), HeartbeatState::MailStuck);
    assert!(world.attempts >= 36, "{}", world.attempts);
    assert!(world.snapshot().deferred.is_empty(), "it is not about one recipient");
}
