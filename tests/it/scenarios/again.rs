//! What a mail says of the past: what recovered, what replaced a certificate, and when the like happened before.

use std::time::Duration;

use vedette::model::place::Place;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::RuleId;

use super::world::{World, api, seconds};

#[test]
fn the_mail_of_a_renewed_certificate_names_the_new_one_wherever_it_is_served() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.expired.insert(api(1));
    });
    world.at(seconds(400), World::heal);

    world.run_until(seconds(900));

    assert_eq!(world.told(), [(RuleId::F26, First), (RuleId::F26, Resolved)]);
    let (first, resolved) = (&world.mails[0].message, &world.mails[1].message);
    assert_eq!(first.replacements, []);
    let places: Vec<&Place> = resolved.replacements.iter().map(|new| &new.place).collect();
    assert!(places.iter().any(|place| place.endpoint() == Some(&api(1))), "{places:?}");
    for new in &resolved.replacements {
        assert!(!new.is_unchanged() && new.was.0[0] == 1 && new.fingerprint.0[0] == 0, "{new:?}");
        assert!(new.not_after > resolved.composed.plus(Duration::from_secs(86_400)), "{new:?}");
    }
}

#[test]
fn the_second_outage_names_the_first_after_a_restart_as_well() {
    for is_restarted in [false, true] {
        let mut world = World::new();
        for start in [60, 600, 1200] {
            world.at(seconds(start), |world| {
                world.slay(&api(1));
                world.slay(&api(2));
            });
            world.at(seconds(start + 40), World::heal);
            if is_restarted {
                world.at(seconds(start + 200), World::kill);
                world.at(seconds(start + 210), World::restart);
            }
        }

        world.run_until(seconds(1500));

        let outage = [(RuleId::F24, First), (RuleId::F24, Resolved)];
        assert_eq!(world.told(), [outage, outage, outage].concat(), "restarted: {is_restarted}");
        let said: Vec<_> = world.mails.iter().map(|mail| mail.message.before).collect();
        assert_eq!(said[..2], [None, None], "restarted: {is_restarted}");
        for (at, recent) in [(2, 1), (3, 1), (4, 2), (5, 2)] {
            let before = said[at].expect("it happened before");
            let previous = &world.mails[at / 2 * 2 - 1].message;
            assert_eq!(before.opened, previous.incident.opened, "restarted: {is_restarted}");
            assert_eq!(Some(before.lasted), previous.lasted(), "restarted: {is_restarted}");
            assert_eq!(before.recent, recent, "restarted: {is_restarted}");
        }
    }
}
