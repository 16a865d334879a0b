//! Families about probes: what the latest one shows of its subject. How long they took and how they ended is in
//! `tallied.rs`.

use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Unseen};
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::subject::Subject;

use super::family::{Family, flag, instant};
use super::fresh::is_fresh;
use super::sample::Labels;
use super::{Page, rounds};

/// HTTP status of shed load: the server works, and its health is unknown.
const TOO_MANY_REQUESTS: u16 = 429;
/// DNS response codes that are an answer: NOERROR and NXDOMAIN.
const RESOLVER_ANSWERS: [u16; 2] = [0, 3];

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut all = vec![last_probes(page)];
    all.extend(states(page));
    all
}

fn last_probes(page: Page<'_>) -> Family {
    let mut last = page.format.gauge(
        "vedette_last_probe_timestamp_seconds",
        "Scheduled start of the latest probe that ended. A status poll stands for all members of its etcd cluster.",
    );
    for (probe, observation) in observed(page) {
        last.sample(&asked(&probe.subject, probe.kind, probe.connection), instant(observation.scheduled.wall));
    }
    last
}

fn states(page: Page<'_>) -> [Family; 2] {
    let mut up = page.format.gauge(
        "vedette_instance_up",
        "Whether the latest probe got a response from the instance itself: a single sample, not the confirmed verdict \
         that vedette_incidents counts. Absent when unknown: no recent probe, a fault of vedette, or no network.",
    );
    let mut ready = page.format.gauge(
        "vedette_instance_ready",
        "Whether the instance reports itself ready. Absent when unknown: rejected (429), unauthorized, no recent probe.",
    );
    for (probe, observation) in observed(page).filter(|(_, observation)| is_fresh(page, observation)) {
        let labels = Labels::of(&probe.subject);
        match (probe.kind, probe.connection) {
            (ProbeKind::Readyz, Connection::New) => {
                let answered = answered(page, observation.outcome.as_ref().map(|_| ()));
                up.known(&labels, answered.map(flag));
                ready.known(&labels, readiness(observation).or(answered.filter(|answered| !answered)).map(flag));
            }
            (ProbeKind::Reference, _) => {
                up.known(&labels, answered(page, observation.outcome.as_ref().map(|_| ())).map(flag))
            }
            (ProbeKind::Resolver, _) => up.known(&labels, resolves(page, observation).map(flag)),
            (ProbeKind::EtcdStatus, _) => {
                for (member, answer) in rounds::statuses(observation) {
                    up.known(&Labels::of(&member), answered(page, answer.map(|_| ())).map(flag));
                }
            }
            (ProbeKind::EtcdHealth, _) => {
                for (member, answer) in rounds::healths(observation) {
                    up.known(&Labels::of(&member), answered(page, answer.map(|_| ())).map(flag));
                }
            }
            _ => {}
        }
    }
    [up, ready]
}

/// Whether there was an answer; `None` when the probe does not show it.
fn answered(page: Page<'_>, outcome: Result<(), &Unseen>) -> Option<bool> {
    match outcome {
        Ok(()) => Some(true),
        Err(unseen) => match unseen.cause {
            Cause::CredentialRejected
            | Cause::ClientCertificateRejected
            | Cause::TokenWithheld
            | Cause::NoCredential
            | Cause::WithoutTls
            | Cause::WithTls => Some(true),
            Cause::OwnCredential
            | Cause::OwnFault
            | Cause::ProxyDenied
            | Cause::ProxyLogin
            | Cause::ProxyDown
            | Cause::ProxyUnreachable
            | Cause::ProxySilent => None,
            Cause::Timeout
            | Cause::Refused
            | Cause::Reset
            | Cause::Closed
            | Cause::Unreachable
            | Cause::NoSuchName
            | Cause::ResolverFailed
            | Cause::TlsBroken
            | Cause::TlsAlert
            | Cause::ProtocolBroken
            | Cause::TooLarge
            | Cause::Unavailable
            | Cause::ServerError
            | Cause::ProxyTarget
            | Cause::Foreign => page.snapshot.isolated_since.is_none().then_some(false),
        },
    }
}

/// The readiness in the answer; `None` when there is no answer or it has none.
fn readiness(observation: &Observation) -> Option<bool> {
    match &observation.outcome {
        Ok(Reading::Health(health)) if health.status != TOO_MANY_REQUESTS => {
            Some(health.status == 200 && health.foreign.is_none())
        }
        _ => None,
    }
}

fn resolves(page: Page<'_>, observation: &Observation) -> Option<bool> {
    match &observation.outcome {
        Ok(Reading::Resolver(answer)) => Some(RESOLVER_ANSWERS.contains(&answer.rcode)),
        outcome => answered(page, outcome.as_ref().map(|_| ())),
    }
}

/// The latest probe of every probe, clusters first.
fn observed(page: Page<'_>) -> impl Iterator<Item = (&Probe, &Observation)> {
    let clusters = page.snapshot.clusters.values().flat_map(|cluster_snapshot| &cluster_snapshot.observations);
    clusters.chain(&page.snapshot.vantage).map(|(probe, observation)| (probe, observation.as_ref()))
}

pub(super) fn asked(subject: &Subject, kind: ProbeKind, connection: Connection) -> Labels {
    Labels::of(subject).with("probe", kind.as_str()).with("connection", connection.as_str())
}
