//! TLS to an endpoint: records every chain, and rejects only a peer that does not prove that it has the key.
//!
//! A monitor must see expired, unknown and misnamed certificates, so the chain is recorded inside the verifier (after a
//! failed handshake it is not available any more) and judged afterwards, in `last_chain.rs`. What is verified here is
//! that the peer holds the key of the certificate it shows. Session resumption is off, because a resumed session shows
//! no certificate.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, DigitallySignedStruct, Error, NamedGroup, SignatureScheme};

use super::byte_stream::ByteStream;
use super::error_cause;
use super::session::Session;
use crate::model::certificate::Served;
use crate::model::phase::Cause;
use crate::model::probe::Hello;

/// Bytes that a peer may send during its handshake: two messages of the 64 KiB that rustls takes at most (the chain,
/// and the names of client CAs), and as much again as the rest of the largest handshakes seen.
pub(crate) const BYTES: usize = 160 * 1024;

/// The protocol that is used after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
    /// None is named: a server that knows neither of them would refuse.
    Unsaid,
}

/// What every handshake has in common: the crypto provider and the settings that need no credential.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    base: Arc<ClientConfig>,
    /// The same without the key share that makes a ClientHello two packets long.
    small: Arc<ClientConfig>,
}

/// What one handshake showed.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The chain as it was sent, leaf first, at most [`Served::MAX_CHAIN`]; empty when no certificate came.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Certificates that were sent.
    pub(crate) sent: usize,
    /// Names of client CAs the server listed.
    pub(crate) client_authorities: usize,
    /// Whether the server asked for a client certificate.
    pub(crate) asked_client: bool,
    /// Whether the peer proved that it holds the key of the first certificate.
    pub(crate) proved_key: bool,
    /// Whether that proof is of a kind that webpki cannot check.
    pub(crate) has_odd_key: bool,
}

/// Verifier, client certificate and notebook of one handshake.
#[derive(Debug)]
pub(crate) struct Recorder {
    algorithms: WebPkiSupportedAlgorithms,
    client: Option<Arc<CertifiedKey>>,
    record: Mutex<Record>,
}

impl Tls {
    /// TLS 1.2 and 1.3 by aws-lc-rs: another provider cannot see servers with P-521 keys.
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let nobody = Arc::new(Recorder::new(&provider, None));
        let config = |provider: &Arc<CryptoProvider>| {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
                .dangerous()
                .with_custom_certificate_verifier(Arc::<Recorder>::clone(&nobody))
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            Arc::new(config)
        };
        let mut classical = CryptoProvider::clone(&provider);
        // The first group is the one a share is sent for.
        let one_packet = [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
        classical.kx_groups.retain(|group| one_packet.contains(&group.name()));
        let (base, small) = (config(&provider), config(&Arc::new(classical)));
        Self { provider, base, small }
    }

    /// The provider all keys and verifiers are made with.
    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The notebook for one handshake that shows `client` when asked.
    pub(crate) fn recorder(&self, client: Option<Arc<CertifiedKey>>) -> Arc<Recorder> {
        Arc::new(Recorder::new(&self.provider, client))
    }

    /// Shakes hands over `wire`. SNI is sent only for DNS names, and only with the configured one, because some servers
    /// issue certificates for the names they are asked for.
    ///
    /// # Errors
    ///
    /// The cause; what the peer had shown until then is in the recorder.
    pub(crate) async fn shake(
        &self,
        recorder: &Arc<Recorder>,
        (alpn, hello): (Alpn, Hello),
        name: ServerName<'static>,
        wire: Box<dyn ByteStream>,
    ) -> Result<Session<Box<dyn ByteStream>>, Cause> {
        let shaken = self.shake_plainly(recorder, (alpn, hello), name, wire).await;
        shaken.map_err(|error| recorder.cause(&error))
    }

    /// The same, with the error as it came.
    ///
    /// # Errors
    ///
    /// Those of the wire; with [`rustls::Error`] inside, those of TLS.
    pub(super) async fn shake_plainly(
        &self,
        recorder: &Arc<Recorder>,
        (alpn, hello): (Alpn, Hello),
        name: ServerName<'static>,
        wire: Box<dyn ByteStream>,
    ) -> std::io::Result<Session<Box<dyn ByteStream>>> {
        let mut config = ClientConfig::clone(match hello {
            Hello::Large => &self.base,
            Hello::Small => &self.small,
        });
        config.dangerous().set_certificate_verifier(Arc::<Recorder>::clone(recorder));
        config.client_auth_cert_resolver = Arc::<Recorder>::clone(recorder);
        config.alpn_protocols = match alpn {
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http2 => vec![b"h2".to_vec()],
            Alpn::Unsaid => Vec::new(),
        };
        Session::connect(Arc::new(config), name, wire).await
    }
}

impl Recorder {
    fn new(provider: &CryptoProvider, client: Option<Arc<CertifiedKey>>) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, client, record: Mutex::default() }
    }

    /// What was shown, handed over: a connection that stays open keeps no second copy of the chain.
    pub(crate) fn take_record(&self) -> Record {
        std::mem::take(&mut *self.lock())
    }

    fn cause(&self, error: &std::io::Error) -> Cause {
        let missing = self.lock().asked_client && self.client.is_none();
        let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match alert {
            // What OpenSSL sends under TLS 1.2 when it wanted a certificate.
            Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) if missing => {
                Cause::ClientCertificateRejected
            }
            Some(tls) => error_cause::of_tls(tls),
            None => error_cause::of_io(error),
        }
    }

    fn check(&self, result: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        match result {
            Ok(valid) => {
                self.lock().proved_key = true;
                Ok(valid)
            }
            // Version 1 certificates and keys of kinds that webpki does not read: seen, never trusted.
            Err(Error::InvalidCertificate(fault)) if fault != CertificateError::BadSignature => {
                self.lock().has_odd_key = true;
                Ok(HandshakeSignatureValid::assertion())
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let sent = std::iter::once(end_entity).chain(intermediates).take(Served::MAX_CHAIN);
        let mut record = self.lock();
        record.chain = sent.map(|certificate| certificate.clone().into_owned()).collect();
        record.sent = intermediates.len() + 1;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(verify_tls12_signature(message, certificate, signature, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(verify_tls13_signature(message, certificate, signature, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ED448,
        ]
    }
}

impl ResolvesClientCert for Recorder {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut record = self.lock();
        record.asked_client = true;
        record.client_authorities = authorities.len();
        self.client.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
