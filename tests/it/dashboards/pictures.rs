//! The boards as people see them: drawn with the panel components that Grafana publishes, in Chromium, from the answers
//! that the Prometheus of `tests/lab/drills/boards.rs` gave (`VEDETTE_RECORD_BOARDS` there writes the file).
//!
//! `VEDETTE_PICTURES` names a folder that takes the pictures, in light and dark. State timelines are not published as a
//! component: rows of coloured cells stand for them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{BOARDS, board, panels, title};

const RECORDED: &str = "tests/it/dashboards/pictures/recorded.json";
/// What npm installs, with its digests.
const WANTED: [(&str, &str); 2] = [
    ("package.json", include_str!("pictures/package.json")),
    ("package-lock.json", include_str!("pictures/package-lock.json")),
];
/// What is bundled with it.
const SOURCES: [(&str, &str); 3] = [
    ("app.jsx", include_str!("pictures/app.jsx")),
    ("scrollbars.js", include_str!("pictures/scrollbars.js")),
    ("build.mjs", include_str!("pictures/build.mjs")),
];
/// Words that a board must show in a state.
const WORDS: [(&str, &str, &[&str]); 8] = [
    ("healthy", "overview", &["100.000", "sending", "one leader", "no finding in this time"]),
    ("healthy", "apiserver", &["lab: 2 / 2", "ready", "no probe failed"]),
    ("healthy", "etcd", &["lab main: 3 / 3", "follower", "none"]),
    ("healthy", "self", &["in sync with the file", "deferred"]),
    ("outage", "overview", &["critical", "EtcdQuorumLost", "F01 etcd quorum lost", "firing"]),
    ("outage", "apiserver", &["lab: 1 / 2", "not ready", "lab: 0 / 2"]),
    ("outage", "etcd", &["lab main: 1 / 3", "NO LEADER"]),
    ("outage", "certificates", &["trusted", "leaf"]),
];

#[test]
fn grafanas_own_components_draw_every_panel_of_every_board() {
    let Some(chromium) = program(&["chromium", "chromium-browser", "google-chrome"]) else {
        return skip("no chromium in PATH (tests/lab/setup.sh installs it)");
    };
    let bundle = match Bundle::build() {
        Ok(bundle) => bundle,
        Err(why) => return skip(&format!("no components of Grafana: {why}")),
    };
    let recorded: Value = serde_json::from_str(&super::read(RECORDED)).unwrap();
    for (state, answers) in recorded.as_object().unwrap() {
        for name in BOARDS {
            let board = board(name);
            let drawn = bundle.draw(&chromium, state, name, &board, answers, false);

            let place = format!("{state} {name}");
            assert!(!drawn.contains("class=\"fault\"") && !drawn.contains("data-fault"), "{place}: {drawn}");
            for panel in panels(&board) {
                let heading = format!("data-title=\"{}\"", title(panel));
                assert!(drawn.contains(&heading), "{place}: {heading} is not drawn");
            }
            let graphs = panels(&board).into_iter().filter(|panel| panel["type"] == "timeseries");
            let graphs = graphs.filter(|panel| !is_empty(panel, &answers["boards"][name])).count();
            assert_eq!(drawn.matches("<canvas").count(), graphs, "{place}: a canvas for each graph");
            let words = WORDS.iter().filter(|(of, board, _)| of == state && *board == name);
            for word in words.flat_map(|(.., words)| words.iter()) {
                assert!(drawn.contains(word), "{place} does not show '{word}'");
            }
            if env::var_os("VEDETTE_PICTURES").is_some() {
                bundle.draw(&chromium, state, name, &board, answers, true);
            }
        }
    }
}

/// Whether none of the panel's queries returned anything.
fn is_empty(panel: &Value, answers: &Value) -> bool {
    panel["targets"].as_array().unwrap().iter().enumerate().all(|(number, target)| {
        let mime_message = if number == 0 { String::new() } else { format!(" {}", target["refId"].as_str().unwrap()) };
        answers[format!("{}{mime_message}", title(panel))].as_array().is_none_or(Vec::is_empty)
    })
}

/// The components and what draws with them, bundled in a folder of its own.
struct Bundle(PathBuf);

impl Bundle {
    /// Installs the components once, outside the tree, and bundles; an error says why they cannot be had.
    fn build() -> Result<Self, String> {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache"))).ok_or("no HOME")?;
        let folder = cache.join("vedette-lab").join(format!("grafana-{:016x}", digest(WANTED[1].1)));
        if !folder.join("installed").is_file() {
            install(&folder)?;
        }
        let own = folder.join(format!("build-{}", std::process::id()));
        let bundle = Self(own);
        fs::create_dir_all(&bundle.0).map_err(|error| error.to_string())?;
        for (name, text) in SOURCES {
            fs::write(bundle.0.join(name), text).map_err(|error| error.to_string())?;
        }
        run(Command::new("node").arg("build.mjs").current_dir(&bundle.0))?;
        Ok(bundle)
    }

    /// The document of a drawn board; a picture of it where one is wanted.
    fn draw(&self, chromium: &Path, state: &str, name: &str, board: &Value, answers: &Value, is_dark: bool) -> String {
        let data = json!({
            "board": board, "answers": answers["boards"][name], "from": answers["from"], "to": answers["to"],
            "dark": is_dark, "caption": format!("in the lab: {state}"),
        });
        let data = data.to_string().replace('<', "\\u003c");
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><link rel=\"stylesheet\" href=\"app.css\"><style>body{{margin:0}}\
             </style><div id=\"board\"></div><script>window.recorded={data}</script><script src=\"app.js\"></script>"
        );
        let file = self.0.join("page.html");
        fs::write(&file, page).unwrap();
        let bottoms = board["panels"].as_array().unwrap().iter();
        let rows = bottoms.filter_map(|panel| Some(panel["gridPos"]["y"].as_u64()? + panel["gridPos"]["h"].as_u64()?));
        let height = rows.max().unwrap() * 38 + 50;
        let mut command = Command::new(chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--virtual-time-budget=6000",
        ]);
        command.arg(format!("--user-data-dir={}", self.0.join("profile").display()));
        command.arg(format!("--window-size=1440,{height}"));
        if let Some(folder) = env::var_os("VEDETTE_PICTURES") {
            let scheme = if is_dark { "dark" } else { "light" };
            let cluster_snapshot = PathBuf::from(folder).join(format!("{state}-{name}-{scheme}.png"));
            command.arg(format!("--screenshot={}", cluster_snapshot.display()));
        }
        let output = command.arg("--dump-dom").arg(format!("file://{}", file.display())).output().unwrap();
        // The data is in the document as well, as a script: what was drawn stands before it.
        let document = String::from_utf8_lossy(&output.stdout).into_owned();
        let (drawn, _) = document.split_once("<script>window.recorded=").unwrap_or_else(|| panic!("{document}"));
        drawn.to_owned()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // What is left behind is in the cache, and of no harm.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Several may install at a time: each into a folder of its own, and the first to be ready gives it its name.
fn install(folder: &Path) -> Result<(), String> {
    let own = folder.with_extension(format!("{}", std::process::id()));
    fs::create_dir_all(&own).map_err(|error| error.to_string())?;
    for (name, text) in WANTED {
        fs::write(own.join(name), text).map_err(|error| error.to_string())?;
    }
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"];
    run(Command::new("npm").args(["ci", "--legacy-peer-deps"]).args(quiet).current_dir(&own))?;
    fs::write(own.join("installed"), "").map_err(|error| error.to_string())?;
    if fs::rename(&own, folder).is_err() {
        fs::remove_dir_all(&own).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// FNV-1a: the name of a cache, and no secret.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).find_map(|folder| names.iter().map(|name| folder.join(name)).find(|file| file.is_file()))
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skip(why: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped in CI: {why}");
    eprintln!("skipped: {why}");
}
