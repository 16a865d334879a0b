//! `vedette incidents`: what was wrong, and what was mailed about it.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use hyper::Method;

use crate::config::duration;
use crate::daemon::clock;
use crate::model::addresses::Addresses;
use crate::render::incident_report::{self, IncidentReport, table, text};
use crate::store;

use super::control_client::{AskError, Whom};

/// List incidents, or show one in detail
///
/// Asks the running vedette for what is open and what was resolved lately; older incidents, and all of them while none
/// runs, come from its store, if you may read it.
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
        let mut reports = self.collect()?;
        reports.retain(|report| {
            let is_cluster = self.cluster.as_ref().is_none_or(|cluster| *cluster == report.cluster);
            let is_recent = earliest.is_none_or(|earliest| report.until_seconds.is_none_or(|until| until >= earliest));
            is_cluster && is_recent && self.id.as_ref().is_none_or(|id| report.id.starts_with(id.as_str()))
        });
        let shown = match (&self.id, reports.as_slice()) {
            (Some(id), []) => anyhow::bail!("there is no incident {id}; 'vedette incidents' lists those there are"),
            (Some(_), [report]) if self.json => serde_json::to_string_pretty(report)? + "\n",
            (Some(_), [report]) => text(report),
            _ if self.json => serde_json::to_string_pretty(&reports)? + "\n",
            _ => table(&reports),
        };
        io::stdout().lock().write_all(shown.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the daemon knows, then what only the store knows: open ones first, then the latest.
    fn collect(&self) -> anyhow::Result<Vec<IncidentReport>> {
        let stored = self.stored();
        let mut reports = match self.whom.ask(Method::GET, "/api/v1/incidents", String::new()) {
            Ok(answer) if answer.status.is_success() => {
                serde_json::from_str::<Vec<IncidentReport>>(&answer.text).context("the answer cannot be read")?
            }
            Ok(answer) => anyhow::bail!("{}", answer.text.trim_end()),
            Err(error @ (AskError::NobodyThere(..) | AskError::Off)) => {
                let stored = stored.map_err(|problem| anyhow::anyhow!("{error}; and its store: {problem}"))?;
                writeln!(io::stderr().lock(), "vedette: no vedette runs; this is what its store remembers").ok();
                return Ok(sorted(stored));
            }
            Err(error) => return Err(error.into()),
        };
        let known: BTreeSet<String> = reports.iter().map(|report| report.id.clone()).collect();
        reports.extend(stored.unwrap_or_default().into_iter().filter(|report| !known.contains(&report.id)));
        Ok(sorted(reports))
    }

    fn stored(&self) -> Result<Vec<IncidentReport>, String> {
        let now = clock::system().now().wall;
        let incidents = store::incidents(&self.whom.store())?;
        Ok(incidents.iter().map(|incident| incident_report::of(incident, &Addresses::new(), now)).collect())
    }
}

fn sorted(mut reports: Vec<IncidentReport>) -> Vec<IncidentReport> {
    reports.sort_by_key(|report| (!report.open, std::cmp::Reverse(report.since_seconds), report.id.clone()));
    reports
}
