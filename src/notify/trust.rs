//! Which servers are accepted as the relay or the heartbeat's receiver: those with a certificate of a configured CA,
//! and those that serve a configured certificate itself.
//!
//! `openssl req -x509`, which most internal relays were set up with, marks its certificate as a CA (CA:TRUE), and
//! webpki refuses a CA as a server's own certificate. A server that shows the very bytes that the configuration holds,
//! and proves that it has their key, is the one that was meant: neither its name nor its dates could tell more, as with
//! DANE-EE (RFC 7671 section 5.1) and Postfix's `fingerprint`. Everybody else is verified as ever.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// A TLS client that trusts the certificates in `pem` and no others.
///
/// # Errors
/// A text for people: `pem` cannot be read, or holds no certificate.
pub(super) fn client(pem: &[u8]) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let text = |error: &dyn std::error::Error| error.to_string();
    let pins: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| text(&error))?;
    if pins.is_empty() {
        return Err("it holds no certificate in PEM".into());
    }
    let mut roots = RootCertStore::empty();
    for pin in &pins {
        roots.add(pin.clone()).map_err(|error| text(&error))?;
    }
    let by_path = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| text(&error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| text(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Configured { pins, by_path }))
        .with_no_client_auth();
    Ok(config)
}

/// Trusts what the configuration holds, and what that vouches for.
#[derive(Debug)]
struct Configured {
    pins: Vec<CertificateDer<'static>>,
    by_path: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Configured {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pins.iter().any(|pin| pin == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.by_path.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_path.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_path.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_path.supported_verify_schemes()
    }
}
