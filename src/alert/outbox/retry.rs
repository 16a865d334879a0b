//! When a delivery that failed is attempted again.

use std::time::Duration;

use crate::model::delivery::{DeliveryResult, FailureClass};
use crate::model::policy::Policy;

/// Attempts that a recipient who is put off again and again gets at the pace of the policy: some five minutes, longer
/// than any greylisting (RFC 6647, section 5: 1 to 5 min).
pub(super) const GREYLISTED: u32 = 12;

/// Longest delay for a recipient who is still put off after that, while others have got the message. RFC 5321, section
/// 4.5.4.1, has servers wait half an hour; a page is worth more.
const PUT_OFF: Duration = Duration::from_secs(900);

/// Delay after a permanent refusal, which ends only when a person corrects the relay or the address.
const AFTER_REJECTION: Duration = Duration::from_secs(300);

/// What decides about the next attempt beside the failure itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Attempts at this delivery before the one that failed.
    pub(super) attempts: u32,
    /// Somebody has got the message.
    pub(super) is_known: bool,
    /// A person corrected the configuration, or the network came back, while the attempt was under way.
    pub(super) was_hurried: bool,
}

/// How long after `result` the delivery rests; `None` for one that is done.
pub(super) fn delay(result: &DeliveryResult, at: Circumstances, policy: &Policy) -> Option<Duration> {
    let class = match result {
        DeliveryResult::Accepted => return None,
        DeliveryResult::Rejected(_) => FailureClass::Refused,
        DeliveryResult::Failed(failure) => failure.class,
    };
    Some(match class {
        // Refused by the relay as it was before it was corrected.
        FailureClass::Refused if at.was_hurried => Duration::ZERO,
        FailureClass::Refused => AFTER_REJECTION,
        FailureClass::Deferred if at.is_known && at.attempts >= GREYLISTED => {
            doubled(policy.retry_most, at.attempts - GREYLISTED + 1).min(PUT_OFF)
        }
        FailureClass::Deferred
        | FailureClass::Unreachable
        | FailureClass::Untrusted
        | FailureClass::CredentialRefused
        | FailureClass::TimedOut
        | FailureClass::Uncertain
        | FailureClass::Broken => doubled(policy.retry_first, at.attempts).min(policy.retry_most),
    })
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times.min(16)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::DeliveryFailure;

    fn failed(class: FailureClass) -> DeliveryResult {
        DeliveryResult::Failed(DeliveryFailure { class, text: "451 later".into() })
    }

    fn rests(class: FailureClass, attempts: u32, is_known: bool) -> u64 {
        let at = Circumstances { attempts, is_known, was_hurried: false };
        delay(&failed(class), at, &Policy::default()).unwrap().as_secs()
    }

    #[test]
    fn whoever_is_put_off_for_long_while_others_have_got_it_is_asked_every_quarter_of_an_hour() {
        let rests_of = |is_known| -> Vec<u64> {
            [0, 1, 4, 11, 12, 13, 16, 17, 400].map(|n| rests(FailureClass::Deferred, n, is_known)).into()
        };

        assert_eq!(rests_of(true), [2, 4, 30, 30, 60, 120, 900, 900, 900]);
        assert_eq!(rests_of(false), [2, 4, 30, 30, 30, 30, 30, 30, 30], "nobody knows yet");
        let until_slow: u64 = (0..GREYLISTED).map(|n| rests(FailureClass::Deferred, n, true)).sum();
        assert!(until_slow >= 240, "{until_slow} s");
    }

    #[test]
    fn every_class_rests_and_never_longer_than_a_quarter_of_an_hour() {
        for class in FailureClass::ALL {
            for attempts in [0, 1, 12, 13, 1000, u32::MAX] {
                for is_known in [false, true] {
                    let rest = rests(class, attempts, is_known);
                    assert!((2..=900).contains(&rest), "{class:?} {attempts}: {rest} s");
                }
            }
        }
    }

    #[test]
    fn what_the_old_configuration_was_refused_for_is_tried_at_once() {
        let at = Circumstances { attempts: 3, is_known: false, was_hurried: true };
        for result in [failed(FailureClass::Refused), DeliveryResult::Rejected("550".into())] {
            assert_eq!(delay(&result, at, &Policy::default()), Some(Duration::ZERO));
        }
        assert_eq!(delay(&DeliveryResult::Accepted, at, &Policy::default()), None);
    }
}
