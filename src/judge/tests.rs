//! Every rule as a table: probes in, verdicts out. Whole outages are in `tests/it/scenarios`.

mod address;
mod apiservers;
mod clearing;
mod commands;
mod complete;
mod confirmation;
mod coverage;
mod edges;
mod etcd;
mod fixture;
mod flapping;
mod foreign;
mod levels;
mod mismatch;
mod partial;
mod quota;
mod refused;
mod single;
mod slow;
mod split;
mod stored;
mod untrusted;
mod vantage;

use crate::model::rule::RuleId;

use super::RULES;

#[test]
fn the_table_holds_every_rule_once_in_the_order_of_their_names() {
    let ids: Vec<RuleId> = RULES.iter().map(|rule| rule.id()).collect();

    assert_eq!(ids, RuleId::ALL);
}
