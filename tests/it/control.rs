//! People at the control socket of a running daemon: silences that last, lists, and what nobody else may do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::closed_port::Reserved;
use crate::daemon::NOBODY;
use vedette::judge::api_down::AllBad;
use vedette::model::exchange::Change;
use vedette::model::incident::{Ending, Incident, IncidentId, Part, Told};
use vedette::model::phase::{Cause, Phase, Unseen};
use vedette::model::rule::{Level, RuleId};
use vedette::model::time::UnixTime;
use vedette::model::verdict::{Finding, Symptom};
use vedette::store::Store;

/// A folder with a configuration whose apiserver refuses.
struct Home {
    folder: tempfile::TempDir,
    listens_at: Reserved,
}

/// A running vedette, killed at the end.
struct Running(Child);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listens_at = Reserved::new().unwrap();
        let at = folder.path().display();
        let text = format!(
            "vantage:\n  name: here\n  listen: {}\n  store: {at}/vedette.db\n  control: {at}/control.sock\n  \
             resolvers: []\nclusters:\n  - name: prod\n    credentials: {{}}\n    \
             apiservers: [{{ name: api-1, address: \"127.0.0.1:{NOBODY}\" }}]\n",
            listens_at.address
        );
        fs::write(folder.path().join("vedette.yaml"), text).unwrap();
        Self { folder, listens_at }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts vedette and waits until it looks.
    fn start(&self) -> Running {
        let mut command = vedette();
        command.arg("run").arg(self.file("vedette.yaml")).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_probing = log.by_ref().map_while(Result::ok).any(|line| line.contains("started: "));
        assert!(is_probing, "it ended before it looked");
        // Read on, so that it never waits for us.
        std::thread::spawn(move || log.count());
        Running(child)
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let config = self.file("vedette.yaml");
        vedette().args(arguments).arg("--config").arg(config).env("SUDO_USER", "anna").output().unwrap()
    }

    /// What it answers, and its exit code.
    fn told(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.ask(arguments);
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }
}

impl Running {
    fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn vedette() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_silence_is_listed_survives_kill_9_and_ends_on_demand() {
    let home = Home::new();
    let first = home.start();

    let (code, said) = home.told(&["silence", "prod", "2h", "--comment", "defragmenting etcd"]);
    assert!(code == Some(0) && said.starts_with("prod is silenced until "), "{said}");
    assert!(said.contains("(2 h)") && said.contains("by anna (uid "), "{said}");
    first.end(Signal::KILL);
    let second = home.start();

    let listed = (0..500).map(|_| home.told(&["silence", "--list"]).1).find(|listed| listed.contains("prod"));
    assert!(listed.expect("it is taken up from the store").contains("defragmenting etcd"));
    let output = home.ask(&["silence", "--list", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json[0]["cluster"], &json[0]["duration_seconds"]), (&"prod".into(), &7200.into()));
    let (code, ended) = home.told(&["silence", "prod", "--expire"]);
    assert!(code == Some(0) && ended.starts_with("The silence of prod since "), "{ended}");
    assert_eq!(home.told(&["silence", "--list"]), (Some(0), "No cluster is silenced.\n".into()));
    second.end(Signal::TERM);
    assert!(!home.file("control.sock").exists(), "the socket is gone with its daemon");
    home.start();
}

#[test]
fn orders_that_make_no_sense_are_refused_in_a_sentence() {
    let home = Home::new();
    let _daemon = home.start();

    for (arguments, expected) in [
        (&["silence", "test", "2h", "--comment", "x"][..], "there is no cluster 'test'; watched are prod"),
        (&["silence", "prod", "25h", "--comment", "x"], "a silence lasts from 1m to 24h"),
        (&["silence", "prod", "59s", "--comment", "x"], "a silence lasts from 1m to 24h"),
        (&["silence", "prod", "2", "--comment", "x"], "'2' has no unit; write 30m, 2h or 1h30m"),
        (&["silence", "prod", "2h", "--comment", " "], "a silence needs a comment"),
        (&["silence", "prod", "--expire"], "prod is not silenced"),
        (&["incidents", "4711"], "there is no incident 4711"),
    ] {
        let (code, said) = home.told(arguments);

        assert!(code == Some(1) && said.contains(expected), "{arguments:?}: {code:?} {said}");
    }
    let without_reason = home.ask(&["silence", "prod", "2h"]);
    assert_eq!(without_reason.status.code(), Some(64));
}

#[test]
fn without_a_daemon_it_is_said_where_nobody_answers_and_incidents_come_from_the_store() {
    let home = Home::new();
    let socket = home.file("control.sock").display().to_string();

    let (code, said) = home.told(&["silence", "prod", "2h", "--comment", "x"]);
    assert!(code == Some(1) && said.contains(&socket) && said.contains("systemctl start vedette"), "{said}");
    let (code, said) = home.told(&["status"]);
    assert!(code == Some(3) && said.contains(&socket), "{said}");
    let (code, said) = home.told(&["incidents"]);
    assert!(code == Some(1) && said.contains("vedette.db"), "{said}");

    home.start().end(Signal::TERM);
    let (code, said) = home.told(&["incidents", "--since", "7d"]);
    assert!(code == Some(0) && said.contains("no vedette runs"), "{said}");
}

#[test]
fn an_incident_and_its_story_are_told_from_the_store_and_by_the_daemon() {
    let home = Home::new();
    remember(&home.file("vedette.db"));

    for is_running in [false, true] {
        let _daemon = is_running.then(|| home.start());

        let output = home.ask(&["incidents", "--cluster", "prod"]);
        let listed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.stderr.is_empty(), is_running, "{:?}", String::from_utf8_lossy(&output.stderr));
        assert!(listed.starts_with("INCIDENT  STATE     SINCE "), "{listed}");
        assert!(listed.contains("4f2a9c1d  resolved  2026-03-01T03:14:00Z  14 min"), "{listed}");
        let (code, report) = home.told(&["incidents", "4f2a"]);
        assert!(code == Some(0) && report.contains("F24 prod (critical)\n    since 2026-03-01"), "{report}");
        let json = home.ask(&["incidents", "4f2a", "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&json["headline"]["rule"], &json["messages"]), (&"F24".into(), &2.into()));
        for none in [["incidents", "--cluster", "test"], ["incidents", "--since", "7d"]] {
            assert_eq!(home.ask(&none).stdout, b"No incidents.\n", "{none:?}");
        }
    }
}

/// Puts an incident into the store that is over.
fn remember(path: &Path) {
    let opened = UnixTime::from_secs(1_772_334_840);
    let refused = Symptom::Silent(Unseen { phase: Phase::Dial, cause: Cause::Refused });
    let headline = Finding {
        rule: RuleId::F24,
        subject: "prod".parse().unwrap(),
        level: Level::Critical,
        since: opened,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(AllBad { parts: vec![("prod/apiserver/api-1".parse().unwrap(), refused)] }),
    };
    let at = opened.plus(Duration::from_secs(845));
    let incident = Incident {
        id: IncidentId("4f2a9c1d".into()),
        cluster: Some("prod".parse().unwrap()),
        opened,
        parts: vec![Part { over: Some(at), ..Part::of(headline.clone()) }],
        headline,
        cause: None,
        level: Level::Critical,
        told: Told { messages: 2, last: Some(at), level: Some(Level::Critical), band: None, settled: None },
        silenced: None,
        over: Some(Ending { at, withdrawn: false }),
    };
    let store = Store::open(path.into(), opened, |_| {}).unwrap();
    store.persist(1, vec![Change::Incident(Box::new(incident))]);
    store.close().join().unwrap();
}

#[test]
fn only_its_owner_and_group_may_open_the_socket_and_a_stale_one_is_replaced() {
    let home = Home::new();
    let socket = home.file("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());

    let _daemon = home.start();

    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(home.told(&["silence", "--list"]).1.contains("No cluster is silenced"));
}

#[test]
fn a_file_that_is_no_socket_stays_and_the_daemon_watches_on() {
    let home = Home::new();
    fs::write(home.file("control.sock"), "precious").unwrap();

    let daemon = home.start();
    daemon.end(Signal::TERM);

    assert_eq!(fs::read_to_string(home.file("control.sock")).unwrap(), "precious");
}

#[test]
fn nothing_can_be_changed_over_tcp() {
    let home = Home::new();
    let _daemon = home.start();
    home.told(&["silence", "prod", "2h", "--comment", "x"]);

    for path in
        ["/control/silence", "/control/silence/prod", "/", "/metrics", "/healthz", "/readyz", "/api/v1/silences"]
    {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let status = over_tcp(home.listens_at.address, method, path);

            assert!(matches!(status.as_str(), "404" | "405"), "{method} {path}: {status}");
        }
    }
    assert!(home.told(&["silence", "--list"]).1.contains("prod"), "and nothing was");
}

fn over_tcp(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}
