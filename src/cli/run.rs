//! `vedette run`: looks, judges and mails until told to stop.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::settings::Settings;
use crate::daemon::logging::{self, Format};
use crate::daemon::run;

use super::CONFIG;

/// Watch, judge and mail until SIGTERM
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The configuration
    #[arg(default_value = super::DEFAULT_CONFIG)]
    file: PathBuf,

    /// How log lines look on stderr: plain or json
    #[arg(long, default_value = "plain")]
    log_format: Format,
}

impl Run {
    /// Runs; 78 when the configuration cannot be used.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = match Settings::load(&self.file) {
            Ok((settings, warnings)) => {
                logging::start(self.log_format)?;
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                settings
            }
            Err(problems) => {
                let mut stderr = io::stderr().lock();
                for problem in problems {
                    writeln!(stderr, "{problem}")?;
                }
                return Ok(ExitCode::from(CONFIG));
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run::run(settings))?;
        // Threads that hang in a dead resolver or on a dead disk must not keep the process.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}
