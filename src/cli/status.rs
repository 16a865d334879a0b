//! `vedette status`: the status page of the running daemon, as text.

use std::io::{self, Write as _};
use std::process::ExitCode;

use hyper::Method;

use super::control_client::Whom;

/// Nothing could be learnt, by the contract of monitoring plugins.
const UNKNOWN: u8 = 3;

/// Show the status page as text
///
/// Exits by the worst state, as monitoring plugins do: 0 ok, 1 degraded, 2 down, 3 unknown or not running.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

impl Status {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self.fetch() {
            Ok((shown, code)) => {
                io::stdout().lock().write_all(shown.as_bytes())?;
                Ok(ExitCode::from(code))
            }
            Err(error) => {
                // When stderr is closed as well, the error cannot be shown.
                writeln!(io::stderr().lock(), "vedette: {error:#}").ok();
                Ok(ExitCode::from(UNKNOWN))
            }
        }
    }

    fn fetch(&self) -> anyhow::Result<(String, u8)> {
        let page = self.page("/status.txt")?;
        let code = code(&page);
        Ok((if self.json { self.page("/api/v1/status")? } else { page }, code))
    }

    fn page(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.whom.ask(Method::GET, path, String::new())?;
        if !answer.status.is_success() {
            anyhow::bail!("{}", answer.text.trim_end());
        }
        Ok(answer.text)
    }
}

/// The exit code that belongs to the page's first word.
fn code(page: &str) -> u8 {
    match page.split(':').next() {
        Some("OK") => 0,
        Some("DEGRADED") => 1,
        Some("DOWN") => 2,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides() {
        for (page, expected) in
            [("OK: all", 0), ("DEGRADED: x", 1), ("DOWN: prod", 2), ("UNKNOWN: isolated", 3), ("", 3), ("OKAY", 3)]
        {
            assert_eq!(code(page), expected, "{page}");
        }
    }
}
