//! Every rule as a table: probes in, verdicts out. Whole outages are in `tests/it/scenarios`.

mod address;
mod apiservers;
mod balancer;
mod canaries;
mod certificate_files;
mod clearing;
mod commands;
mod complete;
mod confirmation;
mod credential_rejected;
mod culprits_by_pages;
mod edges;
mod etcd;
mod etcd_membership;
mod etcd_partition;
mod fixture;
mod instances_alike;
mod leader_changes;
mod levels;
mod monitoring_gap;
mod not_an_apiserver;
mod overload;
mod pages;
mod partial;
mod quota;
mod redundancy;
mod slow;
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
