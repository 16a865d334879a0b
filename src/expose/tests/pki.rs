//! A listener's files in a folder, and clients that talk to it over real TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TestServer;
use crate::config::settings::WebPlace;
use crate::expose::{Limits, Web};

type TestCa = CertifiedIssuer<'static, KeyPair>;

/// A folder with `web.yml`, the server's certificate and key, and the client CA.
pub(super) struct WebFolder {
    pub(super) folder: tempfile::TempDir,
    ca: TestCa,
    foreign: TestCa,
}

/// What a client shows and asks for.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) shows: Option<(CertificateDer<'static>, Vec<u8>)>,
    pub(super) alpn: Vec<&'static str>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
}

impl WebFolder {
    pub(super) fn new() -> Self {
        let folder_of_web = Self { folder: tempfile::tempdir().unwrap(), ca: test_ca(), foreign: test_ca() };
        folder_of_web.write("ca.crt", &folder_of_web.ca.pem());
        folder_of_web.renew();
        folder_of_web
    }

    /// Another certificate and key for the server.
    pub(super) fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &self.ca).unwrap();
        self.write("server.crt", &leaf.pem());
        self.write("server.key", &key.serialize_pem());
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let fresh = self.path("fresh");
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(fresh, self.path(name)).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration: TLS with `tls` added, and `rest` beside it.
    pub(super) fn configure(&self, tls: &str, rest: &str) {
        let more: Vec<String> = tls.lines().map(|line| format!("  {line}\n")).collect();
        let own = format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{}", more.concat());
        self.write("web.yml", &format!("{own}{rest}\n"));
    }

    /// The listener as configured, which notices changes at once.
    pub(super) async fn web(&self, must_guard: bool) -> Web {
        let mut web = Web::open(WebPlace { path: self.path("web.yml"), must_guard }).await.unwrap();
        web.pause = Duration::from_millis(20);
        web
    }

    pub(super) async fn door(&self) -> TestServer {
        TestServer::before(Limits::default(), Some(self.web(false).await)).await
    }

    /// A client that trusts the server and shows nothing.
    pub(super) fn client(&self) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        Client { roots: Arc::new(roots), shows: None, alpn: Vec::new(), versions: rustls::ALL_VERSIONS.to_vec() }
    }

    /// One that shows a certificate of the client CA, or of another, with these names.
    pub(super) fn client_with(&self, names: Vec<SanType>, is_ours: bool) -> Client {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = if is_ours { &self.ca } else { &self.foreign };
        let leaf = params.signed_by(&key, issuer).unwrap();
        Client { shows: Some((leaf.der().clone(), key.serialize_der())), ..self.client() }
    }
}

impl Client {
    /// A connection behind its handshake; with TLS 1.3 the server may still reject it.
    pub(super) async fn connect(&self, door: &TestServer) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions).unwrap();
        let builder = builder.with_root_certificates(Arc::clone(&self.roots));
        let mut config = match &self.shows {
            Some((leaf, key)) => {
                let key = PrivateKeyDer::try_from(key.clone()).unwrap();
                builder.with_client_auth_cert(vec![leaf.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(door.address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The response to a request for `path` with these further header lines; empty when the connection is rejected.
    pub(super) async fn get(&self, door: &TestServer, path: &str, more: &str) -> String {
        let Ok(stream) = self.connect(door).await else { return String::new() };
        say(stream, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n")).await
    }
}

/// What comes back for `request`.
pub(super) async fn say(mut stream: TlsStream<TcpStream>, request: &str) -> String {
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).await.is_ok() {
        // A rejected certificate ends the connection with an alert or a reset.
        stream.read_to_end(&mut answer).await.ok();
    }
    String::from_utf8(answer).unwrap()
}

/// The header line that logs in.
pub(super) fn login(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("authorization: Basic {encoded}\r\n")
}

/// Waits until `level` holds.
pub(super) async fn until(mut level: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !level().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it never came to hold");
}

fn test_ca() -> TestCa {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // Each by a name of its own, so that neither is taken for the other.
    let key = KeyPair::generate().unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("{:?}", &key.public_key_raw()[..8]));
    CertifiedIssuer::self_signed(params, key).unwrap()
}
