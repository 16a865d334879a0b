//! `vedette schema`: the form of the configuration, for editors.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::schema;

/// Print the JSON Schema of the configuration
///
/// Editors that speak the YAML language server check a file that begins with
/// `# yaml-language-server: $schema=vedette.schema.json` while it is written. `vedette check` knows more.
#[derive(Debug, clap::Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        io::stdout().lock().write_all(schema::text().as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
