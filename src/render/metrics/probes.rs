//! Families about probes: what the latest one shows of its subject. How long they took and how they ended is in
//! `tallied.rs`.

use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Unseen};
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::subject::Subject;

use super::drawing::{Drawing, Scope};
use super::family::{Family, flag, instant};
use super::fresh::is_fresh;
use super::sample::Labels;
use super::{Page, rounds};

/// HTTP status of shed load: the server works, and its health is unknown.
const TOO_MANY_REQUESTS: u16 = 429;
/// DNS response codes that are an answer: NOERROR and NXDOMAIN.
const RESOLVER_ANSWERS: [u16; 2] = [0, 3];

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let last = page.format.gauge(
        "vedette_last_probe_timestamp_seconds",
        "Scheduled start of the latest probe that ended. A status poll stands for all members of its etcd cluster.",
    );
    let up = page.format.gauge(
        "vedette_instance_up",
        "Whether the latest probe got a response from the instance itself: a single sample, not the confirmed verdict \
         that vedette_incidents counts. Absent when unknown: no recent probe, a fault of vedette, or no network.",
    );
    let ready = page.format.gauge(
        "vedette_instance_ready",
        "Whether the instance reports itself ready. Absent when unknown: rejected (429), unauthorized, no recent probe.",
    );
    vec![last.by_scope(last_probes), up.by_scope(ups), ready.by_scope(readinesses)]
}

fn last_probes(scope: Scope<'_>, family: &mut Family) {
    for (probe, observation) in scope.observations() {
        family.sample(&asked(&probe.subject, probe.kind, probe.connection), instant(observation.scheduled.wall));
    }
}

fn ups(scope: Scope<'_>, family: &mut Family) {
    let page = scope.page;
    for (probe, observation) in fresh(scope) {
        let of_probe = |outcome: Option<bool>, family: &mut Family| {
            family.known(&Labels::of(&probe.subject), outcome.map(flag));
        };
        match (probe.kind, probe.connection) {
            (ProbeKind::Readyz, Connection::New) | (ProbeKind::Reference, _) => {
                of_probe(answered(page, observation.outcome.as_ref().map(|_| ())), family);
            }
            (ProbeKind::Resolver, _) => of_probe(resolves(page, observation), family),
            (ProbeKind::EtcdStatus, _) => {
                for (member, answer) in rounds::statuses(observation) {
                    family.known(&Labels::of(&member), answered(page, answer.map(|_| ())).map(flag));
                }
            }
            (ProbeKind::EtcdHealth, _) => {
                for (member, answer) in rounds::healths(observation) {
                    family.known(&Labels::of(&member), answered(page, answer.map(|_| ())).map(flag));
                }
            }
            _ => {}
        }
    }
}

fn readinesses(scope: Scope<'_>, family: &mut Family) {
    let exempt =
        fresh(scope).filter(|(probe, _)| (probe.kind, probe.connection) == (ProbeKind::Readyz, Connection::New));
    for (probe, observation) in exempt {
        let answered = answered(scope.page, observation.outcome.as_ref().map(|_| ()));
        let ready = readiness(observation).or(answered.filter(|answered| !answered));
        family.known(&Labels::of(&probe.subject), ready.map(flag));
    }
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

/// The latest probe of every probe, as far as it shows the present state.
fn fresh(scope: Scope<'_>) -> impl Iterator<Item = (&Probe, &Observation)> {
    let all = scope.observations().iter().map(|(probe, observation)| (probe, observation.as_ref()));
    all.filter(move |(_, observation)| is_fresh(scope.page, observation))
}

pub(super) fn asked(subject: &Subject, kind: ProbeKind, connection: Connection) -> Labels {
    Labels::of(subject).with("probe", kind.as_str()).with("connection", connection.as_str())
}
