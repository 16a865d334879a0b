//! Every version of etcd that is in use is read fully: each field it has, none that it has not.
//!
//! One cluster of three per version, read by a certificate, by a user without a role, and through the metrics listeners
//! alone: healthy at first, then under its NOSPACE alarm and without a quorum. One probe at the survivor must show
//! both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::clock::wait_for;
use crate::drill::{Drill, Skipped};
use crate::etcd::{self, MEMBERS};
use crate::http;
use crate::net::{Place, output};
use crate::pki;
use crate::tools::Extra;
use crate::vedette::BINARY;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(40);

/// Small enough to be full after a few writes.
const QUOTA_BYTES: u64 = 4 << 20;

/// The family.
pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("etcd_3_4_of_debian_is_read_fully", |world| reads("3.4", world)).without_cluster().with(&[Extra::Etcds]),
    Drill::new("etcd_3_5_is_read_fully", |world| reads("3.5", world)).without_cluster().with(&[Extra::Etcds]),
    Drill::new("etcd_3_6_is_read_fully", |world| reads("3.6", world)).without_cluster(),
    Drill::new("etcd_3_7_is_read_fully", |world| reads("3.7", world)).without_cluster().with(&[Extra::Etcds]),
];

/// Fields of a status that no version leaves out.
const ALWAYS: [&str; 11] = [
    "version",
    "cluster_id",
    "member_id",
    "leader",
    "raft_term",
    "raft_index",
    "raft_applied_index",
    "revision",
    "db_size_bytes",
    "db_in_use_bytes",
    "is_learner",
];
/// Fields that came with 3.6.
const SINCE_3_6: [&str; 3] = ["db_quota_bytes", "storage_version", "downgrade"];

fn reads(version: &str, world: &mut World) -> Result<()> {
    start(world, version)?;
    let by_certificate = write_config(world, "certificate", "        metrics: ", Members::Both)?;
    let without_key = write_config(world, "listeners", "", Members::Listeners)?;

    // A member is healthy before all have agreed on the version of the cluster; its schema is raised after that.
    let (seen, healthy) = wait_for("all members to tell all there is to tell", PATIENCE, || {
        let seen = probes(world, &by_certificate)?;
        let healthy = statuses(&seen);
        ensure!(healthy.len() == usize::from(MEMBERS), "only {} members were read", healthy.len());
        for status in &healthy {
            has_its_fields(status, version).with_context(|| format!("{status}"))?;
        }
        Ok(Some((seen, healthy)))
    })?;
    for status in &healthy {
        ensure!(status["alarms"] == Value::Array(vec![]), "a fresh etcd has an alarm: {status}");
        ensure!(status["errors"] == Value::Array(vec![]), "a fresh etcd has an error: {status}");
    }
    for member in of_kind(&seen, "etcd_metrics") {
        let told = result(&member);
        ensure!(told.contains("of 4.0 MiB") && told.contains(version), "metrics: {member}");
    }
    ensure!(of_kind(&seen, "etcd_metrics").len() == usize::from(MEMBERS), "not every page was read");
    for member in of_kind(&probes(world, &without_key)?, "etcd_health") {
        ensure!(member["outcome"] == "ok", "health: {member}");
    }

    world.fill_etcd()?;
    for member in of_kind(&probes(world, &without_key)?, "etcd_health") {
        ensure!(member["outcome"] == "alarm" && result(&member).starts_with("full"), "health: {member}");
    }
    world.free_etcd()?;
    enable_users(world)?;
    let password = world.folder.join("etcd-password");
    pki::write(&password, "correct horse\n", 0o600)?;
    let login =
        format!("        username: watcher\n        password: {{ file: {} }}\n        metrics: ", password.display());
    let by_user = write_config(world, "user", &login, Members::Clients)?;
    // One pass has a second for a first round, and the hash of a password takes long on a busy machine.
    wait_for("a user without a role to be let in", PATIENCE, || {
        let seen = probes(world, &by_user)?;
        for kind in ["etcd_status", "etcd_read", "etcd_alarms", "etcd_members"] {
            for member in of_kind(&seen, kind) {
                ensure!(member["outcome"] == "ok", "{kind} for a user without a role: {}", result(&member));
            }
        }
        for member in of_kind(&seen, "etcd_read") {
            ensure!(result(&member) == "majority confirmed, result denied", "read: {}", result(&member));
        }
        Ok((statuses(&seen).len() == usize::from(MEMBERS)).then_some(()))
    })?;

    world.fill_etcd()?;
    world.freeze("etcd-2")?;
    world.freeze("etcd-3")?;
    wait_for("the survivor to tell of both troubles", PATIENCE, || {
        let seen = probes(world, &by_certificate)?;
        let survivors = statuses(&seen);
        ensure!(survivors.len() == 1, "a frozen member answered: {survivors:?}");
        let status = &survivors[0];
        ensure!(status["alarms"][0]["kind"] == "no_space", "no alarm in {status}");
        let is_alone = status["leader"].is_null() && status["errors"] == serde_json::json!(["etcdserver: no leader"]);
        for member in of_kind(&seen, "etcd_read") {
            ensure!(member["outcome"] != "ok", "a read without a majority: {member}");
        }
        Ok(is_alone.then_some(()))
    })?;
    let seen = probes(world, &without_key)?;
    let survivor = of_kind(&seen, "etcd_health").into_iter().find(|member| member["failed"].is_null());
    let survivor = survivor.context("nobody tells of its health without a majority")?;
    ensure!(survivor["outcome"] == "no leader", "health without a majority: {survivor}");
    end(world)
}

/// Authentication on: `root`, the lab's own client as an administrator, and `watcher` without a role.
fn enable_users(world: &World) -> Result<()> {
    for words in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "watcher:correct horse"],
        &["user", "add", "kube-etcd-healthcheck-client:unused"],
        &["user", "grant-role", "kube-etcd-healthcheck-client", "root"],
        &["auth", "enable"],
    ] {
        output(&mut world.etcdctl(words)?)?;
    }
    Ok(())
}

fn has_its_fields(status: &Value, version: &str) -> Result<()> {
    let told: BTreeSet<&str> = status
        .as_object()
        .context("no object")?
        .iter()
        .filter(|(key, value)| !value.is_null() && !matches!(key.as_str(), "alarms" | "errors"))
        .map(|(key, _)| key.as_str())
        .collect();
    let newer: &[&str] = if matches!(version, "3.6" | "3.7") { &SINCE_3_6 } else { &[] };
    let expected: BTreeSet<&str> = ALWAYS.iter().chain(newer).copied().collect();
    ensure!(told == expected, "fields {told:?} instead of {expected:?}");
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    ensure!(text("version").starts_with(&format!("{version}.")), "it calls itself {}", text("version"));
    for field in ["cluster_id", "member_id", "leader", "raft_term", "raft_index", "raft_applied_index", "revision"] {
        ensure!(status[field].as_u64().is_some_and(|value| value > 0), "{field} is {}", status[field]);
    }
    let size = |field: &str| status[field].as_u64().unwrap_or_default();
    ensure!(size("db_in_use_bytes") > 0 && size("db_in_use_bytes") <= size("db_size_bytes"), "sizes make no sense");
    if !newer.is_empty() {
        ensure!(size("db_quota_bytes") == QUOTA_BYTES, "quota {}", size("db_quota_bytes"));
        ensure!(text("storage_version").starts_with(&format!("{version}.")), "schema {}", text("storage_version"));
        ensure!(status["downgrade"] == "off", "downgrade {}", status["downgrade"]);
    }
    Ok(())
}

/// Starts a cluster of three of `version` and waits until it is healthy.
fn start(world: &mut World, version: &str) -> Result<()> {
    let tool = if version == "3.6" { "etcd".to_owned() } else { format!("etcd-{version}") };
    let program = world.tools.path(&tool).map_err(|_| Skipped(format!("no etcd {version}")))?.to_owned();
    let logs = world.folder.join("logs");
    for n in 1..=MEMBERS {
        let member = etcd::member_with(n, &program, &world.pki, &world.volatile, &logs, QUOTA_BYTES, &[]);
        world.add(member);
        world.start(&Place::Etcd(n).name())?;
    }
    for n in 1..=MEMBERS {
        let url = format!("http://{}:2381/health", Place::Etcd(n).ip());
        wait_for("a member to be healthy", PATIENCE, || {
            let answer = world.network.inside(Place::Bastion, || http::get(&url, None))?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            Ok(Some(()))
        })?;
    }
    Ok(())
}

fn end(world: &mut World) -> Result<()> {
    for n in 1..=MEMBERS {
        world.kill9(&Place::Etcd(n).name())?;
    }
    Ok(())
}

/// Which addresses of members a configuration gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    Clients,
    Listeners,
    Both,
}

/// A configuration that names nothing but etcd, with `more` lines for it; their last one may lack its value.
fn write_config(world: &World, name: &str, more: &str, members: Members) -> Result<PathBuf> {
    let client = world.pki.leaf("etcd/vedette");
    let mut text = format!(
        "vantage: {{ name: bastion-1, listen: \"127.0.0.1:9876\", store: {}, resolvers: [] }}\n\
         clusters:\n  - name: lab\n    etcd:\n      - name: main\n",
        world.folder.join("vedette.db").display(),
    );
    let ca = world.pki.file("etcd/ca", "crt");
    if members != Members::Listeners {
        text.push_str(&format!(
            "        ca: {{ file: {} }}\n        client_certificate: {{ file: {} }}\n        client_key: {{ file: {} }}\n",
            ca.display(),
            client.cert.display(),
            client.key.display(),
        ));
        text.push_str(more);
        text.push_str(&format!("{{ ca: {{ file: {} }} }}\n", ca.display()));
    }
    text.push_str("        members:\n");
    for place in (1..=MEMBERS).map(Place::Etcd) {
        text.push_str(&format!("          - {{ name: {}", place.name()));
        if members != Members::Listeners {
            text.push_str(&format!(", address: \"{}:2379\"", place.ip()));
        }
        if members != Members::Clients {
            text.push_str(&format!(", metrics: \"http://{}:2381\"", place.ip()));
        }
        text.push_str(" }\n");
    }
    let file = world.folder.join(format!("{name}.yaml"));
    pki::write(&file, &text, 0o600)?;
    Ok(file)
}

/// One pass of vedette; the probes it prints.
pub(super) fn probes(world: &World, config: &Path) -> Result<Vec<Value>> {
    let mut command = world.network.command(Place::Bastion, BINARY);
    // What it concludes shows in the exit code as well, so that says nothing about the pass itself.
    let done = command.args(["probe", "--once", "--json"]).arg(config).output()?;
    let (said, stdout) = (String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
    let report: Value = serde_json::from_str(&stdout).with_context(|| format!("no report: {said}{stdout}"))?;
    Ok(report["probes"].as_array().cloned().unwrap_or_default())
}

/// The probes of one kind.
pub(super) fn of_kind(probes: &[Value], kind: &str) -> Vec<Value> {
    probes.iter().filter(|probe| probe["probe"] == kind).cloned().collect()
}

/// The statuses of the members that answered.
fn statuses(probes: &[Value]) -> Vec<Value> {
    probes.iter().map(|probe| probe["etcd_status"].clone()).filter(|status| !status.is_null()).collect()
}

pub(super) fn result(probe: &Value) -> &str {
    probe["result"].as_str().unwrap_or_default()
}
