//! The systemd unit keeps its promises, and systemd itself agrees.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `systemd-analyze security` on a scale of 0 to 100: 1.5 in its own words.
const EXPOSURE: &str = "15";

#[test]
fn a_monitor_that_falls_gets_up_again_unless_its_configuration_is_useless() {
    for line in [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "RestartPreventExitStatus=78",
        "WatchdogSec=30s",
        "TimeoutAbortSec=5s",
        "User=vedette",
        "StateDirectory=vedette",
        "RuntimeDirectory=vedette",
    ] {
        assert!(unit().lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn the_sandbox_leaves_what_looking_needs() {
    let unit = unit();
    let families = unit.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies=")).unwrap();

    for family in ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"] {
        assert!(families.split(' ').any(|known| known == family), "{family}");
    }
    assert!(!unit.lines().any(|line| line.starts_with("ProtectClock=")), "it forbids adjtimex");
    assert!(unit.lines().any(|line| line.starts_with("SystemCallFilter=adjtimex ")));
}

#[test]
fn systemd_scores_the_sandbox_and_finds_no_fault() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "no systemd-analyze");
        return;
    }
    let security = ["security", "--offline=true", "--threshold", EXPOSURE];
    let scored = analyze(&security, &path());
    assert!(scored.status.success(), "{}", String::from_utf8_lossy(&scored.stdout));

    let folder = tempfile::tempdir().unwrap();
    let runnable = folder.path().join("vedette.service");
    fs::write(&runnable, unit().replace("/usr/bin/vedette", "/bin/true")).unwrap();
    let verified = analyze(&["verify"], &runnable);
    assert!(verified.status.success());
    assert_eq!(String::from_utf8_lossy(&verified.stderr), "");
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(arguments).arg(unit).output().unwrap()
}

fn unit() -> String {
    fs::read_to_string(path()).unwrap()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/vedette.service")
}
