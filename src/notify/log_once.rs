//! Which outcomes of a repeated attempt are news, so that a log says each reason once and not twice a minute.

use crate::model::delivery::{DeliveryFailure, FailureClass};

/// What was logged last.
#[derive(Debug, Default)]
pub(super) struct LogOnce(Option<(FailureClass, String)>);

impl LogOnce {
    /// Whether this outcome differs from the one before: another reason, or the first success after a failure. Numbers
    /// do not make a reason another one: the error about an expired certificate holds the seconds since its end.
    pub(super) fn is_news(&mut self, failure: Option<&DeliveryFailure>) -> bool {
        let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let outcome = failure.map(|failure| (failure.class, words(&failure.text)));
        let is_news = outcome != self.0;
        self.0 = outcome;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_news_once_and_so_is_its_end() {
        let failure = |class, text: &str| DeliveryFailure { class, text: text.into() };
        let expired = failure(FailureClass::Untrusted, "certificate expired, 4 seconds ago");
        let still = failure(FailureClass::Untrusted, "certificate expired, 34 seconds ago");
        let refused = failure(FailureClass::Unreachable, "connection refused");
        let mut log_once = LogOnce::default();

        let news = [None, Some(&expired), Some(&still), Some(&refused), Some(&refused), None, None, Some(&refused)]
            .map(|outcome| log_once.is_news(outcome));

        assert_eq!(news, [false, true, false, true, false, true, false, true]);
    }
}
