//! What took the place of a certificate that was about to expire, had expired, or was not trusted.

use serde::{Deserialize, Serialize};

use super::certificate::Fingerprint;
use super::place::Place;
use super::time::UnixTime;

/// A certificate or token that is seen now where a finding saw another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Where.
    pub place: Place,
    /// Its subject, escaped.
    pub subject: String,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its end of validity.
    pub not_after: UnixTime,
    /// What the finding was about. Equal to `fingerprint` where it is the same certificate, as after a change of the
    /// configuration.
    pub was: Fingerprint,
}

impl Replacement {
    /// Whether nothing was replaced.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.fingerprint == self.was
    }
}
