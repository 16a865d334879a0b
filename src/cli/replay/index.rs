//! What a recording answers, looked up before it is replayed in another way than it was recorded.
//!
//! An engine with another configuration, or with a part of the recording, asks at other times. What it asks is answered
//! by what was observed about the same at that time; what nobody asked then has no answer, which is no fault.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use crate::model::delivery::Receipt;
use crate::model::exchange::Input;
use crate::model::message::MessageId;
use crate::model::probe::{Probe, ProbeRequest};
use crate::model::time::Mono;
use crate::store::recording::{ReadError, Reader, Record};

/// A request and an answer belong together when their times differ by no more: the shortest interval between two probes
/// of one kind of one subject is as long.
const NEAR: Duration = Duration::from_secs(1);

/// Answers of a recording that are still to come.
#[derive(Debug, Default)]
pub(super) struct Index {
    answers: BTreeMap<Probe, VecDeque<Answer>>,
    receipts: BTreeMap<MessageId, usize>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    scheduled: Mono,
    came: Mono,
}

impl Index {
    /// Reads `files` once. Files that cannot be read to their end are good as far as they go.
    pub(super) fn of(files: &[PathBuf]) -> Result<Self, ReadError> {
        let mut index = Self::default();
        for file in files {
            for record in Reader::open(file)? {
                let Ok(record) = record else { break };
                index.note(record);
            }
        }
        Ok(index)
    }

    fn note(&mut self, record: Record) {
        match record {
            Record::Input { now, input: Input::Observed(observation) } if observation.request.is_some() => {
                let answer = Answer { scheduled: observation.scheduled.mono, came: now.mono };
                self.answers.entry(observation.probe).or_default().push_back(answer);
            }
            Record::Input { input: Input::Delivered(receipts), .. } => {
                // All receipts of an attempt are of one message.
                if let Some(Receipt { delivery, .. }) = receipts.into_iter().next() {
                    *self.receipts.entry(delivery.message).or_default() += 1;
                }
            }
            Record::Input { .. } | Record::Checkpoint(_) | Record::Mailed(_) | Record::Dropped(_) => {}
        }
    }

    /// Whether an answer to `request` will come. Each answers one request.
    pub(super) fn take_answer(&mut self, request: &ProbeRequest, now: Mono) -> bool {
        let Some(answers) = self.answers.get_mut(&request.probe) else { return false };
        while answers.front().is_some_and(|answer| answer.came < now) {
            answers.pop_front();
        }
        let scheduled = request.scheduled.mono;
        let is_near =
            |answer: &Answer| answer.scheduled.since(scheduled).max(scheduled.since(answer.scheduled)) <= NEAR;
        let found = answers.iter().position(is_near).and_then(|at| answers.remove(at));
        found.is_some()
    }

    /// Whether the result of an attempt to send `message` will come. Each is the result of one attempt.
    pub(super) fn take_receipt(&mut self, message: &MessageId) -> bool {
        let left = self.receipts.get_mut(message).filter(|left| **left > 0);
        left.is_some_and(|left| {
            *left -= 1;
            true
        })
    }
}
