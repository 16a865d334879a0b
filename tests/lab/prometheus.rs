//! A real Prometheus on the bastion, with our own scrape configuration and rules, scraping every second; and promtool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::clock;
use crate::drill::Skipped;
use crate::http;
use crate::net::Place;
use crate::process::Server;
use crate::world::World;

const LISTEN: &str = "127.0.0.1:9090";
const NAME: &str = "prometheus";
/// Where the rule files and their unit tests are.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus");

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// A rule as Prometheus has loaded it.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) expression: String,
    pub(crate) is_alert: bool,
}

impl World {
    /// Starts Prometheus on the bastion and waits until it has scraped vedette.
    pub(crate) fn start_prometheus(&mut self, volatile: &Path) -> Result<()> {
        let program = tool(self, "prometheus")?;
        let config = self.folder.join("prometheus.yaml");
        fs::write(&config, configuration()?)?;
        let arguments = vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", volatile.display()),
            format!("--web.listen-address={LISTEN}"),
        ];
        let log = self.folder.join("logs/prometheus.log");
        self.add(Server::new(NAME, Place::Bastion, program, arguments, log));
        self.start(NAME)?;
        let scraped = clock::wait_until("Prometheus to have scraped vedette", Duration::from_secs(60), || {
            self.ask("vedette_build_info").is_ok_and(|series| !series.is_empty())
        });
        let words = self.server(NAME)?.last_words();
        scraped.map(drop).context(words)
    }

    /// Evaluates a query as a panel that shows now does.
    pub(crate) fn ask(&self, query: &str) -> Result<Vec<Series>> {
        let answer = self.prometheus(&format!("query?query={}", encoded(query)))?;
        series(&answer["result"], "value").with_context(|| query.to_owned())
    }

    /// Evaluates a query as a panel that shows a range does, at its last step.
    pub(crate) fn ask_range(&self, query: &str) -> Result<Vec<Series>> {
        let now = clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        let path = format!("query_range?query={}&start={now}&end={now}&step=1", encoded(query));
        let answer = self.prometheus(&path)?;
        series(&answer["result"], "values").with_context(|| query.to_owned())
    }

    /// All that a query answers from `since` on (seconds since 1970) every `step` seconds, as Prometheus writes it.
    pub(crate) fn history(&self, query: &str, since: f64, step: f64) -> Result<Value> {
        let now = clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        let path = format!("query_range?query={}&start={since}&end={now}&step={step}", encoded(query));
        Ok(self.prometheus(&path)?["result"].take())
    }

    /// The loaded rules.
    ///
    /// # Errors
    /// When Prometheus could not evaluate one of them.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>> {
        let answer = self.prometheus("rules")?;
        let groups = answer["groups"].as_array().cloned().unwrap_or_default();
        let mut rules = Vec::new();
        for rule in groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
            let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
            if text("health") == "err" {
                bail!("rule {}: {}", text("name"), text("lastError"));
            }
            rules.push(Rule { name: text("name"), expression: text("query"), is_alert: text("type") == "alerting" });
        }
        Ok(rules)
    }

    /// A promtool in the folder of the rules' unit tests.
    pub(crate) fn promtool(&self) -> Result<Command> {
        let mut command = self.network.command(Place::Bastion, tool(self, "promtool")?);
        command.current_dir(Path::new(RULES).join("tests"));
        Ok(command)
    }

    /// The part "data" of an answer of Prometheus's API.
    fn prometheus(&self, path: &str) -> Result<Value> {
        let url = format!("http://{LISTEN}/api/v1/{path}");
        let answer = self.network.inside(Place::Bastion, || http::get(&url, None))?;
        let mut parsed: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
        if parsed["status"] != "success" {
            bail!("{}", parsed["error"]);
        }
        Ok(parsed["data"].take())
    }
}

pub(crate) fn tool(world: &World, name: &str) -> Result<PathBuf> {
    world.tools.path(name).map(Path::to_owned).map_err(|why| Skipped(format!("{why:#}")).into())
}

/// The scrape configuration that we ship, at intervals that suit a drill.
fn configuration() -> Result<String> {
    let shipped = fs::read_to_string(format!("{RULES}/scrape.yaml"))?;
    let ours = shipped
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("  - incidents", &format!("  - {RULES}/incidents"))
        .replace("  - etcd.rules", &format!("  - {RULES}/etcd.rules"))
        .replace("  - vedette.rules", &format!("  - {RULES}/vedette.rules"));
    Ok(format!("global: {{ evaluation_interval: 1s }}\n{ours}"))
}

fn series(result: &Value, key: &str) -> Result<Vec<Series>> {
    let all = result.as_array().ok_or_else(|| anyhow!("no result"))?;
    all.iter()
        .map(|one| {
            let sample = if key == "values" { &one[key][0][1] } else { &one[key][1] };
            let labels = one["metric"].as_object().into_iter().flatten();
            Ok(Series {
                labels: labels
                    .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned()))
                    .collect(),
                value: sample.as_str().ok_or_else(|| anyhow!("no sample in {one}"))?.parse()?,
            })
        })
        .collect()
}

/// Percent-encoding of everything that is not a letter or digit.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}
