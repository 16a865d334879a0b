//! A scripted cluster (three etcd members, two apiservers, an address in front), a relay, a resolver-free vantage, and
//! the engine between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vedette::engine::Engine;
use vedette::model::certificate::{Class, Trust};
use vedette::model::delivery::{Attempt, DeliveryFailure, DeliveryResult, FailureClass};
use vedette::model::exchange::{Action, Change, Input, PersistedState};
use vedette::model::incident::IncidentId;
use vedette::model::inventory::{Cluster, Endpoint, Etcd, Inventory, Reference};
use vedette::model::message::{Message, MessageId};
use vedette::model::observation::Observation;
use vedette::model::phase::{Cause, Phase, Phases, Unseen};
use vedette::model::policy::Policy;
use vedette::model::probe::{Connection, Probe, ProbeKind, ProbeRequest};
use vedette::model::reason::MessageReason;
use vedette::model::recipient::Rejection;
use vedette::model::reload::{Refusal, Reload, Replacement};
use vedette::model::rule::RuleId;
use vedette::model::silence::{Order, Silence};
use vedette::model::snapshot::Snapshot;
use vedette::model::subject::{Name, Subject};
use vedette::model::time::{Mono, Now, UnixTime};
use vedette::model::verdict::{Evidence, FindingKey};

use super::behind::Behind;
use super::disk::Disk;
use super::durable::Durable;
use super::load::Load;
use super::metrics::Metrics;
use super::peers::Peers;
use super::recipients::{self, BOSS, OPS, Unserved};
use super::tape::Tape;
use super::zpages::Zpages;

/// What an endpoint does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doing {
    Well,
    /// The process is gone: the kernel refuses.
    Refusing,
    /// Accepts and never answers.
    Frozen,
    /// Nothing comes back, not even from the machine's kernel.
    Dark,
    /// Accepts, and resets the connection in the handshake.
    Resetting,
    /// Answers 500 and names these parts.
    NotReady(&'static [&'static str]),
    /// Answers well, but only after this.
    Slow(Duration),
    /// Its name has no address for us.
    Nameless,
    /// Alive, and refuses our credential.
    Unwelcoming,
    /// Overloaded: now names etcd as failing, now does not answer in time.
    Wavering,
    /// The exempt paths answer, everything else hangs.
    Queueing,
    /// A login page answers in its place, whatever is asked.
    Portal,
    /// A login page answers everything but the health checks.
    HealthAlone,
    /// Wants a login for all but the health checks, and got none for this cause.
    WantsLogin(Cause),
    /// The exempt paths answer at once, everything else after this.
    Crowded(Duration),
    /// The exempt paths answer, everything else is turned away (429) with the wish to be left alone for so many seconds.
    TurningAway(u32),
}

/// What the mail relay does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Relay {
    Accepting,
    /// Accepts the connection and says nothing; the attempt ends at its deadline.
    Stalled,
    /// Takes the mail and cuts before its answer.
    CutsBeforeAnswer,
    /// Refuses it for good, as where the login is wrong.
    Refusing,
}

/// A message that reached people.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) at: Duration,
    pub(super) message: Message,
    /// Whom it reached.
    pub(super) to: BTreeSet<String>,
    /// What it says of other recipients.
    pub(super) rejections: Vec<Rejection>,
}

type Script = Box<dyn FnOnce(&mut World)>;

pub(super) struct World {
    engine: Engine,
    tape: Tape,
    pub(super) inventory: Arc<Inventory>,
    pub(super) policy: Policy,
    pub(super) start: Now,
    pub(super) elapsed: Duration,
    wall_step: i64,
    /// The process is stopped until then.
    stalled_until: Duration,
    stalled_since: Duration,
    longest_stall: Duration,
    pending: BTreeMap<(Duration, u64), Input>,
    script: BTreeMap<(Duration, u64), Script>,
    pub(super) counter: u64,
    daemon_up: bool,

    pub(super) doing: BTreeMap<Subject, Doing>,
    pub(super) nospace: bool,
    pub(super) leaderless: bool,
    pub(super) peers: Peers,
    pub(super) disk: Disk,
    /// What the proxy in front of a cluster says or does instead of leading there.
    pub(super) proxy_does: BTreeMap<Name, Cause>,
    /// What a middlebox before all apiservers does to large ClientHellos.
    pub(super) narrow: Option<Cause>,
    pub(super) cut_off: bool,
    pub(super) dead_dns: bool,
    /// One of the two addresses of the API VIP's name is dead.
    /// The balancer asks each instance whether it is ready, and sends nothing to one that is not.
    pub(super) checks_readyz: bool,
    /// Of a thousand new connections to the VIP, and the seed from which chance takes them.
    pub(super) losing: Option<(u64, u64)>,
    pub(super) dead_address: bool,
    pub(super) relay: Relay,
    /// Recipients whom the relay does not serve.
    pub(super) unserved: BTreeMap<&'static str, Unserved>,
    pub(super) expired: BTreeSet<Subject>,
    /// Certificates that end this long after the start of the world, 20 minutes after they began.
    pub(super) ends: BTreeMap<Subject, Duration>,
    /// What verification says of the chains of these.
    pub(super) distrust: BTreeMap<Subject, Trust>,
    /// Versions of instances that are not of the common one.
    pub(super) versions: BTreeMap<Subject, &'static str>,
    /// Who uses the apiservers.
    pub(super) load: Load,
    pub(super) metrics: Metrics,
    /// What a request meets behind the apiservers.
    pub(super) behind: Behind,
    /// What the apiservers tell of themselves.
    pub(super) zpages: Zpages,
    /// How far the clock of a server is ahead, in milliseconds.
    pub(super) ahead: BTreeMap<Subject, i64>,
    pub(super) store_fails: bool,
    pub(super) store_hangs: bool,
    durable: Durable,
    /// Alarms that ended, in the order of their ends.
    pub(super) ended: Vec<FindingKey>,
    /// Incidents that were withdrawn.
    pub(super) withdrawn: Vec<IncidentId>,

    pub(super) mails: Vec<Mail>,
    pub(super) attempts: usize,
    pub(super) beats: Vec<Duration>,
    pub(super) probes: Vec<(Duration, Probe)>,
    pub(super) records: bool,
    /// The engine is woken at every multiple of this too, whether or not it asked for it.
    pub(super) ticks: Option<Duration>,
    /// Actions, deadlines and snapshots, when they are recorded.
    pub(super) actions: Vec<String>,
    seen: Option<Now>,
}

pub(super) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn api(n: u8) -> Subject {
    Subject::Apiserver(name("prod"), name(&format!("api-{n}")))
}

pub(super) fn vip() -> Subject {
    Subject::Vip(name("prod"))
}

pub(super) fn etcd(n: u8) -> Subject {
    Subject::EtcdMember(name("prod"), name("main"), name(&format!("etcd-{n}")))
}

fn endpoint(address: &str) -> Endpoint {
    let certificates = Class::Manual;
    Endpoint { address: address.into(), server_name: "server".into(), is_loopback: false, certificates }
}

pub(super) fn inventory() -> Inventory {
    let cluster = Cluster {
        vip: Some(endpoint("10.0.0.10:6443")),
        apiservers: [("api-1", "10.0.0.11:6443"), ("api-2", "10.0.0.12:6443")]
            .map(|(known, address)| (name(known), endpoint(address)))
            .into(),
        etcds: [(
            name("main"),
            Etcd {
                members: [("etcd-1", "10.0.0.21:2379"), ("etcd-2", "10.0.0.22:2379"), ("etcd-3", "10.0.0.23:2379")]
                    .map(|(known, address)| (name(known), endpoint(address)))
                    .into(),
                is_verified: true,
                ..Etcd::default()
            },
        )]
        .into(),
        is_verified: true,
        ..Cluster::default()
    };
    Inventory {
        vantage: "bastion-1".into(),
        clusters: BTreeMap::from([(name("prod"), cluster)]),
        references: vec![Reference { name: name("relay"), address: "10.0.9.9:25".into(), is_loopback: false }],
        mails: true,
        recipients: [OPS, BOSS].map(str::to_owned).into(),
        heartbeat: true,
        ..Inventory::default()
    }
}

impl World {
    /// A healthy world with the default policy.
    pub(super) fn new() -> Self {
        Self::with(inventory())
    }

    pub(super) fn with(inventory: Inventory) -> Self {
        Self::with_policy(inventory, Policy { heartbeat_interval: seconds(5), ..Policy::default() })
    }

    /// A world in which everything is looked at once a minute, for stories of weeks.
    pub(super) fn unhurried(inventory: Inventory) -> Self {
        let minute = seconds(60);
        let policy = Policy {
            readyz_interval: minute,
            vip_interval: minute,
            version_interval: minute,
            etcd_status_interval: minute,
            etcd_read_interval: minute,
            etcd_alarms_interval: minute,
            priority_levels_interval: minute,
            reference_interval: minute,
            own_clock_interval: minute,
            heartbeat_interval: minute,
            ..Policy::default()
        };
        Self::with_policy(inventory, policy)
    }

    /// The same, but for new connections to the VIP, which are as frequent as usual.
    pub(super) fn sparing(inventory: Inventory) -> Self {
        let policy = Self::unhurried(inventory.clone()).policy;
        Self::with_policy(inventory, Policy { vip_interval: Policy::default().vip_interval, ..policy })
    }

    fn with_policy(inventory: Inventory, policy: Policy) -> Self {
        let start = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono(seconds(1_000)) };
        let inventory = Arc::new(inventory);
        let engine = Engine::new(Arc::clone(&inventory), policy.clone(), start);
        let mut world = Self {
            engine,
            tape: Tape::default(),
            inventory,
            policy,
            start,
            elapsed: Duration::ZERO,
            wall_step: 0,
            stalled_until: Duration::ZERO,
            stalled_since: Duration::ZERO,
            longest_stall: Duration::ZERO,
            pending: BTreeMap::new(),
            script: BTreeMap::new(),
            counter: 0,
            daemon_up: true,
            doing: BTreeMap::new(),
            nospace: false,
            leaderless: false,
            peers: Peers::default(),
            disk: Disk::default(),
            proxy_does: BTreeMap::new(),
            narrow: None,
            cut_off: false,
            dead_dns: false,
            dead_address: false,
            checks_readyz: false,
            losing: None,
            relay: Relay::Accepting,
            unserved: BTreeMap::new(),
            expired: BTreeSet::new(),
            ends: BTreeMap::new(),
            distrust: BTreeMap::new(),
            versions: BTreeMap::new(),
            load: Load::default(),
            metrics: Metrics::default(),
            behind: Behind::default(),
            zpages: Zpages::default(),
            ahead: BTreeMap::new(),
            store_fails: false,
            store_hangs: false,
            durable: Durable::default(),
            ended: Vec::new(),
            withdrawn: Vec::new(),
            mails: Vec::new(),
            attempts: 0,
            beats: Vec::new(),
            probes: Vec::new(),
            records: false,
            ticks: None,
            actions: Vec::new(),
            seen: None,
        };
        world.push(Duration::ZERO, Input::Restored(Ok(PersistedState::default())));
        world
    }

    /// At `at` after the start, do this.
    pub(super) fn at(&mut self, at: Duration, act: impl FnOnce(&mut Self) + 'static) {
        self.counter += 1;
        self.script.insert((at, self.counter), Box::new(act));
    }

    /// Lets time pass until `end` after the start.
    pub(super) fn run_until(&mut self, end: Duration) {
        loop {
            let deadline = self.deadline().map(|at| at.max(self.stalled_until));
            let next_input = self.pending.keys().next().map(|(at, _)| *at.max(&self.stalled_until));
            let next_script = self.script.keys().next().map(|(at, _)| *at);
            let tick = self.ticks.filter(|_| self.daemon_up).map(|every| self.tick(every));
            let next = [deadline, next_input, next_script, tick].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.elapsed = self.elapsed.max(next);
            if next_script == Some(next) {
                let (_, act) = self.script.pop_first().unwrap();
                act(self);
            } else if next_input == Some(next) {
                let (_, input) = self.pending.pop_first().unwrap();
                self.feed(input);
            } else {
                self.feed(Input::Elapsed);
            }
        }
        self.elapsed = end;
    }

    /// The process dies without a word. What was under way is lost; what was durable stays.
    pub(super) fn kill(&mut self) {
        self.daemon_up = false;
        self.pending.clear();
        self.disk.forget();
    }

    /// The process starts again, with what the store holds.
    pub(super) fn restart(&mut self) {
        self.restart_remembering_after(Duration::from_millis(5));
    }

    /// The process stands still, as on a machine that swaps; what comes meanwhile waits.
    pub(super) fn stall(&mut self, lasting: Duration) {
        // Stopped anew before it runs again, it has stood still since the first stop.
        if self.stalled_until < self.elapsed {
            self.stalled_since = self.elapsed;
        }
        self.stalled_until = self.stalled_until.max(self.elapsed + lasting);
        self.longest_stall = self.longest_stall.max(self.stalled_until.saturating_sub(self.stalled_since));
    }

    /// The configuration is changed while the process is down.
    pub(super) fn reconfigure(&mut self, inventory: Inventory) {
        self.inventory = Arc::new(inventory);
    }

    /// The configuration is changed under the running process.
    pub(super) fn reload(&mut self, inventory: Inventory) {
        self.reconfigure(inventory);
        let (inventory, policy) = (Arc::clone(&self.inventory), Arc::new(self.policy.clone()));
        let replacement = Replacement { at: self.now().wall, inventory, policy, remarks: Vec::new() };
        self.push(Duration::ZERO, Input::Reconfigured(Reload::Taken(Box::new(replacement))));
    }

    /// Somebody tries to, and the file is wrong.
    pub(super) fn reload_badly(&mut self) {
        let refusal = Refusal::new(self.now().wall, vec!["vedette.yaml:1:1: error: the file is empty".into()]);
        self.push(Duration::ZERO, Input::Reconfigured(Reload::Refused(refusal)));
    }

    pub(super) fn restart_remembering_after(&mut self, wait: Duration) {
        let memory = self.memory();
        self.restart_after(wait, memory);
    }

    /// The process starts again, with what a store holds that something happened to.
    pub(super) fn restart_with(&mut self, memory: PersistedState) {
        self.restart_after(Duration::from_millis(5), memory);
    }

    fn restart_after(&mut self, wait: Duration, memory: PersistedState) {
        self.daemon_up = true;
        self.durable = Durable::default();
        self.durable.take(Change::Everything(Box::new(memory.clone())));
        self.engine = Engine::new(Arc::clone(&self.inventory), self.policy.clone(), self.now());
        self.tape.restart();
        self.push(wait, Input::Restored(Ok(memory)));
    }

    /// What the engine lived through.
    pub(super) const fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The engine, written down.
    pub(super) fn checkpoint(&self) -> Vec<u8> {
        self.engine.checkpoint().unwrap()
    }

    /// The engine is written down and read back, as where a replay begins.
    pub(super) fn reread(&mut self) {
        let checkpoint = self.engine.checkpoint().unwrap();
        self.engine = Engine::from_checkpoint(&checkpoint).unwrap();
        assert!(checkpoint == self.engine.checkpoint().unwrap(), "what was read back is written in another way");
    }

    /// What the store would hand to a process that starts now.
    pub(super) fn memory(&self) -> PersistedState {
        self.durable.memory()
    }

    /// Kills the process behind an endpoint: open connections break at once.
    pub(super) fn slay(&mut self, subject: &Subject) {
        self.doing.insert(subject.clone(), Doing::Refusing);
        self.break_connection(subject);
    }

    /// The connection that is open to an endpoint breaks.
    pub(super) fn break_connection(&mut self, subject: &Subject) {
        let now = self.now();
        let tripwire = Observation {
            request: None,
            probe: Probe { subject: subject.clone(), kind: ProbeKind::Tripwire, connection: Connection::Reused },
            scheduled: now,
            finished: now,
            phases: Phases::default(),
            served: None,
            own_flaw: None,
            greeting: None,
            proves_path: !self.cut_off,
            outcome: Err(Unseen { phase: Phase::Idle, cause: Cause::Reset }),
        };
        if !self.cut_off {
            self.push(Duration::from_millis(1), Input::Observed(Box::new(tripwire)));
        }
    }

    pub(super) fn set(&mut self, subject: &Subject, doing: Doing) {
        self.doing.insert(subject.clone(), doing);
    }

    pub(super) fn heal(&mut self) {
        self.doing.clear();
        self.nospace = false;
        self.leaderless = false;
        self.peers.heal();
        self.proxy_does.clear();
        self.narrow = None;
        self.cut_off = false;
        self.expired.clear();
        self.distrust.clear();
        self.relay = Relay::Accepting;
    }

    /// A person silences the cluster.
    pub(super) fn silence(&mut self, lasting: Duration, include_outages: bool) {
        let since = self.now().wall;
        let (cluster, until) = (name("prod"), since.plus(lasting));
        let (comment, author) = ("etcd is defragmented".into(), "anna (uid 1000)".into());
        let silence = Silence { cluster, since, until, comment, author, include_outages };
        self.push(Duration::ZERO, Input::Ordered(Order::Silence(silence)));
    }

    /// A person ends the silence of the cluster.
    pub(super) fn end_silence(&mut self) {
        self.push(Duration::ZERO, Input::Ordered(Order::EndSilence(name("prod"))));
    }

    /// What everybody may see.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.engine.snapshot()
    }

    /// Silences that the store holds.
    pub(super) fn durable_silences(&self) -> Vec<Silence> {
        self.durable.silences()
    }

    /// Steps the wall clock.
    pub(super) fn step_wall(&mut self, millis: i64) {
        self.wall_step += millis;
    }

    /// The rules that name open incidents.
    pub(super) fn open(&self) -> Vec<RuleId> {
        let snapshot = self.engine.snapshot();
        let mut open: Vec<RuleId> = snapshot
            .incidents
            .iter()
            .filter(|incident| incident.over.is_none())
            .map(|incident| incident.headline.rule)
            .collect();
        open.sort_unstable();
        open
    }

    /// What is listed of the set-up.
    pub(super) fn listed(&self) -> Vec<Arc<dyn Evidence>> {
        let is_listed = |rule| matches!(rule, RuleId::F51 | RuleId::F53);
        let snapshot = self.engine.snapshot();
        let alarms = snapshot.alarms.iter().filter(|alarm| is_listed(alarm.finding.rule));
        alarms.map(|alarm| alarm.finding.evidence.clone()).collect()
    }

    pub(super) fn counters(&self) -> vedette::model::snapshot::Counters {
        self.engine.snapshot().counters.clone()
    }

    pub(super) fn heartbeat(&self) -> vedette::model::snapshot::HeartbeatState {
        self.engine.snapshot().heartbeat
    }

    /// Everything that reached people: rule of the root cause, why it was said.
    pub(super) fn told(&self) -> Vec<(RuleId, MessageReason)> {
        self.mails.iter().map(|mail| (mail.message.incident.root().rule, mail.message.reason)).collect()
    }

    /// Threads that reached people.
    pub(super) fn threads(&self) -> BTreeSet<MessageId> {
        self.mails.iter().map(|mail| mail.message.thread.clone()).collect()
    }

    pub(super) fn now(&self) -> Now {
        Now {
            wall: UnixTime::from_millis(self.true_time().as_millis() + self.wall_step),
            ..self.start.plus(self.elapsed)
        }
    }

    /// Since the start of the story.
    pub(super) const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The time that servers and certificates go by, whatever vedette's own clock says.
    pub(super) fn true_time(&self) -> UnixTime {
        self.start.plus(self.elapsed).wall
    }

    fn deadline(&self) -> Option<Duration> {
        let deadline = self.engine.next_deadline().filter(|_| self.daemon_up)?;
        Some(deadline.since(self.start.mono).max(self.elapsed))
    }

    /// The next multiple of `every` at which the process runs.
    fn tick(&self, every: Duration) -> Duration {
        let after = |at: Duration| every * u32::try_from(at.as_millis() / every.as_millis() + 1).unwrap();
        after(self.elapsed).max(self.stalled_until)
    }

    fn push(&mut self, after: Duration, input: Input) {
        self.counter += 1;
        self.pending.insert((self.elapsed + after, self.counter), input);
    }

    fn feed(&mut self, input: Input) {
        if !self.daemon_up {
            return;
        }
        let now = self.now();
        self.tape.note(&self.engine, &input, now);
        self.engine.handle(input, now);
        // Every other wake-up comes when it was promised: an engine that is late in spite of it promised a time gone
        // by.
        let lag = self.engine.snapshot().loop_lag;
        assert!(lag <= self.longest_stall, "{lag:?} at {:?}", self.elapsed);
        if self.records {
            let snapshot = self.engine.snapshot();
            if self.seen.replace(snapshot.at) != Some(snapshot.at) {
                self.actions.push(format!("{:?} {snapshot:?}", self.elapsed));
            }
            self.actions.push(format!("until {:?}", self.engine.next_deadline()));
        }
        while let Some(action) = self.engine.next_action() {
            if self.records {
                self.actions.push(format!("{:?} {action:?}", self.elapsed));
            }
            match action {
                Action::Probe(request) => self.start_probe(&request),
                Action::Persist { sequence, changes } => self.persist(sequence, changes),
                Action::Send(attempt) => {
                    self.tape.note_mail(&attempt, now);
                    self.send(*attempt);
                }
                Action::Beat => {
                    let accepted = !self.cut_off;
                    if accepted {
                        self.beats.push(self.elapsed);
                    }
                    self.push(Duration::from_millis(20), Input::Beaten { accepted });
                }
            }
        }
    }

    fn persist(&mut self, sequence: u64, changes: Vec<Change>) {
        for change in &changes {
            if let Change::AlarmOver(key) = change {
                self.ended.push(key.clone());
            }
            if let Change::Incident(incident) = change
                && incident.over.is_some_and(|over| over.withdrawn)
            {
                self.withdrawn.push(incident.id.clone());
            }
        }
        if self.store_hangs {
            return;
        }
        if self.store_fails {
            self.push(Duration::from_millis(2), Input::Persisted { sequence, result: Err("disk full".into()) });
            return;
        }
        changes.into_iter().for_each(|change| self.durable.take(change));
        self.push(Duration::from_millis(2), Input::Persisted { sequence, result: Ok(()) });
    }

    fn send(&mut self, attempt: Attempt) {
        self.attempts += 1;
        let failed = |class| DeliveryResult::Failed(DeliveryFailure { class, text: "test".into() });
        if self.cut_off || self.relay == Relay::Stalled {
            let receipts = attempt.all(&failed(FailureClass::TimedOut));
            self.push(self.policy.delivery_deadline, Input::Delivered(receipts));
            return;
        }
        if self.relay == Relay::Refusing {
            let receipts = attempt.all(&failed(FailureClass::CredentialRefused));
            self.push(Duration::from_millis(20), Input::Delivered(receipts));
            return;
        }
        let mut receipts = recipients::serve(&self.unserved, &attempt);
        let accepted = receipts.iter().filter(|receipt| receipt.result == DeliveryResult::Accepted);
        let to: BTreeSet<String> = accepted.map(|receipt| receipt.delivery.recipient.clone()).collect();
        if self.relay != Relay::Accepting {
            receipts = attempt.all(&failed(FailureClass::Uncertain));
        }
        if !to.is_empty() {
            let Attempt { message, rejections, .. } = attempt;
            self.mails.push(Mail { at: self.elapsed, message, to, rejections });
        }
        self.push(Duration::from_millis(20), Input::Delivered(receipts));
    }

    fn start_probe(&mut self, request: &ProbeRequest) {
        self.probes.push((self.elapsed, request.probe.clone()));
        let (after, mut observation) = self.observe(request);
        let finished = self.now().plus(after);
        observation.finished = finished;
        self.push(after, Input::Observed(Box::new(observation)));
    }
}
