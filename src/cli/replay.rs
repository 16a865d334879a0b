//! `vedette replay`: what would have been mailed about a time that was recorded, beside what was.

mod index;
pub mod playback;
mod shown;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::environment::{Environment, Sources};
use crate::config::settings::Settings;
use crate::model::reload::Replacement;
use crate::store::recording;

use super::CONFIG;
use playback::{Replay, ReplayError};

/// Nothing could be replayed (sysexits' `EX_DATAERR`).
const DATA: u8 = 65;

/// Replay a recording and show what would have been mailed
///
/// vedette records what it sees in the folder 'recordings' beside its database, and keeps what led to an incident in
/// 'recordings/kept'. Connects to nothing and mails nothing. Exits 0 when the replay mails what was mailed, 1 when it
/// mails anything else, 65 when no recording can be read, and 78 when the new configuration cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayCommand {
    /// Files of one recording, or the folder that they are in
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What would have been mailed with this configuration, loaded at the beginning
    #[arg(long, value_name = "NEW")]
    config: Option<PathBuf>,
    /// Open no file, credential or variable that the new configuration names
    #[arg(long, requires = "config")]
    offline: bool,
    /// Show the whole mails
    #[arg(long, conflicts_with = "json")]
    text: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl ReplayCommand {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let with = match self.config.as_deref().map(|file| self.replacement(file)).transpose() {
            Ok(with) => with,
            Err(code) => return Ok(code),
        };
        let replayed = files(&self.files).map_err(ReplayError::Files).and_then(|files| Replay::run(&files, with));
        let replay = match replayed {
            Ok(replay) => replay,
            Err(error) => {
                writeln!(io::stderr().lock(), "vedette: {error:#}", error = anyhow::Error::from(error)).ok();
                return Ok(ExitCode::from(DATA));
            }
        };
        let shown = if self.json { shown::json(&replay)? } else { shown::text(&replay, self.text) };
        io::stdout().lock().write_all(shown.as_bytes())?;
        Ok(if replay.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn replacement(&self, file: &Path) -> Result<Replacement, ExitCode> {
        let sources = if self.offline { Sources::Untouched } else { Sources::Examined };
        let (settings, _) = Settings::load_in(file, &Environment::here(sources)).map_err(|problems| {
            for problem in problems {
                // A lost stderr changes nothing about the verdict.
                writeln!(io::stderr().lock(), "{problem}").ok();
            }
            ExitCode::from(CONFIG)
        })?;
        Ok(playback::replacement(Arc::new(settings.inventory()), Arc::new(settings.policy)))
    }
}

/// The files that are named, folders replaced by the segments in them.
fn files(named: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            files.extend(recording::in_order(path)?);
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no recording in the folder"));
    }
    Ok(files)
}
