//! Unsent messages to rows and back: one row for the message, one for each of its deliveries.
//!
//! The row of the message has the form in which releases that knew mail alone wrote it, and says whom it has reached
//! by mail. So such a release can take over a newer database and sends nobody a mail again; and what it wrote itself is
//! read as outlet mail. Its deliveries, which it does not know, are brought up to date with what it wrote.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::model::delivery::{Delivery, DeliveryFailure, FailureClass, Progress, Unsent};
use crate::model::message::{Message, MessageId};
use crate::model::outlet::{Outlet, UnknownOutlet};

use super::envelope::{open, read, seal};
use super::error::StoreError;

/// A message as its row has it.
#[derive(Debug, Serialize, Deserialize)]
struct MessageRow {
    message: Message,
    attempts: u32,
    last_failure: Option<DeliveryFailure>,
    /// Recipients of mail who have got it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    served: BTreeSet<String>,
    /// Recipients of mail who are refused for good.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    refused: BTreeSet<String>,
}

/// The deliveries of one message by outlet and recipient.
type Deliveries = BTreeMap<Outlet, BTreeMap<String, Delivery>>;

/// Writes an unsent message in place of what was known of it.
pub(super) fn put(transaction: &Transaction<'_>, unsent: &Unsent) -> Result<(), StoreError> {
    let message = &unsent.message;
    transaction
        .prepare_cached(
            "INSERT INTO outbox (message, incident, reason, level, composed, attempts, last_failure, composed_ms, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (message) DO UPDATE SET
             incident = excluded.incident, reason = excluded.reason, level = excluded.level,
             composed = excluded.composed, attempts = excluded.attempts, last_failure = excluded.last_failure,
             composed_ms = excluded.composed_ms, json = excluded.json",
        )?
        .execute(params![
            message.id.0,
            message.incident.id.0,
            message.reason.as_str(),
            message.level.as_str(),
            message.composed.to_string(),
            unsent.attempts,
            unsent.last_failure.as_ref().map(|failure| failure.text.as_str()),
            message.composed.as_millis(),
            seal(&MessageRow::of(unsent))?
        ])?;
    forget_deliveries(transaction, &message.id, &unsent.outlet)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO deliveries (message, outlet, recipient, progress, attempts, last_failure, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (recipient, delivery) in &unsent.deliveries {
        insert.execute(params![
            message.id.0,
            unsent.outlet.as_str(),
            recipient,
            delivery.progress.as_str(),
            delivery.attempts,
            delivery.last_failure.as_ref().map(|failure| failure.text.as_str()),
            seal(delivery)?
        ])?;
    }
    Ok(())
}

/// Deletes a message from an outlet, and from the outbox once no outlet owes it.
pub(super) fn settle(transaction: &Transaction<'_>, message: &MessageId, outlet: &Outlet) -> Result<(), StoreError> {
    forget_deliveries(transaction, message, outlet)?;
    transaction
        .prepare_cached("DELETE FROM outbox WHERE message = ?1 AND message NOT IN (SELECT message FROM deliveries)")?
        .execute(params![message.0])?;
    Ok(())
}

/// All unsent messages, oldest first.
pub(super) fn recall(connection: &Connection, problems: &mut Vec<String>) -> Result<Vec<Unsent>, StoreError> {
    let rows: Vec<MessageRow> =
        read(connection, "SELECT message, json FROM outbox ORDER BY composed_ms, number", problems)?;
    let mut deliveries = recall_deliveries(connection, problems)?;
    let unsent = rows.into_iter().flat_map(|row| {
        let known = deliveries.remove(&row.message.id).unwrap_or_default();
        row.unsent(known)
    });
    Ok(unsent.collect())
}

fn recall_deliveries(
    connection: &Connection,
    problems: &mut Vec<String>,
) -> Result<BTreeMap<MessageId, Deliveries>, StoreError> {
    let mut deliveries: BTreeMap<MessageId, Deliveries> = BTreeMap::new();
    let mut statement = connection
        .prepare("SELECT message, outlet, recipient, json FROM deliveries ORDER BY message, outlet, recipient")?;
    let texts = |row: &Row<'_>| {
        let text = |index| row.get::<_, String>(index).map_err(|error| error.to_string());
        Ok([text(0), text(1), text(2), text(3)])
    };
    for row in statement.query_map([], texts)? {
        let [message, outlet, recipient, json] = row?;
        let named = |text: &Result<String, String>| text.clone().unwrap_or_else(|_| "unnamed".into());
        let name = format!("{} {} {}", named(&message), named(&outlet), named(&recipient));
        let parsed = (|| {
            let outlet: Outlet = outlet?.parse().map_err(|error: UnknownOutlet| error.to_string())?;
            Ok::<_, String>((MessageId(message?), outlet, recipient?, open::<Delivery>(&json?)?))
        })();
        match parsed {
            Ok((message, outlet, recipient, delivery)) => {
                deliveries.entry(message).or_default().entry(outlet).or_default().insert(recipient, delivery);
            }
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    Ok(deliveries)
}

fn forget_deliveries(transaction: &Transaction<'_>, message: &MessageId, outlet: &Outlet) -> Result<(), StoreError> {
    transaction
        .prepare_cached("DELETE FROM deliveries WHERE message = ?1 AND outlet = ?2")?
        .execute(params![message.0, outlet.as_str()])?;
    Ok(())
}

impl MessageRow {
    fn of(unsent: &Unsent) -> Self {
        let those = |progress| {
            let deliveries = unsent.deliveries.iter().filter(move |(_, delivery)| delivery.progress == progress);
            deliveries.map(|(recipient, _)| recipient.clone()).collect()
        };
        // A class that an older release does not know would cost it the row.
        let is_known = |failure: &DeliveryFailure| failure.class != FailureClass::Uncertain;
        Self {
            message: unsent.message.clone(),
            attempts: unsent.attempts,
            last_failure: unsent.last_failure.clone().filter(is_known),
            served: those(Progress::Accepted),
            refused: those(Progress::Rejected),
        }
    }

    /// What is owed, by outlet. To whom a message goes that has no deliveries, since an older release wrote it, is for
    /// the engine to say.
    fn unsent(self, mut known: Deliveries) -> Vec<Unsent> {
        if !known.is_empty() && !known.contains_key(&Outlet::Mail) {
            return self.of_outlets(known);
        }
        let mailed = known.entry(Outlet::Mail).or_default();
        for (recipients, progress) in [(&self.served, Progress::Accepted), (&self.refused, Progress::Rejected)] {
            for recipient in recipients {
                let delivery = mailed.entry(recipient.clone()).or_default();
                if !delivery.is_accepted() {
                    delivery.progress = progress;
                }
            }
        }
        self.of_outlets(known)
    }

    fn of_outlets(self, known: Deliveries) -> Vec<Unsent> {
        let Self { message, attempts, last_failure, .. } = self;
        let of_outlet = |(outlet, deliveries)| Unsent {
            message: message.clone(),
            outlet,
            attempts,
            last_failure: last_failure.clone(),
            deliveries,
        };
        known.into_iter().map(of_outlet).collect()
    }
}
