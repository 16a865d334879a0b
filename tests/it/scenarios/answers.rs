//! What the scripted servers answer: one probe in, one observation out.

use std::sync::Arc;
use std::time::Duration;

use vedette::model::certificate::{Certificate, Fingerprint, Served, Trust};
use vedette::model::etcd::{EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberStatus, ReadAnswer};
use vedette::model::health::{Foreign, Health, Version};
use vedette::model::observation::{AddressAnswer, Observation, Reading};
use vedette::model::phase::{Cause, Phase, Phases, Unseen};
use vedette::model::probe::{Connection, Greeting, Hello, ProbeKind, ProbeRequest};
use vedette::model::subject::Subject;
use vedette::model::time::UnixTime;
use vedette::model::vantage::{OwnClock, ResolverAnswer};

use super::world::{Doing, World, api, etcd, name, seconds, vip};

impl World {
    pub(super) fn observe(&self, request: &ProbeRequest) -> (Duration, Observation) {
        let (after, mut phases, outcome) = self.cut_by_middlebox(request).unwrap_or_else(|| self.outcome(request));
        let is_behind_proxy = self.inventory.proxy_before(&request.probe.subject).is_some();
        let is_of_proxy =
            matches!(&outcome, Err(unseen) if unseen.cause.is_of_proxy() || unseen.cause == Cause::ProxyTarget);
        if is_behind_proxy && request.probe.connection == Connection::New {
            phases.dial = Some(Duration::from_millis(1));
        }
        let answered = !matches!(&outcome, Err(unseen) if unseen.is_unresolved() || unseen.cause == Cause::Timeout && unseen.phase == Phase::Dial);
        let is_dead_resolver = request.probe.kind == ProbeKind::Resolver && self.dead_dns;
        let is_frozen_peer = matches!(&outcome, Err(unseen) if unseen.phase == Phase::Tls);
        let is_round_answered = match &outcome {
            Ok(Reading::EtcdStatus(answers)) => is_any_heard(answers),
            Ok(Reading::EtcdRead(answers)) => is_any_heard(answers),
            Ok(Reading::EtcdAlarms(answers)) => is_any_heard(answers),
            Ok(Reading::EtcdMembers(answers)) => is_any_heard(answers),
            _ => true,
        };
        let observation = Observation {
            request: Some(request.id),
            probe: request.probe.clone(),
            scheduled: request.scheduled,
            finished: request.scheduled,
            phases,
            served: self.served(&request.probe.subject).filter(|_| outcome.is_ok()),
            own_flaw: None,
            greeting: greeting(request, &outcome),
            proves_path: !self.cut_off
                && !matches!(request.probe.kind, ProbeKind::OwnClock | ProbeKind::Files)
                && !is_dead_resolver
                && !is_of_proxy
                && (answered || is_frozen_peer)
                && is_round_answered,
            outcome,
        };
        (after, observation)
    }

    fn cut_by_middlebox(&self, request: &ProbeRequest) -> Option<(Duration, Phases, Result<Reading, Unseen>)> {
        let cause = self.narrow.filter(|_| request.hello == Hello::Large && shakes_hands(request) && !self.cut_off)?;
        if self.behaviour(&request.probe.subject) == Doing::Refusing {
            return None;
        }
        let after = if cause == Cause::Timeout { seconds(2) } else { Duration::from_millis(5) };
        Some((after, Phases::default(), Err(Unseen { phase: Phase::Tls, cause })))
    }

    /// As HTTP has it: whole seconds.
    fn date(&self, subject: &Subject) -> UnixTime {
        let ahead = self.ahead.get(subject).copied().unwrap_or(0);
        UnixTime::from_secs((self.true_time().as_millis() + ahead).div_euclid(1000))
    }

    fn served(&self, subject: &Subject) -> Option<Arc<Served>> {
        let expired = self.expired.contains(subject);
        let shown = if matches!(subject, Subject::Vip(_)) { api(1) } else { subject.clone() };
        let expired = expired || self.expired.contains(&shown);
        let mut id = [u8::from(expired); 32];
        for (at, byte) in shown.to_string().bytes().rev().take(31).enumerate() {
            id[at + 1] = byte;
        }
        let now = self.true_time();
        let day = seconds(86_400);
        let certificate = Certificate {
            fingerprint: Fingerprint(id),
            subject: "CN=kube-apiserver".into(),
            issuer: "CN=kubernetes".into(),
            serial: "1".into(),
            not_before: now.minus(day * 100),
            not_after: if expired { now.minus(day) } else { now.plus(day * 265) },
            names: Vec::new(),
            is_ca: false,
            is_self_issued: false,
            key: None,
        };
        let certificate = match self.ends.get(subject) {
            Some(end) => {
                let not_after = self.start.wall.plus(*end);
                Certificate { not_before: not_after.minus(seconds(1200)), not_after, ..certificate }
            }
            None => certificate,
        };
        let distrust = self.distrust.get(&shown).or_else(|| self.distrust.get(subject));
        let trust = if expired { Trust::Expired } else { distrust.copied().unwrap_or(Trust::Trusted) };
        Some(Arc::new(Served {
            chain: vec![Arc::new(certificate)],
            unreadable: 0,
            trust,
            client_authorities: 1,
            path: None,
            trusted: Vec::new(),
        }))
    }

    fn outcome(&self, request: &ProbeRequest) -> (Duration, Phases, Result<Reading, Unseen>) {
        let subject = &request.probe.subject;
        let quick = Duration::from_millis(5);
        let phases = |total: Duration| Phases { first_byte: Some(total), ..Phases::default() };
        let through = self.inventory.proxy_before(subject).and_then(|_| self.proxy_does.get(subject.cluster()?));
        if let Some(cause) = through {
            let waits = [(Cause::ProxySilent, seconds(5)), (Cause::ProxyUnreachable, seconds(1))];
            let after = waits.into_iter().find(|(slow, _)| slow == cause).map_or(quick, |(_, wait)| wait);
            return (after, Phases::default(), Err(Unseen { phase: Phase::Dial, cause: *cause }));
        }
        let is_local = matches!(request.probe.kind, ProbeKind::OwnClock | ProbeKind::Files);
        if self.cut_off && !is_local && !request.probe.kind.is_round() {
            return (seconds(1), Phases::default(), Err(Unseen { phase: Phase::Dial, cause: Cause::Timeout }));
        }
        match request.probe.kind {
            ProbeKind::Readyz if self.loses(request) => {
                (seconds(2), Phases::default(), Err(Unseen { phase: Phase::Tls, cause: Cause::Timeout }))
            }
            ProbeKind::Readyz | ProbeKind::Livez | ProbeKind::Version | ProbeKind::Chain | ProbeKind::Addresses => {
                self.ask(subject, request.probe.kind)
            }
            ProbeKind::PriorityLevels | ProbeKind::RequestDump => {
                self.load.answer(subject, request.probe.kind, &self.behaviour(subject))
            }
            ProbeKind::ApiserverMetrics => self.metrics.answer(subject, self.elapsed(), &self.behaviour(subject)),
            ProbeKind::LeaseWrite
            | ProbeKind::LeaseRead
            | ProbeKind::CreateConfigMap
            | ProbeKind::CreatePod
            | ProbeKind::AccessReview
            | ProbeKind::SecretRead => {
                self.behind.answer(&request.probe, &self.behaviour(subject), self.elapsed, &self.probes)
            }
            ProbeKind::Statusz | ProbeKind::Flagz => {
                self.zpages.answer(subject, request.probe.kind, &self.behaviour(subject))
            }
            ProbeKind::EtcdStatus => {
                let answers: Vec<_> = (1..=3).map(|n| self.member(n, |id| self.status(id))).collect();
                let waits = answers.iter().any(|(wait, _)| *wait > quick);
                let wait = if waits { seconds(1) } else { quick };
                (
                    wait,
                    Phases::default(),
                    Ok(Reading::EtcdStatus(answers.into_iter().map(|(_, answer)| answer).collect())),
                )
            }
            ProbeKind::EtcdRead => {
                let read = |n| self.peers.read(n, self.member(n, |_| ReadAnswer { revision: Some(7) }).1);
                (quick, Phases::default(), Ok(Reading::EtcdRead((1..=3).map(read).collect())))
            }
            ProbeKind::EtcdAlarms => (
                quick,
                Phases::default(),
                Ok(Reading::EtcdAlarms((1..=3).map(|n| self.member(n, |_| self.peers.alarm_list()).1).collect())),
            ),
            ProbeKind::EtcdMembers => (
                quick,
                Phases::default(),
                Ok(Reading::EtcdMembers((1..=3).map(|n| self.member(n, |id| self.peers.list(id)).1).collect())),
            ),
            ProbeKind::Reference if matches!(self.doing.get(subject), Some(Doing::Frozen | Doing::Dark)) => {
                (seconds(1), Phases::default(), Err(Unseen { phase: Phase::Dial, cause: Cause::Timeout }))
            }
            ProbeKind::Reference => (quick, phases(quick), Ok(Reading::Reference)),
            ProbeKind::OwnClock => {
                let clock = OwnClock { is_synchronised: true, max_error: quick };
                (quick, phases(quick), Ok(Reading::OwnClock(clock)))
            }
            ProbeKind::Resolver if self.dead_dns => {
                (seconds(1), Phases::default(), Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout }))
            }
            ProbeKind::Resolver => {
                (quick, phases(quick), Ok(Reading::Resolver(ResolverAnswer { rcode: 0, addresses: 13 })))
            }
            ProbeKind::Files => {
                (quick, Phases::default(), Ok(Reading::Files(Arc::new(self.disk.read(self.true_time())))))
            }
            ProbeKind::EtcdHealth | ProbeKind::EtcdMetrics => unreachable!("no metrics listener is configured"),
            ProbeKind::Tripwire => unreachable!("tripwires are not asked for"),
        }
    }

    fn ask(&self, subject: &Subject, kind: ProbeKind) -> (Duration, Phases, Result<Reading, Unseen>) {
        let quick = Duration::from_millis(5);
        let phases = |total: Duration| Phases { first_byte: Some(total), ..Phases::default() };
        let fail = |after, phase, cause| (after, Phases::default(), Err(Unseen { phase, cause }));
        let healthy = |failing: &[&str], status| {
            let failing: Vec<String> = failing.iter().map(|part| (*part).to_owned()).collect();
            Reading::Health(Health {
                status,
                listed: 40,
                failing,
                server_date: Some(self.date(subject)),
                retry_after_secs: None,
                foreign: None,
            })
        };
        let reading = |failing: &[&str], status| match kind {
            ProbeKind::Version => Reading::Version(Version {
                status: if status == 500 { 200 } else { status },
                git_version: Some(self.versions.get(subject).copied().unwrap_or("v1.36.3").into()),
                server_date: Some(self.date(subject)),
                retry_after_secs: None,
                foreign: None,
            }),
            ProbeKind::Chain => Reading::Chain,
            ProbeKind::Addresses => Reading::Addresses(self.addresses()),
            ProbeKind::Readyz | ProbeKind::Livez => healthy(failing, status),
            ProbeKind::EtcdStatus
            | ProbeKind::EtcdRead
            | ProbeKind::EtcdAlarms
            | ProbeKind::EtcdMembers
            | ProbeKind::EtcdHealth
            | ProbeKind::EtcdMetrics
            | ProbeKind::ApiserverMetrics
            | ProbeKind::Tripwire
            | ProbeKind::Reference
            | ProbeKind::Resolver
            | ProbeKind::OwnClock
            | ProbeKind::Files
            | ProbeKind::LeaseWrite
            | ProbeKind::LeaseRead
            | ProbeKind::CreateConfigMap
            | ProbeKind::CreatePod
            | ProbeKind::AccessReview
            | ProbeKind::SecretRead
            | ProbeKind::PriorityLevels
            | ProbeKind::RequestDump
            | ProbeKind::Statusz
            | ProbeKind::Flagz => unreachable!("no apiserver is asked this"),
        };
        match self.behaviour(subject) {
            Doing::Well => (quick, phases(quick), Ok(reading(&[], 200))),
            Doing::Nameless => fail(Duration::from_millis(1), Phase::Resolve, Cause::NoSuchName),
            Doing::Refusing => fail(Duration::from_millis(1), Phase::Dial, Cause::Refused),
            Doing::Frozen => fail(seconds(2), Phase::Tls, Cause::Timeout),
            Doing::Dark => fail(seconds(1), Phase::Dial, Cause::Timeout),
            Doing::Resetting => fail(quick, Phase::Tls, Cause::Reset),
            Doing::NotReady(_) if kind == ProbeKind::Version => (quick, phases(quick), Ok(reading(&[], 200))),
            Doing::NotReady(parts) => (seconds(2), phases(seconds(2)), Ok(reading(parts, 500))),
            Doing::Slow(by) => (by, phases(by), Ok(reading(&[], 200))),
            Doing::Wavering if self.counter.is_multiple_of(2) => {
                (seconds(2), phases(seconds(2)), Ok(reading(&["etcd"], 500)))
            }
            Doing::Wavering => fail(seconds(2), Phase::Tls, Cause::Timeout),
            Doing::Queueing if kind == ProbeKind::Version => fail(seconds(5), Phase::FirstByte, Cause::Timeout),
            Doing::Crowded(by) if kind == ProbeKind::Version => (by, phases(by), Ok(reading(&[], 200))),
            Doing::TurningAway(secs) if kind == ProbeKind::Version => {
                (quick, phases(quick), Ok(turned_away(reading(&[], 429), secs)))
            }
            Doing::Crowded(_) | Doing::TurningAway(_) => (quick, phases(quick), Ok(reading(&[], 200))),
            Doing::Queueing => (quick, phases(quick), Ok(reading(&[], 200))),
            Doing::Unwelcoming => (quick, phases(quick), Ok(reading(&[], 401))),
            Doing::WantsLogin(cause) if kind == ProbeKind::Version => fail(quick, Phase::FirstByte, cause),
            Doing::WantsLogin(_) => (quick, phases(quick), Ok(reading(&[], 200))),
            Doing::HealthAlone if kind != ProbeKind::Version => (quick, phases(quick), Ok(reading(&[], 200))),
            Doing::Portal | Doing::HealthAlone => (quick, phases(quick), Ok(portal(reading(&[], 200)))),
        }
    }

    /// Whether chance takes this connection to the VIP.
    fn loses(&self, request: &ProbeRequest) -> bool {
        let Some((permille, seed)) = self.losing.filter(|_| request.probe.subject == vip()) else { return false };
        chance_of(seed, request.id.0) < permille
    }

    fn addresses(&self) -> Vec<AddressAnswer> {
        let dead = Err(Unseen { phase: Phase::Dial, cause: Cause::Timeout });
        let second = if self.dead_address { dead } else { Ok(()) };
        [(31, Ok(())), (32, second)].map(|(n, answer)| AddressAnswer { address: [10, 0, 0, n].into(), answer }).into()
    }

    /// The balancer leads to an instance: in turn where both are worth a try, as one that checks ports does.
    fn behaviour(&self, subject: &Subject) -> Doing {
        let own = self.doing.get(subject).cloned().unwrap_or(Doing::Well);
        if !matches!(subject, Subject::Vip(_)) || own != Doing::Well {
            return own;
        }
        let instances = [api(1), api(2)].map(|one| self.doing.get(&one).cloned().unwrap_or(Doing::Well));
        let is_ready =
            |doing: &Doing| !matches!(doing, Doing::Frozen | Doing::Dark | Doing::Resetting | Doing::NotReady(_));
        let is_alive = |doing: &&Doing| **doing != Doing::Refusing && (!self.checks_readyz || is_ready(doing));
        let alive: Vec<&Doing> = instances.iter().filter(is_alive).collect();
        let turn = usize::try_from(self.counter % 2).unwrap();
        alive.get(turn % alive.len().max(1)).map_or(Doing::Refusing, |doing| (*doing).clone())
    }

    fn member<T>(&self, n: u8, answer: impl Fn(u64) -> T) -> (Duration, MemberAnswer<T>) {
        let quick = Duration::from_millis(3);
        let fail = |phase, cause| Err(Unseen { phase, cause });
        let (wait, result) = if self.cut_off {
            (seconds(1), fail(Phase::Dial, Cause::Timeout))
        } else {
            match self.doing.get(&etcd(n)).cloned().unwrap_or(Doing::Well) {
                Doing::Nameless => (quick, fail(Phase::Resolve, Cause::NoSuchName)),
                Doing::Refusing => (quick, fail(Phase::Dial, Cause::Refused)),
                Doing::Dark => (seconds(1), fail(Phase::Dial, Cause::Timeout)),
                Doing::Frozen | Doing::Resetting | Doing::NotReady(_) => {
                    (seconds(1), fail(Phase::FirstByte, Cause::Timeout))
                }
                Doing::Unwelcoming => (quick, fail(Phase::FirstByte, Cause::CredentialRejected)),
                Doing::Well
                | Doing::Slow(_)
                | Doing::Wavering
                | Doing::Queueing
                | Doing::Crowded(_)
                | Doing::TurningAway(_)
                | Doing::Portal
                | Doing::HealthAlone
                | Doing::WantsLogin(_) => (quick, Ok(answer(u64::from(n)))),
            }
        };
        let member = name(&format!("etcd-{n}"));
        (wait, MemberAnswer { member, sent_after: Duration::ZERO, phases: Phases::default(), answer: result })
    }

    fn status(&self, id: u64) -> MemberStatus {
        let up = (1..=3)
            .filter(|n| !matches!(self.doing.get(&etcd(*n)), Some(Doing::Refusing | Doing::Frozen | Doing::Dark)));
        let up = up.filter(|n| !self.peers.is_apart(*n));
        let leader = up.clone().next().map(u64::from).filter(|_| up.count() >= 2 && !self.leaderless);
        let status = MemberStatus {
            version: u8::try_from(id)
                .ok()
                .and_then(|n| self.versions.get(&etcd(n)).copied())
                .unwrap_or("3.6.16")
                .into(),
            cluster_id: 1,
            member_id: id,
            leader,
            raft_term: self.peers.term,
            raft_index: 100,
            raft_applied_index: Some(100),
            revision: 50,
            db_size_bytes: self.peers.db_size_bytes,
            db_in_use_bytes: Some(self.peers.db_size_bytes / 2),
            db_quota_bytes: self.peers.db_quota_bytes,
            is_learner: false,
            storage_version: None,
            downgrade: None,
            alarms: if self.nospace {
                vec![EtcdAlarm { member_id: 2, kind: EtcdAlarmKind::NoSpace }]
            } else {
                Vec::new()
            },
            errors: if leader.is_none() { vec!["etcdserver: no leader".into()] } else { Vec::new() },
        };
        self.peers.told(status)
    }
}

/// Whether anything came back from any member, a refusal of its machine included.
fn is_any_heard<T>(answers: &[MemberAnswer<T>]) -> bool {
    answers.iter().any(|answer| {
        let unseen = answer.answer.as_ref().err();
        unseen.is_none_or(|unseen| unseen.phase > Phase::Dial || unseen.cause == Cause::Refused)
    })
}

/// The same, with the wish to be left alone for a while.
fn turned_away(mut reading: Reading, secs: u32) -> Reading {
    if let Reading::Version(version) = &mut reading {
        version.retry_after_secs = Some(secs);
    }
    reading
}

/// The same, answered by a login page.
fn portal(mut reading: Reading) -> Reading {
    let foreign = Some(Foreign::Html);
    if let Reading::Health(health) = &mut reading {
        (health.listed, health.foreign) = (0, foreign);
    } else if let Reading::Version(version) = &mut reading {
        (version.git_version, version.foreign) = (None, foreign);
    }
    reading
}

/// Whether a probe at an apiserver makes a handshake of its own.
fn shakes_hands(request: &ProbeRequest) -> bool {
    matches!(request.probe.subject, Subject::Apiserver(..) | Subject::Vip(_))
        && request.probe.connection == Connection::New
}

fn greeting(request: &ProbeRequest, outcome: &Result<Reading, Unseen>) -> Option<Greeting> {
    let is_heard = match outcome {
        Err(unseen) if unseen.phase <= Phase::Dial => return None,
        Err(unseen) => unseen.phase != Phase::Tls,
        Ok(_) => true,
    };
    shakes_hands(request).then_some(Greeting { hello: request.hello, is_heard })
}

/// A number below a thousand, the same for the same two: SplitMix64.
pub(super) fn chance_of(seed: u64, turn: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(turn.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    for by in [30, 27, 31] {
        mixed = (mixed ^ (mixed >> by)).wrapping_mul(0x94d0_49bb_1331_11eb);
    }
    mixed % 1000
}
