//! The ways by which messages reach people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way by which messages reach people, under the name of its section in the configuration.
///
/// A variant is all that the outbox, the store and the metrics need to know of an outlet; what it sends how is in
/// `notify`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlet {
    /// Mail through the organisation's relay; recipients are mail addresses without display names.
    Mail,
}

/// The text names no outlet that this release knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no outlet is named '{0}'")]
pub struct UnknownOutlet(pub String);

impl Outlet {
    /// Every outlet, in their order.
    pub const ALL: [Self; 1] = [Self::Mail];

    /// Stable text form: the name of its section in the configuration.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Mail => "mail",
        }
    }
}

impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outlet {
    type Err = UnknownOutlet;

    fn from_str(text: &str) -> Result<Self, UnknownOutlet> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| UnknownOutlet(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back_and_is_the_one_in_json() {
        for outlet in Outlet::ALL {
            assert_eq!(outlet.to_string().parse(), Ok(outlet.clone()));
            assert_eq!(serde_json::to_value(&outlet).unwrap(), serde_json::Value::from(outlet.as_str()));
        }
        assert_eq!("pigeon".parse::<Outlet>(), Err(UnknownOutlet("pigeon".into())));
    }
}
