//! The real daemon behind a web configuration: who is let in, what is taken over while it runs, and the commands of
//! people on the machine, which need none of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::daemon::{Daemon, start};

type TestCa = CertifiedIssuer<'static, KeyPair>;

#[test]
fn page_api_and_metrics_want_certificate_and_password_and_commands_want_neither() {
    let ca = ca();
    let daemon = guarded(&ca);
    let client = config(&ca, true);
    for path in ["/", "/api/v1/status", "/metrics", "/healthz"] {
        assert!(get(&daemon, client.clone(), path, "prometheus:secret").starts_with("HTTP/1.1 200 "), "{path}");
        assert!(get(&daemon, client.clone(), path, "prometheus:wrong").starts_with("HTTP/1.1 401 "), "{path}");
        assert_eq!(get(&daemon, config(&ca, false), path, "prometheus:secret"), "", "{path}");
    }

    let status = vedette(&daemon, "status");

    assert!(status.contains("prod"), "{status}");
    assert!(daemon.log().contains("metrics at https://"), "{}", daemon.log());
}

#[test]
fn a_renewed_certificate_and_another_password_are_taken_over_while_it_runs() {
    let ca = ca();
    let daemon = guarded(&ca);
    let client = config(&ca, true);
    let before = served(&daemon, client.clone());

    serve(daemon.folder.path(), &ca);
    web_config(daemon.folder.path(), "changed");

    holds(|| get(&daemon, client.clone(), "/healthz", "prometheus:changed").ends_with("ok\n"));
    holds(|| served(&daemon, client.clone()) != before);
    assert!(get(&daemon, client, "/healthz", "prometheus:secret").starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_wide_listener_needs_what_guards_it() {
    let ca = ca();
    let folder = tempfile::tempdir().unwrap();
    serve(folder.path(), &ca);
    web_config(folder.path(), "secret");
    let check = |vantage: &str, more: &[&str]| {
        let file = folder.path().join("vedette.yaml");
        let text = format!(
            "vantage: {{ {vantage}, resolvers: [] }}\nclusters: [{{ name: prod, credentials: {{}}, vip: {{ address: \"10.0.0.1:6443\" }} }}]\n"
        );
        fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_vedette")).arg("check").arg(&file).args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let wide = "listen: \"0.0.0.0:9876\"";

    assert_eq!(check(&format!("{wide}, web_config: web.yml"), &[]).0, Some(0));
    assert_eq!(check(&format!("{wide}, web_config: nowhere.yml"), &["--offline"]).0, Some(0));
    assert_eq!(check(&format!("{wide}, allow_insecure_listen: true"), &[]).0, Some(0));
    assert_eq!(check(wide, &[]).0, Some(78));
    save(folder.path(), "web.yml", "tls_server_config: { cert_file: server.crt, key_file: server.key, cipher: x }\n");
    let (code, said) = check(&format!("{wide}, web_config: web.yml"), &[]);
    assert_eq!(code, Some(78));
    assert!(said.contains("/web.yml:1:67: error: unknown key 'cipher'; hint: "), "{said}");
    save(folder.path(), "web.yml", "tls_server_config: { cert_file: server.crt, key_file: server.key }\n");
    let (code, said) = check(&format!("{wide}, web_config: web.yml"), &[]);
    assert_eq!(code, Some(78));
    assert!(said.contains("gives no TLS together with users or verified client certificates"), "{said}");
}

/// A daemon whose folder has `web.yml`, and what it names.
fn guarded(ca: &TestCa) -> Daemon {
    let daemon = start();
    assert!(daemon.hears("READY=1"), "{}", daemon.log());
    let folder = daemon.folder.path().to_owned();
    serve(&folder, ca);
    web_config(&folder, "secret");
    let file = folder.join("vedette.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let control = format!("web_config: web.yml\n  control: {}/control.sock", folder.display());
    fs::write(&file, text.replace("control: off", &control)).unwrap();
    // Restarting leaves the folder where it is.
    let daemon = daemon.restarted();
    assert!(daemon.hears("READY=1"), "{}", daemon.log());
    daemon
}

fn web_config(folder: &Path, password: &str) {
    let hash = bcrypt::hash(password, 4).unwrap();
    let text = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: \
         RequireAndVerifyClientCert\n  client_ca_file: ca.crt\nbasic_auth_users:\n  prometheus: {hash}\n"
    );
    save(folder, "web.yml", &text);
}

/// Another certificate for the listener.
fn serve(folder: &Path, ca: &TestCa) {
    let (leaf, key) = leaf(ca, ExtendedKeyUsagePurpose::ServerAuth);
    save(folder, "ca.crt", &ca.pem());
    save(folder, "server.crt", &leaf.pem());
    save(folder, "server.key", &key.serialize_pem());
}

fn save(folder: &Path, name: &str, text: &str) {
    let fresh = folder.join("fresh");
    fs::write(&fresh, text).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(fresh, folder.join(name)).unwrap();
}

fn ca() -> TestCa {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(ca: &TestCa, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    params.extended_key_usages = vec![usage];
    (params.signed_by(&key, ca).unwrap(), key)
}

fn config(ca: &TestCa, shows_certificate: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(if shows_certificate {
        let (leaf, key) = leaf(ca, ExtendedKeyUsagePurpose::ClientAuth);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        builder.with_client_auth_cert(vec![leaf.der().clone()], key).unwrap()
    } else {
        builder.with_no_client_auth()
    })
}

fn connect(daemon: &Daemon, config: Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let connection = ClientConnection::new(config, ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    StreamOwned::new(connection, TcpStream::connect(daemon.address()).unwrap())
}

/// The response; empty when the connection is rejected.
fn get(daemon: &Daemon, config: Arc<ClientConfig>, path: &str, login: &str) -> String {
    use base64::Engine as _;
    let login = base64::prelude::BASE64_STANDARD.encode(login);
    let mut stream = connect(daemon, config);
    let mut answer = Vec::new();
    if write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Basic {login}\r\n\r\n")
        .is_ok()
    {
        stream.read_to_end(&mut answer).ok();
    }
    String::from_utf8(answer).unwrap()
}

/// The certificate that is shown to who connects now.
fn served(daemon: &Daemon, config: Arc<ClientConfig>) -> CertificateDer<'static> {
    let mut stream = connect(daemon, config);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn vedette(daemon: &Daemon, command: &str) -> String {
    let file = daemon.folder.path().join("vedette.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_vedette")).args([command, "--config"]).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

fn holds(level: impl Fn() -> bool) {
    let is_met = (0..600).any(|turn| {
        if turn > 0 {
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        level()
    });
    assert!(is_met, "it never came to hold");
}
