//! `vedette run`: probes, evaluates and mails until it is stopped.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::environment::{Environment, Sources};
use crate::config::last_good;
use crate::config::load::Loaded;
use crate::config::problem::Problem;
use crate::daemon::logging::{self, Format};
use crate::daemon::run::{self, Start};
use crate::daemon::worker_threads;

use super::CONFIG;

/// Run the monitor
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The configuration
    #[arg(default_value = super::DEFAULT_CONFIG)]
    file: PathBuf,

    /// Format of log lines on stderr: plain or json
    #[arg(long, default_value = "plain")]
    log_format: Format,
}

impl Run {
    /// Runs; 78 when neither the configuration nor its last good copy can be used.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let start = match self.start() {
            Ok(start) => start,
            Err(problems) => {
                let mut stderr = io::stderr().lock();
                for problem in problems {
                    writeln!(stderr, "{problem}")?;
                }
                return Ok(ExitCode::from(CONFIG));
            }
        };
        let _writing = logging::start(self.log_format)?;
        for warning in &start.loaded.warnings {
            tracing::warn!("{warning}");
        }
        let runtime = worker_threads::runtime(&start.loaded.settings)?;
        runtime.block_on(run::run(start))?;
        // Threads that hang in a resolver or on a disk must not keep the process.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }

    /// The file, or the last copy of it that could be used.
    fn start(&self) -> Result<Start, Vec<Problem>> {
        let (file, environment) = (self.file.clone(), Environment::here(Sources::Examined));
        match Loaded::read(&file, &environment) {
            Ok(loaded) => Ok(Start { file, loaded, stands_in: None }),
            Err(problems) => match last_good::find(&file, &environment) {
                Some((loaded, of)) => Ok(Start { file, loaded, stands_in: Some((of, problems)) }),
                None => Err(problems),
            },
        }
    }
}
