//! The files in `config/` are what people start from, so they are held to what they promise.

use std::fs;
use std::path::{Path, PathBuf};

use vedette::config::environment::{Environment, Sources};
use vedette::config::settings::Settings;
use vedette::model::policy::Policy;

#[test]
fn every_file_in_config_passes_check() {
    let files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let (_, warnings) = load(&file);

        assert_eq!(warnings, [""; 0], "{}", file.display());
    }
}

#[test]
fn the_example_states_the_default_of_every_interval() {
    let (settings, _) = load(&folder().join("vedette.example.yaml"));

    assert_eq!(settings.policy, Policy::default());
}

#[test]
fn the_example_is_seen_as_it_reads() {
    let (settings, _) = load(&folder().join("vedette.example.yaml"));

    let mut inventory = settings.inventory();
    assert_eq!(Path::new(&inventory.configuration), folder().join("vedette.example.yaml"));
    // Where this checkout lies is no part of what the example says.
    inventory.configuration = "vedette.example.yaml".into();
    insta::assert_json_snapshot!("the_example", inventory);
}

fn load(file: &Path) -> (Settings, Vec<String>) {
    let environment = Environment {
        host_name: "bastion".to_owned(),
        state_directory: None,
        resolvers: Vec::new(),
        sources: Sources::Untouched,
    };
    match Settings::load_in(file, &environment) {
        Ok((settings, warnings)) => (settings, warnings.iter().map(ToString::to_string).collect()),
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}
