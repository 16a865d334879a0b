//! One plausible incident per rule, for tests of everything that stores, renders or sends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::certificate::{Class, Fingerprint, Trust};
use super::certificate_files::ItemKind;
use super::delivery::{Attempt, Unsent};
use super::etcd::{Apart, Apartness, Election, EtcdAlarmKind, Fill, Group, Mismatch};
use super::gap::{Gap, Single};
use super::health::Foreign;
use super::host_access::Hosts;
use super::incident::{Ending, Incident, IncidentId, Part, Told};
use super::inventory::{Own, OwnPart, Towards};
use super::links::Links;
use super::message::{Message, MessageId, ProbeLine};
use super::outlet::Outlet;
use super::phase::{Cause, Phase, Phases, Unseen};
use super::place::Place;
use super::probe::{Probe, ProbeKind};
use super::reason::MessageReason;
use super::recurrence::Before;
use super::replacement::Replacement;
use super::rule::{Level, RuleId};
use super::subject::Subject;
use super::time::UnixTime;
use super::verdict::{Anchor, Evidence, ExpiryThreshold, Extent, Finding, Symptom, Traffic, Untrusted};

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

fn about(rule: RuleId) -> (&'static str, Evidence) {
    let api = |name: &str| subject(&format!("prod-eu1/apiserver/{name}"));
    let member = |name: &str| subject(&format!("prod-eu1/etcd/etcd/{name}"));
    match rule {
        RuleId::F01 => (
            "prod-eu1/etcd/etcd",
            Evidence::Quorum {
                needed: 2,
                answering: vec![member("etcd-1")],
                silent: vec![(member("etcd-2"), REFUSED), (member("etcd-3"), MUTE)],
                leaderless: false,
                unwatched: 0,
            },
        ),
        RuleId::F02 => ("prod-eu1/etcd/etcd/etcd-2", Evidence::Silent { unseen: REFUSED, remaining: 2, of: 3 }),
        RuleId::F03 => (
            "prod-eu1/etcd/etcd",
            Evidence::Split {
                leader: "etcd-1".into(),
                term: 8,
                following: 2,
                of: 3,
                apart: vec![Apart { member: member("etcd-3"), how: Apartness::NoLeader { term: 7 } }],
            },
        ),
        RuleId::F05 => {
            let elected = |after: u64, term, leader: &str| Election {
                at: OPENED.plus(Duration::from_secs(after)),
                term,
                leader: leader.into(),
            };
            let latest = vec![elected(0, 8, "etcd-2"), elected(95, 9, "etcd-1"), elected(212, 11, "etcd-2")];
            ("prod-eu1/etcd/etcd", Evidence::Elections { count: 3, window: Duration::from_secs(900), latest })
        }
        RuleId::F08 => (
            "prod-eu1/etcd/etcd",
            Evidence::Quota(Fill {
                member: member("etcd-2"),
                size_bytes: 1_717_986_918,
                quota_bytes: 2_147_483_648,
                is_quota_told: true,
                in_use_bytes: Some(1_610_612_736),
                growth_per_hour: Some(62_914_560),
                full_in: Some(Duration::from_secs(24_576)),
                is_corrupt: false,
            }),
        ),
        RuleId::F51 => (
            "prod-eu1",
            Evidence::SinglePoints {
                points: vec![Single::EvenVoters { etcd: subject("prod-eu1/etcd/etcd"), voters: 4 }],
            },
        ),
        RuleId::F53 => (
            "prod-eu1",
            Evidence::Coverage {
                gaps: vec![
                    Gap::NeverSeen(vec![member("etcd-3")]),
                    Gap::NoListener(vec![subject("prod-eu1/etcd/etcd")]),
                    Gap::QuotaUnknown(subject("prod-eu1/etcd/etcd")),
                ],
            },
        ),
        RuleId::F55 => (
            "vantage/reference/gateway",
            Evidence::SilentReference {
                last: OPENED.plus(Duration::from_secs(610)),
                unseen: Some(MUTE),
                answered: Some(OPENED.minus(Duration::from_secs(10))),
                left: 2,
            },
        ),
        RuleId::F56 => {
            ("prod-eu1", Evidence::Hello { endpoints: vec![api("api-1"), subject("prod-eu1/vip")], of: 3, pairs: 3 })
        }
        RuleId::F60 => (
            "vantage/proxy/squid.example:3128",
            Evidence::Proxy {
                url: "http://USER:PASSWORD@squid.example:3128".into(),
                lost: vec![("prod-eu1".parse().unwrap(), Unseen { phase: Phase::Dial, cause: Cause::ProxyLogin })],
                of: 2,
            },
        ),
        RuleId::F04 => ("vantage", Evidence::Isolated { silent: 9, references: 2 }),
        RuleId::F09 => (
            "prod-eu1/etcd/etcd",
            Evidence::Alarm {
                kind: EtcdAlarmKind::NoSpace,
                raised_by: vec!["etcd-2".into()],
                db_size_bytes: Some(2_147_500_032),
                db_quota_bytes: Some(2_147_483_648),
                beside: Vec::new(),
            },
        ),
        RuleId::F10 => (
            "prod-eu1/etcd/etcd",
            Evidence::Alarm {
                kind: EtcdAlarmKind::Corrupt,
                raised_by: vec!["etcd-3".into()],
                db_size_bytes: None,
                db_quota_bytes: None,
                beside: vec![EtcdAlarmKind::NoSpace],
            },
        ),
        RuleId::F22 => (
            "prod-eu1/apiserver/api-2",
            Evidence::Partial { symptom: Symptom::Silent(REFUSED), ready: 1, of: 2, extent: Extent::Whole },
        ),
        RuleId::F23 => (
            "prod-eu1/vip",
            Evidence::Vip {
                symptom: Symptom::Silent(MUTE),
                ready: vec![api("api-1"), api("api-2")],
                reused_answers: false,
            },
        ),
        RuleId::F24 => (
            "prod-eu1",
            Evidence::AllBad {
                parts: vec![(api("api-1"), Symptom::Silent(REFUSED)), (api("api-2"), Symptom::Silent(REFUSED))],
            },
        ),
        RuleId::F25 => (
            "prod-eu1",
            Evidence::NotReady {
                parts: vec![(api("api-1"), vec!["etcd".into(), "etcd-readiness".into()])],
                of: 2,
                etcd_agrees: Some(true),
            },
        ),
        RuleId::F26 => (
            "prod-eu1/apiserver/api-1",
            Evidence::Expiry {
                fingerprint: Fingerprint([0x5a; 32]),
                holder: "CN=kube-apiserver".into(),
                issuer: "CN=kubernetes".into(),
                not_after: OPENED.minus(Duration::from_secs(3600)),
                band: ExpiryThreshold::Expired,
                class: Class::Manual,
                is_authority: false,
                trust: Trust::Expired,
                places: vec![api("api-1"), subject("prod-eu1/vip")],
                stored: vec!["/srv/pki/api-1/apiserver.crt".into()],
            },
        ),
        RuleId::F27 => (
            "prod-eu1/chain/unknown_authority",
            Evidence::Untrusted {
                parts: ["api-1", "api-2"]
                    .map(|name| Untrusted {
                        place: api(name),
                        expected: "10.0.0.11".into(),
                        holder: "CN=kube-apiserver".into(),
                        issuer: "CN=kubernetes".into(),
                        names: vec!["kubernetes.default.svc".into(), "10.0.0.11".into()],
                        not_before: OPENED.minus(Duration::from_secs(3600)),
                        fingerprint: Fingerprint([0x5b; 32]),
                    })
                    .into(),
                trusted: vec![Anchor { holder: "CN=kubernetes".into(), fingerprint: Fingerprint([0x7d; 32]) }],
            },
        ),
        RuleId::F28 => (
            "prod-eu1/stored/7c7c7c7c7c7c7c7c",
            Evidence::Stored {
                fingerprint: Fingerprint([0x7c; 32]),
                holder: "CN=vedette".into(),
                issuer: "CN=kubernetes".into(),
                not_after: OPENED.plus(Duration::from_secs(6 * 86_400)),
                band: ExpiryThreshold::Urgent,
                class: Class::Manual,
                kind: ItemKind::Client,
                own: Some(Box::new(Own { part: OwnPart::Client, towards: Towards::Apiservers })),
                paths: vec!["/etc/vedette/prod-eu1/client.crt".into()],
                more: 0,
                sources: Vec::new(),
                last_read: None,
                is_spare: false,
            },
        ),
        RuleId::F49 => (
            "prod-eu1",
            Evidence::Slow {
                parts: vec![(api("api-1"), Duration::from_millis(2340))],
                total: Duration::from_millis(2340),
                dominating: Some(Phase::FirstByte),
                traffic: Traffic::All,
                probes: 3,
                awaited: Vec::new(),
                slow: 1,
                of: 2,
            },
        ),
        RuleId::F50 => (
            "prod-eu1",
            Evidence::NotReady {
                parts: vec![(api("api-1"), vec!["kms-provider-0".into()])],
                of: 2,
                etcd_agrees: Some(true),
            },
        ),
        RuleId::F52 => (
            "prod-eu1/etcd/etcd/etcd-1",
            Evidence::Refused {
                unseen: Unseen { phase: Phase::Tls, cause: Cause::ClientCertificateRejected },
                own_flaw: None,
                by: Vec::new(),
                trust: None,
            },
        ),
        RuleId::F59 => (
            "prod-eu1/vip",
            Evidence::DeadAddresses { dead: vec![(std::net::Ipv4Addr::new(10, 0, 0, 31).into(), MUTE)], of: 3 },
        ),
        RuleId::F58 => (
            "prod-eu1",
            Evidence::Impostor {
                parts: vec![(api("api-1"), Symptom::Foreign { status: 200, page: Foreign::Html })],
                bad: 1,
                of: 2,
            },
        ),
        RuleId::F57 => (
            "prod-eu1/etcd/etcd",
            Evidence::Mismatch {
                found: vec![
                    Mismatch::SeveralClusters(
                        ["etcd-1", "etcd-2", "etcd-3"]
                            .map(|name| Group {
                                cluster_id: format!("e4a53b8bfba8c93{}", &name[5..]),
                                members: vec![member(name)],
                                is_led: true,
                            })
                            .into(),
                    ),
                    Mismatch::NotStarted { ids: vec!["8e9e05c52164694d".into()], voters: 2 },
                ],
                of: 3,
            },
        ),
        RuleId::F54 => (
            "prod-eu1/apiserver/api-1",
            Evidence::Stale {
                served: Fingerprint([0x5a; 32]),
                stored: Fingerprint([0x5b; 32]),
                path: "/srv/pki/api-1/apiserver.crt".into(),
                source: None,
                served_ends: OPENED.plus(Duration::from_secs(6 * 86_400)),
                stored_ends: OPENED.plus(Duration::from_secs(371 * 86_400)),
            },
        ),
    }
}

pub(crate) fn finding(rule: RuleId) -> Finding {
    let (subject, evidence) = about(rule);
    let level = match rule {
        RuleId::F51 | RuleId::F53 => Level::Info,
        RuleId::F02
        | RuleId::F03
        | RuleId::F05
        | RuleId::F08
        | RuleId::F22
        | RuleId::F25
        | RuleId::F27
        | RuleId::F28
        | RuleId::F49
        | RuleId::F50
        | RuleId::F52
        | RuleId::F54
        | RuleId::F55
        | RuleId::F56
        | RuleId::F58
        | RuleId::F59 => Level::Warning,
        RuleId::F01
        | RuleId::F04
        | RuleId::F09
        | RuleId::F10
        | RuleId::F23
        | RuleId::F24
        | RuleId::F26
        | RuleId::F57
        | RuleId::F60 => Level::Critical,
    };
    Finding {
        rule,
        subject: self::subject(subject),
        level,
        since: OPENED,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence,
    }
}

fn probes(rule: RuleId) -> Vec<ProbeLine> {
    let spent = |connect: u64, tls: Option<u64>, processing: Option<u64>| Phases {
        dial: Some(Duration::from_micros(connect)),
        tls: tls.map(Duration::from_micros),
        first_byte: processing.map(Duration::from_micros),
        ..Phases::default()
    };
    let line = |of: &str, kind: ProbeKind, phases: Phases, outcome: Result<&str, Unseen>, good: bool| ProbeLine {
        probe: Probe::anew(subject(of), kind),
        address: addresses().get(&subject(of)).cloned().unwrap_or_default(),
        at: OPENED.plus(Duration::from_secs(2)),
        phases,
        outcome: outcome.map(str::to_owned),
        good,
    };
    let answered = || spent(300, Some(2100), Some(900));
    let (refused, mute) = (spent(200, None, None), spent(1_000_000, None, None));
    let member = |n: u8, text: &str, good: bool| {
        line(&format!("prod-eu1/etcd/etcd/etcd-{n}"), ProbeKind::EtcdStatus, answered(), Ok(text), good)
    };
    let no_member = |n: u8, phases: Phases, unseen: Unseen| {
        line(&format!("prod-eu1/etcd/etcd/etcd-{n}"), ProbeKind::EtcdStatus, phases, Err(unseen), false)
    };
    let api = |of: &str, took: u64, text: &str| {
        let phases = spent(400, Some(3100), Some(took));
        line(&format!("prod-eu1/{of}"), ProbeKind::Readyz, phases, Ok(text), text == "HTTP 200")
    };
    let no_api = |of: &str, phases: Phases, unseen: Unseen| {
        line(&format!("prod-eu1/{of}"), ProbeKind::Readyz, phases, Err(unseen), false)
    };
    let healthy = |n: u8| member(n, "leader a1, term 8", true);
    match rule {
        RuleId::F04 | RuleId::F28 | RuleId::F51 | RuleId::F55 | RuleId::F60 => Vec::new(),
        RuleId::F01 => {
            vec![member(1, "no leader, term 7", false), no_member(2, refused, REFUSED), no_member(3, mute, MUTE)]
        }
        RuleId::F02 => vec![healthy(1), no_member(2, refused, REFUSED), healthy(3)],
        RuleId::F03 => vec![healthy(1), healthy(2), member(3, "no leader, term 9", false)],
        RuleId::F05 | RuleId::F08 => vec![healthy(1), healthy(2), healthy(3)],
        RuleId::F09 => [1, 2, 3].map(|n| member(n, "leader a1, term 8; NOSPACE", false)).into(),
        RuleId::F10 => vec![healthy(1), healthy(2), member(3, "leader a1, term 8; CORRUPT", false)],
        RuleId::F57 => vec![healthy(1), healthy(2), member(3, "leader c3, term 2", true)],
        RuleId::F53 => vec![healthy(1), healthy(2), no_member(3, mute, MUTE)],
        RuleId::F52 => vec![api("apiserver/api-1", 1200, "HTTP 401")],
        RuleId::F22 => vec![
            api("apiserver/api-1", 1200, "HTTP 200"),
            no_api("apiserver/api-2", refused, REFUSED),
            api("vip", 1300, "HTTP 200"),
        ],
        RuleId::F23 | RuleId::F59 => vec![
            api("apiserver/api-1", 1200, "HTTP 200"),
            api("apiserver/api-2", 1100, "HTTP 200"),
            no_api("vip", mute, MUTE),
        ],
        RuleId::F24 => vec![
            no_api("apiserver/api-1", refused, REFUSED),
            no_api("apiserver/api-2", refused, REFUSED),
            no_api("vip", mute, MUTE),
        ],
        RuleId::F25 => vec![
            api("apiserver/api-1", 2_100_000, "HTTP 500, failing checks: etcd"),
            api("apiserver/api-2", 1100, "HTTP 200"),
            healthy(1),
        ],
        RuleId::F49 => vec![api("apiserver/api-1", 1200, "HTTP 200"), api("apiserver/api-2", 1100, "HTTP 200")],
        RuleId::F50 => vec![
            api("apiserver/api-1", 1200, "HTTP 500, failing checks: kms-provider-0"),
            api("apiserver/api-2", 1100, "HTTP 200"),
        ],
        RuleId::F56 => vec![api("apiserver/api-1", 1200, "HTTP 200")],
        RuleId::F58 => vec![api("vip", 1300, "HTTP 200: an HTML page")],
        RuleId::F26 | RuleId::F27 | RuleId::F54 => {
            vec![api("apiserver/api-1", 1200, "HTTP 200"), api("apiserver/api-2", 1100, "HTTP 200")]
        }
    }
}

/// The same probes once all is well again.
fn recovered(rule: RuleId) -> Vec<ProbeLine> {
    let mut lines = probes(rule);
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

/// What is served or stored after a renewal.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other rules are about no certificate")]
fn replacements(rule: RuleId) -> Vec<Replacement> {
    let new = |place: Place, subject: &str, was: u8, fingerprint: u8| Replacement {
        place,
        subject: subject.into(),
        fingerprint: Fingerprint([fingerprint; 32]),
        not_after: OPENED.plus(Duration::from_secs(365 * 86_400)),
        was: Fingerprint([was; 32]),
    };
    let served = |of: &str, was: u8, fingerprint: u8| {
        new(Place::served(subject(&format!("prod-eu1/{of}"))), "CN=kube-apiserver", was, fingerprint)
    };
    match rule {
        RuleId::F26 => vec![served("apiserver/api-1", 0x5a, 0x6b), served("vip", 0x5a, 0x6b)],
        RuleId::F27 => vec![served("apiserver/api-1", 0x5b, 0x6c), served("apiserver/api-2", 0x5b, 0x6d)],
        RuleId::F28 => {
            vec![new(Place::file("/etc/vedette/prod-eu1/client.crt"), "CN=vedette", 0x7c, 0x7e)]
        }
        RuleId::F54 => {
            let not_after = OPENED.plus(Duration::from_secs(371 * 86_400));
            vec![Replacement { not_after, ..served("apiserver/api-1", 0x5a, 0x5b) }]
        }
        _ => Vec::new(),
    }
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
        id: IncidentId(format!("{:016x}", 0x4f2a_9c1d_u64 + u64::from(rule as u8))),
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
        probes: if incident.over.is_some() { recovered(rule) } else { probes(rule) },
        before: (rule == RuleId::F24).then(|| Before {
            opened: OPENED.minus(Duration::from_secs(2 * 86_400 + 120)),
            lasted: Duration::from_secs(244),
            recent: 3,
        }),
        replacements: if incident.over.is_some() { replacements(rule) } else { Vec::new() },
        vantage: "bastion-1".into(),
        caveats: Vec::new(),
        incident,
    }
}
