//! What the apiservers themselves say they were asked: their audit logs, of vedette's requests alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::net::Place;
use crate::world::World;

/// Flags of apiserver `n`: one line in its log for each request of vedette's when it ends, nothing for others'.
pub(crate) fn flags(n: u8, logs: &Path) -> [String; 3] {
    [
        format!("--audit-policy-file={}", policy(logs).display()),
        format!("--audit-log-path={}", log(n, logs).display()),
        "--audit-log-mode=blocking".to_owned(),
    ]
}

/// Writes what [`flags`] names.
pub(crate) fn write_policy(logs: &Path) -> Result<()> {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [ResponseStarted, ResponseComplete]\nrules:\n  \
                - { level: Metadata, users: [vedette] }\n  - { level: None }\n";
    Ok(fs::write(policy(logs), text)?)
}

impl World {
    /// When each request of vedette's reached an apiserver, by that server's clock, since 1970.
    pub(crate) fn audited(&self) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for n in 1..=self.size.instances {
            let file = log(n, &self.folder.join("logs"));
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            for line in text.lines() {
                // A server that was killed may have left half a line.
                let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
                let received = entry["requestReceivedTimestamp"].as_str().context("no time in an audit entry")?;
                let at: jiff::Timestamp = received.parse().with_context(|| format!("time '{received}'"))?;
                times.push(Duration::try_from(at.as_duration())?);
            }
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// Most of `times` that lie within any second.
pub(crate) fn busiest_second(times: &[Duration]) -> usize {
    let within =
        |first: Duration| times.iter().filter(|at| **at >= first && **at < first + Duration::from_secs(1)).count();
    times.iter().map(|first| within(*first)).max().unwrap_or_default()
}

fn policy(logs: &Path) -> PathBuf {
    logs.join("audit-policy.yaml")
}

fn log(n: u8, logs: &Path) -> PathBuf {
    logs.join(format!("{}.audit", Place::Api(n).name()))
}
