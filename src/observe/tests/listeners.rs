//! etcd seen through metrics listeners: alone as a vote, beside the status as facts.

use std::sync::Arc;
use std::time::Duration;

use super::{at, inventory, name, of};
use crate::model::etcd::{
    Buckets, Condition, MemberAnswer, MemberFacts, MemberHealth, MemberMetrics, Quota, QuotaSource,
};
use crate::model::inventory::{Etcd, Inventory, MetricsListener};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::verdict::Symptom;
use crate::observe::assessment::Assessment;
use crate::observe::quorum::count_healths;
use crate::observe::view::View;

const MUTE: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
const REFUSED: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected };

fn round(said: &[Result<Condition, Unseen>]) -> Vec<MemberAnswer<MemberHealth>> {
    let answer = |(n, said): (usize, &Result<Condition, Unseen>)| MemberAnswer {
        member: name(&format!("etcd-{}", n + 1)),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: said.map(|condition| MemberHealth { condition, reason: None }),
    };
    said.iter().enumerate().map(answer).collect()
}

fn listening(is_metrics_only: bool) -> Inventory {
    let mut inventory = inventory(0, 3);
    let cluster = inventory.clusters.get_mut(&name("prod")).unwrap();
    let members = cluster.etcds[&name("main")].members.clone();
    let listener = MetricsListener { url: "http://10.0.0.1:2381".into(), is_tls: false };
    let listeners = members.keys().map(|member| (member.clone(), listener.clone())).collect();
    cluster.etcds.insert(name("main"), Etcd { members, listeners, is_metrics_only, ..Etcd::default() });
    inventory
}

#[test]
fn healthy_members_make_a_majority_and_others_do_not() {
    use Condition::{Alarmed, Corrupt, Full, Ill, Well};
    let bad = || Assessment::Bad(Symptom::Silent(Unseen { phase: Phase::FirstByte, cause: Cause::Unavailable }));
    let (good, open, raised) = (|| Assessment::Good, || Assessment::Unclear, || Assessment::Bad(Symptom::Status(0)));
    for (said, leader, alarm) in [
        ([Ok(Well), Ok(Well), Ok(Well)], Assessment::Good, [good(), good(), good()]),
        ([Ok(Well), Ok(Well), Err(MUTE)], Assessment::Good, [good(), good(), good()]),
        ([Ok(Well), Err(MUTE), Err(MUTE)], bad(), [open(), open(), open()]),
        ([Ok(Ill), Err(MUTE), Err(MUTE)], bad(), [open(), open(), open()]),
        ([Ok(Full), Ok(Full), Ok(Full)], Assessment::Good, [raised(), good(), good()]),
        ([Ok(Full), Ok(Ill), Ok(Ill)], bad(), [raised(), open(), open()]),
        ([Ok(Corrupt), Ok(Corrupt), Ok(Well)], Assessment::Unclear, [open(), raised(), open()]),
        ([Ok(Alarmed), Ok(Alarmed), Ok(Full)], Assessment::Unclear, [raised(), open(), raised()]),
        ([Err(REFUSED), Err(REFUSED), Ok(Well)], Assessment::Unclear, [open(), open(), open()]),
    ] {
        let counted = count_healths(&round(&said), |_| false);

        let alarms: Vec<Assessment> = counted.raised.into_values().collect();
        assert_eq!((counted.leader, alarms), (leader, alarm.to_vec()), "{said:?}");
    }
}

#[test]
fn a_learner_that_cannot_read_costs_no_leader() {
    let said = [Ok(Condition::Well), Ok(Condition::Ill), Ok(Condition::Ill)];

    let counted = count_healths(&round(&said), |member| *member != name("etcd-1"));

    assert_eq!((counted.leader, counted.voters), (Assessment::Good, 1));
}

#[test]
fn listeners_replace_probes_and_keep_the_budget() {
    for (is_metrics_only, kinds) in [
        (
            false,
            &[
                ProbeKind::EtcdStatus,
                ProbeKind::EtcdRead,
                ProbeKind::EtcdMembers,
                ProbeKind::EtcdMetrics,
                ProbeKind::Chain,
            ][..],
        ),
        (true, &[ProbeKind::EtcdHealth, ProbeKind::EtcdMetrics]),
    ] {
        let inventory = listening(is_metrics_only);
        let plan = Plan::new(&inventory, &Policy::default());

        let of_etcd = plan.probes().iter().filter(|line| line.probe.subject.component() == "etcd");
        let mut seen: Vec<_> = of_etcd.map(|line| line.probe.kind).collect();
        seen.sort_unstable();
        seen.dedup();
        let of_prod = |plan: &Plan| plan.rate(&Some(name("prod"))).requests;
        let others = of_prod(&Plan::new(&super::inventory(0, 0), &Policy::default()));

        assert_eq!(seen, kinds);
        assert!(of_prod(&plan) - others <= 0.5 * 3.0 + 1e-9);
    }
}

#[test]
fn two_pages_give_a_quota_and_the_slowest_of_a_hundred() {
    let mut view = View::new(Arc::new(listening(false)), Policy::default());
    let member = of("prod/etcd/main/etcd-1");
    let page = |count| MemberMetrics {
        db_quota_bytes: Some(4 << 20),
        wal_fsync: Some(Buckets { below: vec![(Duration::from_millis(8), count)], count }),
        ..MemberMetrics::default()
    };

    assert_eq!(view.facts(&member), MemberFacts::default());
    view.take(&Arc::new(pages(0, page(10))), at(5));
    assert!(view.facts(&member).slowest.is_none());
    view.take(&Arc::new(pages(30_000, page(110))), at(30_005));

    let facts = view.facts(&member);
    assert_eq!(facts.quota, Some(Quota { bytes: 4 << 20, source: QuotaSource::Metrics }));
    let slowest = facts.slowest.unwrap();
    assert_eq!((slowest.over, slowest.backend_commit), (Duration::from_secs(30), None));
    assert_eq!(slowest.wal_fsync, Some(Duration::from_micros(7920)));
}

#[test]
fn what_a_listener_told_ends_with_its_place() {
    let member = of("prod/etcd/main/etcd-1");
    let page = MemberMetrics { db_quota_bytes: Some(4 << 20), ..MemberMetrics::default() };
    for (port, stays) in [(2381, true), (2382, false)] {
        let mut view = View::new(Arc::new(listening(false)), Policy::default());
        view.take(&Arc::new(pages(0, page.clone())), at(5));
        let mut moved = listening(false);
        for etcd in moved.clusters.values_mut().flat_map(|cluster| cluster.etcds.values_mut()) {
            etcd.listeners.values_mut().for_each(|listener| listener.url = format!("http://10.0.0.1:{port}"));
        }

        view.replace(Arc::new(moved), Arc::new(Policy::default()), at(10).mono);

        assert_eq!(view.metrics(&member).is_some(), stays, "{port}");
        assert_eq!(view.facts(&member) != MemberFacts::default(), stays, "{port}");
        let cluster_snapshot = view.cluster_snapshot(&name("prod")).unwrap();
        assert_eq!(
            cluster_snapshot.observations.keys().any(|probe| probe.kind == ProbeKind::EtcdMetrics),
            stays,
            "{port}"
        );
    }
}

fn pages(millis: u64, page: MemberMetrics) -> Observation {
    let answer = MemberAnswer {
        member: name("etcd-1"),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(page),
    };
    Observation {
        request: None,
        probe: Probe::anew(of("prod/etcd/main"), ProbeKind::EtcdMetrics),
        scheduled: at(millis),
        finished: at(millis + 5),
        phases: Phases::default(),
        served: None,
        own_flaw: None,
        greeting: None,
        proves_path: true,
        outcome: Ok(Reading::EtcdMetrics(vec![answer])),
    }
}
