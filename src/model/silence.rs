//! Silences: no mail about one cluster until a time. Probes, evaluation and resolving go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reason::MessageReason;
use super::subject::Name;
use super::time::UnixTime;

/// The longest silence, a day: one that is forgotten after the maintenance would hide the next outage.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The shortest: under a minute no mail would be withheld, since most holds are as long.
pub const SHORTEST: Duration = Duration::from_secs(60);

/// Characters of a reason that are kept: it is in a line of the page and of a mail.
pub const LONGEST_REASON: usize = 200;

/// One silence. A cluster has one at most; a new one replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The cluster that no mail is sent about.
    pub cluster: Name,
    /// When it was asked for.
    pub since: UnixTime,
    /// When it ends by itself.
    pub until: UnixTime,
    /// Why, in the words of who asked for it.
    #[serde(alias = "reason")]
    pub comment: String,
    /// Who asked for it, as far as the machine knows.
    #[serde(alias = "by")]
    pub author: String,
    /// Whether it covers even an outage of the whole cluster.
    #[serde(alias = "even_if_dead")]
    pub include_outages: bool,
}

/// What a silence did to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceEffect {
    /// The silence that was in force when a mail about the incident was due; its `until` is moved to when it really
    /// ended.
    pub silence: Silence,
    /// The most severe finding whose mail it withheld and that is still to be mailed; `None` when there is none.
    pub withheld: Option<MessageReason>,
}

/// What a person on the machine asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Send no mail about a cluster for a while.
    Silence(Silence),
    /// Mail again.
    EndSilence(Name),
}

#[cfg(test)]
mod tests {
    use super::Silence;

    #[test]
    fn a_silence_that_an_older_version_stored_is_read() {
        let old = r#"{"cluster":"prod","since":1,"until":2,"reason":"upgrade","by":"anna","even_if_dead":true}"#;
        let silence: Silence = serde_json::from_str(old).unwrap();
        assert_eq!((&*silence.comment, &*silence.author, silence.include_outages), ("upgrade", "anna", true));
        let new = serde_json::to_string(&silence).unwrap();
        assert_eq!(serde_json::from_str::<Silence>(&new).unwrap(), silence);
    }
}
