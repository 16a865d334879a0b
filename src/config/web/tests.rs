//! Claims about the reader: each key, each mistake.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use proptest::prelude::*;
use rustls::{CipherSuite, NamedGroup};

use super::*;

/// "secret", at the least cost.
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuHXNuQm3sLIcA0p0q3N3dMOzJ3zNVbma";
const PLAIN_TLS: &str = "tls_server_config: { cert_file: s.crt, key_file: s.key }";

#[test]
fn everything_that_the_toolkit_knows_is_read() {
    let folder = Folder::new();
    let text = format!(
        "tls_server_config:\n  cert_file: s.crt\n  key_file: {}/s.key\n  client_auth_type: RequireAndVerifyClientCert\n  \
         client_ca_file: ca.crt\n  client_allowed_sans: [prometheus.test, 10.0.0.1]\n  min_version: TLS12\n  \
         max_version: TLS13\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n  \
         prefer_server_cipher_suites: false\n  curve_preferences: [CurveP384, X25519]\n\
         http_server_config:\n  http2: false\n  headers: {{ X-Frame-Options: deny, Strict-Transport-Security: max-age=9, \
         X-XSS-Protection: }}\n\
         basic_auth_users: {{ alice: {HASH} }}\nrate_limit: {{ interval: 100ms, burst: 7 }}\n",
        folder.0.path().display(),
    );

    let reading = folder.read(&text);

    let (config, warnings) = reading.result.unwrap();
    let tls = config.tls.as_ref().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(tls.client_allowed_sans, ["prometheus.test", "10.0.0.1"]);
    assert_eq!((tls.min_version, tls.max_version), (Version::Tls12, Version::Tls13));
    assert_eq!(tls.cipher_suites, [CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]);
    assert_eq!(tls.groups, [NamedGroup::secp384r1, NamedGroup::X25519]);
    assert!(!tls.prefers_own_order && !config.http2 && config.is_guarded());
    let headers: Vec<String> =
        config.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(headers, ["x-frame-options: deny", "strict-transport-security: max-age=9"]);
    assert_eq!((config.users["alice"].expose(), config.users["alice"].cost()), (HASH, 4));
    assert_eq!(config.rate_limit, Some(RateLimit { interval: Duration::from_millis(100), burst: 7 }));
    let names = ["web.yml", "s.crt", "s.key", "ca.crt"].map(|name| folder.0.path().join(name));
    assert_eq!(reading.files, names);
    assert!(!format!("{config:?}").contains(HASH));
}

#[test]
fn what_is_left_out_is_as_the_toolkit_has_it() {
    let folder = Folder::new();

    let tls = folder.read(PLAIN_TLS).result.unwrap().0.tls.unwrap();
    let (empty, warnings) = folder.read("").result.unwrap();

    assert_eq!((tls.min_version, tls.max_version, tls.client_auth), (Version::Tls12, Version::Tls13, ClientAuth::None));
    assert!(tls.prefers_own_order && tls.cipher_suites.is_empty() && tls.groups.is_empty());
    assert!(empty.http2 && empty.tls.is_none() && empty.users.is_empty() && empty.rate_limit.is_none());
    assert!(warnings[0].to_string().contains("neither TLS nor users"), "{}", warnings[0]);
    assert!(folder.read("rate_limit: { interval: 0 }").result.unwrap().0.rate_limit.is_none());
}

#[test]
fn certificate_key_and_ca_may_stand_in_the_file_itself() {
    let folder = Folder::new();
    let indented = |name: &str| folder.text(name).trim().replace('\n', "\n    ");
    let text = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n  client_ca: |\n    {}\n  client_auth_type: \
         VerifyClientCertIfGiven\n",
        indented("s.crt"),
        indented("s.key"),
        indented("ca.crt"),
    );

    let (config, _) = folder.read(&text).result.unwrap();

    assert!(!config.is_guarded(), "whoever shows no certificate is let in");
    assert_eq!(config.tls.unwrap().client_roots().unwrap().len(), 1);
    let open = from_bytes(text.as_bytes(), 0o644, &folder.0.path().join("web.yml")).result.unwrap_err();
    assert!(open[0].to_string().contains("web.yml is world-readable (mode 0644); hint: chmod o-rwx"), "{}", open[0]);
}

#[test]
fn every_policy_has_its_name() {
    let folder = Folder::new();
    for (name, policy, is_guarded) in [
        ("NoClientCert", ClientAuth::None, false),
        ("RequestClientCert", ClientAuth::Request, false),
        ("RequireAnyClientCert", ClientAuth::RequireAny, false),
        ("RequireClientCert", ClientAuth::RequireAny, false),
        ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven, false),
        ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify, true),
    ] {
        let ca = if policy.verifies() { ", client_ca_file: ca.crt" } else { "" };
        let text = format!("tls_server_config: {{ cert_file: s.crt, key_file: s.key, client_auth_type: {name}{ca} }}");

        let (config, _) = folder.read(&text).result.unwrap();

        assert_eq!((config.tls.as_ref().unwrap().client_auth, config.is_guarded()), (policy, is_guarded), "{name}");
        let with_users = folder.read(&format!("{text}\nbasic_auth_users: {{ a: {HASH} }}")).result.unwrap().0;
        assert!(with_users.is_guarded(), "{name}");
    }
    assert!(!folder.read(&format!("basic_auth_users: {{ a: {HASH} }}")).result.unwrap().0.is_guarded());
}

#[test]
fn every_mistake_has_its_place_and_a_way_out() {
    let folder = Folder::new();
    let tls = |more: &str| format!("tls_server_config:\n  cert_file: s.crt\n  key_file: s.key\n  {more}\n");
    let cases: Vec<(String, &str)> = vec![
        (
            "tls_server_confg: {}".into(),
            "1:1: error: unknown key 'tls_server_confg'; hint: did you mean 'tls_server_config'?",
        ),
        (tls("certfile: x"), "4:3: error: unknown key 'certfile'; hint: did you mean 'cert_file'?"),
        (
            "tls_server_config: { min_version: TLS13 }".into(),
            "1:20: error: 'cert_file' is missing; hint: give 'cert_file' or 'cert', or leave",
        ),
        ("tls_server_config: { cert_file: s.crt }".into(), "1:20: error: 'key_file' is missing"),
        ("tls_server_config: { cert_file: , key_file: s.key }".into(), "1:22: error: 'cert_file' is empty"),
        ("tls_server_config: { cert_file: '', key_file: s.key }".into(), "1:33: error: not a valid path"),
        ("tls_server_config: { cert_file: none.crt, key_file: s.key }".into(), "1:33: error: cannot read "),
        (
            "tls_server_config: { cert_file: s.key, key_file: s.key }".into(),
            "/s.key holds no certificate in PEM form; hint: it holds a private key",
        ),
        (
            "tls_server_config: { cert_file: s.crt, key_file: c.key }".into(),
            "1:50: error: the key is not that of the certificate; hint: give the key",
        ),
        (
            "tls_server_config: { cert_file: s.crt, key_file: open.key }".into(),
            "/open.key is world-readable (mode 0644); hint: chmod o-rwx",
        ),
        (tls("cert: x"), "4:9: error: 'cert' beside 'cert_file'; hint: keep one of the two"),
        (
            tls("client_auth_type: RequireAndVerify"),
            "4:21: error: 'RequireAndVerify' is not a valid client_auth_type; hint: one of NoClientCert, ",
        ),
        (tls("client_auth_type: requireAndVerifyClientCerts"), "hint: did you mean 'RequireAndVerifyClientCert'?"),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            "4:21: error: clients' certificates are to be verified, and no client CA is given; hint: ",
        ),
        (tls("client_ca_file: ca.crt"), "4:19: error: a client CA, and no client is asked for a certificate; hint: "),
        (tls("client_allowed_sans: [x]"), "4:24: error: allowed names, and no client is asked for a certificate"),
        (
            tls("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []"),
            "5:24: error: 'client_allowed_sans' is empty: nobody could connect; hint: leave it out",
        ),
        (
            tls("min_version: TLS10"),
            "4:16: error: 'TLS10' is not supported: the oldest version of TLS here is 1.2; hint: write 'min_version: TLS12'",
        ),
        (
            tls("max_version: TLS11"),
            "4:16: error: 'TLS11' is not supported: the oldest version of TLS here is 1.2; hint: write 'max_version: TLS12'",
        ),
        (tls("min_version: 1.2"), "4:16: error: '1.2' is not a valid TLS version; hint: one of TLS12, TLS13"),
        (
            tls("min_version: TLS13\n  max_version: TLS12"),
            "5:16: error: 'max_version' is older than 'min_version': no version is left; hint: ",
        ),
        (
            tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]"),
            "4:19: error: the cipher suite 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA' is not supported; hint: write TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,",
        ),
        (
            tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]"),
            "hint: write TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,",
        ),
        (tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA256]"), "hint: write TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,"),
        (
            tls("cipher_suites: [TLS_AES_128_GCM_SHA255]"),
            "is not a valid cipher suite; hint: did you mean 'TLS_AES_128_GCM_SHA256'?",
        ),
        (
            tls("cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12"),
            "4:18: error: no cipher suite of TLS 1.2, and 'max_version' allows no other",
        ),
        (tls("cipher_suites: x"), "4:18: error: 'cipher_suites' must be a list"),
        (
            tls("curve_preferences: [CurveP521]"),
            "4:23: error: the curve 'CurveP521' is not supported; hint: write CurveP384",
        ),
        (
            tls("curve_preferences: [P256]"),
            "4:23: error: 'P256' is not a valid curve; hint: one of CurveP256, CurveP384, X25519",
        ),
        (
            tls("prefer_server_cipher_suites: perhaps"),
            "4:32: error: 'prefer_server_cipher_suites' must be true or false",
        ),
        ("http_server_config: { http2: 2 }".into(), "1:30: error: 'http2' must be true or false"),
        (
            "http_server_config: { headers: { Server: x } }".into(),
            "1:34: error: the header 'Server' cannot be set; hint: the headers that can be set are: Content-Security-Policy, ",
        ),
        ("http_server_config: { headers: { X-Frame-Option: deny } }".into(), "hint: did you mean 'X-Frame-Options'?"),
        (
            "http_server_config: { headers: { X-Frame-Options: DENY } }".into(),
            "1:51: error: 'DENY' is not a valid X-Frame-Options; hint: write 'deny' or 'sameorigin'",
        ),
        ("http_server_config: { headers: { X-Content-Type-Options: sniff } }".into(), "hint: write 'nosniff'"),
        (
            "http_server_config: { headers: { X-XSS-Protection: \"a\\nb\" } }".into(),
            "cannot be sent in a header; hint: printable",
        ),
        (
            "basic_auth_users: { alice: secret }".into(),
            "1:28: error: not a bcrypt hash; hint: make one with: htpasswd -nBC 10 NAME",
        ),
        ("basic_auth_users: { alice: }".into(), "1:21: error: a user without a password hash; hint: make one"),
        (
            format!("basic_auth_users: {{ alice: {} }}", HASH.replace("$04$", "$17$")),
            "1:28: error: a bcrypt hash of cost 17, and only 4 to 16 can be used; hint: ",
        ),
        (
            format!("basic_auth_users: {{ 'a:b': {HASH} }}"),
            "1:21: error: 'a:b' is not a valid user name; hint: no colon",
        ),
        (
            format!("basic_auth_users: {{ a: {HASH}, a: {HASH} }}"),
            "error: key 'a' again; it is already set in line 1; hint: keep one of the two",
        ),
        (
            "rate_limit: { interval: 1 }".into(),
            "1:25: error: '1' has no unit; hint: durations are whole numbers with a unit",
        ),
        (
            "rate_limit: { interval: 1s }".into(),
            "1:13: error: 'interval' without a 'burst' of at least 1 rejects every request",
        ),
        ("rate_limit: { interval: 1s, burst: 0 }".into(), "1:36: error: 'interval' without a 'burst' of at least 1"),
        ("rate_limit: { interval: 1s, burst: many }".into(), "1:36: error: 'many' is not a valid burst"),
        ("a: b: c".into(), "1:5: error: mapping values are not allowed"),
        ("[]".into(), "1:1: error: expected a mapping, found a list"),
        ("{}\n---\n{}\n".into(), "error: a second document; hint: one file describes one listener"),
    ];
    for (text, expected) in cases {
        let problems = folder.read(&text).result.unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();

        assert!(
            lines.iter().any(|line| line.contains("/web.yml:") && line.contains(expected)),
            "{text}\n{lines:#?}\n{expected}"
        );
        assert!(!lines.iter().any(|line| line.contains(HASH) || line.contains("secret;")), "{lines:?}");
    }
}

#[test]
fn what_is_unwise_gets_a_word() {
    let folder = Folder::new();
    let text = "tls_server_config: { cert_file: s.crt, key_file: s.key, client_auth_type: RequireAnyClientCert, \
                client_allowed_sans: [x] }";
    let (_, unverified) = folder.read(text).result.unwrap();
    let users = format!("{PLAIN_TLS}\nbasic_auth_users: {{ a: {HASH} }}");
    let (_, open) = from_bytes(users.as_bytes(), 0o644, &folder.0.path().join("web.yml")).result.unwrap();

    assert!(unverified[0].to_string().contains("warning: allowed names in certificates that nobody verifies"));
    assert!(open[0].to_string().contains("warning: ") && open[0].to_string().contains("mode 0644"), "{}", open[0]);
}

#[test]
fn suites_of_tls13_alone_leave_tls12_out_as_in_go() {
    let folder = Folder::new();

    let text = "tls_server_config: { cert_file: s.crt, key_file: s.key, cipher_suites: [TLS_AES_128_GCM_SHA256] }";
    let tls = folder.read(text).result.unwrap().0.tls.unwrap();

    assert_eq!((tls.min_version, tls.cipher_suites.len()), (Version::Tls13, 0));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        from_bytes(&bytes, 0o600, Path::new("/nonexistent/web.yml")).result.ok();
    }

    #[test]
    fn no_file_that_nearly_makes_sense_does(
        lines in proptest::collection::vec(
            (0_usize..3, proptest::sample::select(words()), "[ -~]{0,12}"), 0..20)
    ) {
        let line = |(depth, key, value): &(usize, &str, String)| format!("{}{key}: {value}\n", "  ".repeat(*depth));
        let text: String = lines.iter().map(line).collect();

        from_bytes(text.as_bytes(), 0o600, Path::new("/nonexistent/web.yml")).result.ok();
    }
}

fn words() -> Vec<&'static str> {
    let headers = respond::HEADERS.map(|(name, _)| name);
    [&KEYS[..], &tls::KEYS, &respond::KEYS, &respond::RATE_KEYS, &headers, &["- x", "alice"]].concat()
}

/// A folder with a server's and a client's certificate of one CA.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String, mode: u32| {
            fs::write(folder.path().join(name), text).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        write("ca.crt", ca.pem(), 0o644);
        for name in ["s", "c"] {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
            write(&format!("{name}.crt"), params.signed_by(&key, &ca).unwrap().pem(), 0o644);
            write(&format!("{name}.key"), key.serialize_pem(), 0o600);
            write("open.key", key.serialize_pem(), 0o644);
        }
        Self(folder)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn read(&self, text: &str) -> Reading {
        let path = self.0.path().join("web.yml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        read(&path)
    }
}
