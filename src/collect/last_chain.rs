//! The chain that an endpoint served last, and the result of its strict verification.
//!
//! Reading and verifying a chain costs more than the rest of a probe, and a chain changes a few times a year, so both
//! are done again only when its bytes, the anchors or the validity of any part of it change. Never decides whether a
//! server is up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};

use super::handshake::Record;
use super::verification::Strict;
use crate::model::certificate::{Fingerprint, Served, Trust, TrustPath};
use crate::model::time::UnixTime;
use crate::parse::x509;

/// Last chain of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct LastChain {
    last: Mutex<Option<SeenChain>>,
}

#[derive(Debug)]
struct SeenChain {
    /// Of every certificate, readable or not: thousands of chains are kept, so not their bytes.
    chain: Box<[Fingerprint]>,
    proved_key: bool,
    has_odd_key: bool,
    /// Which set of credentials it was verified with.
    generation: u64,
    /// The span of time in which the verdict on the dates cannot change.
    valid: (UnixTime, UnixTime),
    served: Arc<Served>,
}

/// What to verify against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// `None` when no anchor is configured.
    pub(crate) strict: Option<&'a Strict>,
    /// Changes when the anchors change.
    pub(crate) generation: u64,
    /// The name that must be in the certificate.
    pub(crate) name: &'a ServerName<'static>,
    /// Wall time.
    pub(crate) now: UnixTime,
}

impl LastChain {
    /// The served chain in the model's words; `None` when no certificate came.
    pub(crate) fn served(&self, record: &Record, expected: Expected<'_>) -> Option<Arc<Served>> {
        if record.chain.is_empty() {
            return None;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| known.speaks_for(record, expected)) {
            return Some(Arc::clone(&known.served));
        }
        let known = SeenChain::read(record, expected);
        let served = Arc::clone(&known.served);
        *last = Some(known);
        Some(served)
    }
}

impl SeenChain {
    fn speaks_for(&self, record: &Record, expected: Expected<'_>) -> bool {
        self.generation == expected.generation
            && self.proved_key == record.proved_key
            && self.has_odd_key == record.has_odd_key
            && self.served.client_authorities == record.client_authorities
            && (self.valid.0..self.valid.1).contains(&expected.now)
            && self.chain.iter().copied().eq(fingerprints(&record.chain))
    }

    fn read(record: &Record, expected: Expected<'_>) -> Self {
        let chain: Vec<_> = record.chain.iter().filter_map(|der| x509::certificate(der)).map(Arc::new).collect();
        let mut valid = (UnixTime::from_millis(i64::MIN), UnixTime::from_millis(i64::MAX));
        // `not_after` itself is still inside, RFC 5280 section 4.1.2.5, and dates have whole seconds.
        let ends = chain.iter().map(|certificate| certificate.not_after.plus(Duration::from_secs(1)));
        for edge in chain.iter().map(|certificate| certificate.not_before).chain(ends) {
            if edge <= expected.now {
                valid.0 = valid.0.max(edge);
            } else {
                valid.1 = valid.1.min(edge);
            }
        }
        let (trust, path) =
            if record.proved_key { verify(&record.chain, expected) } else { (unproven(record, expected), None) };
        let authorities = expected.strict.filter(|_| trust.distrust().is_some()).map(Strict::authorities);
        let served = Served {
            unreadable: record.chain.len() - chain.len(),
            chain,
            trust,
            client_authorities: record.client_authorities,
            path: path.map(Box::new),
            trusted: authorities.unwrap_or_default().iter().take(Served::MAX_TRUSTED).cloned().collect(),
        };
        Self {
            chain: fingerprints(&record.chain).collect(),
            proved_key: record.proved_key,
            has_odd_key: record.has_odd_key,
            generation: expected.generation,
            valid,
            served: Arc::new(served),
        }
    }
}

fn fingerprints<'a>(chain: &'a [CertificateDer<'static>]) -> impl Iterator<Item = Fingerprint> + 'a {
    chain.iter().map(|der| x509::fingerprint(der))
}

/// A chain whose server did not prove that it has the key is never trusted: webpki cannot read the key, or the
/// handshake ended before, which shows nothing about the chain.
const fn unproven(record: &Record, expected: Expected<'_>) -> Trust {
    match (expected.strict, record.has_odd_key) {
        (None, _) => Trust::Unverified,
        (Some(_), true) => Trust::Invalid,
        (Some(_), false) => Trust::Unproven,
    }
}

fn verify(chain: &[CertificateDer<'static>], expected: Expected<'_>) -> (Trust, Option<TrustPath>) {
    match expected.strict {
        Some(strict) => strict.verify(chain, expected.name, expected.now),
        None => (Trust::Unverified, None),
    }
}
