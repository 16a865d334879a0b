//! `vedette check`: everything that is wrong with a configuration, before the daemon meets it.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::CONFIG;
use super::certificate_files::{self, Stored};
use crate::config::budget::Planned;
use crate::config::environment::{Environment, Sources};
use crate::config::problem::Problem;
use crate::config::settings::{Cluster, Settings};
use crate::model::canary::{Canaries, Canary};

/// Check a configuration and report everything that is wrong with it
///
/// Connects to nothing. Problems go to stderr as FILE:LINE:COLUMN: error|warning: WHAT; hint: HINT. Exits 0 when the
/// configuration can be used, and 78 when it cannot.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The configuration, or several
    #[arg(value_name = "FILE", default_value = "/etc/vedette/vedette.yaml")]
    files: Vec<PathBuf>,
    /// Open no file, credential or variable that the configuration names
    #[arg(long)]
    offline: bool,
    /// Exit 78 on warnings as well
    #[arg(long)]
    deny_warnings: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let sources = if self.offline { Sources::Untouched } else { Sources::Examined };
        let environment = Environment::here(sources);
        let mut code = ExitCode::SUCCESS;
        for file in &self.files {
            let (settings, mut problems) = match Settings::load_in(file, &environment) {
                Ok((settings, warnings)) => (Some(settings), warnings),
                Err(problems) => (None, problems),
            };
            let stored = settings.as_ref().filter(|_| !self.offline).map(certificate_files::read_watched);
            problems.extend(stored.iter().flat_map(|stored| stored.problems(file)));
            for problem in &problems {
                // A lost stderr changes nothing about the verdict.
                writeln!(io::stderr().lock(), "{problem}").ok();
            }
            if settings.is_none() || (self.deny_warnings && !problems.is_empty()) {
                code = ExitCode::from(CONFIG);
            }
            let file = file.display();
            match settings {
                Some(settings) => {
                    let summary = summary(&settings, stored.as_ref(), &problems);
                    writeln!(io::stdout().lock(), "{file}: ok: {summary}")?;
                }
                None => writeln!(io::stderr().lock(), "{file}: {}", counted(&problems)).unwrap_or_default(),
            }
        }
        Ok(code)
    }
}

/// `2 clusters, 9 endpoints, 3 reference targets, 14 certificates and tokens in 9 files; planned requests/s: prod 2.8
/// (apiservers 1.3, etcd 1.5; never more than 10)`.
fn summary(settings: &Settings, stored: Option<&Stored>, warnings: &[Problem]) -> String {
    let inventory = settings.inventory();
    let endpoints: usize = inventory
        .clusters
        .values()
        .map(|cluster| {
            let members: usize = cluster.etcds.values().map(|etcd| etcd.members.len()).sum();
            usize::from(cluster.vip.is_some()) + cluster.apiservers.len() + members
        })
        .sum();
    let references: BTreeSet<&str> = inventory
        .references
        .iter()
        .chain(&inventory.resolvers)
        .filter(|reference| !reference.is_loopback)
        .map(|reference| reference.address.as_str())
        .collect();
    let planned: Vec<String> = settings
        .clusters
        .iter()
        .map(|cluster| {
            let planned = Planned::new(cluster, &settings.policy);
            let (total, apiservers, etcd) = (planned.total(), planned.apiservers, planned.etcd);
            let most = settings.policy.ceiling(total);
            format!("{} {total:.1} (apiservers {apiservers:.1}, etcd {etcd:.1}; never more than {most})", cluster.name)
        })
        .collect();
    let mut parts = vec![
        plural(inventory.clusters.len(), "cluster"),
        plural(endpoints, "endpoint"),
        plural(references.len(), "reference target"),
    ];
    parts.extend(stored.map(Stored::counted));
    if !warnings.is_empty() {
        parts.push(counted(warnings));
    }
    let canaries = settings.clusters.iter().filter_map(canaries).collect::<Vec<_>>();
    let canaries = if canaries.is_empty() { String::new() } else { format!("; canaries: {}", canaries.join(", ")) };
    format!("{}; planned requests/s: {}{canaries}", parts.join(", "), planned.join(", "))
}

/// `prod (lease, create; writes the Lease vedette/vedette-bastion-1)`, for a cluster that has any.
fn canaries(cluster: &Cluster) -> Option<String> {
    let Canaries { on, namespace, lease, .. } = cluster.canaries.as_ref()?;
    let keys: Vec<&str> = on.iter().map(|canary| canary.as_str()).collect();
    let writes = if on.contains(&Canary::Lease) {
        format!("writes the Lease {namespace}/{lease}")
    } else {
        "writes nothing".into()
    };
    Some(format!("{} ({}; {writes})", cluster.name, keys.join(", ")))
}

/// `2 errors, 1 warning`.
fn counted(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let counts = [(errors, "error"), (problems.len() - errors, "warning")];
    counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| plural(n, word)).collect::<Vec<_>>().join(", ")
}

fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}
