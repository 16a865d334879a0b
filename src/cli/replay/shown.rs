//! A replay as people and machines read it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::render::{mail, message};
use crate::store::recording::Mailed;

use super::playback::{Replay, is_same};

#[derive(Serialize)]
struct Report<'a> {
    vantage: &'a str,
    only: Option<&'a str>,
    reconfigured: bool,
    from: String,
    until: String,
    inputs: u64,
    same: bool,
    notes: &'a [String],
    mails: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    outcome: &'static str,
    recorded: Option<&'a Mailed>,
    replayed: Option<&'a Mailed>,
}

/// One JSON object.
pub(super) fn json(replay: &Replay) -> serde_json::Result<String> {
    let (from, until) = replay.time;
    let mails = replay.compared().into_iter().map(|(recorded, replayed)| Line {
        outcome: outcome(recorded, replayed),
        recorded,
        replayed,
    });
    let report = Report {
        vantage: &replay.vantage,
        only: replay.only.as_ref().map(|only| only.as_str()),
        reconfigured: replay.is_reconfigured,
        from: from.to_string(),
        until: until.to_string(),
        inputs: replay.inputs,
        same: replay.is_same(),
        notes: &replay.notes,
        mails: mails.collect(),
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

/// Lines for people; with `is_whole` the mails of the replay as they would be read.
pub(super) fn text(replay: &Replay, is_whole: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    write(&mut text, replay, is_whole).ok();
    text
}

fn write(text: &mut String, replay: &Replay, is_whole: bool) -> std::fmt::Result {
    let (from, until) = replay.time;
    let of = replay.only.as_ref().map_or_else(String::new, |only| format!(", the part of {only}"));
    writeln!(text, "{} from {from} to {until}{of}: {} inputs", replay.vantage, replay.inputs)?;
    for note in &replay.notes {
        writeln!(text, "note: {note}")?;
    }
    let compared = replay.compared();
    for (recorded, replayed) in &compared {
        writeln!(text)?;
        match (recorded, replayed) {
            (Some(recorded), Some(replayed)) if is_same(recorded, replayed) => {
                line(text, outcome(Some(recorded), Some(replayed)), recorded)?;
                if replayed.at.millis_since(recorded.at).abs() >= 1000 {
                    writeln!(text, "          replayed at {}", replayed.at)?;
                }
            }
            (recorded, replayed) => {
                recorded.map_or(Ok(()), |recorded| line(text, "recorded", recorded))?;
                replayed.map_or(Ok(()), |replayed| line(text, "replayed", replayed))?;
            }
        }
        if let Some(attempt) = replayed.filter(|_| is_whole).and_then(|known| replay.attempts.get(&known.message)) {
            writeln!(text, "\n{}", mail::parts(&message::document(attempt)).text)?;
        }
    }
    let differing = compared.iter().filter(|(recorded, replayed)| outcome(*recorded, *replayed) != SAME).count();
    writeln!(text)?;
    match (compared.len(), differing) {
        (0, _) => writeln!(text, "Nothing was mailed, and the replay mails nothing."),
        (all, 0) => writeln!(text, "The replay mails the same: {all} mail{}.", if all == 1 { "" } else { "s" }),
        (all, some) => writeln!(text, "The replay differs in {some} of {all} mails."),
    }
}

fn line(text: &mut String, outcome: &str, mailed: &Mailed) -> std::fmt::Result {
    writeln!(text, "{outcome:<9} {} {}", mailed.at, mailed.subject)?;
    writeln!(text, "          incident {}, to {}", mailed.incident.0, mailed.recipients.join(", "))
}

const SAME: &str = "same";

fn outcome(recorded: Option<&Mailed>, replayed: Option<&Mailed>) -> &'static str {
    match (recorded, replayed) {
        (Some(recorded), Some(replayed)) if is_same(recorded, replayed) => SAME,
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "recorded only",
        (None, _) => "replayed only",
    }
}
