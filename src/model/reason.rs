//! Why a mail is sent.

use serde::{Deserialize, Serialize};

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageReason {
    /// No mail about this incident was sent before.
    First,
    /// The level rose, or a certificate crossed into a later band.
    Escalated,
    /// A root cause was found.
    CauseFound,
    /// Who does it is known now, and was not in the mails before.
    CulpritFound,
    /// Still open after the repeat interval.
    Repeated,
    /// The cause ended but other findings of it are ongoing.
    Remains,
    /// Everything in it has recovered.
    Resolved,
    /// It came and went while nothing could be sent.
    HappenedWhileMute,
    /// A marked test through the real path.
    Drill,
}

impl MessageReason {
    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Escalated => "escalated",
            Self::CauseFound => "cause_found",
            Self::CulpritFound => "culprit_found",
            Self::Repeated => "repeated",
            Self::Remains => "remains",
            Self::Resolved => "resolved",
            Self::HappenedWhileMute => "happened_while_mute",
            Self::Drill => "drill",
        }
    }
}
