//! Snapshots in which one thing each is the matter, made from the specimen.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::judge::api_down::AllBad;
use crate::judge::isolated::Isolation;
use crate::judge::quorum::Quorum;
use crate::model::certificate::{Certificate, Served};
use crate::model::cost::Rate;
use crate::model::delivery::{Backlog, DeliveryFailure, FailureClass};
use crate::model::etcd::{MemberAnswer, MemberStatus, ReadAnswer};
use crate::model::incident::{Alarm, Ending, Incident, IncidentId, Part, Stage, Told};
use crate::model::observation::{Observation, Reading};
use crate::model::outlet::Outlet;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::recipient::{RefusedRecipient, Rejection};
use crate::model::reload::Refusal;
use crate::model::rule::{Level, RuleId};
use crate::model::silence::Silence;
use crate::model::snapshot::{ClusterSnapshot, HeartbeatState, Snapshot};
use crate::model::subject::Name;
use crate::model::time::Mono;
use crate::model::verdict::{Finding, Symptom};
use crate::render::fixture::{self, health, millis, name, now, observation, served, subject};

use super::{listeners, moved};

pub(super) fn all() -> Vec<(&'static str, Snapshot)> {
    vec![
        ("healthy", healthy()),
        ("specimen", fixture::snapshot()),
        ("outage", outage()),
        ("isolated", isolated()),
        ("starting", starting()),
        ("refused", refused()),
        ("copied", copied()),
        ("waiting", waiting()),
        ("listeners_alone", listeners::alone()),
        ("listeners_beside", listeners::beside()),
        ("silenced", silenced()),
        ("stale", stale()),
        ("mute", mute()),
    ]
}

/// Everything answers; one incident is over.
pub(super) fn healthy() -> Snapshot {
    let snapshot = fixture::snapshot();
    let over = Some(Ending { at: now().wall.minus(Duration::from_secs(600)), withdrawn: false });
    let ended = Incident { over, ..Incident::clone(&snapshot.incidents[0]) };
    let ended = Incident { opened: now().wall.minus(Duration::from_secs(1200)), ..ended };
    Snapshot {
        alarms: Vec::new(),
        incidents: vec![Arc::new(ended)],
        backlog: Backlog::default(),
        clusters: [(name("prod"), Arc::new(cluster_snapshot(&[0, 1, 2], true)))].into(),
        ..snapshot
    }
}

/// Two of three members are gone, and with them both apiservers.
pub(super) fn outage() -> Snapshot {
    let since = now().wall.minus(Duration::from_secs(90));
    let silent = Unseen { phase: Phase::Dial, cause: Cause::Refused };
    let quorum = Finding {
        evidence: Arc::new(Quorum {
            needed: 2,
            answering: vec![subject("prod/etcd/main/etcd-1")],
            silent: vec![(subject("prod/etcd/main/etcd-2"), silent), (subject("prod/etcd/main/etcd-3"), silent)],
            leaderless: false,
            unwatched: 0,
        }),
        ..fixture::finding(RuleId::F01, Level::Critical, "prod/etcd/main")
    };
    let symptom = Symptom::NotReady(vec!["etcd".to_owned()]);
    let parts = ["prod/apiserver/api-1", "prod/apiserver/api-2"].map(|part| (subject(part), symptom.clone()));
    let dead = Finding {
        evidence: Arc::new(AllBad { parts: parts.into() }),
        ..fixture::finding(RuleId::F24, Level::Critical, "prod")
    };
    let id = IncidentId("7c41".to_owned());
    let incident = Incident {
        id: id.clone(),
        cluster: Some(name("prod")),
        opened: since,
        headline: quorum.clone(),
        cause: None,
        parts: vec![Part::of(quorum.clone()), Part { follows: true, ..Part::of(dead.clone()) }],
        level: Level::Critical,
        told: Told {
            messages: 1,
            last: Some(since.plus(Duration::from_secs(4))),
            level: Some(Level::Critical),
            band: None,
            settled: None,
        },
        over: None,
        silenced: None,
    };
    let stage = Stage::Firing { since };
    let alarm = |finding: Finding| Arc::new(Alarm { finding, stage, incident: Some(id.clone()) });
    Snapshot {
        alarms: vec![alarm(quorum), alarm(dead)],
        incidents: vec![Arc::new(incident)],
        clusters: [(name("prod"), Arc::new(cluster_snapshot(&[0], false)))].into(),
        ..healthy()
    }
}

/// The outage of a whole site as probes show it: nothing answers, nothing refuses.
pub(super) fn silent() -> Snapshot {
    let mut snapshot = outage();
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&name("prod")]);
    let lost = Unseen { phase: Phase::Dial, cause: Cause::Timeout };
    for observation in cluster_snapshot.observations.values_mut() {
        let outcome = match &observation.outcome {
            Ok(Reading::EtcdStatus(answers)) => {
                let lost = answers.iter().map(|answer| MemberAnswer { answer: Err(lost), ..answer.clone() });
                Ok(Reading::EtcdStatus(lost.collect()))
            }
            _ => Err(lost),
        };
        *observation = Arc::new(Observation { outcome, ..Observation::clone(observation) });
    }
    snapshot.clusters.insert(name("prod"), Arc::new(cluster_snapshot));
    snapshot
}

fn isolated() -> Snapshot {
    let since = now().wall.minus(Duration::from_millis(60_250));
    let finding = Finding {
        since,
        evidence: Arc::new(Isolation { silent: 8, references: 2 }),
        ..fixture::finding(RuleId::F04, Level::Critical, "vantage")
    };
    let id = IncidentId("b11d".to_owned());
    let incident = Incident {
        id: id.clone(),
        cluster: None,
        opened: since,
        headline: finding.clone(),
        cause: None,
        parts: vec![Part::of(finding.clone())],
        level: Level::Critical,
        told: Told::default(),
        over: None,
        silenced: None,
    };
    let mut snapshot = outage();
    snapshot.alarms.push(Arc::new(Alarm { finding, stage: Stage::Firing { since }, incident: Some(id) }));
    snapshot.incidents.push(Arc::new(incident));
    Snapshot { isolated_since: Some(since), heartbeat: HeartbeatState::Isolated, ..snapshot }
}

fn starting() -> Snapshot {
    Snapshot {
        clusters: [(name("prod"), Arc::default())].into(),
        vantage: [].into(),
        is_first_round_done: false,
        store_works: None,
        clock_offset_millis: None,
        started: now().minus(millis(300)),
        incidents: Vec::new(),
        ..healthy()
    }
}

fn refused() -> Snapshot {
    let mut snapshot = healthy();
    snapshot.configured.refusals = 1;
    snapshot.configured.refused = Some(Refusal {
        at: now().wall.minus(Duration::from_secs(20)),
        mistakes: vec!["/etc/vedette/vedette.yaml:4:7: unknown key 'apiserver'; hint: apiservers".to_owned()],
    });
    snapshot
}

/// The file was unusable at the start: a copy of two days ago stands in.
fn copied() -> Snapshot {
    let mut snapshot = refused();
    snapshot.configured.at = now().wall.minus(Duration::from_secs(2 * 86_400));
    snapshot.configured.is_copy = true;
    snapshot
}

/// A reload brought what only a restart puts in force.
fn waiting() -> Snapshot {
    let mut snapshot = healthy();
    let remark = "'listen: 127.0.0.1:9900' takes a restart; until then 127.0.0.1:9876 answers".to_owned();
    snapshot.configured.replace(now().wall.minus(Duration::from_secs(30)), vec![remark]);
    snapshot
}

fn silenced() -> Snapshot {
    let silence = Silence {
        cluster: name("prod"),
        since: now().wall.minus(Duration::from_secs(300)),
        until: now().wall.plus(Duration::from_secs(6900)),
        comment: "upgrade to 1.36".to_owned(),
        author: "anna".to_owned(),
        include_outages: false,
    };
    Snapshot { silences: vec![silence], ..outage() }
}

/// The scheduler has stood still for 40 s.
fn stale() -> Snapshot {
    Snapshot { at: now().minus(Duration::from_secs(40)), ..healthy() }
}

/// Mail does not get out and the store fails.
fn mute() -> Snapshot {
    let failure = DeliveryFailure {
        class: FailureClass::Unreachable,
        text: "connecting to mail.example:25: connection refused".to_owned(),
    };
    Snapshot {
        backlog: Backlog {
            waiting: 2,
            oldest: Some(now().wall.minus(Duration::from_secs(70))),
            next_attempt: Some(Mono(now().mono.0 + Duration::from_secs(12))),
            last_failure: Some(failure),
        },
        refused: vec![RefusedRecipient {
            outlet: Outlet::Mail,
            rejection: Rejection {
                recipient: "boss@example.org".to_owned(),
                text: "550 5.1.1 no such user".to_owned(),
            },
            since: now().wall.minus(Duration::from_secs(130)),
            is_told: true,
        }],
        heartbeat: HeartbeatState::MailStuck,
        store_works: Some(false),
        ..outage()
    }
}

/// Texts that want to be more than text.
pub(super) fn hostile() -> Snapshot {
    let mut snapshot = outage();
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&name("prod")]);
    let mut bad = Served::clone(&served());
    let evil = Certificate {
        subject: "CN=<script>alert(1)</script>\u{202e}\u{1b}[31m\u{200b}\" onclick='x' 漢字漢字漢字".to_owned(),
        issuer: format!("CN={}", "漢".repeat(120)),
        ..Certificate::clone(&bad.chain[0])
    };
    bad.chain[0] = Arc::new(evil);
    cluster_snapshot.served.insert(subject("prod/vip"), (now().wall, Arc::new(bad)));
    let parts = ["</title><img src=x onerror=y>\u{7}", &"x".repeat(200)];
    let observation = observation(subject("prod/apiserver/api-1"), ProbeKind::Readyz, Ok(health(500, &parts)));
    cluster_snapshot.observations.insert(observation.probe.clone(), Arc::new(observation));
    snapshot.clusters.insert(name("prod"), Arc::new(cluster_snapshot));
    snapshot.refused = vec![RefusedRecipient {
        outlet: Outlet::Mail,
        rejection: Rejection { recipient: "<b>\u{202e}@x".into(), text: "550 <script>\r\n".into() },
        since: now().wall,
        is_told: false,
    }];
    snapshot.backlog = Backlog {
        waiting: 1,
        last_failure: Some(DeliveryFailure { class: FailureClass::Refused, text: "550 <b>\u{202e}no\r\n</b>".into() }),
        ..Backlog::default()
    };
    snapshot
}

/// The members' files fill this share of their quota.
pub(super) fn filled(percent: u64) -> Snapshot {
    let mut snapshot = healthy();
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&name("prod")]);
    let (probe, round) = cluster_snapshot
        .observations
        .iter()
        .find(|(probe, _)| probe.kind == ProbeKind::EtcdStatus)
        .map(|(probe, observation)| (probe.clone(), Observation::clone(observation)))
        .unwrap();
    let Ok(Reading::EtcdStatus(mut answers)) = round.outcome else { panic!("no round of statuses") };
    for answer in &mut answers {
        let status = answer.answer.as_mut().unwrap();
        status.db_quota_bytes = Some(2 << 30);
        status.db_size_bytes = (2 << 30) / 100 * percent + 100;
    }
    let round = Observation { outcome: Ok(Reading::EtcdStatus(answers)), ..fixture::round() };
    cluster_snapshot.observations.insert(probe, Arc::new(round));
    snapshot.clusters.insert(name("prod"), Arc::new(cluster_snapshot));
    snapshot
}

/// Clusters of these numbers, each in the state of `snapshot`'s only one.
pub(super) fn many(numbers: Range<usize>, snapshot: &Snapshot) -> Snapshot {
    let mut all = Snapshot { alarms: Vec::new(), incidents: Vec::new(), ..snapshot.clone() };
    let mut inventory = fixture::inventory();
    let known = inventory.clusters.remove(&name("prod")).unwrap();
    all.clusters.clear();
    for number in numbers {
        let to = name(&format!("c-{number:04}"));
        inventory.clusters.insert(to.clone(), known.clone());
        all.clusters.insert(to.clone(), Arc::new(moved_snapshot(&snapshot.clusters[&name("prod")], &to)));
        let finding = |finding: &Finding| Finding { subject: moved(&finding.subject, &to), ..finding.clone() };
        all.alarms.extend(snapshot.alarms.iter().map(|alarm| {
            let incident = Some(IncidentId(to.to_string()));
            Arc::new(Alarm { finding: finding(&alarm.finding), incident, ..Alarm::clone(alarm) })
        }));
        all.incidents.extend(snapshot.incidents.iter().map(|incident| {
            let parts = incident.parts.iter().map(|part| Part { finding: finding(&part.finding), ..part.clone() });
            Arc::new(Incident {
                id: IncidentId(to.to_string()),
                cluster: Some(to.clone()),
                headline: finding(&incident.headline),
                parts: parts.collect(),
                ..Incident::clone(incident)
            })
        }));
    }
    all.inventory = Arc::new(inventory);
    all
}

fn moved_snapshot(cluster_snapshot: &ClusterSnapshot, to: &Name) -> ClusterSnapshot {
    let observations = cluster_snapshot.observations.values().map(|observation| {
        let probe = Probe { subject: moved(&observation.probe.subject, to), ..observation.probe.clone() };
        (probe.clone(), Arc::new(Observation { probe, ..Observation::clone(observation) }))
    });
    let served = cluster_snapshot.served.iter().map(|(subject, seen)| (moved(subject, to), seen.clone()));
    ClusterSnapshot { observations: observations.collect(), served: served.collect(), ..cluster_snapshot.clone() }
}

/// A whole round of probes. `answering` members of etcd answer; the apiservers are ready or name etcd as failing.
fn cluster_snapshot(answering: &[usize], is_ready: bool) -> ClusterSnapshot {
    let silent = Unseen { phase: Phase::Dial, cause: Cause::Refused };
    let mut observations: Vec<Observation> = Vec::new();
    for target in ["prod/vip", "prod/apiserver/api-1", "prod/apiserver/api-2"] {
        let readyz = if is_ready { health(200, &[]) } else { health(500, &["etcd", "etcd-readiness"]) };
        observations.push(observation(subject(target), ProbeKind::Readyz, Ok(readyz)));
        let version = crate::model::health::Version {
            status: 200,
            git_version: Some("v1.36.2".to_owned()),
            server_date: None,
            retry_after_secs: None,
            foreign: None,
        };
        observations.push(reused(observation(subject(target), ProbeKind::Version, Ok(Reading::Version(version)))));
        if target != "prod/vip" {
            observations.push(reused(observation(subject(target), ProbeKind::Livez, Ok(health(200, &[])))));
        }
    }
    let Ok(Reading::EtcdStatus(mut statuses)) = fixture::round().outcome else { panic!("no round of statuses") };
    let good: MemberStatus = statuses[0].answer.clone().unwrap();
    for (number, answer) in statuses.iter_mut().enumerate() {
        let id = number as u64 + 1;
        let leader = (answering.len() > 1).then_some(1);
        let status = MemberStatus {
            member_id: id,
            leader,
            db_quota_bytes: Some(2_147_483_648),
            alarms: Vec::new(),
            ..good.clone()
        };
        answer.answer = if answering.contains(&number) { Ok(status) } else { Err(silent) };
    }
    let etcd = || subject("prod/etcd/main");
    let reads = answers(&statuses, |number| {
        let unavailable = Unseen { phase: Phase::FirstByte, cause: Cause::Unavailable };
        if answering.len() < 2 && answering.contains(&number) {
            Err(unavailable)
        } else if answering.contains(&number) {
            Ok(ReadAnswer { revision: Some(900) })
        } else {
            Err(silent)
        }
    });
    let listed = answers(&statuses, |number| if answering.contains(&number) { Ok(Vec::new()) } else { Err(silent) });
    let alarms = answers(&statuses, |number| if answering.contains(&number) { Ok(Vec::new()) } else { Err(silent) });
    for (kind, reading) in [
        (ProbeKind::EtcdStatus, Reading::EtcdStatus(statuses)),
        (ProbeKind::EtcdRead, Reading::EtcdRead(reads)),
        (ProbeKind::EtcdMembers, Reading::EtcdMembers(listed)),
        (ProbeKind::EtcdAlarms, Reading::EtcdAlarms(alarms)),
    ] {
        observations.push(reused(observation(etcd(), kind, Ok(reading))));
    }
    for number in 1..=3 {
        let member = subject(&format!("prod/etcd/main/etcd-{number}"));
        observations.push(observation(member, ProbeKind::Chain, Ok(Reading::Chain)));
    }
    let seen = now().wall.minus(millis(2000));
    let places = ["prod/vip", "prod/apiserver/api-1", "prod/apiserver/api-2"];
    ClusterSnapshot {
        observations: observations
            .into_iter()
            .map(|observation| (observation.probe.clone(), Arc::new(observation)))
            .collect(),
        served: places.map(|place| (subject(place), (seen, Arc::new(served())))).into(),
        planned: Rate { requests: 2.5, ..Rate::default() },
        ..ClusterSnapshot::default()
    }
}

fn reused(mut observation: Observation) -> Observation {
    observation.probe.connection = Connection::Reused;
    observation
}

fn answers<T>(
    like: &[MemberAnswer<MemberStatus>],
    answer: impl Fn(usize) -> Result<T, Unseen>,
) -> Vec<MemberAnswer<T>> {
    like.iter()
        .enumerate()
        .map(|(number, known)| MemberAnswer {
            member: known.member.clone(),
            sent_after: known.sent_after,
            phases: known.phases,
            answer: answer(number),
        })
        .collect()
}
