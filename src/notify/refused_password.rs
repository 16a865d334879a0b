//! The password that the relay has refused, so that it is not shown there again and again.
//!
//! Passwords are rotated while mail waits: the relay knows the new one already, the file has the old one. The mail must
//! go as soon as the file has changed, so it is tried again as often as any other; but a login that fails every half
//! minute is what relays lock accounts and addresses for (fail2ban's default is five in ten minutes). So the relay is
//! asked again at once with another password, and with the same one only now and then. Used by `email.rs`.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Sleep;

/// Time between two attempts with one refused password: the fault may have been the relay's.
const AGAIN: Duration = Duration::from_secs(300);

/// What was refused last.
#[derive(Default)]
pub(super) struct RefusedPassword(Mutex<Option<RefusedLogin>>);

struct RefusedLogin {
    password: SecretString,
    /// Ends when the password may be tried again.
    until: Pin<Box<Sleep>>,
}

impl RefusedPassword {
    /// Remembers a refusal. Needs a tokio runtime.
    pub(super) fn remember(&self, password: SecretString) {
        let mut until = Box::pin(tokio::time::sleep(AGAIN));
        // A sleep runs from when it is first asked.
        let _is_over = until.as_mut().now_or_never();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(RefusedLogin { password, until });
    }

    /// Whether this very password was refused a short while ago.
    pub(super) fn knows(&self, password: &SecretString) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_the_same = |memory: &mut RefusedLogin| {
            memory.password.expose_secret() == password.expose_secret()
                && memory.until.as_mut().now_or_never().is_none()
        };
        let holds = known.as_mut().is_some_and(is_the_same);
        if !holds {
            *known = None;
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_password_rests_for_five_minutes_and_another_one_does_not() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let refused = RefusedPassword::default();
        assert!(!refused.knows(&secret("old")));

        refused.remember(secret("old"));
        tokio::time::advance(Duration::from_millis(299_990)).await;
        assert!(refused.knows(&secret("old")));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!refused.knows(&secret("old")));

        refused.remember(secret("old"));
        assert!(!refused.knows(&secret("new")));
        assert!(!refused.knows(&secret("old")), "once another one was there, the old one is worth a try again");
    }
}
