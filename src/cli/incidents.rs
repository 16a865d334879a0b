//! `vedette incidents`: what was wrong, and what was said of it.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use hyper::Method;

use crate::config::duration;
use crate::daemon::clock;
use crate::judge::words::Addresses;
use crate::render::story::{self, Story, table, text};
use crate::store;

use super::ask::{AskError, Whom};

/// List incidents, or show one in detail
///
/// Asks the running vedette for what is open and what was resolved lately; older incidents, and all of them while none runs,
/// come from its store, if you may read it.
#[derive(Debug, clap::Args)]
pub(super) struct Incidents {
    /// One incident, by its ID or a unique prefix of it
    id: Option<String>,
    /// Only those of this cluster; 'vantage' for vedette's own
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only those that were active within this time, such as 12h or 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

impl Incidents {
    /// Exits 0 when the list is complete, and 1 otherwise.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let since = self.since.as_deref().map(duration::parse).transpose();
        let since = since.map_err(|what| anyhow::anyhow!("{what}; write 12h or 7d"))?;
        let now = clock::system().now().wall;
        let earliest = since.map(|since| now.minus(since).as_secs());
        let mut stories = self.collect()?;
        stories.retain(|story| {
            let is_cluster = self.cluster.as_ref().is_none_or(|cluster| *cluster == story.cluster);
            let is_recent = earliest.is_none_or(|earliest| story.until_seconds.is_none_or(|until| until >= earliest));
            is_cluster && is_recent && self.id.as_ref().is_none_or(|id| story.id.starts_with(id.as_str()))
        });
        let shown = match (&self.id, stories.as_slice()) {
            (Some(id), []) => anyhow::bail!("there is no incident {id}; 'vedette incidents' lists those there are"),
            (Some(_), [story]) if self.json => serde_json::to_string_pretty(story)? + "\n",
            (Some(_), [story]) => text(story),
            _ if self.json => serde_json::to_string_pretty(&stories)? + "\n",
            _ => table(&stories),
        };
        io::stdout().lock().write_all(shown.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the daemon knows, then what only the store knows: open ones first, then the latest.
    fn collect(&self) -> anyhow::Result<Vec<Story>> {
        let stored = self.stored();
        let mut stories = match self.whom.ask(Method::GET, "/api/v1/incidents", String::new()) {
            Ok(answer) if answer.status.is_success() => {
                serde_json::from_str::<Vec<Story>>(&answer.text).context("the answer cannot be read")?
            }
            Ok(answer) => anyhow::bail!("{}", answer.text.trim_end()),
            Err(error @ (AskError::NobodyThere(..) | AskError::Off)) => {
                let stored = stored.map_err(|problem| anyhow::anyhow!("{error}; and its store: {problem}"))?;
                writeln!(io::stderr().lock(), "vedette: no vedette runs; this is what its store remembers").ok();
                return Ok(sorted(stored));
            }
            Err(error) => return Err(error.into()),
        };
        let known: BTreeSet<String> = stories.iter().map(|story| story.id.clone()).collect();
        stories.extend(stored.unwrap_or_default().into_iter().filter(|story| !known.contains(&story.id)));
        Ok(sorted(stories))
    }

    fn stored(&self) -> Result<Vec<Story>, String> {
        let now = clock::system().now().wall;
        let incidents = store::incidents(&self.whom.store())?;
        Ok(incidents.iter().map(|incident| story::of(incident, &Addresses::new(), now)).collect())
    }
}

fn sorted(mut stories: Vec<Story>) -> Vec<Story> {
    stories.sort_by_key(|story| (!story.open, std::cmp::Reverse(story.since_seconds), story.id.clone()));
    stories
}
