//! Levels that the configuration changes.

use std::collections::BTreeMap;

use crate::model::inventory::Inventory;
use crate::model::rule::Level::{Critical, Info, Warning};
use crate::model::rule::RuleId::F22;
use crate::model::rule::{Level, RuleId};

use super::fixture::{Says, check_in, dead, each, inventory, name};

fn configured(everywhere: Option<Level>, here: Option<Level>, elsewhere: Option<Level>) -> Inventory {
    let changed =
        |level: Option<Level>| -> BTreeMap<RuleId, Level> { level.map(|level| (F22, level)).into_iter().collect() };
    let mut inventory = inventory(2, 3);
    let mut other = inventory.clusters[&name("prod")].clone();
    other.levels = changed(elsewhere);
    inventory.clusters.insert(name("test"), other);
    inventory.clusters.get_mut(&name("prod")).unwrap().levels = changed(here);
    Inventory { levels: changed(everywhere), ..inventory }
}

#[test]
fn a_level_of_the_cluster_outranks_a_level_for_all_and_that_the_default() {
    for (everywhere, here, elsewhere, expected) in [
        (None, None, None, Warning),
        (Some(Info), None, None, Info),
        (Some(Info), Some(Critical), None, Critical),
        (None, Some(Critical), None, Critical),
        (None, None, Some(Critical), Warning),
        (Some(Info), None, Some(Critical), Info),
    ] {
        let probes = each(&[0, 500, 1000], dead("prod/apiserver/api-1"));

        check_in(
            configured(everywhere, here, elsewhere),
            &probes,
            &[(F22, "prod/apiserver/api-1", Says::Bad(expected, 30))],
        );
    }
}
