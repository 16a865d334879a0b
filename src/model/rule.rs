//! Names of rules and severities. What rules there are is in the catalogue, their texts and their evaluation in `judge`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Makes the names of the rules of the catalogue's lines.
macro_rules! names {
    ($($id:ident $module:ident $rule:ident,)*) => {
        /// Identity of a rule, as people quote it: `F01`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum RuleId {
            $(
                #[doc = concat!("The rule in `judge/", stringify!($module), ".rs`.")]
                $id,
            )*
        }

        impl RuleId {
            /// Every rule, in the order of their names.
            pub const ALL: [Self; [$(stringify!($id),)*].len()] = [$(Self::$id,)*];

            /// The rule's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$id => stringify!($id),)*
                }
            }
        }
    };
}

crate::catalogue::catalogue!(names);

/// The severity of a finding. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Listed, never mailed on its own.
    Info,
    /// Mailed after its hold.
    Warning,
    /// Mailed as soon as its hold ends.
    Critical,
}

/// Why a text names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such rule; the rules are {}", RuleId::ALL.map(RuleId::as_str).join(", "))]
pub struct NoSuchRule;

impl FromStr for RuleId {
    type Err = NoSuchRule;

    fn from_str(text: &str) -> Result<Self, NoSuchRule> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text).ok_or(NoSuchRule)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Level {
    /// Bounded label value, and Prometheus's severity.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
