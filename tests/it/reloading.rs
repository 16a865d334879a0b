//! The configuration of the real daemon changes, for better and for worse, while it looks on.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::daemon::{Daemon, start};

const SUCCESSFUL: &str = "vedette_config_last_reload_successful";
const IS_NEW: &str = "vedette_requests_planned_per_second{cluster=\"new\"}";

fn file(daemon: &Daemon) -> PathBuf {
    daemon.folder.path().join("vedette.yaml")
}

/// Replaces the file in one step, as careful editors do.
fn save(daemon: &Daemon, text: &str) {
    let fresh = daemon.folder.path().join("fresh");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, file(daemon)).unwrap();
}

/// The same with one more cluster.
fn with_new(text: &str) -> String {
    format!("{text}  - {{ name: new, credentials: {{}}, apiservers: [{{ name: a, address: \"127.0.0.1:2\" }}] }}\n")
}

/// Waits until it has looked five times more.
fn probes_on(daemon: &Daemon) -> bool {
    let before = daemon.value("vedette_probes_started_total");
    (0..300).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        daemon.value("vedette_probes_started_total") >= before + 5.0
    })
}

#[test]
fn a_broken_file_is_refused_by_place_and_a_mended_one_taken() {
    let daemon = start();
    assert!(daemon.hears("READY=1"));
    assert!(daemon.shows(&format!("{SUCCESSFUL} 1")));
    let text = fs::read_to_string(file(&daemon)).unwrap();

    save(&daemon, &text.replace("clusters:", "clusterz:"));
    daemon.signal(Signal::HUP);

    assert!(daemon.hears("MONOTONIC_USEC="), "reloading is announced with its time");
    assert!(daemon.hears("READY=1"), "and ends, though the file was refused");
    assert!(daemon.shows(&format!("{SUCCESSFUL} 0")));
    assert!(probes_on(&daemon));
    let log = daemon.log();
    assert!(log.contains(":1: error: unknown key 'clusterz'"), "{log}");

    save(&daemon, &with_new(&text));
    daemon.signal(Signal::HUP);

    assert!(daemon.shows(&format!("{SUCCESSFUL} 1")));
    assert!(daemon.shows(IS_NEW));
    assert!(daemon.log().contains("configuration reloaded (SIGHUP): cluster new added"), "{}", daemon.log());
}

#[test]
fn a_changed_file_is_noticed_without_a_signal_and_an_emptied_one_is_not_taken() {
    let daemon = start();
    assert!(daemon.hears("READY=1"));
    let text = fs::read_to_string(file(&daemon)).unwrap();

    fs::write(file(&daemon), "").unwrap();
    assert!(daemon.shows(&format!("{SUCCESSFUL} 0")));
    assert!(daemon.shows("vedette_requests_planned_per_second{cluster=\"prod\"}"));
    save(&daemon, &with_new(&text));

    assert!(daemon.shows(IS_NEW));
    assert!(daemon.shows(&format!("{SUCCESSFUL} 1")));
    let log = daemon.log();
    assert!(log.contains("the file is empty") && log.contains("(its file changed)"), "{log}");
}

#[test]
fn what_takes_a_restart_is_said_and_the_rest_taken() {
    let daemon = start();
    assert!(daemon.hears("READY=1"));
    let text = fs::read_to_string(file(&daemon)).unwrap();

    save(&daemon, &with_new(&text).replace("listen: ", "listen: 127.0.0.1:1 # "));
    daemon.signal(Signal::HUP);

    assert!(daemon.shows(IS_NEW));
    assert!(daemon.log().contains("'listen: 127.0.0.1:1' takes a restart"), "{}", daemon.log());
}

#[test]
fn a_start_with_a_broken_file_goes_on_with_the_last_good_one_and_says_so() {
    let daemon = start();
    assert!(daemon.hears("READY=1"));
    let copy = daemon.folder.path().join("last-good.yaml");
    assert!((0..600).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        copy.exists()
    }));
    let text = fs::read_to_string(file(&daemon)).unwrap();
    fs::write(file(&daemon), text.replace("clusters:", "clusters: [")).unwrap();

    let daemon = daemon.restarted();

    assert!(daemon.hears("READY=1"));
    assert!(daemon.shows("vedette_config_copy_in_use 1"));
    assert!(daemon.shows(&format!("{SUCCESSFUL} 0")));
    assert!(probes_on(&daemon));
    assert!(daemon.log().contains("stands in for it"), "{}", daemon.log());

    save(&daemon, &text);
    assert!(daemon.shows("vedette_config_copy_in_use 0"));
    assert!(daemon.shows(&format!("{SUCCESSFUL} 1")));
}
