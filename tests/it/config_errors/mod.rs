//! One file per mistake, and the exact words it is answered with.
//!
//! `NAME.yaml` is the mistake, `files/` what it may name, `snapshots/NAME.snap` the answer. `INSTA_UPDATE=always`
//! writes the answers anew; read the difference.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use vedette::config::environment::{Environment, Sources};
use vedette::config::settings::Settings;

#[test]
fn every_mistake_is_answered_with_its_place_and_a_way_out() {
    let folder = machine();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for mistake in mistakes() {
        let name = mistake.file_stem().unwrap().to_str().unwrap();
        let answer = answer(&fs::read_to_string(&mistake).unwrap(), folder.path());

        settings.bind(|| assert_snapshot!(name, answer));
    }
}

#[test]
fn no_answer_repeats_a_secret() {
    let folder = machine();
    for mistake in mistakes() {
        let answer = answer(&fs::read_to_string(&mistake).unwrap(), folder.path());

        for secret in ["correct horse", "not a real key", "beats.example.com/secret"] {
            assert!(!answer.contains(secret), "{}: {answer}", mistake.display());
        }
    }
}

#[test]
fn every_answer_belongs_to_a_mistake() {
    let stems = |folder: &str, extension: &str| {
        let files = files_in(&home().join(folder), extension);
        files.iter().map(|path| path.file_stem().unwrap().to_owned()).collect::<Vec<_>>()
    };

    assert_eq!(stems("snapshots", "snap"), stems("", "yaml"));
}

/// What the check prints, and whether it lets the configuration pass.
fn answer(text: &str, folder: &Path) -> String {
    let environment = Environment {
        host_name: "bastion".to_owned(),
        state_directory: None,
        resolvers: vec!["10.0.0.53:53".parse().unwrap()],
        sources: Sources::Examined,
    };
    let (verdict, problems) = match Settings::from_text(text, &folder.join("vedette.yaml"), &environment) {
        Ok((_, warnings)) => ("usable", warnings),
        Err(problems) => ("unusable", problems),
    };
    let lines: Vec<String> = problems.iter().map(ToString::to_string).chain([verdict.to_owned()]).collect();
    lines.join("\n").replace(&format!("{}/", folder.display()), "")
}

/// A folder with everything the mistakes name: secrets for owner and group only, but for those called open.
pub(crate) fn machine() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for entry in fs::read_dir(home().join("files")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let mode = if name.to_str().unwrap().starts_with("open") { 0o644 } else { 0o640 };
        fs::copy(entry.path(), folder.path().join(&name)).unwrap();
        fs::set_permissions(folder.path().join(&name), fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

fn mistakes() -> Vec<PathBuf> {
    files_in(&home(), "yaml")
}

fn files_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/config_errors")
}
