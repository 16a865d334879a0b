//! What an apiserver reports about itself.

use serde::{Deserialize, Serialize};

use super::time::UnixTime;

/// Answer of `/livez` or `/readyz?verbose`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// HTTP status code. It decides; the names below only explain.
    pub status: u16,
    /// Names of the checks that failed, in the server's order, at most [`Health::MAX_PARTS`].
    pub failing: Vec<String>,
    /// How many checks were listed at all; 0 when the body was not a check list.
    pub listed: usize,
    /// The server's `Date` header: one-second resolution.
    pub server_date: Option<UnixTime>,
    /// Seconds the server asks to stay away (`Retry-After`), as it comes with 429.
    pub retry_after_secs: Option<u32>,
    /// What came instead, when this is no apiserver's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Foreign>,
}

impl Health {
    /// Bound on remembered failing parts; an apiserver has about 40 checks.
    pub const MAX_PARTS: usize = 64;
}

/// Answer of `/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// HTTP status code.
    pub status: u16,
    /// `gitVersion`, such as `v1.36.3`; `None` when the body was not the expected document.
    pub git_version: Option<String>,
    /// The server's `Date` header.
    pub server_date: Option<UnixTime>,
    /// Seconds the server asks to stay away.
    pub retry_after_secs: Option<u32>,
    /// What came instead, when this is no apiserver's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Foreign>,
}

/// An answer that no apiserver gives: a login page, a captive portal, another service behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreign {
    /// A redirect (3xx): apiservers send none on these paths.
    Redirect,
    /// Nothing at all.
    Empty,
    /// A page for browsers.
    Html,
    /// Some other document.
    Json,
    /// Some other text.
    Text,
}

impl Foreign {
    /// What came, as the rest of "HTTP 200 with ...".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redirect => "a redirect",
            Self::Empty => "an empty body",
            Self::Html => "an HTML page",
            Self::Json => "a JSON document of something else",
            Self::Text => "a text of something else",
        }
    }
}
