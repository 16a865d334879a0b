//! What the watched files of a configuration hold now, for `vedette check`: how much, and what cannot be read.
//!
//! Probes once, on a thread of its own, so that a file system that hangs is reported like any other fault.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::collect::files;
use crate::config::problem::Problem;
use crate::config::settings::{Settings, WatchedFiles};
use crate::daemon::clock;
use crate::model::certificate_files::{FileFault, FilesReading, Held, SourceReading};
use crate::parse::diagnostic::Diagnostic;

/// A file system that has not answered by then is called hung.
const DEADLINE: Duration = Duration::from_secs(20);
/// Files of one entry that are named before the rest is counted.
const NAMED: usize = 5;

/// What the watched files hold.
pub(super) struct Stored {
    watches: Vec<WatchedFiles>,
    /// One for each of them; `None` for what did not answer.
    readings: Vec<Option<FilesReading>>,
}

/// Reads every file that `settings` watch.
pub(super) fn read_watched(settings: &Settings) -> Stored {
    let of_clusters = settings.clusters.iter().flat_map(|cluster| cluster.watched_files());
    let watches: Vec<WatchedFiles> = settings.watched_files().into_iter().chain(of_clusters).collect();
    let (report, reports) = mpsc::channel();
    for (at, watch) in watches.iter().cloned().enumerate() {
        let report = report.clone();
        std::thread::spawn(move || {
            let reading = files::read_once(&[watch], &clock::system());
            // The receiver is gone when the deadline has passed.
            drop(report.send((at, reading)));
        });
    }
    drop(report);
    let mut readings: Vec<Option<FilesReading>> = watches.iter().map(|_| None).collect();
    while let Ok((at, reading)) = reports.recv_timeout(DEADLINE) {
        readings[at] = Some(reading);
    }
    Stored { watches, readings }
}

impl Stored {
    /// `14 certificates and tokens in 9 files`; CAs of the system's bundle are counted apart.
    pub(super) fn counted(&self) -> String {
        let (mut items, mut files) = (0, 0);
        let held = self.readings.iter().flatten().flat_map(FilesReading::held);
        let foreign: usize = held.filter(Held::is_foreign).map(|held| held.places().count()).sum();
        for source in self.readings.iter().flatten().flat_map(|reading| &reading.sources) {
            let holding = source.files.iter().filter(|file| !file.items.is_empty());
            files += holding.clone().count();
            items += holding.map(|file| file.items.len()).sum::<usize>();
        }
        let file_word = if files == 1 { "file" } else { "files" };
        let apart = if foreign > 0 { format!(", and {foreign} CAs of public bundles") } else { String::new() };
        let items = items - foreign;
        format!("{items} stored certificates and tokens in {files} {file_word}{apart}")
    }

    /// Warnings for entries of `config` that cannot be read as they are. Our own credentials are examined elsewhere.
    pub(super) fn problems(&self, config: &Path) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (watch, reading) in self.watches.iter().zip(&self.readings).filter(|(watch, _)| watch.own.is_none()) {
            let shown = match &watch.place {
                crate::config::settings::FilePlace::Pattern(path) => path.display().to_string(),
                crate::config::settings::FilePlace::Source(source) => format!("{source:?}"),
            };
            let faults = match reading.as_ref().and_then(|reading| reading.sources.first()) {
                Some(source) => told(source, &shown),
                None => vec![format!("{shown} {}", FileFault::Timeout.words())],
            };
            for what in faults {
                let hint = "vedette reports it while it runs as well; give it the right to read, or fix 'path'";
                let diagnostic = Diagnostic::warning(watch.position, what).hint(hint);
                problems.push(Problem { file: config.display().to_string(), diagnostic });
            }
        }
        problems
    }
}

fn told(source: &SourceReading, shown: &str) -> Vec<String> {
    let whole = source.fault.map(|fault| format!("{shown} {}", fault.words()));
    let files = source.files.iter().filter_map(|file| Some(format!("{} {}", file.path, file.fault?.fault.words())));
    let mut faults: Vec<String> = whole.into_iter().chain(files).collect();
    let more = faults.len().saturating_sub(NAMED);
    faults.truncate(NAMED);
    if more > 0 {
        faults.push(format!("{more} more files of {shown} cannot be read"));
    }
    if source.left_out > 0 {
        faults.push(format!(
            "{} files, directories or certificates of {shown} are left out: there are too many",
            source.left_out
        ));
    }
    faults
}
