use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;

const PLAIN: &str = "\
apiVersion: v1
kind: Config
current-context: a
contexts:
- name: a
  context: {cluster: c, user: u}
- name: b
  context: {cluster: c}
clusters:
- name: c
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority-data: Y2E=
users:
- name: u
  user:
    client-certificate-data: Y2VydA==
    client-key: keys/u.key
- name: broken
  user: {client-certificate-data: '***', auth-provider: {name: gcp}}
";

#[test]
fn the_current_context_is_chosen_unless_another_is_named() {
    let (chosen, diagnostics) = choose(PLAIN.as_bytes(), None);
    let chosen = chosen.unwrap();

    assert_eq!(diagnostics, []);
    assert_eq!(chosen.context, "a");
    assert_eq!(shown(chosen.authorities.as_ref()), "ca");
    assert_eq!(shown(chosen.certificate.as_ref()), "cert");
    assert_eq!(shown(chosen.key.as_ref()), "file keys/u.key");

    let (other, diagnostics) = choose(PLAIN.as_bytes(), Some("b"));

    assert_eq!(diagnostics, []);
    assert!(other.unwrap().certificate.is_none());
}

#[test]
fn the_same_is_read_from_every_dress() {
    let json = r#"{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", "certificate-authority-data": "Y2E="}}],
        "users": [{"name": "u", "user": {"client-certificate-data": "Y2VydA==", "client-key": "keys/u.key"}}]}"#;
    let (head, users) = PLAIN.split_once("users:").unwrap();
    for dressed in [
        PLAIN.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{PLAIN}").into_bytes(),
        [vec![0xff, 0xfe], PLAIN.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat(),
        json.as_bytes().to_vec(),
        PLAIN.replace("Y2VydA==", "|\n      Y2Vy\n      dA==").into_bytes(),
        PLAIN.replace("Y2VydA==", "\"Y2Vy dA==\"").into_bytes(),
        format!("{head}\n---\nusers:{users}").into_bytes(),
        format!("---\n{PLAIN}\n---\n{}", PLAIN.replace("10.0.0.1", "10.9.9.9").replace("t: a", "t: b")).into_bytes(),
    ] {
        let (chosen, diagnostics) = choose(&dressed, None);
        let chosen = chosen.unwrap();

        assert_eq!(diagnostics, [], "{}", String::from_utf8_lossy(&dressed));
        assert_eq!(chosen.server.unwrap().host.to_string(), "10.0.0.1");
        assert_eq!(shown(chosen.certificate.as_ref()), "cert");
    }
}

#[test]
fn server_urls() {
    for (url, host, port, path) in [
        ("https://10.0.0.1:6443", "10.0.0.1", 6443, ""),
        ("https://api.example.com", "api.example.com", 443, ""),
        ("https://api.example.com:443/", "api.example.com", 443, ""),
        ("https://[2001:db8::1]:6443", "[2001:db8::1]", 6443, ""),
        ("https://[2001:db8::1]", "[2001:db8::1]", 443, ""),
        ("https://rancher/k8s/clusters/c-1/", "rancher", 443, "/k8s/clusters/c-1"),
    ] {
        let (chosen, diagnostics) = choose(PLAIN.replace("https://10.0.0.1:6443", url).as_bytes(), None);
        let server = chosen.unwrap().server.unwrap();

        assert_eq!(diagnostics, [], "{url}");
        assert_eq!((server.host.to_string().as_str(), server.port, server.path.as_str()), (host, port, path), "{url}");
    }
}

#[test]
fn tokens_proxies_and_names() {
    let dressed = PLAIN.replace("client-key: keys/u.key", "token: abc\n    tokenFile: tok").replace(
        "server: https://10.0.0.1:6443",
        "server: https://x\n    proxy-url: socks5://p:1080\n    tls-server-name: y",
    );

    let (chosen, diagnostics) = choose(dressed.as_bytes(), None);
    let chosen = chosen.unwrap();

    assert_eq!(diagnostics, []);
    assert_eq!(shown(chosen.token.as_ref()), "file tok");
    assert_eq!(chosen.proxy.unwrap().value.expose_secret(), "socks5://p:1080");
    assert_eq!(chosen.server_name.unwrap().value, "y");

    let (chosen, _) = choose(dressed.replace("tokenFile: tok", "").as_bytes(), None);

    assert_eq!(shown(chosen.unwrap().token.as_ref()), "abc");
}

#[test]
fn what_tools_write_empty_is_not_there() {
    let nobody = PLAIN.replace("{cluster: c, user: u}", "{cluster: c, user: \"\"}");
    let token =
        "token: t\n    username: ''\n    password: \"\"\n    auth-provider: null\n    as: ''\n    as-groups: []";
    for (text, has_certificate, has_token) in [
        (nobody.as_str(), false, false),
        (&nobody.replace("users:", "users: null\nothers:"), false, false),
        (&PLAIN.replace("{cluster: c, user: u}", "{cluster: c, user: null}"), false, false),
        (&PLAIN.replace("  user:\n", "  user: null\n  other:\n"), false, false),
        (&PLAIN.replace("  user:\n", "  user: {}\n  other:\n"), false, false),
        (&PLAIN.replace("client-key: keys/u.key", token), true, true),
    ] {
        let (chosen, diagnostics) = choose(text.as_bytes(), None);
        let chosen = chosen.unwrap();

        assert_eq!(diagnostics, [], "{text}");
        assert_eq!((chosen.certificate.is_some(), chosen.token.is_some()), (has_certificate, has_token), "{text}");
        assert!(chosen.server.is_some());
    }
}

#[test]
fn exec_plugins_as_cloud_tools_write_them() {
    let exec = "exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      command: aws\n      \
        args: [eks, get-token, 7]\n      env: null\n      interactiveMode: IfAvailable\n      provideClusterInfo: true";

    let (chosen, diagnostics) = choose(PLAIN.replace("client-key: keys/u.key", exec).as_bytes(), None);
    let exec = chosen.unwrap().exec.unwrap().value;

    assert_eq!(diagnostics, []);
    assert_eq!((exec.command.as_str(), exec.args.join(" ").as_str()), ("aws", "eks get-token 7"));
    assert!(exec.env.is_empty() && exec.provides_cluster_info);
}

#[test]
fn complaints_name_the_place_and_the_way_out() {
    check("", None, "no current-context is set; name the context to use; there are: none");
    check(
        &PLAIN.replace("current-context: a", ""),
        None,
        "no current-context is set; name the context to use; there are: a, b",
    );
    check(PLAIN, Some("z"), "no context 'z'; there are: a, b");
    check(&PLAIN.replace("cluster: c,", "cluster: z,"), None, "6:22 no cluster 'z'; there are: c");
    check(&PLAIN.replace("cluster: c,", ""), None, "6:12 context 'a' names no cluster");
    check(&PLAIN.replace("user: u}", "user: z}"), None, "6:31 no user 'z'; there are: u, broken");
    check(&PLAIN.replace("https", "http"), None, "12:13 the server is not an https URL");
    check(&PLAIN.replace("https://", ""), None, "12:13 the server is not an https URL");
    check(&PLAIN.replace("server:", "served:"), None, "12:5 the cluster has no server");
    check(
        &PLAIN.replace("certificate-authority-data: Y2E=", ""),
        None,
        "12:5 no certificate-authority, so certificates served cannot be verified; kubectl trusts this machine's authorities here; vedette trusts none it was not given",
    );
    check(
        &PLAIN.replace("Y2E=", "/etc/ca.pem"),
        None,
        "13:33 'certificate-authority-data' is not base64; for a file name use 'certificate-authority'",
    );
    check(&PLAIN.replace("Y2E=", "[1]"), None, "13:33 'certificate-authority-data' must be a string, and is a list");
    check(
        &PLAIN.replace("certificate-authority-data: Y2E=", "insecure-skip-tls-verify: true"),
        None,
        "13:31 certificate verification is switched off, so nothing is known of the chain; give certificate-authority(-data) instead of insecure-skip-tls-verify",
    );
    check(
        &PLAIN.replace("client-key: k", "username: k"),
        None,
        "18:15 'username' is not supported; basic authentication has been gone from Kubernetes since 1.19",
    );
    check(
        &PLAIN.replace("client-key: k", "as: k"),
        None,
        "18:9 'as' is ignored: vedette impersonates nobody; give it a user that has the rights itself",
    );
    check(PLAIN.split("users:").next().unwrap(), None, "6:31 no user 'u'; there are: none");
    check(
        &PLAIN
            .replace("client-key: keys/u.key", "exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}"),
        None,
        "18:11 the exec plugin speaks neither client.authentication.k8s.io/v1 nor v1beta1; update the plugin, then let it write the kubeconfig again",
    );
    check("a: [", None, "1:4 unclosed bracket '['");
}

#[test]
fn no_secret_shows_in_debug() {
    let (chosen, _) = choose(PLAIN.replace("client-key: keys/u.key", "token: hunter2").as_bytes(), None);

    assert!(!format!("{chosen:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn damage_is_survived(at in 0..PLAIN.len(), len in 0..40_usize, with in "[\\x00-\\x7f]{0,12}") {
        let mut bytes = PLAIN.as_bytes().to_vec();
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.bytes());

        let (chosen, diagnostics) = choose(&bytes, None);

        // Either something usable came out, or somebody is told why not.
        prop_assert!(chosen.is_some_and(|chosen| chosen.server.is_some()) || !diagnostics.is_empty());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (chosen, diagnostics) = choose(&bytes, None);

        prop_assert!(chosen.is_some() || !diagnostics.is_empty());
    }
}

fn check(text: &str, context: Option<&str>, expected: &str) {
    let (_, diagnostics) = choose(text.as_bytes(), context);
    let said: Vec<String> = diagnostics
        .into_iter()
        .map(|diagnostic| {
            let place = diagnostic.position.map(|position| format!("{position} ")).unwrap_or_default();
            format!("{place}{}{}", diagnostic.what, diagnostic.hint.map(|hint| format!("; {hint}")).unwrap_or_default())
        })
        .collect();
    assert_eq!(said, [expected], "{text}");
}

fn shown(material: Option<&Located<Material>>) -> String {
    match &material.expect("something is there").value {
        Material::Inline(bytes) => String::from_utf8(bytes.expose_secret().to_vec()).unwrap(),
        Material::File(path) => format!("file {path}"),
    }
}
