//! What mails tell people to run on Talos, as talosctl itself takes it.
//!
//! No registry has a Talos machine. So every call of talosctl is held against its own commands and flags, and what
//! reads a talosconfig is run on one.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use vedette::judge::commands::Id;
use vedette::model::certificate::Class;
use vedette::model::certificate_files::ItemKind;
use vedette::model::etcd::{EtcdAlarmKind, Mismatch};
use vedette::model::host_access::{Distribution, Hosts};
use vedette::model::phase::Cause;
use vedette::model::rule::RuleId;
use vedette::model::verdict::Finding;

use super::findings::{
    addresses, alarm, all_down, apart, elections, expiry, foreign, large_hellos_are_lost, lossy, member, mismatch,
    not_ready, own_expires, quorum_lost, refused, several_clusters, slow, stale, unread, untrusted, vip,
};
use super::list::List;
use crate::host::Done;
use crate::pki;
use crate::world::World;

/// Calls the real one for its help instead: cobra parses every flag before it shows any, and names the one that it does
/// not know. The help of a group of commands means that what was called is none of them.
const ASKS_FOR_HELP: &str = r#"#!/bin/sh
help=$("$REAL" "$@" --help 2>>"$SAID") || echo "refused: $*" >>"$SAID"
case $help in *"Available Commands:"*) echo "no command: $*" >>"$SAID" ;; esac
"#;

pub(super) fn by_talosctl(world: &mut World) -> Result<()> {
    let hosts = Hosts { distribution: Distribution::Talos, ..Hosts::default() };
    let mut list = List::of("talos", hosts)?;
    let outcome = every_call(world, &mut list);
    list.conclude(outcome)
}

fn every_call(world: &World, list: &mut List) -> Result<()> {
    let folder = world.folder.join("talos");
    let (bin, said) = (folder.join("bin"), folder.join("said"));
    fs::create_dir_all(&bin)?;
    pki::write(&bin.join("talosctl"), ASKS_FOR_HELP, 0o755)?;
    pki::write(&said, "", 0o644)?;
    let config = folder.join("talosconfig");
    write_config(world, &config)?;
    let mut calls = 0;
    for finding in findings(&config.display().to_string()) {
        let mut commands = list.everything(&finding, &addresses());
        commands.retain(|command| command.line.contains("talosctl"));
        for command in commands {
            let help = format!("REAL={} SAID={} PATH={}", talosctl(world)?, said.display(), bin.display());
            run(&format!("{help} /usr/bin/timeout 20 /bin/bash -c '{}'", command.line.replace('\'', r"'\''")))?;
            calls += 1;
            if command.id == Id::TalosCertificate {
                let real = command.line.replacen("talosctl", &talosctl(world)?, 1);
                list.judge(&finding, std::slice::from_ref(&command), &[run(&real)?]);
            }
        }
    }
    ensure!(calls > 20, "only {calls} commands call talosctl");
    let said = fs::read_to_string(&said)?;
    ensure!(said.is_empty(), "talosctl says:\n{said}");
    Ok(())
}

fn talosctl(world: &World) -> Result<String> {
    Ok(world.tools.path("talosctl")?.display().to_string())
}

fn run(line: &str) -> Result<Done> {
    let mut shell = std::process::Command::new("bash");
    let done = shell.args(["-c", line]).stdin(Stdio::null()).output().context("bash")?;
    let said = [done.stdout, done.stderr].concat();
    Ok(Done { code: done.status.code().unwrap_or(-1), said: String::from_utf8_lossy(&said).into_owned() })
}

/// A talosconfig with a certificate of the lab in it.
fn write_config(world: &World, to: &Path) -> Result<()> {
    let leaf = world.pki.leaf("vedette");
    let encoded = |file: &Path| Ok::<_, anyhow::Error>(STANDARD.encode(fs::read(file)?));
    let (ca, crt, key) = (encoded(&world.pki.file("ca", "crt"))?, encoded(&leaf.cert)?, encoded(&leaf.key)?);
    let text = format!(
        "context: lab\ncontexts:\n  lab:\n    endpoints: [10.89.0.11]\n    ca: {ca}\n    crt: {crt}\n    key: {key}\n"
    );
    pki::write(to, &text, 0o600)
}

/// A finding of each kind of which mails tell people to call talosctl.
fn findings(talosconfig: &str) -> Vec<Finding> {
    let pki = "/etc/kubernetes/pki/apiserver.crt";
    vec![
        quorum_lost(),
        apart(),
        mismatch(Mismatch::NotListed(vec![member(3)])),
        mismatch(Mismatch::WithoutTls(vec![member(3)])),
        mismatch(Mismatch::NotStarted { ids: vec!["8e9e05c52164694d".to_owned()], voters: 4 }),
        several_clusters(),
        elections(),
        alarm(RuleId::F09, EtcdAlarmKind::NoSpace),
        alarm(RuleId::F10, EtcdAlarmKind::Corrupt),
        not_ready(RuleId::F25, "etcd"),
        not_ready(RuleId::F50, "log"),
        foreign(),
        vip(),
        lossy(),
        all_down(),
        slow(),
        untrusted("unknown_authority"),
        untrusted("not_yet_valid"),
        refused("prod/apiserver/api-1", Cause::CredentialRejected),
        refused("prod/etcd/main/etcd-1", Cause::CredentialRejected),
        large_hellos_are_lost(),
        expiry(Class::Manual),
        expiry(Class::Automatic),
        expiry(Class::Restart),
        stale(pki),
        unread(pki),
        own_expires(ItemKind::TalosClient, talosconfig),
    ]
}
