//! The line to a relay: dialled, bounded below TLS, and encrypted where the relay wants it so.
//!
//! What a reply may cost is granted for each (`smtp_connection.rs`); below that lies what TLS may throw away, so the
//! bytes are counted where nothing escapes. Sends nothing itself: `smtp_connection.rs` does, over the connection that
//! is opened here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::settings::Source;
use crate::metered::{Meter, Metered};

use super::trust;

/// Bytes that a handshake and the greeting may cost. A usual chain has 3 KiB.
const MOST: usize = 32 * 1024;

/// The bytes of a relay, counted.
pub(super) type Counted = Metered<TcpStream>;

/// Who is expected behind TLS, and by what that is verified.
#[derive(Clone)]
pub(super) struct Expected {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// A line without TLS, or with TLS later, and what counts its peer's bytes.
pub(super) async fn dial(address: SocketAddr) -> io::Result<(Counted, Arc<Meter>)> {
    let meter = Meter::of(MOST);
    Ok((Metered::new(TcpStream::connect(address).await?, Arc::clone(&meter)), meter))
}

impl Expected {
    /// Shakes hands over `line`, counted by `meter`.
    pub(super) async fn encrypt(&self, line: Counted, meter: &Meter) -> io::Result<TlsStream<Counted>> {
        meter.grant(MOST);
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), line).await
    }

    /// Strict verification of `host`, by what the configuration holds alone or by the system's CAs. Blocks on
    /// files.
    ///
    /// # Errors
    /// A text for people: the CA cannot be read or is none, or the name cannot be one of a certificate.
    pub(super) fn of(host: &str, ca: Option<&Source>) -> Result<Self, String> {
        let preparing = |error: &dyn std::error::Error| format!("preparing TLS: {error}");
        let name = ServerName::try_from(host.to_owned()).map_err(|error| preparing(&error))?;
        let config = match ca {
            Some(source) => {
                let unread = |why: String| format!("reading the relay's authority from {source:?}: {why}");
                let pem = source.read().map_err(|error| unread(error.to_string()))?;
                trust::client(pem.expose_secret()).map_err(unread)?
            }
            None => {
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(|error| preparing(&error))?
                    .with_platform_verifier()
                    .map_err(|error| preparing(&error))?
                    .with_no_client_auth()
            }
        };
        Ok(Self { config: Arc::new(config), name })
    }
}
