//! One plausible incident for each rule, for tests of everything that stores, renders or sends. What a rule finds in it
//! is beside the rule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::judge;
use crate::model::certificate::Fingerprint;
use crate::model::delivery::{Attempt, Unsent};
use crate::model::host_access::Hosts;
use crate::model::incident::{Ending, Incident, IncidentId, Part, Told};
use crate::model::links::Links;
use crate::model::message::{Message, MessageId, ProbeLine};
use crate::model::outlet::Outlet;
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::place::Place;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::reason::MessageReason;
use crate::model::recurrence::Before;
use crate::model::replacement::Replacement;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::UnixTime;
use crate::model::verdict::{Evidence, Finding};

/// 2026-03-01T03:14:00Z.
pub(crate) const OPENED: UnixTime = UnixTime::from_secs(1_772_334_840);

pub(crate) const REFUSED: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };
pub(crate) const MUTE: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Timeout };

pub(crate) fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

pub(crate) fn addresses() -> BTreeMap<Subject, String> {
    [
        ("prod-eu1/vip", "10.0.0.10:6443"),
        ("prod-eu1/apiserver/api-1", "10.0.0.11:6443"),
        ("prod-eu1/apiserver/api-2", "[fd00::12]:6443"),
        ("prod-eu1/etcd/etcd/etcd-1", "10.0.0.21:2379"),
        ("prod-eu1/etcd/etcd/etcd-2", "10.0.0.22:2379"),
        ("prod-eu1/etcd/etcd/etcd-3", "10.0.0.23:2379"),
    ]
    .into_iter()
    .map(|(name, address)| (subject(name), address.to_owned()))
    .collect()
}

/// Hosts of kubeadm, where nothing shows them to be another's, and the leader of their etcd.
pub(crate) fn hosts() -> Hosts {
    Hosts { leaders: [subject("prod-eu1/etcd/etcd/etcd-1")].into(), ..Hosts::default() }
}

/// An apiserver of the cluster.
pub(crate) fn api(name: &str) -> Subject {
    subject(&format!("prod-eu1/apiserver/{name}"))
}

/// An etcd member of the cluster.
pub(crate) fn member(name: &str) -> Subject {
    subject(&format!("prod-eu1/etcd/etcd/{name}"))
}

/// What a rule finds, and what was probed around it.
pub struct Sample {
    subject: Subject,
    level: Level,
    evidence: Arc<dyn Evidence>,
    probes: Vec<ProbeLine>,
    replacements: Vec<Replacement>,
}

impl Sample {
    /// A finding about `about`.
    pub(crate) fn of(about: &str, level: Level, evidence: Arc<dyn Evidence>) -> Self {
        Self { subject: subject(about), level, evidence, probes: Vec::new(), replacements: Vec::new() }
    }

    /// The same with the latest probes.
    pub(crate) fn probes(self, probes: Vec<ProbeLine>) -> Self {
        Self { probes, ..self }
    }

    /// The same with what is served or stored after a renewal.
    pub(crate) fn replaced(self, replacements: Vec<Replacement>) -> Self {
        Self { replacements, ..self }
    }
}

/// The certificate of an endpoint that took the place of another one.
pub(crate) fn served(of: &str, was: u8, fingerprint: u8) -> Replacement {
    new(Place::served(subject(&format!("prod-eu1/{of}"))), "CN=kube-apiserver", was, fingerprint)
}

/// The certificate in `place` that took the place of another one.
pub(crate) fn new(place: Place, subject: &str, was: u8, fingerprint: u8) -> Replacement {
    Replacement {
        place,
        subject: subject.into(),
        fingerprint: Fingerprint([fingerprint; 32]),
        not_after: OPENED.plus(Duration::from_secs(365 * 86_400)),
        was: Fingerprint([was; 32]),
    }
}

pub(crate) fn finding(rule: RuleId) -> Finding {
    let Sample { subject, level, evidence, .. } = judge::rule(rule).sample();
    Finding { rule, subject, level, since: OPENED, hold: Duration::ZERO, path_unproven: false, evidence }
}

/// Latest probes of the cluster.
pub(crate) mod lines {
    use super::*;

    /// An answer of an etcd member.
    pub(crate) fn member(n: u8, text: &str, good: bool) -> ProbeLine {
        let phases = spent(300, Some(2100), Some(900));
        line(&format!("prod-eu1/etcd/etcd/etcd-{n}"), ProbeKind::EtcdStatus, phases, Ok(text), good)
    }

    /// A member that is well.
    pub(crate) fn healthy(n: u8) -> ProbeLine {
        member(n, "leader a1, term 8", true)
    }

    /// A member that gives no answer.
    pub(crate) fn no_member(n: u8, unseen: Unseen) -> ProbeLine {
        let phases = in_vain(unseen);
        line(&format!("prod-eu1/etcd/etcd/etcd-{n}"), ProbeKind::EtcdStatus, phases, Err(unseen), false)
    }

    /// An answer of an apiserver or of the API VIP, after `took` microseconds.
    pub(crate) fn api(of: &str, took: u64, text: &str) -> ProbeLine {
        let phases = spent(400, Some(3100), Some(took));
        line(&format!("prod-eu1/{of}"), ProbeKind::Readyz, phases, Ok(text), text == "HTTP 200")
    }

    /// An apiserver or API VIP that gives no answer.
    pub(crate) fn no_api(of: &str, unseen: Unseen) -> ProbeLine {
        line(&format!("prod-eu1/{of}"), ProbeKind::Readyz, in_vain(unseen), Err(unseen), false)
    }

    fn in_vain(unseen: Unseen) -> Phases {
        spent(if unseen == REFUSED { 200 } else { 1_000_000 }, None, None)
    }

    fn spent(connect: u64, tls: Option<u64>, processing: Option<u64>) -> Phases {
        Phases {
            dial: Some(Duration::from_micros(connect)),
            tls: tls.map(Duration::from_micros),
            first_byte: processing.map(Duration::from_micros),
            ..Phases::default()
        }
    }

    fn line(of: &str, kind: ProbeKind, phases: Phases, outcome: Result<&str, Unseen>, good: bool) -> ProbeLine {
        ProbeLine {
            probe: Probe::anew(subject(of), kind),
            address: addresses().get(&subject(of)).cloned().unwrap_or_default(),
            at: OPENED.plus(Duration::from_secs(2)),
            phases,
            outcome: outcome.map(str::to_owned),
            good,
        }
    }
}

/// The same probes once all is well again.
fn recovered(rule: RuleId) -> Vec<ProbeLine> {
    let mut lines = judge::rule(rule).sample().probes;
    for line in &mut lines {
        let text = if line.probe.kind == ProbeKind::EtcdStatus { "leader a1, term 8" } else { "HTTP 200" };
        line.at = OPENED.plus(Duration::from_secs(861));
        line.outcome = Ok(text.to_owned());
        line.good = true;
        line.phases.tls = Some(Duration::from_micros(2100));
        line.phases.first_byte = Some(Duration::from_micros(900));
        line.phases.dial = Some(Duration::from_micros(300));
    }
    lines
}

/// Changes what `finding` was raised on, which is a `K`.
pub(crate) fn change<K: Evidence + Clone>(finding: &mut Finding, change: impl FnOnce(&mut K)) {
    let mut evidence = finding.seen::<K>().unwrap().clone();
    change(&mut evidence);
    finding.evidence = Arc::new(evidence);
}

/// The incident of `rule`, and one consequence folded in where there is a natural one.
pub(crate) fn incident(rule: RuleId) -> Incident {
    let headline = finding(rule);
    let mut parts = vec![Part::of(headline.clone())];
    if rule == RuleId::F01 {
        parts.push(Part { follows: true, ..Part::of(finding(RuleId::F25)) });
        parts.push(Part {
            over: Some(OPENED.plus(Duration::from_secs(5))),
            follows: true,
            ..Part::of(finding(RuleId::F49))
        });
    }
    Incident {
        id: IncidentId(format!("{:016x}", 0x4f2a_9c00 + number(rule))),
        cluster: headline.subject.cluster().cloned(),
        opened: OPENED,
        level: headline.level,
        headline,
        cause: None,
        parts,
        told: Told::default(),
        silenced: None,
        over: None,
    }
}

/// The number in the rule's name: no other rule, older or newer, changes it.
fn number(rule: RuleId) -> u64 {
    rule.as_str().trim_start_matches('F').parse().unwrap()
}

/// The first attempt at a message on the incident of `rule`, by mail to two people.
pub(crate) fn attempt(rule: RuleId, reason: MessageReason) -> Attempt {
    let recipients = ["boss@example.org", "ops@example.org"].map(str::to_owned).into();
    Attempt::first(message(rule, reason), Outlet::Mail, recipients)
}

/// A message on the incident of `rule` that is owed to two people by mail.
pub(crate) fn unsent(rule: RuleId, reason: MessageReason) -> Unsent {
    let Attempt { message, outlet, recipients, .. } = attempt(rule, reason);
    Unsent::new(message, outlet, recipients)
}

/// A message on the incident of `rule`.
pub(crate) fn message(rule: RuleId, reason: MessageReason) -> Message {
    let mut incident = incident(rule);
    let (after, number) = match reason {
        MessageReason::First | MessageReason::Drill => (4, 1),
        MessageReason::CulpritFound => (34, 2),
        MessageReason::Escalated | MessageReason::CauseFound | MessageReason::Remains => (600, 2),
        MessageReason::Repeated => (4 * 3600, 2),
        MessageReason::Resolved => (863, 2),
        MessageReason::HappenedWhileMute => (863, 1),
    };
    if matches!(reason, MessageReason::Resolved | MessageReason::HappenedWhileMute) {
        let at = OPENED.plus(Duration::from_secs(845));
        incident.over = Some(Ending { at, withdrawn: false });
        incident.parts.iter_mut().for_each(|part| part.over = Some(part.over.unwrap_or(at)));
    }
    let id = |number: u32| MessageId(format!("{}.{number}", incident.id));
    Message {
        id: id(number),
        thread: id(1),
        reason,
        level: incident.level,
        composed: OPENED.plus(Duration::from_secs(after)),
        addresses: addresses(),
        hosts: hosts(),
        links: Links {
            status: Some("https://bastion-1.example.com:9876/?cluster=prod-eu1".into()),
            runbook: Some(format!("https://wiki.example.com/runbook#{rule}")),
            dashboard: None,
        },
        time_zone: None,
        probes: if incident.over.is_some() { recovered(rule) } else { judge::rule(rule).sample().probes },
        before: (rule == RuleId::F24).then(|| Before {
            opened: OPENED.minus(Duration::from_secs(2 * 86_400 + 120)),
            lasted: Duration::from_secs(244),
            recent: 3,
        }),
        replacements: if incident.over.is_some() { judge::rule(rule).sample().replacements } else { Vec::new() },
        vantage: "bastion-1".into(),
        caveats: Vec::new(),
        incident,
    }
}
