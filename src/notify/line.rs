//! The line to a relay: dialled, bounded below TLS, and encrypted from its first octet where the relay wants it so.
//!
//! lettre bounds what it keeps of an answer line by line, and so reads a line without an end for as long as a step
//! lasts; below that lies what TLS may throw away. lettre would dial and encrypt by itself, but over a stream that
//! nobody counts. Says nothing itself: `talk.rs` does, over what is opened here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lettre::transport::smtp::client::{AsyncTokioStream, Certificate, CertificateStore, TlsParameters};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::settings::Source;
use crate::metered::{Meter, Metered};

/// Octets of all that a relay says in one talk, its handshake included. A usual talk has 6 KiB, and half of that is its
/// chain. lettre reads every answer anew for each of its lines, which this keeps short as well.
const MOST: usize = 32 * 1024;

/// The octets of a relay, counted.
pub(super) type Counted = Metered<TcpStream>;

/// Who is expected behind TLS from the first octet, and by what that is verified.
#[derive(Clone)]
pub(super) struct Expected {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl AsyncTokioStream for Counted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner().peer_addr()
    }
}

/// Counted above TLS as well, because only a type of ours can be lent to lettre.
impl AsyncTokioStream for Metered<TlsStream<Counted>> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner().get_ref().0.peer_addr()
    }
}

/// A line without TLS, or with TLS later.
pub(super) async fn dial(address: SocketAddr) -> io::Result<Counted> {
    Ok(Metered::new(TcpStream::connect(address).await?, Meter::of(MOST)))
}

impl Expected {
    /// Shakes hands over `line`.
    pub(super) async fn encrypt(&self, line: Counted) -> io::Result<Metered<TlsStream<Counted>>> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(Metered::new(connector.connect(self.name.clone(), line).await?, Meter::of(MOST)))
    }

    /// Strict verification of `host`, by the configured authority alone or by the system's. Blocks on files.
    ///
    /// # Errors
    /// A text for people: the authority cannot be read or is none, or the name cannot be one of a certificate.
    pub(super) fn of(host: &str, ca: Option<&Source>) -> Result<Self, String> {
        let preparing = |error: &dyn std::error::Error| format!("preparing TLS: {error}");
        let name = ServerName::try_from(host.to_owned()).map_err(|error| preparing(&error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| preparing(&error))?;
        let builder = match ca {
            None => builder.with_platform_verifier().map_err(|error| preparing(&error))?,
            Some(source) => builder.with_root_certificates(roots(source)?),
        };
        Ok(Self { config: Arc::new(builder.with_no_client_auth()), name })
    }
}

/// The same verification for STARTTLS, which lettre does by itself. Blocks on files.
///
/// # Errors
/// A text for people, as [`Expected::of`].
pub(super) fn upgrade(host: String, ca: Option<&Source>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host);
    if let Some(source) = ca {
        let pem = source.read().map_err(|error| unread(source, &error))?;
        let authority = Certificate::from_pem(pem.expose_secret()).map_err(|error| unread(source, &error))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    builder.build().map_err(|error| format!("preparing TLS: {error}"))
}

fn roots(source: &Source) -> Result<RootCertStore, String> {
    let pem = source.read().map_err(|error| unread(source, &error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.expose_secret()) {
        let certificate = certificate.map_err(|error| unread(source, &error))?;
        roots.add(certificate).map_err(|error| unread(source, &error))?;
    }
    Ok(roots)
}

fn unread(source: &Source, why: &dyn std::error::Error) -> String {
    format!("reading the relay's authority from {source:?}: {why}")
}
