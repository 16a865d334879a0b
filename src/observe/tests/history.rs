//! What is counted of a probe.

use std::time::Duration;

use crate::model::fixture::{at, of};
use crate::model::health::Health;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::snapshot::ClusterSnapshot;
use crate::model::tally::Tally;
use crate::observe::history;

/// The counts after one probe of 2 ms to connect and 6 ms of TLS.
fn counted(kind: ProbeKind, outcome: Result<Reading, Unseen>) -> Tally {
    let subject = of("prod/apiserver/api-1");
    let mut phases = Phases::default();
    phases.record(Phase::Dial, Duration::from_millis(2));
    phases.record(Phase::Tls, Duration::from_millis(6));
    let mut cluster_snapshot = ClusterSnapshot::default();
    let observation = Observation {
        request: None,
        probe: Probe { subject: subject.clone(), kind, connection: Connection::New },
        scheduled: at(0),
        finished: at(8),
        phases,
        served: None,
        greeting: None,
        proves_path: false,
        outcome,
        own_flaw: None,
    };
    history::count(&mut cluster_snapshot, &observation);
    Tally::clone(&cluster_snapshot.tallies[&subject])
}

fn health(status: u16) -> Result<Reading, Unseen> {
    let (failing, listed) = (Vec::new(), 0);
    Ok(Reading::Health(Health { status, failing, listed, server_date: None, retry_after_secs: None, foreign: None }))
}

fn phases(tally: &Tally) -> Vec<Phase> {
    tally.phases().map(|(_, phase, _)| phase).collect()
}

#[test]
fn an_answer_counts_as_a_whole_and_in_each_phase_whatever_it_says() {
    for (status, outcome) in [(200, "ok"), (500, "not_ready")] {
        let tally = counted(ProbeKind::Readyz, health(status));

        let (_, distribution) = tally.durations().next().unwrap();
        assert_eq!(distribution.count(), 1, "{status}");
        assert!((distribution.sum() - 0.008).abs() < 1e-9, "{status}");
        assert_eq!(phases(&tally), [Phase::Dial, Phase::Tls], "{status}");
        assert_eq!(tally.endings().map(|(_, ended, times)| (ended, times)).collect::<Vec<_>>(), [(outcome, 1)]);
    }
}

#[test]
fn a_failure_counts_in_the_phases_that_it_reached_and_in_no_distribution() {
    let tally = counted(ProbeKind::Readyz, Err(Unseen { phase: Phase::Tls, cause: Cause::Timeout }));

    assert_eq!(tally.durations().count(), 0, "a failure is in no distribution");
    assert_eq!(phases(&tally), [Phase::Dial, Phase::Tls]);
}

#[test]
fn what_nobody_waits_for_has_no_distribution() {
    let tally = counted(ProbeKind::Livez, health(200));

    assert_eq!(tally.durations().count(), 0);
    assert_eq!(phases(&tally), [Phase::Dial, Phase::Tls]);
}
