//! What evidence says of certificates and tokens, for all that shows them or looks for what took their place.

use serde::{Deserialize, Serialize};

use super::certificate::Fingerprint;
use super::certificate_files::ItemKind;
use super::subject::{Name, Subject};
use super::time::UnixTime;

/// The certificates that evidence is about, by how it knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateEvidence<'a> {
    /// One that endpoints serve ends.
    Served {
        /// What ends.
        ending: Ending<'a>,
        /// Whether it is a CA that the server's own certificate depends on.
        is_authority: bool,
        /// Everywhere where it is served.
        places: &'a [Subject],
        /// Watched files that hold it.
        files: &'a [String],
    },
    /// One in a file, or a token, ends.
    Filed {
        /// What ends.
        ending: Ending<'a>,
        /// What it is.
        kind: ItemKind,
        /// Files that hold it.
        files: &'a [String],
        /// Files beyond those.
        more: usize,
        /// The sources that hold it.
        sources: &'a [Name],
    },
    /// An older one is served than lies in a file.
    Outdated {
        /// What is served.
        served: Fingerprint,
        /// Its end.
        served_ends: UnixTime,
        /// What lies in the file.
        stored: Fingerprint,
        /// Its end.
        stored_ends: UnixTime,
        /// The file.
        file: &'a str,
    },
    /// Some that the configured CAs do not verify.
    Untrusted {
        /// Each endpoint with what it serves.
        parts: &'a [Untrusted],
        /// The CAs that are configured.
        trusted: &'a [Anchor],
    },
}

/// A certificate or token that ends, or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'a> {
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Its subject.
    pub holder: &'a str,
    /// Its issuer.
    pub issuer: &'a str,
    /// Its end.
    pub not_after: UnixTime,
    /// The band of the expiry thresholds it is in.
    pub band: ExpiryThreshold,
}

impl<'a> CertificateEvidence<'a> {
    /// What ends, where it is about an end.
    #[must_use]
    pub const fn ending(self) -> Option<Ending<'a>> {
        match self {
            Self::Served { ending, .. } | Self::Filed { ending, .. } => Some(ending),
            Self::Outdated { .. } | Self::Untrusted { .. } => None,
        }
    }

    /// When the certificate `of` ends, as far as this knows.
    #[must_use]
    pub fn end_of(self, of: Fingerprint) -> Option<UnixTime> {
        match self {
            Self::Served { ending, .. } | Self::Filed { ending, .. } => {
                (ending.fingerprint == of).then_some(ending.not_after)
            }
            Self::Outdated { served, served_ends, .. } => (served == of).then_some(served_ends),
            Self::Untrusted { .. } => None,
        }
    }
}

/// A leaf that an endpoint serves and that is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untrusted {
    /// The endpoint.
    pub place: Subject,
    /// The name that is expected there.
    pub expected: String,
    /// Subject of the leaf.
    pub holder: String,
    /// Issuer of the last certificate that was sent.
    pub issuer: String,
    /// Names in the leaf, at most 8.
    pub names: Vec<String>,
    /// Start of its validity.
    pub not_before: UnixTime,
    /// Identity of the leaf.
    pub fingerprint: Fingerprint,
}

/// A CA of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its subject.
    pub holder: String,
    /// Its identity.
    pub fingerprint: Fingerprint,
}

/// The expiry thresholds, ordered from early to late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryThreshold {
    /// Plan the renewal.
    Notice,
    /// Renew soon.
    Warning,
    /// Renew now.
    Urgent,
    /// Renew today.
    Page,
    /// Over.
    Expired,
}

impl ExpiryThreshold {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
            Self::Page => "page",
            Self::Expired => "expired",
        }
    }
}
