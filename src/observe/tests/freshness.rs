//! How long a probe shows the present state: by its own interval, not by the longest or the shortest of all.

use std::time::Duration;

use crate::model::fixture::of;
use crate::model::policy::Policy;
use crate::observe::aspect::Aspect;

/// Sets an interval.
type Change = fn(&mut Policy, Duration);

#[test]
fn every_probe_speaks_for_three_of_its_own_intervals_whatever_the_others_are() {
    let minute = Duration::from_secs(60);
    let policy = |change: Change| {
        let mut policy = Policy::default();
        change(&mut policy, minute);
        policy
    };
    let cases: [(Aspect, &str, Change); 8] = [
        (Aspect::Answer, "prod/vip", |policy, minute| policy.vip_interval = minute),
        (Aspect::Answer, "prod/apiserver/api-1", |policy, minute| policy.readyz_interval = minute),
        (Aspect::Answer, "prod/etcd/main/etcd-1", |policy, minute| policy.etcd_status_interval = minute),
        (Aspect::Answer, "vantage/reference/relay", |policy, minute| policy.reference_interval = minute),
        (Aspect::Leader, "prod/etcd/main", |policy, minute| policy.etcd_status_interval = minute),
        (Aspect::Ordinary, "prod/vip", |policy, minute| policy.version_interval = minute),
        (Aspect::Read, "prod/etcd/main/etcd-1", |policy, minute| policy.etcd_read_interval = minute),
        (Aspect::Addresses, "prod/vip", |policy, minute| policy.etcd_tls_interval = minute),
    ];
    for (aspect, subject, change) in cases {
        assert_eq!(aspect.freshness(&of(subject), &policy(change)), minute * 3, "{aspect:?} of {subject}");
    }

    let slow_instances = policy(|policy, minute| policy.readyz_interval = minute);
    let vip = Aspect::Answer.freshness(&of("prod/vip"), &slow_instances);
    assert!(vip < minute, "what is looked at every 2 s is not fresh for {vip:?}");
}
