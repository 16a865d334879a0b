use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The pages of kube-apiserver 1.37.2.
const STATUSZ: &[u8] = include_bytes!("1.37.statusz.json");
const FLAGZ: &[u8] = include_bytes!("1.37.flagz.json");
const STATUSZ_TEXT: &[u8] = include_bytes!("1.37.statusz.txt");
const FLAGZ_TEXT: &[u8] = include_bytes!("1.37.flagz.txt");

#[test]
fn the_pages_of_a_real_apiserver_are_read_from_json_and_from_text_alike() {
    let started = Some(UnixTime::from_secs(1_796_081_932));
    let expected = Statusz { started, binary_version: text("1.37.2"), emulation_version: text("1.37") };
    assert_eq!(statusz(STATUSZ), Some(expected.clone()));
    assert_eq!(statusz(STATUSZ_TEXT), Some(expected));

    let flags = flagz(FLAGZ).unwrap();
    assert_eq!((flags.len(), flags.left_out), (177, 0));
    assert_eq!(flags.get("etcd-servers"), Some("[http://10.0.0.21:2379]"));
    assert_eq!(flags.get("authorization-mode"), Some("[Node,RBAC]"));
    assert_eq!(flags.duration("shutdown-delay-duration"), Some(std::time::Duration::ZERO));
    assert_eq!(flagz(FLAGZ_TEXT), Some(flags));
}

const TEXT: &str = "\nkube-apiserver statusz\nWarning: This endpoint is not meant to be machine parseable, has no \
                    formatting compatibility guarantees and is for debugging purposes only.\n\nStarted: Wed Oct 16 \
                    21:03:43 UTC 2024\nUp: 0 hr 00 min 16 sec\nGo version: go1.23.2\nBinary version: \
                    1.32.0-alpha.0.1484+5eeac4f21a491b-dirty\nEmulation version: 1.32.0-alpha.0.1484\nPaths: /healthz \
                    /livez\n";

/// 2024-10-16T21:03:43Z.
const STARTED: UnixTime = UnixTime::from_secs(1_729_112_623);

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn a_status_is_read_whatever_its_version_lacks() {
    let full = json!({
        "kind": "Statusz", "apiVersion": "config.k8s.io/v1beta1", "metadata": { "name": "kube-apiserver" },
        "startTime": "2024-10-16T21:03:43Z", "uptimeSeconds": 16, "goVersion": "go1.26.1",
        "binaryVersion": "1.37.2", "emulationVersion": "1.36", "paths": ["/livez"],
    });
    let read = |document: &Value| statusz(document.to_string().as_bytes());
    let whole = Statusz { started: Some(STARTED), binary_version: text("1.37.2"), emulation_version: text("1.36") };
    assert_eq!(read(&full), Some(whole.clone()));

    let edited = |field: &str, value: Value| {
        let mut document = full.clone();
        document[field] = value;
        read(&document)
    };
    assert_eq!(edited("apiVersion", json!("config.k8s.io/v1alpha1")), Some(whole.clone()));
    assert_eq!(edited("emulationVersion", json!("")), Some(Statusz { emulation_version: None, ..whole.clone() }));
    for wrong in [json!(null), json!("yesterday"), json!(17), json!("+292277026596-12-04T15:30:07Z")] {
        assert_eq!(edited("startTime", wrong.clone()), Some(Statusz { started: None, ..whole.clone() }), "{wrong}");
    }
    assert_eq!(edited("kind", json!("Status")), None);
    let offset = edited("startTime", json!("2024-10-16T23:03:43+02:00"));
    assert_eq!(offset, Some(whole));
}

#[test]
fn a_status_in_text_is_read_by_each_of_its_delimiters() {
    for delimiter in [":", ": ", "=", " "] {
        let page = TEXT.replace(": 1.", &format!("{delimiter}1.")).replace("Started: ", &format!("Started{delimiter}"));

        let read = statusz(page.as_bytes()).unwrap();

        assert_eq!(read.started, Some(STARTED), "{delimiter:?}");
        assert_eq!(read.emulation_version, text("1.32.0-alpha.0.1484"), "{delimiter:?}");
        assert_eq!(read.binary_version, text("1.32.0-alpha.0.1484+5eeac4f21a491b-dirty"), "{delimiter:?}");
    }
    let elsewhere = TEXT.replace("21:03:43 UTC", "23:03:43 CEST");
    assert_eq!(statusz(elsewhere.as_bytes()).unwrap().started, None);
}

#[test]
fn flags_are_read_from_json_and_what_is_no_flag_is_counted() {
    let page = json!({
        "kind": "Flagz",
        "flags": {
            "etcd-servers": "[https://10.0.0.1:2379]", "v": 2, "profiling": false, "oidc-ca-file": "",
            "a\nb": "x", "list": ["x"], "Upper": "x", "admission\u{202e}": "x",
        },
    });

    let read = flagz(page.to_string().as_bytes()).unwrap();

    let flags: Vec<_> = read.iter().collect();
    let servers = ("etcd-servers", "[https://10.0.0.1:2379]");
    assert_eq!(flags, [servers, ("oidc-ca-file", ""), ("profiling", "false"), ("v", "2")]);
    assert_eq!(read.left_out, 4);
}

#[test]
fn flags_are_read_from_text_by_each_delimiter() {
    for delimiter in [":", ": ", "=", " "] {
        let flag = |name: &str, value: &str| format!("{name}{delimiter}{value}\n");
        let flags = [flag("etcd-servers", "[https://[fd00::1]:2379]"), flag("v", "2"), flag("oidc-ca-file", "")];
        let page = format!("kube-apiserver flagz\nWarning: This endpoint is not for machines.\n\n{}", flags.concat());

        let read = flagz(page.as_bytes()).unwrap();

        assert_eq!(read.get("etcd-servers"), Some("[https://[fd00::1]:2379]"), "{delimiter:?}");
        assert_eq!((read.get("v"), read.get("oidc-ca-file"), read.len()), (Some("2"), Some(""), 3), "{delimiter:?}");
    }
}

#[test]
fn what_is_no_z_page_is_none() {
    for body in [
        &b""[..],
        b"ok",
        b"[]",
        b"{}",
        b"{\"flags\":{}}",
        b"{\"flags\":[\"a\"]}",
        b"<!DOCTYPE html><html><body>statusz flagz</body></html>",
        b"{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":403}",
        b"kube-apiserver statusz",
        b"kube-apiserver flagz\n\n",
        b"\xff\xfe statusz",
    ] {
        assert_eq!((statusz(body), flagz(body)), (None, None), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_line_break_within_a_value_makes_no_second_flag() {
    let page = json!({ "flags": { "token-auth-file": "a\nauthorization-mode=AlwaysAllow" } });

    let read = flagz(page.to_string().as_bytes()).unwrap();

    assert_eq!((read.len(), read.get("authorization-mode")), (1, None));
}

proptest! {
    #[test]
    fn any_body_gives_a_bounded_answer(
        body in proptest::collection::vec(any::<u8>(), 0..512),
        flags in proptest::collection::vec((any::<String>(), any::<String>()), 0..40),
        title in "kube-apiserver (statusz|flagz)",
        value in any::<String>(),
    ) {
        let map: Map<String, Value> = flags.iter().cloned().map(|(name, value)| (name, value.into())).collect();
        let lines: String = flags.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let bodies = [
            body,
            json!({ "flags": map, "startTime": value, "binaryVersion": value }).to_string().into_bytes(),
            format!("{title}\n{lines}Started: {value}\nBinary version={value}\n").into_bytes(),
        ];
        for body in bodies {
            if let Some(read) = statusz(&body) {
                let texts = [read.binary_version, read.emulation_version];
                prop_assert!(texts.iter().flatten().all(|text| text.chars().count() <= MAX_VERSION));
            }
            if let Some(read) = flagz(&body) {
                prop_assert!(read.len() <= Flagz::MAX);
                prop_assert!(read.iter().all(|(name, value)| is_name(name) && value.chars().count() <= MAX_VALUE));
                prop_assert!(read.iter().all(|(_, value)| !value.chars().any(char::is_control)));
            }
        }
    }

    #[test]
    fn flags_survive_their_json(flags in proptest::collection::btree_map("[a-z][a-z0-9-]{0,20}", "[ -~]{0,40}", 1..20)) {
        let page = json!({ "kind": "Flagz", "flags": flags }).to_string();

        let read = flagz(page.as_bytes()).unwrap();

        let kept: Vec<(&str, &str)> = flags.iter().map(|(name, value)| (name.as_str(), value.trim())).collect();
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), kept);
    }
}
