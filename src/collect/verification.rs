//! Strict verification of a served chain, and by which certificates.
//!
//! Of several paths that verify, the one that is valid longest counts, because clients can use that. An intermediate or
//! cross-signed root that has expired beside such a path does no harm. Called by `last_chain.rs`.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::model::certificate::{Certificate, Trust, TrustPath};
use crate::model::time::UnixTime;
use crate::parse::x509;

/// CAs of the configuration, ready to verify with.
#[derive(Debug)]
pub(crate) struct Strict {
    verifier: Arc<WebPkiServerVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Those that last longest first: of two certificates of one CA and key, that one is meant.
    anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor in turn.
    sources: Vec<Arc<Certificate>>,
}

impl Strict {
    /// Trusts the CAs in `certificates`, as far as they can be read; also gives the number of those that cannot.
    ///
    /// # Errors
    ///
    /// When none of them can.
    pub(crate) fn new(
        certificates: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<(Self, usize), String> {
        let mut roots = RootCertStore::empty();
        let (added, refused) = roots.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err("holds no certificate authority".to_owned());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| error.to_string())?;
        let mut known: Vec<_> = certificates
            .iter()
            .filter_map(|der| {
                let anchor = webpki::anchor_from_trusted_cert(der).ok()?.to_owned();
                Some((Arc::new(x509::certificate(der)?), anchor))
            })
            .collect();
        known.sort_by_key(|(read, _)| (Reverse(read.not_after), read.fingerprint));
        let (sources, anchors) = known.into_iter().unzip();
        Ok((Self { verifier, algorithms: provider.signature_verification_algorithms, anchors, sources }, refused))
    }

    /// The result of `chain` at a strict client, and the path it verifies by, if any.
    pub(crate) fn verify(
        &self,
        chain: &[CertificateDer<'static>],
        name: &ServerName<'static>,
        now: UnixTime,
    ) -> (Trust, Option<TrustPath>) {
        let Some((leaf, rest)) = chain.split_first() else { return (Trust::Invalid, None) };
        let wall = now;
        let since_epoch = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        let now = rustls::pki_types::UnixTime::since_unix_epoch(since_epoch);
        match self.verifier.verify_server_cert(leaf, rest, name, &[], now) {
            Ok(_) => (Trust::Trusted, self.longest_path(leaf, rest, now)),
            Err(_) if self.holds(leaf) => {
                let path = TrustPath { intermediates: Vec::new(), anchor: x509::fingerprint(leaf) };
                (pinned(leaf, name, wall), Some(path))
            }
            // Names are compared once there is a path.
            Err(Error::InvalidCertificate(fault)) => {
                let trust = trust_of(&fault);
                let path = (trust == Trust::WrongName).then(|| self.longest_path(leaf, rest, now));
                (trust, path.flatten())
            }
            Err(_) => (Trust::Invalid, None),
        }
    }

    /// The CAs themselves, those that last longest first.
    pub(crate) fn authorities(&self) -> &[Arc<Certificate>] {
        &self.sources
    }

    fn holds(&self, leaf: &CertificateDer<'static>) -> bool {
        let fingerprint = x509::fingerprint(leaf);
        self.sources.iter().any(|known| known.fingerprint == fingerprint)
    }

    fn longest_path(
        &self,
        leaf: &CertificateDer<'static>,
        rest: &[CertificateDer<'static>],
        now: rustls::pki_types::UnixTime,
    ) -> Option<TrustPath> {
        let best: RefCell<Option<(UnixTime, TrustPath)>> = RefCell::default();
        // Refusing each makes webpki go on to the next; it bounds the search itself.
        let weigh = |path: &VerifiedPath<'_>| {
            if let Some((end, path)) = self.weigh(path) {
                let mut best = best.borrow_mut();
                if best.as_ref().is_none_or(|(longest, _)| end > *longest) {
                    *best = Some((end, path));
                }
            }
            Err(webpki::Error::UnknownIssuer)
        };
        let leaf = EndEntityCert::try_from(leaf).ok()?;
        let usage = KeyUsage::server_auth();
        let searched =
            leaf.verify_for_usage(self.algorithms.all, &self.anchors, rest, now, usage, None, Some(&weigh)).map(drop);
        debug_assert!(searched.is_err(), "every path was refused");
        best.into_inner().map(|(_, path)| path)
    }

    /// The first end on a path behind its leaf, which all paths have in common.
    fn weigh(&self, path: &VerifiedPath<'_>) -> Option<(UnixTime, TrustPath)> {
        let at = self.anchors.iter().position(|anchor| anchor == path.anchor())?;
        let (anchor, mut end) = (self.sources[at].fingerprint, self.sources[at].not_after);
        let mut intermediates = Vec::new();
        for certificate in path.intermediate_certificates() {
            let read = x509::certificate(&certificate.der())?;
            end = end.min(read.not_after);
            intermediates.push(read.fingerprint);
        }
        Some((end, TrustPath { intermediates, anchor }))
    }
}

/// The result at a client for a leaf that is itself among what it trusts. Go, and so kubectl, then builds no path,
/// whether it is a CA or not: a self-signed certificate can be pinned. Dates, name and purpose count as ever.
fn pinned(leaf: &CertificateDer<'static>, name: &ServerName<'static>, now: UnixTime) -> Trust {
    let (Some((read, is_for_clients)), Ok(parsed)) = (x509::with_usage(leaf), ParsedCertificate::try_from(leaf)) else {
        return Trust::Invalid;
    };
    if now < read.not_before {
        return Trust::NotYetValid;
    }
    if read.not_after.plus(Duration::from_secs(1)) <= now {
        return Trust::Expired;
    }
    match verify_server_name(&parsed, name) {
        Ok(()) if is_for_clients => Trust::WrongPurpose,
        Ok(()) => Trust::Trusted,
        Err(Error::InvalidCertificate(fault)) => trust_of(&fault),
        Err(_) => Trust::Invalid,
    }
}

fn trust_of(fault: &CertificateError) -> Trust {
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum that grows; the rest is one word for us")]
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Trust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Trust::NotYetValid,
        // A configured CA of the issuer's name has not signed it: typical after a rotation of the CA.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Trust::UnknownAuthority,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Trust::WrongName,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Trust::WrongPurpose,
        _ => Trust::Invalid,
    }
}

#[cfg(test)]
mod tests;
