//! An engine that lives through a recording.
//!
//! A whole recording is handed to the engine exactly as it was recorded. With another configuration, or with the part of
//! one cluster, the engine asks and sends at other times than were recorded: it is then handed what was observed, what
//! it stores is stored, and a mail whose result was not recorded is accepted at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::daemon::recorder::mailed;
use crate::engine::{CheckpointError, Engine};
use crate::model::delivery::{Attempt, DeliveryResult};
use crate::model::exchange::{Action, Input};
use crate::model::inventory::Inventory;
use crate::model::message::MessageId;
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeId};
use crate::model::reload::{Reload, Replacement};
use crate::model::subject::Name;
use crate::model::time::{Now, UnixTime};
use crate::store::recording::{Head, Mailed, ReadError, Reader, Record, is_next};

use super::index::Index;

/// Longest time between two inputs of a running vedette, and then some. What is longer was a stall, and stays one.
const STALL: Duration = Duration::from_secs(4);

/// Wake-ups at one instant, after which the engine is not getting anywhere.
const IDLE_TURNS: usize = 10_000;

/// What a replay comes to.
#[derive(Debug)]
pub struct Replay {
    /// The vantage that was recorded.
    pub vantage: String,
    /// The cluster that it is the part of; `None` for everything.
    pub only: Option<Name>,
    /// Whether another configuration was used.
    pub is_reconfigured: bool,
    /// From when to when.
    pub time: (UnixTime, UnixTime),
    /// Inputs that were replayed.
    pub inputs: u64,
    /// What was mailed.
    pub recorded: Vec<Mailed>,
    /// What the replay mails.
    pub replayed: Vec<Mailed>,
    /// The first attempt of each message of the replay.
    pub attempts: BTreeMap<MessageId, Attempt>,
    /// What must be known of it: parts that are missing, files that end too early.
    pub notes: Vec<String>,
}

/// Why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No files.
    #[error("finding recordings")]
    Files(#[source] io::Error),
    /// A file that cannot be read at all.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A segment that begins in the middle.
    #[error("{path}: this part begins without a checkpoint; name the one before it as well, or their folder", path = path.display())]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint of another version.
    #[error("{path}: record 1, written by vedette {vedette}; replay it with that version", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The version that wrote it.
        vedette: String,
        /// Why.
        source: CheckpointError,
    },
}

/// A configuration that is loaded at the beginning of a replay.
#[must_use]
pub const fn replacement(inventory: Arc<Inventory>, policy: Arc<Policy>) -> Replacement {
    Replacement { at: UnixTime::from_millis(0), inventory, policy, remarks: Vec::new() }
}

impl Replay {
    /// Replays `files`, in their order, `with` another configuration or with their own.
    ///
    /// # Errors
    /// When there is nothing that can be replayed. A file that ends too early is replayed as far as it goes.
    pub fn run(files: &[PathBuf], with: Option<Replacement>) -> Result<Self, ReplayError> {
        let heads: Vec<Head> =
            files.iter().map(|file| Ok(Reader::open(file)?.head().clone())).collect::<Result<_, ReadError>>()?;
        let Some(first) = heads.first() else {
            return Err(ReplayError::Files(io::ErrorKind::NotFound.into()));
        };
        let only = heads.iter().find_map(|head| head.only.clone());
        let index = if only.is_some() || with.is_some() { Some(Index::of(files)?) } else { None };
        let replay = Self {
            vantage: first.vantage.clone(),
            only,
            is_reconfigured: with.is_some(),
            time: (first.began.wall, first.began.wall),
            inputs: 0,
            recorded: Vec::new(),
            replayed: Vec::new(),
            attempts: BTreeMap::new(),
            notes: Vec::new(),
        };
        let mut player = Player { replay, with, index, engine: None, last: first.began, waiting: BTreeMap::new() };
        player.play(files)?;
        let mut replay = player.replay;
        replay.keep_scope();
        Ok(replay)
    }

    /// Whether the replay mails what was mailed.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.compared().iter().all(|(recorded, replayed)| match (recorded, replayed) {
            (Some(recorded), Some(replayed)) => is_same(recorded, replayed),
            _ => false,
        })
    }

    /// Each message, as it was recorded and as it is replayed, by the time of its first attempt.
    #[must_use]
    pub fn compared(&self) -> Vec<(Option<&Mailed>, Option<&Mailed>)> {
        let (recorded, replayed) = (firsts(&self.recorded), firsts(&self.replayed));
        let messages: BTreeSet<&MessageId> = recorded.keys().chain(replayed.keys()).copied().collect();
        let mut compared: Vec<_> = messages
            .into_iter()
            .map(|message| (recorded.get(message).copied(), replayed.get(message).copied()))
            .collect();
        compared.sort_by_key(|(recorded, replayed)| recorded.or(*replayed).map(|mailed| mailed.at));
        compared
    }

    /// In the part of one cluster nothing is known of the others.
    fn keep_scope(&mut self) {
        let Some(only) = &self.only else { return };
        let is_known = |mailed: &Mailed| mailed.cluster.as_ref().is_none_or(|cluster| cluster == only);
        self.recorded.retain(is_known);
        self.replayed.retain(is_known);
    }
}

/// Whether two mails say the same to the same people.
#[must_use]
pub fn is_same(one: &Mailed, other: &Mailed) -> bool {
    (&one.message, &one.subject, &one.recipients) == (&other.message, &other.subject, &other.recipients)
}

fn firsts(mails: &[Mailed]) -> BTreeMap<&MessageId, &Mailed> {
    let mut firsts = BTreeMap::new();
    for mail in mails {
        firsts.entry(&mail.message).or_insert(mail);
    }
    firsts
}

struct Player {
    replay: Replay,
    with: Option<Replacement>,
    /// What the recording answers, where the engine may ask at other times.
    index: Option<Index>,
    engine: Option<Engine>,
    /// When the last input was.
    last: Now,
    /// Requests that the recording answers, the oldest first.
    waiting: BTreeMap<Probe, VecDeque<ProbeId>>,
}

impl Player {
    fn play(&mut self, files: &[PathBuf]) -> Result<(), ReplayError> {
        let mut before: Option<(&PathBuf, bool)> = None;
        for path in files {
            let mut reader = Reader::open(path)?;
            let head = reader.head().clone();
            let follows = head.follows && before.is_some_and(|(before, is_whole)| is_whole && is_next(before, path));
            if !follows {
                if before.is_some() {
                    self.note(format!(
                        "{}: something is missing before it; the replay begins anew there",
                        path.display()
                    ));
                }
                self.engine = None;
            }
            let mut is_whole = true;
            for record in &mut reader {
                match record {
                    Ok(record) => self.take(record, &head, path)?,
                    Err(error) => {
                        is_whole = false;
                        self.note(error.to_string());
                    }
                }
            }
            before = Some((path, is_whole));
        }
        Ok(())
    }

    fn take(&mut self, record: Record, head: &Head, path: &Path) -> Result<(), ReplayError> {
        match record {
            Record::Checkpoint(bytes) => match &self.engine {
                None => self.begin(&bytes, head, path)?,
                Some(engine) if self.index.is_none() && engine.checkpoint().is_ok_and(|known| known != bytes) => {
                    self.note(format!("{}: the replay has gone another way than vedette did", path.display()));
                }
                Some(_) => {}
            },
            Record::Input { .. } | Record::Mailed(_) if self.engine.is_none() => {
                return Err(ReplayError::NoCheckpoint { path: path.to_path_buf() });
            }
            Record::Input { now, input } if self.index.is_none() => {
                self.replay.inputs += 1;
                self.step(input, now);
            }
            Record::Input { now, input } => {
                self.replay.inputs += 1;
                self.adapt(input, now);
            }
            Record::Mailed(mailed) => self.replay.recorded.push(mailed),
            Record::Dropped(inputs) => self.note(format!("{}: {inputs} inputs are missing before it", path.display())),
        }
        Ok(())
    }

    fn begin(&mut self, bytes: &[u8], head: &Head, path: &Path) -> Result<(), ReplayError> {
        let (path, vedette) = (path.to_path_buf(), head.vedette.clone());
        let mut engine =
            Engine::from_checkpoint(bytes).map_err(|source| ReplayError::Checkpoint { path, vedette, source })?;
        if self.index.is_some() {
            // What was under way is answered by whatever comes.
            for request in engine.requests_under_way() {
                self.waiting.entry(request.probe).or_default().push_back(request.id);
            }
        }
        self.last = head.began;
        if let Some(with) = &self.with {
            let replacement = Replacement { at: head.began.wall, ..with.clone() };
            engine.handle(Input::Reconfigured(Reload::Taken(Box::new(replacement))), head.began);
        }
        self.engine = Some(engine);
        self.act(head.began);
        Ok(())
    }

    /// Hands `input` in as far as it is of use to an engine that goes its own way.
    fn adapt(&mut self, input: Input, now: Now) {
        self.wake_until(now);
        let input = match input {
            Input::Observed(mut observation) => {
                if observation.request.is_some() {
                    let waiting = self.waiting.get_mut(&observation.probe);
                    observation.request = waiting.and_then(VecDeque::pop_front);
                }
                Input::Observed(observation)
            }
            // Its own persists are confirmed at once.
            Input::Persisted { .. } => Input::Elapsed,
            Input::Reconfigured(_) if self.with.is_some() => Input::Elapsed,
            Input::Restored(_)
            | Input::Delivered { .. }
            | Input::Ordered(_)
            | Input::Beaten { .. }
            | Input::Reconfigured(_)
            | Input::Elapsed
            | Input::Stopping => input,
        };
        self.step(input, now);
    }

    /// Wakes the engine when it wants to be woken before `now`.
    fn wake_until(&mut self, now: Now) {
        if now.since(self.last) > STALL {
            return;
        }
        for _ in 0..IDLE_TURNS {
            let due = self.engine.as_ref().and_then(Engine::next_deadline).filter(|due| *due < now.mono);
            let Some(due) = due else { return };
            let at = self.last.plus(due.since(self.last.mono));
            self.step(Input::Elapsed, at);
        }
    }

    fn step(&mut self, input: Input, now: Now) {
        self.last = now;
        self.replay.time.1 = now.wall;
        if let Some(engine) = &mut self.engine {
            engine.handle(input, now);
        }
        self.act(now);
    }

    fn act(&mut self, now: Now) {
        while let Some(action) = self.engine.as_mut().and_then(Engine::next_action) {
            let Some(engine) = &mut self.engine else { return };
            let answer = match action {
                Action::Send(attempt) => {
                    let mailed = mailed(&attempt, now);
                    let answer = self.index.as_mut().and_then(|index| {
                        let is_recorded = index.take_receipt(&mailed.message);
                        (!is_recorded).then(|| Input::Delivered(attempt.all(&DeliveryResult::Accepted)))
                    });
                    self.replay.attempts.entry(mailed.message.clone()).or_insert(*attempt);
                    self.replay.replayed.push(mailed);
                    answer
                }
                Action::Persist { sequence, .. } => {
                    self.index.as_ref().map(|_| Input::Persisted { sequence, result: Ok(()) })
                }
                Action::Probe(request) => {
                    if let Some(index) = &mut self.index {
                        if index.take_answer(&request, now.mono) {
                            self.waiting.entry(request.probe).or_default().push_back(request.id);
                        } else {
                            engine.forget_request(request.id, now);
                        }
                    }
                    None
                }
                Action::Beat => None,
            };
            if let Some(answer) = answer {
                engine.handle(answer, now);
            }
        }
    }

    fn note(&mut self, text: String) {
        self.replay.notes.push(text);
    }
}
