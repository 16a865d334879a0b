//! Hand-made model values for tests of everything that shows them: one cluster in which something of each kind
//! happened.
//!
//! `prod` has a VIP, two instances and three etcd members. `api-2` names failing parts, `etcd-3` times out, `etcd-2`
//! reported NOSPACE, and the served chain has a leaf, an intermediate and a root that ends first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::judge::member_down::MemberSilent;
use crate::model::apiserver_metrics::{ApiserverMetrics, Counter, Seats};
use crate::model::certificate::{Certificate, Class, Fingerprint, Served, Trust};
use crate::model::certificate_files::{FileFault, FilesReading, Item, ItemKind, Life, SourceReading, StoredFile};
use crate::model::cost::Rate;
use crate::model::delivery::{Backlog, FailureClass};
use crate::model::etcd::{
    EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberFacts, MemberStatus, Quota, QuotaSource, Slowest,
};
use crate::model::flag_differences::{FlagDifference, ZpageFacts};
use crate::model::flow_control::{LoadFacts, PriorityLevel, PriorityLevels, SeatUse, Sender, Share, Suspect};
use crate::model::health::Health;
use crate::model::incident::{Alarm, Incident, IncidentId, Part, Stage, Told};
use crate::model::inventory::{Cluster, Endpoint, Etcd, Inventory, Reference};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::{Connection, Probe, ProbeId, ProbeKind};
use crate::model::reload::Configured;
use crate::model::rule::{Level, RuleId};
use crate::model::snapshot::{ClusterSnapshot, Counters, HeartbeatState, Snapshot};
use crate::model::subject::{Name, Subject};
use crate::model::tally::{Asked, Tally};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::vantage::{OwnClock, ResolverAnswer};
use crate::model::verdict::Finding;
use crate::model::zpages::Statusz;
use crate::samples;

const DAY: Duration = Duration::from_secs(86_400);

/// 2026-11-20T12:00:00.250Z, one hour after the start of the process.
pub(crate) fn now() -> Now {
    Now { wall: UnixTime::from_millis(1_795_176_000_250), mono: Mono(Duration::from_secs(3600)) }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const TIMEOUT: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Timeout };

pub(crate) fn inventory() -> Inventory {
    let endpoint = |address: &str| Endpoint {
        address: address.to_owned(),
        server_name: address.to_owned(),
        is_loopback: false,
        certificates: Class::Manual,
    };
    let member = |number: u8| (name(&format!("etcd-{number}")), endpoint(&format!("10.0.0.2{number}:2379")));
    let instance = |number: u8| (name(&format!("api-{number}")), endpoint(&format!("10.0.0.1{number}:6443")));
    let reference =
        |text: &str, address: &str| Reference { name: name(text), address: address.to_owned(), is_loopback: false };
    let prod = Cluster {
        vip: Some(endpoint("10.0.0.10:6443")),
        apiservers: [instance(1), instance(2)].into(),
        etcds: [(name("main"), Etcd { members: [member(1), member(2), member(3)].into(), ..Etcd::default() })].into(),
        ..Cluster::default()
    };
    Inventory {
        vantage: "bastion-1".to_owned(),
        clusters: [(name("prod"), prod)].into(),
        references: vec![reference("relay", "192.0.2.25:25")],
        resolvers: vec![reference("192.0.2.53:53", "192.0.2.53:53")],
        mails: true,
        heartbeat: true,
        ..Inventory::default()
    }
}

/// A probe that was due 2 s before [`now`].
pub(crate) fn observation(subject: Subject, kind: ProbeKind, outcome: Result<Reading, Unseen>) -> Observation {
    let scheduled = now().minus(Duration::from_secs(2));
    Observation {
        request: Some(ProbeId(7)),
        probe: Probe { subject, kind, connection: Connection::New },
        scheduled,
        finished: scheduled.plus(millis(9)),
        phases: Phases {
            dial: Some(millis(1)),
            tls: Some(Duration::from_micros(4600)),
            first_byte: Some(millis(2)),
            body: Some(Duration::from_micros(40)),
            resolve: None,
        },
        served: None,
        own_flaw: None,
        greeting: None,
        proves_path: true,
        outcome,
    }
}

pub(crate) fn health(status: u16, failing: &[&str]) -> Reading {
    let failing = failing.iter().map(|part| (*part).to_owned()).collect();
    Reading::Health(Health { status, failing, listed: 40, server_date: None, retry_after_secs: None, foreign: None })
}

pub(crate) fn served() -> Served {
    let certificate = |number: u8, is_self_issued: bool, days: u32| {
        Arc::new(Certificate {
            fingerprint: Fingerprint([number; 32]),
            subject: format!("CN=subject-{number}"),
            issuer: "CN=issuer".to_owned(),
            serial: "0badcafe".to_owned(),
            not_before: UnixTime::from_secs(1_763_640_000),
            not_after: now().wall.plus(DAY * days),
            names: vec!["api.secret.example".to_owned()],
            is_ca: number > 1,
            is_self_issued,
            key: None,
        })
    };
    Served {
        chain: vec![certificate(1, false, 40), certificate(2, false, 400), certificate(3, true, 20)],
        unreadable: 0,
        trust: Trust::Trusted,
        client_authorities: 1,
        path: None,
        trusted: Vec::new(),
    }
}

fn status(id: u64, leader: Option<u64>) -> MemberStatus {
    let alarm = EtcdAlarm { member_id: 2, kind: EtcdAlarmKind::NoSpace };
    MemberStatus {
        version: "3.6.16".to_owned(),
        cluster_id: 9,
        member_id: id,
        leader,
        raft_term: 3,
        raft_index: 1200,
        raft_applied_index: Some(1200),
        revision: 900,
        db_size_bytes: 20_971_520 + id,
        db_in_use_bytes: Some(8_388_608),
        db_quota_bytes: (id == 2).then_some(2_147_483_648),
        is_learner: false,
        storage_version: None,
        downgrade: None,
        alarms: if id == 2 { vec![alarm] } else { Vec::new() },
        errors: Vec::new(),
    }
}

fn answer(number: u64, answer: Result<MemberStatus, Unseen>) -> MemberAnswer<MemberStatus> {
    let spent = Some(millis(number));
    let phases = match answer {
        Ok(_) => Phases { first_byte: spent, ..Phases::default() },
        Err(_) => Phases { dial: Some(millis(1000)), ..Phases::default() },
    };
    MemberAnswer { member: name(&format!("etcd-{number}")), sent_after: millis(1), phases, answer }
}

/// The round of statuses: two of three answer, `etcd-1` leads.
pub(crate) fn round() -> Observation {
    let answers = vec![answer(1, Ok(status(1, Some(1)))), answer(2, Ok(status(2, Some(1)))), answer(3, Err(TIMEOUT))];
    let mut round = observation(subject("prod/etcd/main"), ProbeKind::EtcdStatus, Ok(Reading::EtcdStatus(answers)));
    round.phases = Phases::default();
    round
}

/// Everything seen, in the order a person would list it.
pub(crate) fn observations() -> Vec<Observation> {
    let mut vip = observation(subject("prod/vip"), ProbeKind::Readyz, Ok(health(200, &[])));
    vip.served = Some(Arc::new(served()));
    let mut reused = observation(
        subject("prod/apiserver/api-1"),
        ProbeKind::Version,
        Err(Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected }),
    );
    reused.probe.connection = Connection::Reused;
    let resolver = ResolverAnswer { rcode: 0, addresses: 1 };
    let clock = OwnClock { is_synchronised: false, max_error: Duration::from_secs(16) };
    let mut all = vec![
        vip,
        observation(subject("prod/apiserver/api-1"), ProbeKind::Readyz, Ok(health(200, &[]))),
        reused,
        observation(subject("prod/apiserver/api-2"), ProbeKind::Readyz, Ok(health(500, &["etcd", "informer-sync"]))),
        round(),
        observation(subject("vantage/reference/relay"), ProbeKind::Reference, Ok(Reading::Reference)),
        observation(subject("vantage/resolver/192.0.2.53:53"), ProbeKind::Resolver, Ok(Reading::Resolver(resolver))),
        observation(Subject::Vantage, ProbeKind::OwnClock, Ok(Reading::OwnClock(clock))),
    ];
    for own in &mut all[5..] {
        own.phases = Phases { dial: Some(millis(3)), ..Phases::default() };
    }
    all[7].phases = Phases::default();
    all
}

pub(crate) fn finding(rule: RuleId, level: Level, about: &str) -> Finding {
    Finding {
        rule,
        subject: subject(about),
        level,
        since: now().wall.minus(Duration::from_secs(90)),
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: if rule == RuleId::F02 {
            Arc::new(MemberSilent { unseen: TIMEOUT, remaining: 2, of: 3 })
        } else {
            samples::finding(rule).evidence
        },
    }
}

fn alarm(finding: Finding, stage: Stage) -> Alarm {
    Alarm { finding, stage, incident: Some(IncidentId("4f2a".to_owned())) }
}

fn incident() -> Incident {
    let headline = finding(RuleId::F02, Level::Warning, "prod/etcd/main/etcd-3");
    Incident {
        id: IncidentId("4f2a".to_owned()),
        cluster: Some(name("prod")),
        opened: headline.since,
        parts: vec![Part::of(headline.clone())],
        headline,
        cause: None,
        level: Level::Warning,
        told: Told { messages: 1, last: None, level: Some(Level::Warning), band: None, settled: None },
        silenced: None,
        over: None,
    }
}

/// The whole in which no certificate has an end.
#[cfg(test)]
pub(crate) fn endless() -> Snapshot {
    let mut snapshot = snapshot();
    for cluster_snapshot in snapshot.clusters.values_mut() {
        let cluster_snapshot = Arc::make_mut(cluster_snapshot);
        for (_, served) in cluster_snapshot.served.values_mut() {
            let chain = &mut Arc::make_mut(served).chain;
            chain.iter_mut().for_each(|certificate| Arc::make_mut(certificate).not_after = UnixTime::NO_END);
        }
        cluster_snapshot.stored = Some((now().wall, Arc::new(stored_until(UnixTime::NO_END))));
    }
    snapshot.stored = None;
    snapshot
}

/// A source that was read, and one that could not be.
fn stored() -> FilesReading {
    stored_until(served().leaf().expect("the specimen serves a leaf").not_after)
}

/// One certificate in the file at `path`.
#[cfg(test)]
pub(crate) fn stored_in(path: &str) -> FilesReading {
    let mut reading = stored();
    let mut source = reading.sources.remove(1);
    let file = StoredFile { path: path.into(), ..StoredFile::clone(&source.files[0]) };
    source.files = [Arc::new(file)].into();
    FilesReading::new(vec![source])
}

/// A CA in the file at `path`.
#[cfg(test)]
pub(crate) fn authority_in(path: &str) -> FilesReading {
    let mut source = stored_in(path).sources.remove(0);
    let file = &source.files[0];
    let authority = |item: &Item| Item { kind: ItemKind::Authority, holder: "CN=kubernetes".into(), ..item.clone() };
    let items: Vec<Item> = file.items.iter().map(authority).collect();
    source.files = [Arc::new(StoredFile { items: items.into(), ..StoredFile::clone(file) })].into();
    FilesReading::new(vec![source])
}

fn stored_until(end: UnixTime) -> FilesReading {
    let leaf = Arc::clone(served().leaf().expect("the specimen serves a leaf"));
    let item = Item {
        fingerprint: leaf.fingerprint,
        identity: leaf.identity(),
        life: Some(Life { not_after: end, not_before: leaf.not_before }),
        holder: leaf.subject.as_str().into(),
        issuer: leaf.issuer.as_str().into(),
        key: None,
        position: 1,
        kind: ItemKind::Leaf,
    };
    let file = StoredFile { path: "/srv/pki/apiserver.crt".into(), items: [item].into(), fault: None, damaged: 0 };
    let source =
        |named: &str, files, fault| SourceReading { name: name(named), files, fault, looked_at: 2, left_out: 0 };
    FilesReading::new(vec![
        source("srv-pki", [Arc::new(file)].into(), None),
        source("own-etcd-main-client", Arc::default(), Some(FileFault::Missing)),
    ])
}

fn facts() -> MemberFacts {
    MemberFacts {
        quota: Some(Quota { bytes: 2_147_483_648, source: QuotaSource::Metrics }),
        slowest: Some(Slowest {
            over: millis(30_000),
            wal_fsync: Some(millis(7)),
            backend_commit: Some(millis(12)),
            peer_round_trip: None,
        }),
    }
}

fn cluster_snapshot() -> ClusterSnapshot {
    let of_prod = |observation: &Observation| observation.probe.subject.cluster().is_some();
    ClusterSnapshot {
        observations: observations()
            .into_iter()
            .filter(of_prod)
            .map(|observation| (observation.probe.clone(), Arc::new(observation)))
            .collect(),
        served: [(subject("prod/vip"), (now().wall.minus(millis(2000)), Arc::new(served())))].into(),
        stored: Some((now().wall.minus(millis(9000)), Arc::new(stored()))),
        members: [(subject("prod/etcd/main/etcd-2"), facts())].into(),
        tallies: [(subject("prod/apiserver/api-1"), Arc::new(tally()))].into(),
        load: LoadFacts::default(),
        zpages: ZpageFacts::default(),
        planned: Rate { requests: 2.5, connections: 1.5, bytes: 65_536.0 },
    }
}

fn tally() -> Tally {
    let (new, reused) = (Connection::New, Connection::Reused);
    let readyz = Asked { kind: ProbeKind::Readyz, connection: new };
    let livez = Asked { kind: ProbeKind::Livez, connection: reused };
    let mut tally = Tally::default();
    for outcome in ["ok", "ok", "ok", "timeout"] {
        tally.end(readyz, outcome);
    }
    [7, 9, 130].into_iter().for_each(|sample| tally.answered(readyz, millis(sample)));
    for (asked, phase, samples) in
        [(readyz, Phase::Dial, &[1, 1, 3][..]), (readyz, Phase::Tls, &[5, 6, 9]), (livez, Phase::FirstByte, &[2])]
    {
        samples.iter().for_each(|sample| tally.reached(asked, phase, millis(*sample)));
    }
    tally
}

/// A snapshot with a value in every part.
pub(crate) fn snapshot() -> Snapshot {
    let of_vantage = |observation: &Observation| observation.probe.subject.cluster().is_none();
    let down = finding(RuleId::F02, Level::Warning, "prod/etcd/main/etcd-3");
    let not_ready = finding(RuleId::F25, Level::Warning, "prod/apiserver/api-2");
    let since = now().wall.minus(Duration::from_secs(60));
    Snapshot {
        at: now(),
        started: now().minus(Duration::from_secs(3600)),
        inventory: Arc::new(inventory()),
        policy: Arc::default(),
        clusters: [(name("prod"), Arc::new(cluster_snapshot()))].into(),
        vantage: observations()
            .into_iter()
            .filter(of_vantage)
            .map(|observation| (observation.probe.clone(), Arc::new(observation)))
            .collect(),
        stored: None,
        isolated_since: None,
        alarms: vec![
            Arc::new(alarm(down, Stage::Firing { since })),
            Arc::new(alarm(not_ready, Stage::Pending { since, held: Duration::from_secs(4) })),
        ],
        incidents: vec![Arc::new(incident())],
        silences: Vec::new(),
        configured: Configured::at_start(since),
        backlog: Backlog { waiting: 1, oldest: Some(since), next_attempt: None, last_failure: None },
        refused: Vec::new(),
        deferred: Vec::new(),
        heartbeat: HeartbeatState::Sending,
        counters: Counters {
            probes: 1200,
            skipped: 1,
            burst_probes: 12,
            voided: 2,
            late: 3,
            accepted: 4,
            delivery_failures: BTreeMap::from([(FailureClass::Unreachable, 5)]),
            beats: 119,
            inputs: 2500,
            ..Counters::default()
        },
        loop_lag: Duration::from_micros(700),
        clock_offset_millis: Some(-350),
        store_works: Some(true),
        is_first_round_done: true,
    }
}

/// The same where the apiservers are asked who uses them, and one client uses most.
pub(crate) fn busy() -> Snapshot {
    let mut snapshot = snapshot();
    let prod = name("prod");
    let mut inventory = Inventory::clone(&snapshot.inventory);
    inventory.clusters.get_mut(&prod).unwrap().flow_control = true;
    snapshot.inventory = Arc::new(inventory);
    let level = |executing, waiting| PriorityLevel { executing, waiting, ..PriorityLevel::default() };
    let levels = [("exempt", level(2, 0)), ("of-our-own", level(1, 3)), ("workload-low", level(98, 402))];
    let levels = levels.map(|(name, level)| (name.to_owned(), level)).into();
    let dump = PriorityLevels { levels, ..PriorityLevels::default() };
    let api = subject("prod/apiserver/api-1");
    let seen = observation(api, ProbeKind::PriorityLevels, Ok(Reading::PriorityLevels(Ok(Arc::new(dump)))));
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&prod]);
    let at = seen.scheduled;
    cluster_snapshot.observations.insert(seen.probe.clone(), Arc::new(seen));
    let page = ApiserverMetrics {
        bytes: 3_120_000,
        seats: [("workload-low".to_owned(), Seats { used: 98, nominal: 600, limit: 600 })].into(),
        counters: [(Counter::PodsBound, 4711)].into(),
        ..ApiserverMetrics::default()
    };
    let page = Ok(Reading::ApiserverMetrics(Ok(Arc::new(page))));
    let seen = observation(subject("prod/apiserver/api-1"), ProbeKind::ApiserverMetrics, page);
    cluster_snapshot.observations.insert(seen.probe.clone(), Arc::new(seen));
    let share = |user: &str, share, waiting| Share {
        sender: Sender { user: user.into(), verb: "list".into(), what: "configmaps".into() },
        uses: SeatUse { executing: 3, waiting, ..SeatUse::default() },
        share,
        flow_schema: ("service-accounts".into(), "workload-low".into()),
        namespace: String::new(),
    };
    tell_of_themselves(&mut cluster_snapshot);
    cluster_snapshot.load = LoadFacts {
        suspected_since: Some(at),
        at: Some(at),
        senders: vec![
            Suspect { share: share("system:serviceaccount:telemetry:agent", 0.93, 380), usual: Some(0.02) },
            Suspect { share: share("", 0.07, 22), usual: Some(0.05) },
        ],
        is_usual_known: true,
    };
    snapshot.clusters.insert(prod, Arc::new(cluster_snapshot));
    snapshot
}

/// The apiservers tell of themselves: one emulates an older version, and two of their flags differ.
fn tell_of_themselves(cluster_snapshot: &mut ClusterSnapshot) {
    let (one, other) = (subject("prod/apiserver/api-1"), subject("prod/apiserver/api-2"));
    for (instance, hours, emulated) in [(&one, 50, "1.37"), (&other, 3, "1.36")] {
        let status = Statusz {
            started: Some(now().wall.minus(Duration::from_secs(hours * 3600))),
            binary_version: Some("1.37.2".into()),
            emulation_version: Some(emulated.into()),
        };
        let seen = observation(instance.clone(), ProbeKind::Statusz, Ok(Reading::Statusz(Ok(Arc::new(status)))));
        cluster_snapshot.observations.insert(seen.probe.clone(), Arc::new(seen));
    }
    let flag = |name: &str, is_weighty| FlagDifference {
        name: name.into(),
        is_weighty,
        values: vec![(Some("true".into()), vec![one.clone()]), (None, vec![other.clone()])],
    };
    let differences = vec![flag("anonymous-auth", true), flag("goaway-chance", false)];
    cluster_snapshot.zpages = ZpageFacts { differences, compared: vec![one.clone(), other.clone()] };
}
