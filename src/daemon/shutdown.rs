//! Signals that end the process: the first asks it to drain, the second to drop everything.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Start nothing new, persist what must be kept, then end.
    Drain(Signal),
    /// End now. What was persisted is enough to go on from.
    Abort(Signal),
}

/// The signals that are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: the service manager.
    Terminate,
    /// SIGINT: a person at the keyboard.
    Interrupt,
}

/// Listens for both signals; which of them comes first makes no difference.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    is_draining: bool,
}

impl Signals {
    /// Handles both signals in place of the kernel's default, which ends the process at once.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the registration.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            is_draining: false,
        })
    }

    /// The next demand: [`Demand::Drain`] once, [`Demand::Abort`] ever after. Safe to drop and call again.
    pub async fn next(&mut self) -> Demand {
        let signal = tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        };
        let was_draining = std::mem::replace(&mut self.is_draining, true);
        if was_draining { Demand::Abort(signal) } else { Demand::Drain(signal) }
    }
}

impl Signal {
    /// The name a log line uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::daemon::child_process_test;

    /// Signals belong to a whole process, so the one that gets them is a second run of this test.
    #[test]
    fn the_first_signal_drains_and_the_second_aborts() {
        if child_process_test::is_child() {
            return child();
        }
        let mut command =
            child_process_test::command("daemon::shutdown::tests::the_first_signal_drains_and_the_second_aborts");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut wait_for = |word: &str| assert!(lines.any(|line| line.ends_with(word)), "no {word}");
        let kill = |signal: &str| {
            assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        };

        wait_for("listening");
        kill("-TERM");
        wait_for("Drain(Terminate)");
        kill("-INT");
        wait_for("Abort(Interrupt)");

        assert!(child.wait().unwrap().success());
    }

    fn child() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut signals = Signals::listen().unwrap();
            say("listening");
            say(&format!("{:?}", signals.next().await));
            say(&format!("{:?}", signals.next().await));
        });
    }

    fn say(word: &str) {
        writeln!(io::stdout(), "{word}").unwrap();
    }
}
