//! The smallest HTTP client that can ask the lab's servers: one request per connection, blocking.
//!
//! It is for checks of the lab itself and for reading vedette's pages; it shares no code with vedette,
//! so that a fault of vedette's client cannot hide one here. HTTP/1.0 keeps servers from chunking.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::pki::Leaf;

/// Bound on connecting and on each wait for bytes: an apiserver without etcd takes four seconds to say so.
const PATIENCE: Duration = Duration::from_secs(6);

/// Whom to trust and, if anything, what to present.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// PEM file of the CA.
    pub(crate) ca: PathBuf,
    /// Client certificate and key.
    pub(crate) client: Option<Leaf>,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Body, invalid UTF-8 replaced.
    pub(crate) body: String,
}

impl Answer {
    /// The value of one series of a metrics page, named as on the page, labels included.
    pub(crate) fn series(&self, name: &str) -> Option<f64> {
        self.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}

/// Gets `url`, whose host must be a literal address with a port.
///
/// # Errors
/// When the answer did not come whole, with rustls's own words when TLS failed.
pub(crate) fn get(url: &str, credentials: Option<&Credentials>) -> Result<Answer> {
    ask("GET", url, credentials, "")
}

/// Posts JSON to `url`, as [`get`] gets.
///
/// # Errors
/// As those of [`get`].
pub(crate) fn post(url: &str, credentials: &Credentials, json: &str) -> Result<Answer> {
    ask("POST", url, Some(credentials), json)
}

fn ask(method: &str, url: &str, credentials: Option<&Credentials>, json: &str) -> Result<Answer> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| anyhow!("no scheme in {url}"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address: SocketAddr = host.parse().with_context(|| format!("address in {url}"))?;
    let mut tcp = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("connecting to {address}"))?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    let length = json.len();
    let request = format!(
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: vedette-lab\r\nContent-Length: {length}\r\n\r\n{json}"
    );
    let bytes = match (scheme, credentials) {
        ("http", _) => exchange(&mut tcp, &request)?,
        ("https", Some(credentials)) => {
            let session = ClientConnection::new(
                Arc::new(client_config(credentials)?),
                ServerName::IpAddress(address.ip().into()),
            )?;
            exchange(&mut StreamOwned::new(session, tcp), &request)?
        }
        _ => bail!("cannot get {url}: https needs credentials"),
    };
    parse(&bytes).with_context(|| format!("answer of {url}"))
}

/// rustls's client side for these credentials.
pub(crate) fn client_config(credentials: &Credentials) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in certificates(&credentials.ca)? {
        roots.add(cert)?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match &credentials.client {
        Some(leaf) => config
            .with_client_auth_cert(certificates(&leaf.cert)?, PrivateKeyDer::from_pem_slice(&fs::read(&leaf.key)?)?)?,
        None => config.with_no_client_auth(),
    })
}

/// The one cryptography provider.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// All certificates of a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>()?)
}

fn exchange(stream: &mut (impl Read + Write), request: &str) -> Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // A peer that closes without close_notify after a whole answer is fine here.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof || bytes.is_empty() => {
            Err(error).context("reading the answer")
        }
        Ok(_) | Err(_) => Ok(bytes),
    }
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| anyhow!("no end of headers"))?;
    let status = head.split(' ').nth(1).ok_or_else(|| anyhow!("no status in {head}"))?;
    Ok(Answer { status: status.parse()?, body: body.to_owned() })
}
