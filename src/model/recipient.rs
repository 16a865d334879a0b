//! The results for single recipients of a mail: for whom a server accepted it, and whom it refuses for good.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::time::UnixTime;

/// The results of one attempt for single recipients, by mail address without display name. Those not named are still to
/// be served.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recipients {
    /// Those for whom the server took responsibility.
    pub served: BTreeSet<String>,
    /// Those whom it refused for good (5xx).
    pub refused: Vec<Rejection>,
}

/// A recipient whom a server refused for good, and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Mail address without display name.
    pub recipient: String,
    /// One line: `550 5.1.1 no such user`.
    pub text: String,
}

/// A recipient who gets nothing until the address or the relay is corrected, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRecipient {
    /// Who, and the server's last answer.
    pub rejection: Rejection,
    /// When it was refused first.
    pub since: UnixTime,
    /// Whether a mail that reports it was accepted for somebody.
    pub is_told: bool,
}
