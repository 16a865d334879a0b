//! The `/metrics` page: read as it arrives, and of one that did not come whole nothing is taken, since its sums would be
//! too small.
//!
//! It shows how much, and nothing else: a page that is refused, turned away or late says nothing about whether the server
//! lives or whether our credential is good.

use std::sync::Arc;

use super::Answer;
use crate::collect::http_client::Sink;
use crate::model::apiserver_metrics::NoPage;
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::parse::apiserver_page::{ApiserverPageReader, Unreadable};

impl Sink for ApiserverPageReader {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.push(piece).map_err(|unreadable| match unreadable {
            Unreadable::TooLarge => Cause::TooLarge,
            Unreadable::Cut | Unreadable::Foreign => Cause::ProtocolBroken,
        })
    }
}

/// What was wanted of the page.
pub(super) fn metrics(reader: ApiserverPageReader, answer: Result<Answer, Unseen>) -> Result<Reading, Unseen> {
    let answer = match answer {
        Err(Unseen { cause: Cause::TooLarge, .. } | Unseen { phase: Phase::Body, cause: Cause::Timeout }) => {
            return Ok(Reading::ApiserverMetrics(Err(NoPage::TooLarge)));
        }
        answer => answer?,
    };
    Ok(Reading::ApiserverMetrics(match answer.status.as_u16() {
        200 => match reader.finish() {
            Ok(metrics) => Ok(Arc::new(metrics)),
            Err(Unreadable::Foreign) => Err(NoPage::Foreign),
            Err(Unreadable::Cut | Unreadable::TooLarge) => {
                return Err(Unseen { phase: Phase::Body, cause: Cause::ProtocolBroken });
            }
        },
        401 | 403 => Err(NoPage::Forbidden),
        429 => Err(NoPage::Shed { retry_after_secs: answer.retry_after_secs }),
        status => Err(NoPage::Status(status)),
    }))
}
