//! Recipients of whom something is to be said: those whom an outlet refuses for good, and those it puts off.

use serde::{Deserialize, Serialize};

use super::outlet::Outlet;
use super::time::UnixTime;

/// A recipient whom the other side refused for good, and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// As the outlet addresses people: of mail the address without display name.
    pub recipient: String,
    /// One line: `550 5.1.1 no such user`.
    pub text: String,
}

/// A recipient who gets nothing until the address or the other side is corrected, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRecipient {
    /// Through which outlet; an older release knew mail alone.
    #[serde(default = "mail")]
    pub outlet: Outlet,
    /// Who, and the other side's last answer.
    pub rejection: Rejection,
    /// When it was refused first.
    pub since: UnixTime,
    /// Whether a message that reports it was accepted for somebody.
    pub is_told: bool,
}

/// A recipient for whom messages wait that others have got, because the other side puts them off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredRecipient {
    /// Through which outlet.
    pub outlet: Outlet,
    /// As the outlet addresses people.
    pub recipient: String,
    /// What was done last and what the other side answered, for people.
    pub text: String,
    /// When the oldest of the messages was composed.
    pub since: UnixTime,
    /// How many messages wait.
    pub waiting: usize,
}

const fn mail() -> Outlet {
    Outlet::Mail
}
