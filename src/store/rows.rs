//! Values of the model to rows and back.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Deserialize;

use crate::model::exchange::{Change, PersistedState};
use crate::model::incident::{Alarm, Ending, Incident, Stage};
use crate::model::recipient::RefusedRecipient;
use crate::model::recurrence::Past;
use crate::model::silence::Silence;
use crate::model::time::UnixTime;
use crate::model::verdict::FindingKey;

use super::envelope::{self, read};
use super::error::StoreError;
use super::{RECALLED, unsent};

/// Applies one change inside `transaction`.
pub(super) fn apply(transaction: &Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Everything(memory) => put_everything(transaction, memory),
        Change::Alarm(alarm) => put_alarm(transaction, alarm),
        Change::AlarmOver(key) => {
            let mut delete = transaction.prepare_cached("DELETE FROM alarms WHERE rule = ?1 AND subject = ?2")?;
            delete.execute(params![key.rule.as_str(), key.subject.to_string()])?;
            Ok(())
        }
        Change::Incident(incident) => put_incident(transaction, incident),
        Change::Owed(unsent) => unsent::put(transaction, unsent),
        Change::Settled { message, outlet, .. } => unsent::settle(transaction, message, outlet),
        Change::Silence(silence) => put_silence(transaction, silence),
        Change::SilenceOver(cluster) => {
            let mut delete = transaction.prepare_cached("DELETE FROM silences WHERE cluster = ?1")?;
            delete.execute(params![cluster.as_str()])?;
            Ok(())
        }
        Change::Refused(recipient) => put_refused(transaction, recipient),
        Change::RefusedOver { outlet, recipient } => {
            transaction
                .prepare_cached("DELETE FROM refused_recipients WHERE outlet = ?1 AND recipient = ?2")?
                .execute(params![outlet.as_str(), recipient])?;
            Ok(())
        }
    }
}

fn put_everything(transaction: &Transaction<'_>, memory: &PersistedState) -> Result<(), StoreError> {
    for rows in ["alarms", "outbox", "silences", "refused_recipients", "incidents WHERE ended IS NULL"] {
        let and = if rows.contains("WHERE") { "AND" } else { "WHERE" };
        transaction.prepare_cached(&format!("DELETE FROM {rows} {and} {}", envelope::OURS))?.execute([])?;
    }
    // The deliveries of a message of a newer release belong to it, whatever their own form.
    transaction
        .prepare_cached("DELETE FROM deliveries WHERE message NOT IN (SELECT message FROM outbox)")?
        .execute([])?;
    memory.alarms.iter().try_for_each(|alarm| put_alarm(transaction, alarm))?;
    memory.incidents.iter().chain(&memory.ended).try_for_each(|incident| put_incident(transaction, incident))?;
    memory.silences.iter().try_for_each(|silence| put_silence(transaction, silence))?;
    memory.refused.iter().try_for_each(|recipient| put_refused(transaction, recipient))?;
    memory.owed.iter().try_for_each(|owed| unsent::put(transaction, owed))
}

fn put_silence(transaction: &Transaction<'_>, silence: &Silence) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO silences (cluster, since, until, reason, by, even_if_dead, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (cluster) DO UPDATE SET
             since = excluded.since, until = excluded.until, reason = excluded.reason, by = excluded.by,
             even_if_dead = excluded.even_if_dead, json = excluded.json",
        )?
        .execute(params![
            silence.cluster.as_str(),
            silence.since.to_string(),
            silence.until.to_string(),
            silence.comment,
            silence.author,
            silence.include_outages,
            envelope::seal(silence)?
        ])?;
    Ok(())
}

fn put_refused(transaction: &Transaction<'_>, recipient: &RefusedRecipient) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO refused_recipients (outlet, recipient, since, said, is_told, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (outlet, recipient) DO UPDATE SET
             since = excluded.since, said = excluded.said, is_told = excluded.is_told, json = excluded.json",
        )?
        .execute(params![
            recipient.outlet.as_str(),
            recipient.rejection.recipient,
            recipient.since.to_string(),
            recipient.rejection.text,
            recipient.is_told,
            envelope::seal(recipient)?
        ])?;
    Ok(())
}

fn put_alarm(transaction: &Transaction<'_>, alarm: &Alarm) -> Result<(), StoreError> {
    let (stage, since) = match alarm.stage {
        Stage::Pending { since, .. } => ("pending", since),
        Stage::Firing { since } => ("firing", since),
        Stage::Clearing { since, .. } => ("clearing", since),
    };
    let finding = &alarm.finding;
    transaction
        .prepare_cached(
            "INSERT INTO alarms (rule, subject, level, stage, since, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (rule, subject) DO UPDATE SET
             level = excluded.level, stage = excluded.stage, since = excluded.since, json = excluded.json",
        )?
        .execute(params![
            finding.rule.as_str(),
            finding.subject.to_string(),
            finding.level.as_str(),
            stage,
            since.to_string(),
            envelope::seal(alarm)?
        ])?;
    Ok(())
}

fn put_incident(transaction: &Transaction<'_>, incident: &Incident) -> Result<(), StoreError> {
    let ended = incident.over.map(|over| over.at);
    transaction
        .prepare_cached(
            "INSERT INTO incidents (id, cluster, rule, subject, level, opened, ended, opened_ms, ended_ms, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET
             cluster = excluded.cluster, rule = excluded.rule, subject = excluded.subject, level = excluded.level,
             opened = excluded.opened, ended = excluded.ended, opened_ms = excluded.opened_ms,
             ended_ms = excluded.ended_ms, json = excluded.json",
        )?
        .execute(params![
            incident.id.0,
            incident.cluster.as_ref().map(|cluster| cluster.as_str()),
            incident.headline.rule.as_str(),
            incident.headline.subject.to_string(),
            incident.level.as_str(),
            incident.opened.to_string(),
            ended.map(|at| at.to_string()),
            incident.opened.as_millis(),
            ended.map(|at| at.as_millis()),
            envelope::seal(incident)?
        ])?;
    if ended.is_some() { prune(transaction) } else { Ok(()) }
}

/// Drops the oldest ended incidents beyond those that are kept, except where a message is unsent.
fn prune(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let kept = i64::try_from(Past::KEPT).unwrap_or(i64::MAX);
    let oldest: Option<i64> = transaction
        .prepare_cached(
            "SELECT ended_ms FROM incidents WHERE ended_ms IS NOT NULL ORDER BY ended_ms DESC LIMIT 1 OFFSET ?1",
        )?
        .query_row(params![kept], |row| row.get(0))
        .optional()?;
    if let Some(oldest) = oldest {
        transaction
            .prepare_cached(&format!(
                "DELETE FROM incidents WHERE ended_ms <= ?1 AND id NOT IN (SELECT incident FROM outbox) AND {}",
                envelope::OURS
            ))?
            .execute(params![oldest])?;
    }
    Ok(())
}

/// Everything that is to be remembered, and one line per row that could not be read.
pub(super) fn recall(connection: &Connection) -> Result<(PersistedState, Vec<String>), StoreError> {
    let mut problems = Vec::new();
    let open = "SELECT id, json FROM incidents WHERE ended_ms IS NULL OR id IN (SELECT incident FROM outbox)
                ORDER BY opened_ms, id";
    let ended = format!(
        "SELECT id, json FROM incidents WHERE ended_ms IS NOT NULL AND id NOT IN (SELECT incident FROM outbox)
         ORDER BY ended_ms DESC, id LIMIT {RECALLED}"
    );
    let memory = PersistedState {
        alarms: read(
            connection,
            "SELECT rule || ' ' || subject, json FROM alarms ORDER BY rule, subject",
            &mut problems,
        )?,
        incidents: read(connection, open, &mut problems)?,
        owed: unsent::recall(connection, &mut problems)?,
        ended: read(connection, &ended, &mut problems)?,
        silences: read(connection, "SELECT cluster, json FROM silences ORDER BY cluster", &mut problems)?,
        refused: read(
            connection,
            "SELECT recipient, json FROM refused_recipients ORDER BY outlet, recipient",
            &mut problems,
        )?,
        past: past(connection)?,
    };
    Ok((memory, problems))
}

/// Of an ended incident what the next one of its kind needs to know: a thousand whole ones are much to read at start.
#[derive(Deserialize)]
struct Brief {
    headline: FindingKey,
    opened: UnixTime,
    over: Option<Ending>,
}

/// All resolved incidents. A row that cannot be read is left out without an error, because the incident has ended.
fn past(connection: &Connection) -> Result<Vec<Past>, StoreError> {
    let briefs: Vec<Brief> = read(
        connection,
        "SELECT id, json FROM incidents WHERE ended_ms IS NOT NULL ORDER BY ended_ms",
        &mut Vec::new(),
    )?;
    let resolved = briefs.into_iter().filter_map(|Brief { headline: key, opened, over }| {
        let over = over.filter(|over| !over.withdrawn)?.at;
        Some(Past { over, opened, key })
    });
    Ok(resolved.collect())
}

/// All incidents, open and ended, and one line per row that could not be read.
pub(super) fn incidents(connection: &Connection) -> Result<(Vec<Incident>, Vec<String>), StoreError> {
    let mut problems = Vec::new();
    let all = "SELECT id, json FROM incidents ORDER BY opened_ms DESC, id";
    Ok((read(connection, all, &mut problems)?, problems))
}
