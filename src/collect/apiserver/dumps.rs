//! The dumps of API Priority and Fairness: read as they arrive, and what was read of one that was cut is kept.
//!
//! They show who uses a server, and nothing else: a dump that is refused, turned away or late says nothing about whether
//! the server lives or whether our credential is good, so that nothing is resolved or read again because of one.

use std::sync::Arc;

use super::Answer;
use crate::collect::http_client::Sink;
use crate::model::flow_control::NoDump;
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::parse::flow_control::{LevelsReader, RequestsReader};

impl Sink for LevelsReader {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.push(piece);
        Ok(())
    }
}

impl Sink for RequestsReader {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.push(piece);
        Ok(())
    }
}

/// The levels that were read of an answer.
pub(super) fn levels(reader: LevelsReader, answer: Result<Answer, Unseen>) -> Result<Reading, Unseen> {
    let levels = reader.finish(answer.is_ok());
    let outcome = came(answer, !levels.levels.is_empty());
    outcome.map(|came| Reading::PriorityLevels(came.map(|()| Arc::new(levels))))
}

/// The requests that were read of an answer.
pub(super) fn requests(reader: RequestsReader, answer: Result<Answer, Unseen>) -> Result<Reading, Unseen> {
    let load = reader.finish(answer.is_ok());
    // Our own request is among them, so that no dump is without a row.
    let outcome = came(answer, load.requests() > 0);
    outcome.map(|came| Reading::RequestDump(came.map(|()| Arc::new(load))))
}

/// Whether a dump came, or what instead. One that ended in the middle is one where any of it could be read.
fn came(answer: Result<Answer, Unseen>, has_any: bool) -> Result<Result<(), NoDump>, Unseen> {
    let answer = match answer {
        Err(Unseen { phase: Phase::Body, .. }) if has_any => return Ok(Ok(())),
        answer => answer?,
    };
    Ok(match answer.status.as_u16() {
        200 if has_any => Ok(()),
        200 => Err(NoDump::Foreign),
        401 | 403 => Err(NoDump::Forbidden),
        404 => Err(NoDump::Missing),
        429 => Err(NoDump::Shed { retry_after_secs: answer.retry_after_secs }),
        status => Err(NoDump::Status(status)),
    })
}
