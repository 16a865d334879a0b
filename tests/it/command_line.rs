//! Exit codes and streams of the real binary: what scripts and units build on.

use std::fs;
use std::process::{Command, Output, Stdio};

#[test]
fn exit_codes_tell_use_from_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let silent = written("silent.yaml", "clusters: [{ name: a, apiservers: [{ name: b, address: '10.0.0.1:1' }] }]");
    let broken = written("broken.yaml", "clusters: [");

    for (arguments, code) in [
        (vec!["--help"], 0),
        (vec!["--version"], 0),
        (vec!["check", "--help"], 0),
        (vec!["schema"], 0),
        (vec![], 64),
        (vec!["nonsense"], 64),
        (vec!["check", "--nonsense"], 64),
        (vec!["check", "--offline", "config/minimal.yaml", "config/vedette.example.yaml"], 0),
        (vec!["check", &silent], 0),
        (vec!["check", "--deny-warnings", &silent], 78),
        (vec!["check", &broken], 78),
        (vec!["check", &broken, &silent], 78),
        (vec!["check", "/nonexistent"], 78),
        (vec!["check", "/"], 78),
    ] {
        let output = vedette(&arguments);

        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
}

#[test]
fn results_go_to_stdout_and_problems_to_stderr() {
    let good = vedette(&["check", "--offline", "config/minimal.yaml"]);
    let bad = vedette(&["check", "/nonexistent"]);

    assert!(String::from_utf8_lossy(&good.stdout).starts_with("config/minimal.yaml: ok: 1 cluster, 3 endpoints, "));
    assert!(good.stderr.is_empty());
    assert!(bad.stdout.is_empty());
    assert!(String::from_utf8_lossy(&bad.stderr).starts_with("/nonexistent: error: cannot read /nonexistent: "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["--help"][..], &["check", "--offline", "config/minimal.yaml"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);

        let output = command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();

        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

fn vedette(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}
