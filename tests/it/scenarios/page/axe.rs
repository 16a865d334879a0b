//! The accessibility rules of axe-core (WCAG 2.2 A and AA), run in the page by the test's own browser.
//!
//! In the page that people hold still. WCAG 2.2.1 allows one that loads again where its first link stops that, which axe
//! cannot know.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::browser::Browser;

/// What npm installs, with its digest.
const WANTED: [(&str, &str); 2] =
    [("package.json", include_str!("axe/package.json")), ("package-lock.json", include_str!("axe/package-lock.json"))];

/// The script, installed once below `target`; an error says why it cannot be had.
pub(super) fn script() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let installed = folder.join("node_modules/axe-core/axe.min.js");
    let is_current = fs::read_to_string(folder.join("package-lock.json")).is_ok_and(|lock| lock == WANTED[1].1);
    if !(is_current && installed.is_file()) {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in WANTED {
            fs::write(folder.join(name), text).unwrap();
        }
        let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"];
        let output = Command::new("npm").args(npm).current_dir(&folder).output().map_err(|e| format!("npm: {e}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    fs::read_to_string(installed).map_err(|error| error.to_string())
}

/// What the page that was loaded does wrong: each rule with the places that break it.
pub(super) fn violations(browser: &mut Browser, script: &str) -> Vec<String> {
    browser.evaluate(&format!("{script}; undefined"));
    let tags = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";
    let report = browser.evaluate(&format!("axe.run(document, {{runOnly: {tags}}})"));
    let passed = report["passes"].as_array().map_or(0, Vec::len);
    assert!(passed > 10, "the rules were run: {passed} passed");
    let of = |violation: &Value| {
        let places: Vec<&str> =
            violation["nodes"].as_array().unwrap().iter().filter_map(|n| n["html"].as_str()).collect();
        format!("{}: {}: {places:?}", violation["id"], violation["help"])
    };
    report["violations"].as_array().unwrap().iter().map(of).collect()
}
