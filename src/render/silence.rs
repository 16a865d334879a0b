//! Silences as people and scripts see them.

use comfy_table::{ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};

use crate::judge::phrases;
use crate::model::silence::Silence;
use crate::model::time::UnixTime;

use super::harmless::line;

/// A silence that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// The cluster's name.
    pub cluster: String,
    /// How long, from now.
    pub duration_seconds: u64,
    /// Why.
    pub comment: String,
    /// Whether it covers even an outage of the whole cluster.
    #[serde(default)]
    pub include_outages: bool,
    /// What who asks calls themselves.
    pub author: Option<String>,
}

/// The result of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The silence; ended ones end now.
    pub silence: Shown,
    /// The one that it took the place of.
    pub replaced: Option<Shown>,
    /// Why a restart could undo it; `None` when it is on disk.
    pub problem: Option<String>,
}

/// One silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The cluster.
    pub cluster: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339.
    pub until: String,
    /// How much of it is left.
    pub seconds_left: u64,
    /// How long it lasts in all.
    pub duration_seconds: u64,
    /// Why.
    pub comment: String,
    /// Who asked for it.
    pub author: String,
    /// Whether it withholds even an outage of the whole cluster.
    pub include_outages: bool,
}

/// What there is to show of `silence`.
#[must_use]
pub fn shown(silence: &Silence, now: UnixTime) -> Shown {
    Shown {
        cluster: silence.cluster.to_string(),
        since: silence.since.to_string(),
        until: silence.until.to_string(),
        seconds_left: silence.until.since(now).as_secs(),
        duration_seconds: silence.until.since(silence.since).as_secs(),
        comment: line(&silence.comment, 200),
        author: line(&silence.author, 80),
        include_outages: silence.include_outages,
    }
}

/// What was achieved, in sentences.
#[must_use]
pub fn begun(answer: &Answer) -> String {
    let Shown { cluster, until, duration_seconds, author, include_outages, .. } = &answer.silence;
    let lasting = phrases::lasting(std::time::Duration::from_secs(*duration_seconds));
    let mut text = format!("{cluster} is silenced until {until} ({lasting}), by {author}.\n");
    text.push_str(if *include_outages {
        "No mail about it, not even of a full outage; what was mailed before is still mailed when it is resolved.\n"
    } else {
        "No mail about it, except of a full outage; what was mailed before is still mailed when it is resolved. \
         Monitoring continues.\n"
    });
    if let Some(replaced) = &answer.replaced {
        text.push_str(&format!("It replaces a silence until {} by {}.\n", replaced.until, replaced.author));
    }
    text
}

/// That it is over, in a sentence.
#[must_use]
pub fn ended(answer: &Answer) -> String {
    let Shown { cluster, since, author, .. } = &answer.silence;
    format!("The silence of {cluster} since {since} by {author} has ended. Anything still wrong is mailed now.\n")
}

/// All silences, one line each.
#[must_use]
pub fn table(silences: &[Shown]) -> String {
    if silences.is_empty() {
        return "No cluster is silenced.\n".into();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["CLUSTER", "LEFT", "UNTIL", "OUTAGES", "AUTHOR", "COMMENT"]);
    for silence in silences {
        table.add_row([
            silence.cluster.clone(),
            phrases::lasting(std::time::Duration::from_secs(silence.seconds_left)),
            silence.until.clone(),
            if silence.include_outages { "suppressed" } else { "notified" }.into(),
            silence.author.clone(),
            silence.comment.clone(),
        ]);
    }
    super::incident_report::lines(table)
}
