//! The server's side of TLS, from the web configuration.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::config::web::{Tls, Version, WebConfig};

use super::clients;

/// How HTTP/2 is called in a handshake (RFC 9113 section 3.2).
pub(super) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The settings for `tls`, with certificate, key and client CA as they are there now. Blocks on files.
///
/// # Errors
/// What is wrong with any of them.
pub(super) fn server(config: &WebConfig, tls: &Tls) -> Result<ServerConfig, String> {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.cipher_suites.is_empty() {
        let is_tls13 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        let place =
            |suite: &rustls::SupportedCipherSuite| tls.cipher_suites.iter().position(|wanted| *wanted == suite.suite());
        provider.cipher_suites.retain(|suite| is_tls13(suite) || place(suite).is_some());
        provider.cipher_suites.sort_by_key(place);
    }
    if !tls.groups.is_empty() {
        // Those that the stack offers only on request are among all of them.
        let all = aws_lc_rs::ALL_KX_GROUPS.iter().copied();
        provider.kx_groups =
            tls.groups.iter().filter_map(|wanted| all.clone().find(|group| group.name() == *wanted)).collect();
    }
    let provider = Arc::new(provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls))
        .map_err(|error| format!("TLS as configured cannot be offered: {error}"))?;
    let builder = match clients::verifier(tls, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(tls.certified_key()?)));
    server.ignore_client_order = tls.prefers_own_order;
    server.alpn_protocols = if config.http2 { vec![H2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] };
    // A resumed session would keep an earlier verification, of a certificate or a CA that is not valid any more. A full
    // handshake every few seconds costs a millisecond.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(server)
}

fn versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    [(Version::Tls12, &version::TLS12), (Version::Tls13, &version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (tls.min_version..=tls.max_version).contains(version))
        .map(|(_, version)| version)
        .collect()
}
