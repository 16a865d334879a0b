//! `vedette silence`: for a while nothing is mailed about a cluster.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use hyper::Method;

use crate::config::duration;
use crate::render::silence::{Answer, Shown, SilenceRequest, begun, ended, table};

use super::control_client::Whom;

/// Suppress notifications for a cluster; monitoring continues
///
/// What begins while a cluster is silenced is probed, judged and listed as ever. Anything still wrong when the silence
/// ends is mailed then. A full outage of the cluster is mailed at once all the same, unless --include-outages is given,
/// and so is the resolution of what was mailed before. A silence ends by itself, after a day at most, and survives
/// restarts.
///
/// Exits 0 when it is done and on disk, and 1 otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vedette silence prod 2h --comment 'defragmenting etcd'\n  \
                        vedette silence prod --expire\n  vedette silence --list")]
pub(super) struct Silence {
    /// The cluster, by its name in the configuration
    #[arg(required_unless_present = "list")]
    cluster: Option<String>,
    /// How long, from 1m to 24h, such as 90m or 1h30m
    #[arg(required_unless_present_any = ["list", "expire"], conflicts_with = "expire")]
    duration: Option<String>,
    /// Why: shown on the status page, and in the mail that follows if something is still wrong
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "expire"], conflicts_with = "expire")]
    comment: Option<String>,
    /// Suppress even the mail about a full outage
    #[arg(long, conflicts_with = "expire")]
    include_outages: bool,
    /// End the silence of the cluster; anything still wrong is mailed at once
    #[arg(long)]
    expire: bool,
    /// List the silences in force
    #[arg(long, conflicts_with_all = ["cluster", "duration", "comment", "include_outages", "expire"])]
    list: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

impl Silence {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(cluster) = &self.cluster else { return self.list() };
        let (path, method, body) = if self.expire {
            (format!("/control/silence/{cluster}"), Method::DELETE, String::new())
        } else {
            ("/control/silence".to_owned(), Method::POST, serde_json::to_string(&self.silence_request(cluster)?)?)
        };
        let answer = self.whom.ask(method, &path, body)?;
        if !answer.status.is_success() {
            anyhow::bail!("{}", answer.text.trim_end());
        }
        let done: Answer = serde_json::from_str(&answer.text).context("the answer cannot be read")?;
        let shown = match (self.json, self.expire) {
            (true, _) => answer.text,
            (false, true) => ended(&done),
            (false, false) => begun(&done),
        };
        io::stdout().lock().write_all(shown.as_bytes())?;
        if let Some(problem) = done.problem {
            anyhow::bail!("it is done, but not on disk, so a restart may undo it: {problem}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self) -> anyhow::Result<ExitCode> {
        let answer = self.whom.ask(Method::GET, "/api/v1/silences", String::new())?;
        let silences: Vec<Shown> = serde_json::from_str(&answer.text).context("the answer cannot be read")?;
        let shown = if self.json { answer.text } else { table(&silences) };
        io::stdout().lock().write_all(shown.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    fn silence_request(&self, cluster: &str) -> anyhow::Result<SilenceRequest> {
        let text = self.duration.as_deref().unwrap_or_default();
        let lasting = duration::parse(text).map_err(|what| anyhow::anyhow!("{what}; write 30m, 2h or 1h30m"))?;
        Ok(SilenceRequest {
            cluster: cluster.to_owned(),
            duration_seconds: lasting.as_secs(),
            comment: self.comment.clone().unwrap_or_default(),
            include_outages: self.include_outages,
            author: ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()),
        })
    }
}
