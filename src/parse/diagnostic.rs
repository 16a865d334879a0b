//! Something wrong with a text that a person wrote: what, where, how bad, and what to do about it.

use super::yaml::Position;

/// Something wrong with a text that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where; `None` when it is about the text as a whole.
    pub position: Option<Position>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in lower case, without a full stop. Never shows a secret.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How bad a diagnostic is. Ordered, so that errors come first at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be done with this text.
    Error,
    /// It works, though perhaps not as meant.
    Warning,
}

impl Diagnostic {
    /// A diagnostic that makes the text unusable.
    pub fn error(position: impl Into<Option<Position>>, what: impl Into<String>) -> Self {
        Self { position: position.into(), severity: Severity::Error, what: what.into(), hint: None }
    }

    /// A diagnostic that does not.
    pub fn warning(position: impl Into<Option<Position>>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(position, what) }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Severity {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}
