//! What limits the rest of the page, most severe first, and what vedette knows of itself.

use crate::judge::phrases::lasting;
use crate::model::delivery::Backlog;
use crate::model::probe::ProbeKind;
use crate::model::reload::Configured;
use crate::model::snapshot::HeartbeatState;
use crate::render::metrics::Page;

use super::facts::{Notice, Own, State, Value};
use super::moment::{mono, said, several, wall};
use super::probes::lines;

/// Silences shown one by one.
const SILENCES: usize = 20;

/// Refused recipients shown one by one.
const RECIPIENTS: usize = 20;

/// All notices.
pub(super) fn all(page: Page<'_>, is_stale: bool) -> Vec<Notice> {
    let mut all = Vec::new();
    if is_stale {
        let mut notice = plain("stale", State::Down, "vedette is stalled: nothing below has changed since then");
        notice.since = Some(mono(page.snapshot.at, page.now));
        all.push(notice);
    }
    if let Some(since) = page.snapshot.isolated_since {
        let text = "vedette has no network: no target outside this host responds, reference targets included; the \
                    data below is from before, and no mail about clusters is sent meanwhile";
        all.push(Notice { since: Some(wall(since, page.now)), ..plain("isolated", State::Unknown, text) });
    }
    if !page.snapshot.is_first_round_done {
        let text = "starting: not everything has been probed yet";
        all.push(Notice {
            since: Some(mono(page.snapshot.started, page.now)),
            ..plain("starting", State::Unknown, text)
        });
    }
    all.extend(configuration(page));
    all.extend(mail(page));
    all.extend(refused(page));
    all.extend(deferred(page));
    all.extend(heartbeat(page.snapshot.heartbeat));
    if page.snapshot.store_works == Some(false) {
        let text = "the database rejects writes: after a crash mails may come twice, and silences or open incidents \
                    may be lost";
        all.push(plain("store", State::Degraded, text));
    }
    all.extend(silences(page));
    all
}

fn plain(kind: &'static str, state: State, text: &str) -> Notice {
    Notice { kind, state, text: text.to_owned(), lines: Vec::new(), since: None, until: None }
}

/// What keeps the file's words from being in force: mistakes in it, and what only a restart changes.
fn configuration(page: Page<'_>) -> Vec<Notice> {
    let configured = &page.snapshot.configured;
    let read = wall(configured.at, page.now);
    let of = format!("{} ({})", read.at, read.age);
    let refused = configured.refused.as_ref().map(|refusal| {
        let text = if configured.is_copy {
            format!("the file cannot be used: its last good copy, of {of}, is used instead")
        } else {
            format!("a newer configuration was rejected; the one of {of} stays in use")
        };
        Notice {
            lines: refusal.mistakes.iter().map(|mistake| said(mistake)).collect(),
            since: Some(wall(refusal.at, page.now)),
            ..plain("configuration", State::Degraded, &text)
        }
    });
    let waiting = (!configured.remarks.is_empty()).then(|| Notice {
        lines: configured.remarks.iter().map(|remark| said(remark)).collect(),
        since: Some(read),
        ..plain("restart", State::Degraded, "not everything in the file is in effect")
    });
    refused.into_iter().chain(waiting).collect()
}

fn mail(page: Page<'_>) -> Option<Notice> {
    let backlog: &Backlog = &page.snapshot.backlog;
    if !page.snapshot.inventory.mails {
        return Some(plain("mail", State::Degraded, "no mail is configured: no notifications are sent"));
    }
    if backlog.waiting == 0 {
        return None;
    }
    let text = format!("{} not yet accepted by the relay", several(backlog.waiting, "mail"));
    let next = backlog.next_attempt.map(|at| {
        let wait = at.since(page.now.mono);
        if wait.is_zero() { "next attempt: now".to_owned() } else { format!("next attempt: in {}", lasting(wait)) }
    });
    let failure = backlog.last_failure.as_ref().map(|failure| said(&format!("last failure: {}", failure.text)));
    Some(Notice {
        lines: failure.into_iter().chain(next).collect(),
        since: backlog.oldest.map(|at| wall(at, page.now)),
        ..plain("mail", State::Degraded, &text)
    })
}

/// Recipients whom nothing reaches.
fn refused(page: Page<'_>) -> Option<Notice> {
    let refused = &page.snapshot.refused;
    let since = refused.iter().map(|known| known.since).min()?;
    let text =
        format!("the relay rejects {} permanently: fix the address or the relay", several(refused.len(), "recipient"));
    let mut lines: Vec<String> = refused
        .iter()
        .take(RECIPIENTS)
        .map(|known| said(&format!("{}: {}", known.rejection.recipient, known.rejection.text)))
        .collect();
    if refused.len() > RECIPIENTS {
        lines.push(format!("and {} more", refused.len() - RECIPIENTS));
    }
    Some(Notice { lines, since: Some(wall(since, page.now)), ..plain("recipients", State::Degraded, &text) })
}

/// Recipients who get mail later than others, if at all.
fn deferred(page: Page<'_>) -> Option<Notice> {
    let deferred = &page.snapshot.deferred;
    let since = deferred.iter().map(|known| known.since).min()?;
    let text = format!(
        "the relay defers mail to {} again and again; others have got it",
        several(deferred.len(), "recipient")
    );
    let mut lines: Vec<String> = deferred
        .iter()
        .take(RECIPIENTS)
        .map(|known| {
            let waiting = several(known.waiting, "mail");
            said(&format!("{}: {waiting} waiting; last answer: {}", known.recipient, known.text))
        })
        .collect();
    if deferred.len() > RECIPIENTS {
        lines.push(format!("and {} more", deferred.len() - RECIPIENTS));
    }
    Some(Notice { lines, since: Some(wall(since, page.now)), ..plain("deferred", State::Degraded, &text) })
}

/// The state of the heartbeat.
const fn heartbeat_word(state: HeartbeatState) -> &'static str {
    match state {
        HeartbeatState::Off => "off",
        HeartbeatState::Sending => "sending",
        HeartbeatState::Isolated => "withheld (no network)",
        HeartbeatState::Stalled => "withheld (scheduler stalled)",
        HeartbeatState::MailStuck => "withheld (mail stuck)",
    }
}

fn heartbeat(state: HeartbeatState) -> Option<Notice> {
    let text = match state {
        HeartbeatState::Off | HeartbeatState::Sending => return None,
        HeartbeatState::Isolated => "the heartbeat is withheld: vedette has no network",
        HeartbeatState::Stalled => "the heartbeat is withheld: the scheduler is stalled",
        HeartbeatState::MailStuck => "the heartbeat is withheld: a critical mail could not be sent for too long",
    };
    Some(plain("heartbeat", State::Degraded, text))
}

fn silences(page: Page<'_>) -> Vec<Notice> {
    page.snapshot
        .silences
        .iter()
        .take(SILENCES)
        .map(|silence| {
            let dead = if silence.include_outages { ", not even a full outage" } else { ", except a full outage" };
            let text = format!("{} is silenced: no mail about it{dead}; monitoring continues", silence.cluster);
            Notice {
                lines: vec![said(&format!("by {}: {}", silence.author, silence.comment))],
                since: Some(wall(silence.since, page.now)),
                until: Some(wall(silence.until, page.now)),
                ..plain("silence", State::Ok, &text)
            }
        })
        .collect()
}

/// What vedette knows of itself and its surroundings.
pub(super) fn own(page: Page<'_>) -> Own {
    let snapshot = page.snapshot;
    let value = |name, text: String, state| Value { name, text, state };
    let lag = snapshot.loop_lag;
    let offset = snapshot.clock_offset_millis;
    let values = vec![
        value(
            "scheduling",
            format!("delayed by up to {} in the last minute", lasting(lag)),
            if lag > page.snapshot.policy.loop_lag { State::Degraded } else { State::Ok },
        ),
        value(
            "clock",
            offset.map_or_else(
                || "not compared: no server has sent its date".to_owned(),
                |millis| format!("servers' dates differ by {millis} ms (they are whole seconds)"),
            ),
            match offset {
                None => State::Unknown,
                Some(millis) if millis.unsigned_abs() > 2000 => State::Degraded,
                Some(_) => State::Ok,
            },
        ),
        match snapshot.store_works {
            Some(true) => value("database", "writable".to_owned(), State::Ok),
            Some(false) => value("database", "writes fail".to_owned(), State::Degraded),
            None => value("database", "nothing written yet".to_owned(), State::Unknown),
        },
        value(
            "mail",
            format!(
                "{} accepted by the relay, {} queued",
                several(snapshot.counters.accepted, "mail"),
                snapshot.backlog.waiting
            ),
            if snapshot.backlog.waiting == 0 && snapshot.inventory.mails { State::Ok } else { State::Degraded },
        ),
        value(
            "heartbeat",
            heartbeat_word(snapshot.heartbeat).to_owned(),
            match snapshot.heartbeat {
                HeartbeatState::Sending => State::Ok,
                HeartbeatState::Off => State::Unknown,
                HeartbeatState::Isolated | HeartbeatState::Stalled | HeartbeatState::MailStuck => State::Degraded,
            },
        ),
        value("probes", format!("{} since the start", snapshot.counters.probes), State::Ok),
        value(
            "configuration",
            in_use(&snapshot.configured),
            if snapshot.configured.refused.is_some() { State::Degraded } else { State::Ok },
        ),
    ];
    Own {
        started: mono(snapshot.started, page.now),
        configured: wall(snapshot.configured.at, page.now),
        values,
        // What files hold is shown among the certificates.
        probes: snapshot
            .vantage
            .values()
            .filter(|observation| observation.probe.kind != ProbeKind::Files)
            .flat_map(|observation| lines(page, observation))
            .collect(),
    }
}

fn in_use(configured: &Configured) -> String {
    let what = match (configured.is_copy, &configured.refused) {
        (true, _) => "last good copy of the file",
        (false, Some(_)) => "as before the last change of the file",
        (false, None) => "in sync with the file",
    };
    format!("{what}; reloaded {}, rejected {}", times(configured.reloads), times(configured.refusals))
}

fn times(count: u64) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
