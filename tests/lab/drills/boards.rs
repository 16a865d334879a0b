//! Dashboards and alerts on a real Prometheus that scrapes the real daemon: healthy, in an outage, with a certificate
//! that ends soon, silenced with a file that cannot be read, and cut off from everything. Every query of every panel
//! returns what it should, and the right alerts fire.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::boards::{self, Query};
use crate::clock;
use crate::drill::Drill;
use crate::net::{self, Place};
use crate::pki::{Life, Served};
use crate::prometheus::Series;
use crate::tools::Extra;
use crate::vedette::{BINARY, Options};
use crate::world::World;

use super::watch::{self, CLEARED, TOO_LATE};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("dashboards_and_alerts_tell_the_truth_in_every_state", tell_the_truth).with(&[Extra::Prometheus]),
    Drill::new("alerts_pass_their_unit_tests", unit_tests).with(&[Extra::Prometheus]).without_cluster(),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Healthy,
    Outage,
    Expiring,
    Silenced,
    Isolated,
}
use State::{Expiring, Healthy, Isolated, Outage, Silenced};

/// Panels that rightly show nothing, when, and what they say then.
const EMPTY: [(&str, &str, &[State], &str); 10] = [
    ("overview", "Open incidents by rule", &[Healthy], "no incident is open"),
    ("overview", "Findings over time", &[Healthy], "no finding in this time"),
    ("overview", "Silences", &[Healthy, Outage, Expiring], "nothing is silenced"),
    ("apiserver", "Failed probes by endpoint and cause", &[Healthy, Expiring, Silenced], "no probe failed"),
    ("etcd", "Failed probes by member and cause", &[Healthy, Expiring, Silenced], "no probe failed"),
    // Two of three members are frozen: too few to rule an alarm out, once the last whole round has grown old.
    ("etcd", "Alarm", &[Outage], "too few members respond"),
    // Without a quorum no read is answered.
    ("etcd", "Linearizable read, time to the response", &[Outage], "no response"),
    ("certificates", "Files that cannot be read", &[Healthy, Outage, Expiring], "every file can be read"),
    // The member that is left may have nothing to write.
    ("etcd", "WAL fsync p99", &[Outage], "wrote nothing"),
    ("etcd", "Backend commit p99", &[Outage], "wrote nothing"),
];

/// What a panel says that shows nothing because the vantage is isolated: any of them, and no word of good or bad.
const DARK: [&str; 4] = ["not known", "no response", "no handshake", "no server reported its time"];

/// What single values must be in each state, in their order; lowest and highest.
type Range = (f64, f64);
const VALUES: [(&str, &str, [Option<Range>; 5]); 27] = [
    // Information about the lab itself may stand at any time; it is nobody's page.
    ("overview", "Highest severity", [Some((0.0, 1.0)), is(3.0), is(2.0), is(2.0), None]),
    ("overview", "Severity by cluster", [Some((0.0, 1.0)), is(3.0), is(2.0), is(2.0), None]),
    (
        "overview",
        "API availability in the chosen time",
        [Some((0.5, 1.0)), Some((0.1, 1.0)), Some((0.1, 1.0)), Some((0.1, 1.0)), Some((0.1, 1.0))],
    ),
    ("overview", "Vantage network", [is(0.0), is(0.0), is(0.0), is(0.0), is(1.0)]),
    ("overview", "Heartbeat", [is(1.0), is(1.0), is(1.0), is(1.0), is(2.0)]),
    ("overview", "Silences", [None, None, None, Some((3_000.0, 3_600.0)), Some((3_000.0, 3_600.0))]),
    ("overview", "Leader", [is(1.0), is(0.0), is(1.0), is(1.0), None]),
    ("overview", "Next certificate expiry", [days(360.0, 366.0), days(360.0, 366.0), SOON, SOON, SOON]),
    ("self", "Configuration", [is(0.0); 5]),
    ("self", "Configuration in use for", [Some((1.0, 900.0)); 5]),
    ("apiserver", "Instances responding", [is(1.0), is(0.5), is(1.0), is(1.0), None]),
    ("apiserver", "Instances ready", [is(1.0), is(0.0), is(1.0), is(1.0), None]),
    ("apiserver", "API VIP", [is(1.0), is(0.0), is(1.0), is(1.0), None]),
    ("etcd", "Members responding", [is(1.0), Some((0.3, 0.4)), is(1.0), is(1.0), None]),
    ("etcd", "Leaders", [is(1.0), is(0.0), is(1.0), is(1.0), None]),
    ("etcd", "Alarm", [is(0.0), None, is(0.0), is(0.0), None]),
    ("etcd", "Largest share of quota", [Some((0.001, 0.9)); 5]),
    ("etcd", "WAL fsync p99", [Some((0.0, 5.0)); 5]),
    ("etcd", "Backend commit p99", [Some((0.0, 5.0)); 5]),
    ("etcd", "Peer RTT p99", [Some((0.0, 5.0)); 5]),
    ("etcd", "Defragmentation", [is(0.0); 5]),
    ("etcd", "File descriptors in use", [Some((0.000_001, 0.5)); 5]),
    ("certificates", "Next certificate expiry", [days(360.0, 366.0), days(360.0, 366.0), SOON, SOON, SOON]),
    ("certificates", "Endpoints with an expired certificate", [is(0.0); 5]),
    ("certificates", "Endpoints failing verification", [is(0.0); 5]),
    ("certificates", "Files that cannot be read", [None, None, None, is(1.0), is(1.0)]),
    ("certificates", "Skipped files", [is(0.0); 5]),
];

/// How many series there must be in each state, in their order, where that says more than that there are some.
const COUNTS: [(&str, &str, [usize; 5]); 9] = [
    ("overview", "Highest severity", [1, 1, 1, 1, 0]),
    ("overview", "Severity by cluster", [1, 1, 1, 1, 0]),
    ("apiserver", "Responds", [3, 3, 3, 3, 0]),
    ("etcd", "Members", [3, 3, 3, 3, 0]),
    ("etcd", "Defragmentation", [3, 1, 3, 3, 0]),
    ("etcd", "File descriptors in use", [3, 1, 3, 3, 0]),
    ("etcd", "Leader changes (15 min)", [3, 3, 3, 3, 3]),
    ("overview", "Silences", [0, 0, 0, 1, 1]),
    ("certificates", "Files that cannot be read", [0, 0, 0, 1, 1]),
];

const SOON: Option<Range> = days(2.9, 3.0);

const fn is(value: f64) -> Option<Range> {
    Some((value, value))
}

const fn days(low: f64, high: f64) -> Option<Range> {
    Some((low, high))
}

/// Alerts whose expressions hold, beside the watchdog's.
const FIRING: [(State, &[&str]); 5] = [
    (Healthy, &[]),
    (Outage, &["VedetteEtcdQuorumLost"]),
    (Expiring, &["VedetteServingCertificateExpiring"]),
    // A silence is about mail: Prometheus is silenced in Alertmanager.
    (Silenced, &["VedetteServingCertificateExpiring", "VedetteFileCertificateExpiring"]),
    (
        Isolated,
        &[
            "VedetteVantageIsolated",
            "VedetteServingCertificateExpiring",
            "VedetteFileCertificateExpiring",
            "VedetteHeartbeatWithheld",
        ],
    ),
];
const SERVED: &str = "VedetteServingCertificateExpiring";
const FILE: &str = "VedetteFileCertificateExpiring";
/// One certificate is one incident, named after where it was seen first: in its file, which is read on its own clock,
/// or in a handshake.
const OF_SERVED: &str = "vedette_incidents{rule=\"F26\", state=\"firing\"}";
const OF_FILE: &str = "vedette_incidents{rule=\"F28\", severity=\"warning\", state=\"firing\"}";
/// A machine that does too much at once is late and has a slow disk, and a frozen member is slow until its next
/// reading: within the ten minutes that these alerts wait, nothing of it is asked here.
const OF_THE_MACHINE: [&str; 5] = [
    "VedetteSchedulingDelayed",
    "VedetteProbesLost",
    "VedetteEtcdHighFsyncDuration",
    "VedetteEtcdHighCommitDuration",
    "VedetteEtcdMemberCommunicationSlow",
];

fn tell_the_truth(world: &mut World) -> Result<()> {
    let watched = world.folder.join("watched");
    fs::create_dir(&watched)?;
    fs::copy(world.pki.leaf(&Served::Api(2).leaf()).cert, watched.join("api-2.crt"))?;
    watch::start(world, &options(world, &watched))?;
    let storage = world.folder.join("prometheus");
    world.start_prometheus(&storage)?;
    let mut report = Report::new()?;

    report.check(world, Healthy, |world| {
        // Rates need a sample before and one after a probe; the slowest looks go every ten seconds.
        let seen = |query: &str| world.ask(query).is_ok_and(|series| !series.is_empty());
        let looked_at = |probe: &str| {
            let rates = format!(
                "rate(vedette_probe_phase_duration_seconds_count{{probe=\"{probe}\",phase=\"processing\"}}[16s])"
            );
            seen(&format!("count(sum by (instance) ({rates}) > 0) == 3"))
        };
        ["readyz", "etcd_status", "etcd_read"].into_iter().all(looked_at)
            // The percentiles are of the time between two readings.
            && seen("count(vedette_etcd_wal_fsync_p99_seconds) == 3")
            && seen("count(last_over_time(vedette_etcd_peer_round_trip_p99_seconds[2m])) == 3")
            && seen("vedette_file_certificate_not_after_timestamp_seconds")
            && seen("vedette_cluster_severity <= 1")
            && seen("vedette_heartbeat_state{state=\"sending\"} == 1")
    })?;

    world.freeze("etcd-1")?;
    world.freeze("etcd-2")?;
    world.kill9("api-2")?;
    report.check(world, Outage, |world| {
        let holds = |query: &str| world.ask(query).is_ok_and(|series| !series.is_empty());
        holds("vedette_cluster_severity == 3")
            && holds("vedette_incidents{rule=\"F01\", state=\"firing\"}")
            && holds("sum(vedette_etcd_is_leader) == 0")
            && holds("sum(vedette_instance_up{component=\"etcd\"}) == 1")
            && holds("sum(vedette_instance_ready{component=~\"apiserver|vip\"}) == 0")
            && holds("count(vedette_etcd_open_fds) == 1")
    })?;

    world.thaw("etcd-1")?;
    world.thaw("etcd-2")?;
    world.start("api-2")?;
    world.wait_ready(Duration::from_secs(60))?;
    clock::wait_until("the incident to be over", CLEARED, || {
        let is_told = |line: &str| line.starts_with("vedette_findings{") && !line.contains("severity=\"info\"");
        world.page("/metrics").is_ok_and(|page| !page.body.lines().any(is_told))
    })
    .with_context(|| world.what_vedette_said())?;

    world.pki.serve(1, Life::LastDays)?;
    report.check(world, Expiring, |world| {
        let holds = |query: &str| world.ask(query).is_ok_and(|series| !series.is_empty());
        holds("vedette_cluster_severity == 2")
            && (holds(OF_SERVED) || holds(OF_FILE))
            && holds("vedette_certificate_not_after_timestamp_seconds{role=\"leaf\"} - time() < 4 * 86400")
            && holds("sum(vedette_etcd_is_leader) == 1")
            && holds("count(vedette_etcd_wal_fsync_p99_seconds) == 3")
            && !holds("sum by (instance) (rate(vedette_probes_total{outcome!=\"ok\"}[16s])) > 0")
    })?;

    silence(world)?;
    fs::write(watched.join("api-2.crt"), "no certificate")?;
    let mails = world.mails().len();
    report.check(world, Silenced, |world| {
        let holds = |query: &str| world.ask(query).is_ok_and(|series| !series.is_empty());
        holds("vedette_silence_end_timestamp_seconds")
            && holds("vedette_file_read_errors")
            && holds("vedette_incidents{rule=\"F28\", state=\"firing\"}")
    })?;
    ensure!(world.mails().len() == mails, "mailed about what is silenced: {:?}", world.mails().last());

    world.network.cut(Place::Bastion)?;
    report.check(world, Isolated, |world| {
        let holds = |query: &str| world.ask(query).is_ok_and(|series| !series.is_empty());
        holds("vedette_vantage_isolated == 1")
            && holds("vedette_heartbeat_state{state=\"isolated\"} == 1")
            && holds("vedette_incidents{rule=\"F04\", state=\"firing\"}")
            // What was seen before has grown too old to be told.
            && holds("absent(vedette_etcd_raft_term) and absent(vedette_etcd_open_fds)")
            && holds("absent(vedette_instance_up == 1)")
    })?;
    report.conclude()
}

/// Files are watched, and what is looked at rarely is looked at often enough to grow old within a state.
fn options(world: &World, watched: &Path) -> Options {
    let often = ["etcd_metrics_interval", "files_interval"].map(|key| (key.to_owned(), "5s".to_owned()));
    let served = world.pki.leaf(&Served::Api(1).leaf()).cert;
    Options { files: vec![served, watched.to_owned()], timing: often.into(), ..Options::default() }
}

fn silence(world: &World) -> Result<()> {
    let mut command = world.network.command(Place::Bastion, BINARY);
    command.args(["silence", "lab", "1h", "--comment", "drill", "--config"]);
    net::run(command.arg(world.folder.join("vedette.yaml")))
}

fn unit_tests(world: &mut World) -> Result<()> {
    const FILES: [&str; 4] = ["incidents", "vedette", "etcd", "certificates"];
    net::run(world.promtool()?.args(["check", "rules"]).args(FILES.map(|name| format!("../{name}.rules.yaml"))))?;
    net::run(world.promtool()?.args(["test", "rules"]).args(FILES.map(|name| format!("{name}.test.yaml"))))
}

/// How many series each query returned in each state, and what was wrong.
struct Report {
    queries: Vec<Query>,
    series: Vec<Vec<usize>>,
    faults: Vec<String>,
    /// When it began, in seconds since 1970.
    since: f64,
    recorded: BTreeMap<String, Value>,
}

/// Seconds between two points of a recorded graph.
const STEP: f64 = 3.0;

impl Report {
    fn new() -> Result<Self> {
        let queries = boards::queries()?;
        let since = clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        let (series, faults, recorded) = (vec![Vec::new(); queries.len()], Vec::new(), BTreeMap::new());
        Ok(Self { queries, series, faults, since, recorded })
    }

    /// Waits until Prometheus has seen the state, then asks everything.
    fn check(&mut self, world: &mut World, state: State, is_there: fn(&World) -> bool) -> Result<()> {
        // The longest hold is a minute, and a stall of this machine costs it up to 10 s.
        let seen = clock::wait_until(&format!("{state:?} on Prometheus"), TOO_LATE * 5, || is_there(world));
        seen.with_context(|| world.what_vedette_said())?;
        for number in 0..self.queries.len() {
            let query = self.queries[number].clone();
            let series =
                if query.is_range { world.ask_range(&query.expression) } else { world.ask(&query.expression) }?;
            self.series[number].push(series.len());
            let faults = [check(&query, state, &series), counted(&query, state, series.len())].concat();
            self.faults.extend(
                faults.into_iter().map(|fault| format!("{state:?}: {} / {}: {fault}", query.board, query.panel)),
            );
        }
        self.record(world, state)?;
        self.alerts(world, state)
    }

    /// Keeps the answers for the boards' pictures, where `VEDETTE_RECORD_BOARDS` names a file: all since the drill
    /// began, as a board that shows the last minutes would ask for.
    fn record(&mut self, world: &World, state: State) -> Result<()> {
        let Some(file) = std::env::var_os("VEDETTE_RECORD_BOARDS") else { return Ok(()) };
        if state != Healthy && state != Outage {
            return Ok(());
        }
        let mut boards: BTreeMap<&str, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
        for query in self.queries.iter().filter(|query| !query.panel.starts_with('$')) {
            let series: Vec<Value> = if query.is_range {
                let all = world.history(&query.expression, self.since, STEP)?;
                all.as_array()
                    .into_iter()
                    .flatten()
                    .map(|one| json!({ "labels": one["metric"], "values": one["values"] }))
                    .collect()
            } else {
                let all = world.ask(&query.expression)?;
                all.iter().map(|one| json!({ "labels": one.labels, "now": one.value })).collect()
            };
            boards.entry(query.board).or_default().insert(query.panel.clone(), series);
        }
        let to = clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        self.recorded
            .insert(format!("{state:?}").to_lowercase(), json!({ "from": self.since, "to": to, "boards": boards }));
        fs::write(file, serde_json::to_string(&self.recorded)? + "\n")?;
        Ok(())
    }

    fn alerts(&mut self, world: &World, state: State) -> Result<()> {
        let mut firing: BTreeSet<String> = BTreeSet::new();
        for rule in world.rules()? {
            let holds = !world.ask(&rule.expression)?.is_empty();
            if !rule.is_alert && !holds {
                self.faults.push(format!("{state:?}: {} records nothing", rule.name));
            }
            if rule.is_alert && holds && !OF_THE_MACHINE.contains(&rule.name.as_str()) {
                firing.insert(rule.name);
            }
        }
        let expected = FIRING.iter().filter(|(of, _)| *of == state).flat_map(|(_, names)| names.iter());
        let mut expected: BTreeSet<String> =
            expected.chain(&["VedetteWatchdog"]).map(|&name| name.to_owned()).collect();
        if expected.contains(SERVED) && world.ask(OF_SERVED)?.is_empty() && !world.ask(OF_FILE)?.is_empty() {
            expected.remove(SERVED);
            expected.insert(FILE.to_owned());
        }
        if firing != expected {
            self.faults.push(format!("{state:?}: the alerts {firing:?} fire, {expected:?} should"));
        }
        Ok(())
    }

    /// Prints the table of queries and states.
    ///
    /// # Errors
    /// Everything that was wrong.
    fn conclude(self) -> Result<()> {
        println!("series returned: healthy, outage, expiring, silenced, isolated");
        for (query, series) in self.queries.iter().zip(&self.series) {
            let counts: Vec<String> = series.iter().map(|count| format!("{count:4}")).collect();
            println!("{}  {} / {}", counts.concat(), query.board, query.panel);
        }
        ensure!(self.faults.is_empty(), "{}", self.faults.join("\n    "));
        Ok(())
    }
}

fn check(query: &Query, state: State, series: &[Series]) -> Vec<String> {
    let of_query = |board: &str, panel: &str| board == query.board && panel == query.panel;
    let mut faults = Vec::new();
    let empty = EMPTY.iter().find(|(board, panel, states, _)| of_query(board, panel) && states.contains(&state));
    if series.is_empty() {
        match empty {
            None if state == Isolated && DARK.iter().any(|words| query.nothing.contains(words)) => {}
            None => faults.push("no series".to_owned()),
            Some((.., word)) if !query.nothing.contains(word) => {
                faults.push(format!("it shows nothing and says '{}', not '{word}'", query.nothing));
            }
            Some(_) => {}
        }
    }
    for one in series {
        // What is the vantage's own is of no cluster.
        let is_of_some = |label: &str| ["component", "etcd", "instance"].contains(&label);
        let may_lack = |label: &str| {
            label == "cluster" && query.expression.contains("cluster=~\".+|\"")
                // Only members have an etcd, and only endpoints are instances.
                || is_of_some(label) && query.expression.contains("component, etcd, instance")
                // Where Prometheus was not told which vedette it scrapes.
                || label == "vantage"
        };
        for label in query.labels.iter().filter(|label| !may_lack(label)) {
            if one.labels.get(label).is_none_or(String::is_empty) {
                faults.push(format!("no label {label} in {:?}", one.labels));
            }
        }
        if !one.value.is_finite() {
            faults.push(format!("{} in {:?}", one.value, one.labels));
        }
    }
    let expected = VALUES.iter().find(|(board, panel, _)| of_query(board, panel));
    if let Some((low, high)) = expected.and_then(|(.., ranges)| ranges[state as usize]) {
        for one in series.iter().filter(|one| one.value < low || one.value > high) {
            faults.push(format!("{} is not between {low} and {high}", one.value));
        }
    }
    faults
}

fn counted(query: &Query, state: State, seen: usize) -> Vec<String> {
    let expected = COUNTS.iter().find(|(board, panel, _)| *board == query.board && *panel == query.panel);
    let expected = expected.map(|(.., counts)| counts[state as usize]);
    let wrong = expected.filter(|expected| *expected != seen);
    wrong.map(|expected| format!("{seen} series, {expected} should be there")).into_iter().collect()
}
