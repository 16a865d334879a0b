//! F59: addresses of a name that do not answer beside others that do.

use crate::model::inventory::Inventory;
use crate::model::rule::Level;
use crate::model::rule::RuleId::F59;

use super::fixture::{MUTE, REFUSED, Says, Seen, addresses, check_in, each, inventory, together};

/// `prod` with an API VIP that is connected to by a name.
fn named() -> Inventory {
    let mut inventory = inventory(2, 3);
    let vip = inventory.clusters.values_mut().next().unwrap().vip.as_mut().unwrap();
    vip.address = "api.test:6443".into();
    inventory
}

fn check(probes: &[(u64, Option<Seen>)], says: Says) {
    check_in(named(), probes, &[(F59, "prod/vip", says)]);
}

#[test]
fn one_dead_address_beside_a_living_one_is_a_warning_and_all_dead_ones_are_not_its_matter() {
    let probes = |answers| each(&[0, 250, 1250], addresses("prod/vip", answers));
    check(&probes(&[Ok(()), Err(MUTE)]), Says::Bad(Level::Warning, 130));
    check(&probes(&[Ok(()), Err(REFUSED), Err(MUTE)]), Says::Bad(Level::Warning, 130));
    check(&probes(&[Err(REFUSED), Err(MUTE)]), Says::Unclear);
    check(&probes(&[Ok(()), Ok(())]), Says::Good);
    check(&probes(&[]), Says::Good);
    check(&each(&[0, 250], addresses("prod/vip", &[Ok(()), Err(MUTE)])), Says::Suspected);
}

#[test]
fn an_address_that_left_the_name_is_over() {
    let dead = each(&[0, 250, 1250], addresses("prod/vip", &[Ok(()), Err(MUTE)]));
    let left = each(&[61_000], addresses("prod/vip", &[]));
    check(&together(&[dead, left]), Says::Good);
}

#[test]
fn a_probe_every_minute_speaks_until_three_were_missed_and_no_longer() {
    let last = |millis| together(&[each(&[0], addresses("prod/vip", &[Ok(()), Ok(())])), vec![(millis, None)]]);
    check(&last(59_000), Says::Good);
    check(&last(119_000), Says::Good);
    check(&last(181_000), Says::Stale);
}

#[test]
fn a_literal_address_has_no_such_subject() {
    let probes = each(&[0, 250, 1250], addresses("prod/vip", &[Ok(()), Err(MUTE)]));
    check_in(inventory(2, 3), &probes, &[(F59, "prod/vip", Says::Nothing)]);
}
