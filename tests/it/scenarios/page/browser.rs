//! A real Chromium, spoken to over a pipe (the DevTools protocol), with scripts switched off.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

/// Longest wait for one message: a cold browser on a busy machine takes some seconds to start.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: String,
    target: String,
    number: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: u32,
    pub(super) scheme: &'static str,
}

/// A page that was loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) title: String,
    /// Width of everything on the page, in CSS pixels.
    pub(super) content_width: f64,
    /// What was asked for over the network.
    pub(super) requests: Vec<String>,
    /// What did not come, or was forbidden by the page's own policy.
    pub(super) complaints: Vec<String>,
}

impl Browser {
    /// Starts `program`; its profile and pipes live in a folder of their own.
    pub(super) fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| profile.path().join(name));
        for pipe in [&to, &from] {
            mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        let child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<\"$0/to\" 4>\"$0/from\""])
            .arg(profile.path())
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Both sides open the pipes in the same order: each opening waits for the other end.
        let commands = OpenOptions::new().write(true).open(&to).unwrap();
        let answers = File::open(&from).unwrap();
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: String::new(),
            target: String::new(),
            number: 0,
            events: Vec::new(),
            _profile: profile,
        };
        browser.target = text(&browser.ask("Target.createTarget", json!({"url": "about:blank"})), "targetId");
        let attached = json!({"targetId": browser.target, "flatten": true});
        browser.session = text(&browser.ask("Target.attachToTarget", attached), "sessionId");
        for domain in ["Page", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser.ask("Page.setLifecycleEventsEnabled", json!({"enabled": true}));
        browser.ask("Emulation.setScriptExecutionDisabled", json!({"value": true}));
        browser
    }

    /// Loads `url` and waits until everything it needs is there.
    pub(super) fn load(&mut self, url: &str, screen: Screen) -> Loaded {
        let size = json!({"width": screen.width, "height": 800, "deviceScaleFactor": 1, "mobile": screen.width < 500});
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": screen.scheme}]});
        self.ask("Emulation.setEmulatedMedia", media);
        // The page before this one may be about to load again.
        self.navigate("about:blank");
        self.navigate(url);
        let metrics = self.ask("Page.getLayoutMetrics", json!({}));
        let title = self.ask("Target.getTargetInfo", json!({"targetId": self.target}));
        let of = |method: &'static str| self.events.iter().filter(move |event| event["method"] == method);
        let failed = of("Network.loadingFailed").map(|event| event["params"].to_string());
        let logged = of("Log.entryAdded").map(|event| event["params"]["entry"].to_string());
        Loaded {
            title: title["targetInfo"]["title"].as_str().unwrap().to_owned(),
            content_width: metrics["cssContentSize"]["width"].as_f64().unwrap(),
            requests: of("Network.requestWillBeSent").map(|event| text(&event["params"]["request"], "url")).collect(),
            complaints: failed.chain(logged).collect(),
        }
    }

    /// Opens `url` and waits until it is loaded; only events since then are kept.
    fn navigate(&mut self, url: &str) {
        self.events.clear();
        let loader = self.ask("Page.navigate", json!({"url": url}))["loaderId"].clone();
        let is_loaded = |event: &Value| {
            let told = &event["params"];
            event["method"] == "Page.lifecycleEvent" && told["name"] == "load" && told["loaderId"] == loader
        };
        while !self.events.iter().any(is_loaded) {
            let message = self.next();
            self.events.push(message);
        }
    }

    /// Runs `script` in the page that was loaded, and what its promise ends with. The page itself still runs none.
    pub(super) fn evaluate(&mut self, script: &str) -> Value {
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": false}));
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", asked);
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": true}));
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The page from top to bottom, as PNG.
    pub(super) fn cluster_snapshot(&mut self) -> Vec<u8> {
        let metrics = self.ask("Page.getLayoutMetrics", json!({}));
        let size = &metrics["cssContentSize"];
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let shot = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        STANDARD.decode(text(&self.ask("Page.captureScreenshot", shot), "data")).unwrap()
    }

    /// One command and its result; events that come meanwhile are kept.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command =
            BTreeMap::from([("id", json!(self.number)), ("method", json!(method)), ("params", parameters)]);
        if !self.session.is_empty() {
            command.insert("sessionId", json!(self.session));
        }
        let mut bytes = serde_json::to_vec(&command).unwrap();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        loop {
            let message = self.next();
            if message["id"] == json!(self.number) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&self) -> Value {
        self.messages.recv_timeout(PATIENCE).expect("the browser answers")
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
