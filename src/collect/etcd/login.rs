//! The token that one etcd member issues for a user name and a password.
//!
//! For an etcd with authentication on. Each member is asked for its own token: one member's token is valid at all of
//! them, but with a shared one every member would wait for one that hangs. Issuing goes through raft, so it needs a
//! quorum, and costs the member a bcrypt check: there is one login at a time, and it may last longer than the round
//! that needed it. A token that is used every few seconds does not expire. Knows nothing of connections;
//! `authenticating.rs` asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::config::blocking::BlockingPool;
use crate::config::settings::Login;
use crate::model::phase::Unseen;
use crate::model::time::Mono;

/// A file system that does not answer for this long leaves us without the password.
const FILES_DEADLINE: Duration = Duration::from_millis(500);
/// A password that was refused is not tried again for this long: checking one costs etcd a tenth of a second of a core.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Name, password, and the token they have so far.
pub(super) struct EtcdLogin {
    login: Login,
    files: BlockingPool,
    token_state: Mutex<TokenState>,
}

/// The result of a login: a token, that none is needed, or the reason why there is none.
pub(super) type Authentication = watch::Receiver<Outcome>;
/// `None` while the login is under way.
pub(super) type Outcome = Option<Result<TokenState, Unseen>>;

/// The state of the login at the member.
#[derive(Debug, Clone)]
pub(super) enum TokenState {
    /// No token yet, or it was refused.
    None,
    /// A login is under way; requests wait here for its token.
    Buying(Authentication),
    /// A token.
    Token(HeaderValue),
    /// The member needs none: authentication is off.
    Needless,
    /// The password was refused.
    Refused(Mono),
}

impl EtcdLogin {
    pub(super) fn new(login: Login) -> Self {
        Self { login, files: BlockingPool::new(1), token_state: Mutex::new(TokenState::None) }
    }

    /// The user name.
    pub(super) const fn login(&self) -> &Login {
        &self.login
    }

    /// The token at `now`.
    pub(super) fn token_state(&self, now: Mono) -> TokenState {
        let mut token_state = self.token_state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*token_state, TokenState::Refused(since) if now.since(*since) >= AFTER_REFUSAL) {
            *token_state = TokenState::None;
        }
        token_state.clone()
    }

    /// Where the login's result will arrive; the caller that gets the sender must log in.
    pub(super) fn join(&self) -> (Option<watch::Sender<Outcome>>, Authentication) {
        let mut token_state = self.token_state.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a sender the login task has panicked, and no result would ever come.
        if let TokenState::Buying(authentication) = &*token_state
            && (authentication.borrow().is_some() || authentication.has_changed().is_ok())
        {
            return (None, authentication.clone());
        }
        let (notify, authentication) = watch::channel(None);
        *token_state = TokenState::Buying(authentication.clone());
        (Some(notify), authentication)
    }

    pub(super) fn hold(&self, token_state: TokenState) {
        *self.token_state.lock().unwrap_or_else(PoisonError::into_inner) = token_state;
    }

    pub(super) fn user(&self) -> &str {
        &self.login.username
    }

    /// The password as it is now; `None` when it cannot be read.
    pub(super) async fn password(&self) -> Option<SecretString> {
        let source = self.login.password.clone();
        let read = self.files.run(FILES_DEADLINE, move || source.read_line()).await?;
        read.inspect_err(|error| tracing::warn!("credentials: {error}")).ok()
    }
}

impl TokenState {
    /// The token that an answer holds; `None` when it is no header value.
    pub(super) fn of(token: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(token).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(Self::Token(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Source;

    #[test]
    fn a_refused_password_rests_for_a_minute() {
        let login = Login { username: "vedette".into(), password: Source::Env("UNSET".into()) };
        let etcd_login = EtcdLogin::new(login);

        etcd_login.hold(TokenState::Refused(Mono::ORIGIN));

        assert!(matches!(etcd_login.token_state(Mono(Duration::from_secs(59))), TokenState::Refused(_)));
        assert!(matches!(etcd_login.token_state(Mono(Duration::from_secs(60))), TokenState::None));
    }

    #[test]
    fn one_purchase_serves_all_who_wait_and_a_dead_one_is_made_again() {
        let login = Login { username: "vedette".into(), password: Source::Env("UNSET".into()) };
        let etcd_login = EtcdLogin::new(login);

        let (first, _) = etcd_login.join();
        let (second, waiting) = etcd_login.join();
        assert!(first.is_some() && second.is_none());
        first.unwrap().send_replace(Some(Ok(TokenState::Needless)));
        assert!(matches!(&*waiting.borrow(), Some(Ok(TokenState::Needless))));

        etcd_login.hold(TokenState::None);
        drop(etcd_login.join());
        assert!(etcd_login.join().0.is_some());
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_none() {
        assert!(matches!(TokenState::of("abc.12"), Some(TokenState::Token(_))));
        assert!(TokenState::of("a\nb").is_none());
        assert!(TokenState::of("").is_none());
    }
}
