//! The command line: one file per command, one variant each.
//!
//! A command is a struct of arguments with `run(self) -> anyhow::Result<ExitCode>`. It writes results to stdout
//! through `std::io::Write`, so that a closed pipe comes back as an error, which ends quietly here. Called by `main`.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod certificate_files;
mod certs;
mod check;
mod control_client;
pub mod drill;
mod incidents;
mod missing_credentials;
mod probe;
pub mod replay;
mod run;
mod schema;
mod silence;
mod status;
mod who;

/// The arguments make no sense (sysexits' `EX_USAGE`).
pub const USAGE: u8 = 64;
/// Where the packages put the configuration.
const DEFAULT_CONFIG: &str = "/etc/vedette/vedette.yaml";

/// The configuration cannot be used (sysexits' `EX_CONFIG`); the systemd unit does not restart on it.
pub const CONFIG: u8 = 78;

/// Watches Kubernetes control planes from outside them, and mails the person on call.
#[derive(Debug, Parser)]
#[command(name = "vedette", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Probe(probe::ProbeOnce),
    Certs(certs::Certs),
    Drill(drill::Drill),
    Status(status::Status),
    Who(who::Who),
    Incidents(incidents::Incidents),
    Silence(silence::Silence),
    Replay(replay::ReplayCommand),
    Schema(schema::Schema),
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(run) => run.run(),
            Self::Check(check) => check.run(),
            Self::Probe(probe) => probe.run(),
            Self::Certs(certs) => certs.run(),
            Self::Drill(drill) => drill.run(),
            Self::Status(status) => status.run(),
            Self::Who(who) => who.run(),
            Self::Incidents(incidents) => incidents.run(),
            Self::Silence(silence) => silence.run(),
            Self::Replay(replay) => replay.run(),
            Self::Schema(schema) => schema.run(),
        }
    }
}

/// Runs the command that `arguments` name, the program's own name first.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(answer) => {
            // Help and version are answers on stdout, everything else is a complaint on stderr.
            let code = if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            return answer.print().map_or_else(|error| failed(&error.into()), |()| code);
        }
    };
    parsed.command.run().unwrap_or_else(|error| failed(&error))
}

/// `vedette … | head` closes our stdout when it has seen enough: that is not a failure.
fn failed(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // When stderr is closed as well, the error cannot be shown.
    writeln!(io::stderr().lock(), "vedette: {error:#}").ok();
    ExitCode::FAILURE
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(is_closed)
}

/// Columns to wrap at: what `COLUMNS` or the terminal itself says, everything on one line in a pipe.
fn terminal_width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    // A terminal that does not know its size, as over a serial line, says zero.
    let told = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    asked.or_else(told).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
