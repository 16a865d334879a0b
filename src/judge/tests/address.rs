//! F59: dead addresses of a name beside living ones.

use crate::model::inventory::Inventory;
use crate::model::rule::Level;
use crate::model::rule::RuleId::F59;

use super::stage::{MUTE, REFUSED, Says, Seen, addresses, check_in, each, inventory, together};

/// `prod` with a shared address that is dialled by a name.
fn named() -> Inventory {
    let mut inventory = inventory(2, 3);
    let vip = inventory.clusters.values_mut().next().unwrap().vip.as_mut().unwrap();
    vip.address = "api.test:6443".into();
    inventory
}

fn check(looks: &[(u64, Option<Seen>)], says: Says) {
    check_in(named(), looks, &[(F59, "prod/vip", says)]);
}

#[test]
fn one_dead_address_beside_a_living_one_is_a_warning_and_all_dead_ones_are_not_its_matter() {
    let looks = |answers| each(&[0, 250, 1250], addresses("prod/vip", answers));
    check(&looks(&[Ok(()), Err(MUTE)]), Says::Bad(Level::Warning, 130));
    check(&looks(&[Ok(()), Err(REFUSED), Err(MUTE)]), Says::Bad(Level::Warning, 130));
    check(&looks(&[Err(REFUSED), Err(MUTE)]), Says::Unclear);
    check(&looks(&[Ok(()), Ok(())]), Says::Good);
    check(&looks(&[]), Says::Good);
    check(&each(&[0, 250], addresses("prod/vip", &[Ok(()), Err(MUTE)])), Says::Suspected);
}

#[test]
fn an_address_that_left_the_name_is_over() {
    let dead = each(&[0, 250, 1250], addresses("prod/vip", &[Ok(()), Err(MUTE)]));
    let left = each(&[61_000], addresses("prod/vip", &[]));
    check(&together(&[dead, left]), Says::Good);
}

#[test]
fn a_look_every_minute_speaks_until_three_were_missed_and_no_longer() {
    let last = |millis| together(&[each(&[0], addresses("prod/vip", &[Ok(()), Ok(())])), vec![(millis, None)]]);
    check(&last(59_000), Says::Good);
    check(&last(119_000), Says::Good);
    check(&last(181_000), Says::Stale);
}

#[test]
fn a_literal_address_has_no_such_subject() {
    let looks = each(&[0, 250, 1250], addresses("prod/vip", &[Ok(()), Err(MUTE)]));
    check_in(inventory(2, 3), &looks, &[(F59, "prod/vip", Says::Nothing)]);
}
