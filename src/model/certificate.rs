//! Certificates as read from a handshake or a file.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::digest::stable_hash;
use super::time::UnixTime;

/// SHA-256 over the DER bytes: the identity of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

/// One certificate, tolerant of faults: dates first, everything else as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Subject as an RFC 4514 style text, escaped, at most 256 characters.
    pub subject: String,
    /// Issuer, in the same form.
    pub issuer: String,
    /// Serial number in hex, at most 64 digits.
    pub serial: String,
    /// Start of validity.
    pub not_before: UnixTime,
    /// End of validity.
    pub not_after: UnixTime,
    /// DNS and IP names from the subject alternative name extension, at most 64, escaped.
    pub names: Vec<String>,
    /// Whether basic constraints make it a CA certificate.
    pub is_ca: bool,
    /// Whether subject and issuer are the same name.
    pub is_self_issued: bool,
    /// SHA-256 of its public key with the key's algorithm; `None` where that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Fingerprint>,
}

/// Who renews the certificates of an endpoint, as the configuration says. The expiry thresholds depend on it.
///
/// CAs have no class: whoever rotates one needs months for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A person (kubeadm, kubespray, files copied by hand).
    #[default]
    Manual,
    /// A program, long before the end (cert-manager, Talos, OpenShift, ACME).
    Automatic,
    /// The server itself, but only when it starts (k3s, RKE2).
    Restart,
}

/// What a TLS endpoint served, kept whether or not it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The certificates in the order they were sent, leaf first, at most [`Served::MAX_CHAIN`].
    pub chain: Vec<Arc<Certificate>>,
    /// Certificates in the chain that could not be read.
    pub unreadable: usize,
    /// The result of strict verification against the configured CAs.
    pub trust: Trust,
    /// Names of client CAs the server accepts, as it listed them; only counted.
    pub client_authorities: usize,
    /// The path that strict verification took, of several the one that lasts longest; `None` when it took none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<TrustPath>>,
    /// The configured CAs, at most [`Served::MAX_TRUSTED`]; empty unless verification against them failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<Arc<Certificate>>,
}

/// From a leaf to a CA of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustPath {
    /// The served certificates between the leaf and the CA, the leaf's issuer first.
    pub intermediates: Vec<Fingerprint>,
    /// The CA.
    pub anchor: Fingerprint,
}

/// Verdict of strict verification; never decides whether a server is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Chain, name and dates are fine.
    Trusted,
    /// Outside its validity, after the end.
    Expired,
    /// Outside its validity, before the start.
    NotYetValid,
    /// No path to a configured anchor.
    UnknownAuthority,
    /// The expected name is not in the certificate.
    WrongName,
    /// Its extended key usage does not allow it to be a server's.
    WrongPurpose,
    /// Anything else: bad signature, unsupported algorithm or key.
    Invalid,
    /// The handshake ended before the peer had proved that it holds the key, so nothing was verified.
    Unproven,
    /// No anchor is configured, so nothing was verified.
    Unverified,
}

/// Why strict verification refuses a chain for something else than its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distrust {
    /// No path to a configured anchor.
    UnknownAuthority,
    /// The expected name is not in the certificate.
    WrongName,
    /// Before the start of its validity.
    NotYetValid,
    /// Not meant for servers.
    WrongPurpose,
    /// Anything else.
    Invalid,
}

impl Served {
    /// Bound on certificates kept of one chain.
    pub const MAX_CHAIN: usize = 16;

    /// Bound on CAs named where a chain is refused: more than a rotation has.
    pub const MAX_TRUSTED: usize = 8;

    /// The server's own certificate.
    #[must_use]
    pub fn leaf(&self) -> Option<&Arc<Certificate>> {
        self.chain.first()
    }

    /// The certificate whose end comes first among those a client needs.
    #[must_use]
    pub fn earliest(&self) -> Option<&Arc<Certificate>> {
        let needed = self.chain.iter().enumerate().filter(|(position, _)| self.needs(*position));
        needed.map(|(_, certificate)| certificate).min_by_key(|certificate| certificate.not_after)
    }

    /// Whether a client needs the certificate at this position of the chain.
    ///
    /// Needed are the leaf and the certificates on the path that verifies. Where none verifies (no CA is configured, or
    /// something has ended) they are the leaf and all intermediates but a self-issued root, of which clients use their
    /// own copy; of several certificates of one subject and key the one that is valid longest counts.
    #[must_use]
    pub fn needs(&self, position: usize) -> bool {
        let Some(certificate) = self.chain.get(position) else { return false };
        position == 0
            || match &self.path {
                Some(path) => path.intermediates.contains(&certificate.fingerprint),
                None => !certificate.is_self_issued && !self.has_longer_lived(certificate),
            }
    }

    /// Whether the chain holds the same subject and key in a certificate that lasts longer: a cross-signature.
    fn has_longer_lived(&self, certificate: &Certificate) -> bool {
        let is_same = |other: &Certificate| other.key.is_some() && other.key == certificate.key;
        self.chain.iter().skip(1).any(|other| {
            is_same(other) && other.subject == certificate.subject && other.not_after > certificate.not_after
        })
    }
}

impl Certificate {
    /// Hash of subject, issuer and names: equal for this certificate and the one that replaces it.
    #[must_use]
    pub fn identity(&self) -> u64 {
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let parts: Vec<&str> = [self.subject.as_str(), self.issuer.as_str()].into_iter().chain(names).collect();
        stable_hash(&parts)
    }
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Manual, Self::Automatic, Self::Restart];

    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Automatic => "automatic",
            Self::Restart => "restart",
        }
    }
}

impl Trust {
    /// Every verdict.
    pub const ALL: [Self; 9] = [
        Self::Trusted,
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownAuthority,
        Self::WrongName,
        Self::WrongPurpose,
        Self::Invalid,
        Self::Unproven,
        Self::Unverified,
    ];

    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownAuthority => "unknown_authority",
            Self::WrongName => "wrong_name",
            Self::WrongPurpose => "wrong_purpose",
            Self::Invalid => "invalid",
            Self::Unproven => "unproven",
            Self::Unverified => "unverified",
        }
    }

    /// Why it is refused; `None` for what is trusted, has ended, or was not verified.
    #[must_use]
    pub const fn distrust(self) -> Option<Distrust> {
        match self {
            Self::NotYetValid => Some(Distrust::NotYetValid),
            Self::UnknownAuthority => Some(Distrust::UnknownAuthority),
            Self::WrongName => Some(Distrust::WrongName),
            Self::WrongPurpose => Some(Distrust::WrongPurpose),
            Self::Invalid => Some(Distrust::Invalid),
            Self::Trusted | Self::Expired | Self::Unproven | Self::Unverified => None,
        }
    }
}

impl Distrust {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::UnknownAuthority, Self::WrongName, Self::NotYetValid, Self::WrongPurpose, Self::Invalid];

    /// The same word as that of the verdict.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAuthority => "unknown_authority",
            Self::WrongName => "wrong_name",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongPurpose => "wrong_purpose",
            Self::Invalid => "invalid",
        }
    }
}

impl Fingerprint {
    /// The first eight bytes, where a table of a hundred thousand has no room for all; `None` when all are zero.
    #[must_use]
    pub fn beginning(&self) -> Option<NonZeroU64> {
        let bytes = self.0.first_chunk().copied().unwrap_or_default();
        NonZeroU64::new(u64::from_be_bytes(bytes))
    }

    /// The first 16 hex digits: enough to tell certificates apart on a screen and in a label.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(16).collect()
    }
}

/// Lower-case hex.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
