//! The bans that keep time, order and exits in one place each: all there, each with its reason, excused only at home.
//!
//! Clippy enforces them; this test only sees to it that nobody drops one quietly.

use std::fs;
use std::path::{Path, PathBuf};

const BANS: [&str; 15] = [
    "std::time::Instant::now",
    "std::time::Instant::elapsed",
    "std::time::SystemTime::now",
    "std::time::SystemTime::elapsed",
    "tokio::time::Instant::now",
    "tokio::time::Instant::elapsed",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "std::process::exit",
    "std::process::abort",
    "std::env::set_var",
    "std::env::remove_var",
    "anyhow::Error::is",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

#[test]
fn every_ban_is_there_with_its_reason() {
    let bans = read("clippy.toml");

    for ban in BANS {
        let line = bans.lines().find(|line| line.contains(&format!("path = \"{ban}\"")));
        let line = line.unwrap_or_else(|| panic!("{ban} is not banned"));
        let reason = line.split("reason = \"").nth(1).and_then(|rest| rest.split('"').next());
        assert!(reason.is_some_and(|reason| reason.len() > 20), "{ban} has no reason");
    }
}

#[test]
fn the_bans_are_enforced() {
    let lints = read("Cargo.toml");

    for lint in ["disallowed_methods", "disallowed_types", "exit", "allow_attributes"] {
        assert!(lints.contains(&format!("\n{lint} = \"warn\"\n")), "{lint}");
    }
}

#[test]
fn only_the_clock_is_excused_from_the_ban_on_clocks() {
    let mut excused = Vec::new();
    walk(&root().join("src"), &mut |file| {
        if fs::read_to_string(file).unwrap().contains("clippy::disallowed_") {
            excused.push(file.strip_prefix(root()).unwrap().to_owned());
        }
    });

    assert_eq!(excused, [Path::new("src/daemon/clock.rs")]);
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&PathBuf)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}
