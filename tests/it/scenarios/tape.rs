//! What a story's engine lived through, left as a recording when the story fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vedette::daemon::recorder;
use vedette::engine::Engine;
use vedette::model::delivery::Attempt;
use vedette::model::exchange::Input;
use vedette::model::time::Now;
use vedette::store::recording::{Folder, Head, Limits, Record, Segment};

use super::world::World;

/// Records of one segment. A story of weeks has millions; the last ones tell why it failed.
const SEGMENT: usize = 20_000;

const LIMITS: Limits = Limits { latest: u64::MAX, kept: u64::MAX, reserve: 0 };

/// The last segments of a story, in memory: most stories end well.
#[derive(Default)]
pub(super) struct Tape {
    segments: Vec<(Head, Vec<Record>)>,
    /// Whether the engine is another one than before.
    is_new: bool,
}

impl Tape {
    /// The process was started anew.
    pub(super) const fn restart(&mut self) {
        self.is_new = true;
    }

    /// `engine` is about to handle `input`.
    pub(super) fn note(&mut self, engine: &Engine, input: &Input, now: Now) {
        let is_due = self.segments.last().is_none_or(|(_, records)| records.len() >= SEGMENT);
        if is_due || self.is_new {
            let head = Head {
                vedette: env!("CARGO_PKG_VERSION").into(),
                vantage: engine.snapshot().inventory.vantage.clone(),
                began: now,
                follows: !self.is_new && !self.segments.is_empty(),
                only: None,
            };
            self.is_new = false;
            self.segments.push((head, vec![Record::Checkpoint(engine.checkpoint().unwrap())]));
            let old = self.segments.len().saturating_sub(3);
            self.segments.drain(..old);
        }
        self.push(Record::Input { now, input: input.clone() });
    }

    /// `engine` sends a mail.
    pub(super) fn note_mail(&mut self, attempt: &Attempt, now: Now) {
        self.push(Record::Mailed(recorder::mailed(attempt, now)));
    }

    /// Bytes and number of the records of the last minute, without a checkpoint.
    pub(super) fn last_minute(&self, folder: &Path) -> (u64, usize) {
        let Some((head, _)) = self.segments.last() else { return (0, 0) };
        let time = |record: &Record| match record {
            Record::Input { now, .. } => Some(now.mono),
            Record::Checkpoint(_) | Record::Mailed(_) | Record::Dropped(_) => None,
        };
        let end = self
            .segments
            .iter()
            .flat_map(|(_, records)| records)
            .filter_map(time)
            .max()
            .unwrap_or(vedette::model::time::Mono::ORIGIN);
        let is_late = |record: &&Record| time(record).is_some_and(|at| end.since(at) <= Duration::from_secs(60));
        let late: Vec<Record> =
            self.segments.iter().flat_map(|(_, records)| records).filter(is_late).cloned().collect();
        let count = late.len();
        let tape = Self { segments: vec![(head.clone(), late)], is_new: false };
        (tape.write(folder)[0].bytes, count)
    }

    fn push(&mut self, record: Record) {
        self.segments.last_mut().unwrap().1.push(record);
    }

    /// Writes it to `folder`, as the daemon would.
    pub(super) fn write(&self, folder: &Path) -> Vec<Segment> {
        let mut recordings = Folder::open(folder.to_path_buf(), LIMITS).unwrap();
        let mut written = Vec::new();
        for (head, records) in &self.segments {
            let (mut writer, path) = recordings.begin(head).unwrap();
            records.iter().for_each(|record| writer.write(record).unwrap());
            let bytes = writer.finish().unwrap().metadata().unwrap().len();
            let last = records.iter().rev().find_map(|record| match record {
                Record::Input { now, .. } => Some(now.wall),
                Record::Checkpoint(_) | Record::Mailed(_) | Record::Dropped(_) => None,
            });
            let (began, ended) = (head.began.wall, last.unwrap_or(head.began.wall).plus(Duration::from_millis(1)));
            written.push(Segment { path, began, ended, bytes });
        }
        written
    }
}

/// Where the recording of the story that runs in this thread is left.
pub(super) fn place() -> PathBuf {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("story").replace("::", ".");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("recordings").join(name)
}

/// A story that fails leaves what is needed to replay it.
impl Drop for Tape {
    #[expect(clippy::print_stderr, reason = "it is for whoever reads why the story failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let place = place();
            std::fs::remove_dir_all(&place).ok();
            self.write(&place);
            eprintln!("this story is recorded: vedette replay {}", place.display());
        }
    }
}

/// How much room a checkpoint of `world` takes on disk.
pub(super) fn bytes_of(world: &World, folder: &Path) -> u64 {
    let tape = Tape {
        segments: vec![(world.tape().segments[0].0.clone(), vec![Record::Checkpoint(world.checkpoint())])],
        is_new: false,
    };
    tape.write(folder)[0].bytes
}
