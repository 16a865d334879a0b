//! What the daemon records: what it must hold, who may read it, and what must never be in it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::{NOBODY, configuration, start, start_with};
use flate2::read::MultiGzDecoder;

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// All bytes of a recording, unpacked as far as they go.
fn unpacked(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(fs::File::open(file).unwrap()).read_to_end(&mut bytes).ok();
    bytes
}

/// A configuration with a secret of every kind, and what must not be found of them.
fn with_secrets(folder: &Path, listen: &str) -> Vec<String> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let issued = rcgen::generate_simple_self_signed(["vedette".to_owned()]).unwrap();
    let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let words =
        ["token", "config-token", "etcd", "mail", "proxy", "beat", "user"].map(|kind| format!("s3cr3t-of-{kind}"));
    let [token, config_token, etcd, mail, proxy, beat, user] = &words;
    let (certificate_file, key_file) = (write("client.crt", &certificate), write("client.key", &key));
    let kubeconfig = write(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters:\n- name: c\n  cluster: {{ server: \"https://127.0.0.2:{NOBODY}\", proxy-url: \"http://anna:{proxy}@127.0.0.1:{NOBODY}\" }}\n\
             contexts:\n- name: c\n  context: {{ cluster: c, user: u }}\n\
             users:\n- name: u\n  user: {{ token: {config_token} }}\n"
        ),
    );
    let hash = bcrypt::hash(user, 4).unwrap();
    let web = write("web.yml", &format!("basic_auth_users:\n  anna: {hash}\n"));
    let text = format!(
        "vantage:\n  name: here\n  listen: {listen}\n  store: {store}\n  control: off\n  resolvers: []\n  web_config: {web}\n\
         mail:\n  relay: 127.0.0.1:{NOBODY}\n  tls: implicit\n  username: anna\n  password: {{ file: {mail} }}\n  from: v@x\n  to: [ops@x]\n\
         heartbeat:\n  url: http://127.0.0.1:{NOBODY}/ping/{beat}\n  interval: 5s\n\
         clusters:\n  - name: prod\n    credentials:\n      ca: {{ file: {certificate_file} }}\n      client_certificate: {{ file: {certificate_file} }}\n      \
         client_key: {{ file: {key_file} }}\n      token: {{ file: {token} }}\n    \
         apiservers:\n      - {{ name: api-1, address: \"127.0.0.1:{NOBODY}\" }}\n    \
         etcd:\n      - name: main\n        ca: {{ file: {certificate_file} }}\n        client_certificate: {{ file: {certificate_file} }}\n        \
         client_key: {{ file: {key_file} }}\n        username: anna\n        password: {{ file: {etcd} }}\n        \
         members:\n          - {{ name: etcd-1, address: \"127.0.0.3:{NOBODY}\" }}\n  \
         - name: kube\n    kubeconfig: {{ path: {kubeconfig} }}\n",
        store = folder.join("vedette.db").display(),
        mail = write("mail", mail),
        token = write("token", token),
        etcd = write("etcd", etcd),
    );
    fs::write(folder.join("vedette.yaml"), text).unwrap();
    let mut secrets = words.to_vec();
    secrets.push(hash);
    secrets.extend(key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned));
    secrets
}

#[test]
fn no_secret_is_in_any_recorded_byte() {
    let mut secrets = Vec::new();
    let mut daemon = start_with(|folder, listen| secrets = with_secrets(folder, listen));
    for _ in 0..2 {
        assert!(daemon.hears("READY=1"), "{}", daemon.log());
        daemon.records();
        daemon = daemon.restarted();
    }
    assert!(daemon.hears("READY=1"));
    let daemon = daemon.ended();
    let recordings = files(&daemon.folder.path().join("recordings"));

    let bytes: Vec<u8> = recordings.iter().flat_map(|file| unpacked(file)).collect();

    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("api-1") && holds("observed"), "it records at all");
    assert!(secrets.len() > 8, "{secrets:?}");
    for secret in &secrets {
        assert!(!holds(secret), "{secret} is recorded");
    }
    assert!(recordings.iter().all(|file| fs::metadata(file).unwrap().mode() & 0o777 == 0o600));
}

#[test]
fn what_the_daemon_records_replays_alone_and_mails_the_same() {
    let daemon = start();
    assert!(daemon.hears("READY=1"));
    daemon.records();
    let daemon = daemon.ended();
    let folder = daemon.folder.path().join("recordings");
    let replay = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_vedette")).arg("replay").arg(&folder).args(more).output().unwrap()
    };

    let (text, json) = (replay(&[]), replay(&["--json"]));

    let shown = String::from_utf8_lossy(&text.stdout).into_owned();
    assert_eq!((text.status.code(), json.status.code()), (Some(0), Some(0)), "{text:?}");
    assert!(shown.starts_with("here from ") && shown.contains("mailed"), "{shown}");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["same"], true);
    assert_eq!(json["notes"], serde_json::json!([]), "{json}");
    let config = configuration(daemon.folder.path(), "127.0.0.1:9876");
    let with = replay(&["--config", &config.display().to_string(), "--offline"]);
    assert_eq!(with.status.code(), Some(0), "{with:?}");
}

#[test]
fn nothing_to_replay_is_65_and_says_where_recordings_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it");
    fs::write(&file, "anything").unwrap();
    for path in [folder.path(), &file] {
        let output = Command::new(env!("CARGO_BIN_EXE_vedette")).arg("replay").arg(path).output().unwrap();

        assert_eq!(output.status.code(), Some(65), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("recording"), "{output:?}");
    }
}

#[test]
fn recordings_that_are_off_are_none() {
    let daemon = start_with(|folder, listen| {
        let text = fs::read_to_string(configuration(folder, listen)).unwrap();
        fs::write(folder.join("vedette.yaml"), text.replace("control: off", "control: off\n  recordings: off"))
            .unwrap();
    });
    assert!(daemon.hears("READY=1"));

    assert!(!daemon.get("/metrics").contains("vedette_recorder"));
    assert!(!daemon.folder.path().join("recordings").exists());
}

#[test]
fn a_recorder_that_hangs_delays_neither_probes_nor_the_store_nor_the_end() {
    let daemon = start_with(|folder, listen| {
        configuration(folder, listen);
        let recordings = folder.join("recordings");
        fs::create_dir(&recordings).unwrap();
        // Whoever reads a pipe into which nobody writes waits for ever, as on a dead disk.
        let pipe = recordings.join("00000001-20260921T141320Z.vedette.gz");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    });

    assert!(daemon.hears("READY=1"));
    assert!(daemon.shows("vedette_store_up 1"), "{}", daemon.log());
    let probes = daemon.value("vedette_probes_started_total");
    assert!(daemon.grows("vedette_probes_started_total", probes));
    assert_eq!(daemon.value("vedette_recorder_bytes"), 0.0);
    daemon.ended();
}
