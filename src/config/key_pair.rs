//! Whether a client certificate and a key belong together.
//!
//! Two files are easily mixed up, and a server only says that it refuses. Keys are decoded by the TLS stack, for this
//! one question. Reports nothing where either cannot be read, because `material.rs` does.

use rustls::InconsistentKeys;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::ExposeSecret as _;

use super::material::Named;
use super::read_context::ReadContext;
use super::settings::{ClientPair, Source};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::pem;

impl ReadContext<'_> {
    /// The pair, with a warning when the key is not the certificate's. No more than that, because whoever renews both
    /// cannot replace them in one step.
    pub(super) fn paired(&self, certificate: Source, key: Source, named: Named<'_>) -> ClientPair {
        let pair = ClientPair { certificate, key };
        if self.examines() && is_mixed_up(&pair) {
            let diagnostic =
                Diagnostic::warning(named.position, "the client key is not that of the client certificate");
            let diagnostic =
                diagnostic.hint("give the key that the certificate was issued for; every server rejects this pair");
            match named.file {
                Some(file) => self.complaints.add_in(file, diagnostic),
                None => self.complaints.add(diagnostic),
            }
        }
        pair
    }
}

fn is_mixed_up(pair: &ClientPair) -> bool {
    let (Ok(chain), Ok(key)) = (pair.certificate.read(), pair.key.read()) else { return false };
    let found = pem::scan(chain.expose_secret()).certificates.into_iter();
    let chain: Vec<CertificateDer<'static>> = found.map(|certificate| certificate.der.into()).collect();
    let Ok(key) = PrivateKeyDer::from_pem_slice(key.expose_secret()) else { return false };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    !chain.is_empty()
        && matches!(
            CertifiedKey::from_der(chain, key, &provider),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch))
        )
}
