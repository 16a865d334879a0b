//! The token that a user name and a password buy from one member.
//!
//! For an etcd with authentication on. Every member is asked for itself: a token bought from one is good at all, but
//! none of them shall wait for a frozen other. Buying goes through raft, so it needs a quorum, and costs the member the
//! slow hash of a password: it happens once at a time and may outlast the round that wanted it. A token that is in use
//! every few seconds does not run out. Knows nothing of connections; `line.rs` asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::config::aside::Aside;
use crate::config::settings::Login;
use crate::model::phase::Unseen;
use crate::model::time::Mono;

/// A file system that does not answer for this long leaves us without the password.
const FILES_DEADLINE: Duration = Duration::from_millis(500);
/// A password that was refused is not tried again for this long: checking one costs etcd a tenth of a second of a core.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Name, password, and what they have bought so far.
pub(super) struct Entrance {
    login: Login,
    files: Aside,
    ticket: Mutex<Ticket>,
}

/// Where a purchase ends: with a token, with none wanted, or with the reason why not.
pub(super) type Purchase = watch::Receiver<Outcome>;
/// `None` while the purchase is under way.
pub(super) type Outcome = Option<Result<Ticket, Unseen>>;

/// How we stand with the member.
#[derive(Debug, Clone)]
pub(super) enum Ticket {
    /// Nothing was bought yet, or what was bought is void.
    None,
    /// One is being bought; whoever needs it waits here.
    Buying(Purchase),
    /// A token.
    Token(HeaderValue),
    /// The member wants none: authentication is off.
    Needless,
    /// The password was refused.
    Refused(Mono),
}

impl Entrance {
    pub(super) fn new(login: Login) -> Self {
        Self { login, files: Aside::new(1), ticket: Mutex::new(Ticket::None) }
    }

    /// Who enters.
    pub(super) const fn login(&self) -> &Login {
        &self.login
    }

    /// What is held at `now`.
    pub(super) fn ticket(&self, now: Mono) -> Ticket {
        let mut ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*ticket, Ticket::Refused(since) if now.since(*since) >= AFTER_REFUSAL) {
            *ticket = Ticket::None;
        }
        ticket.clone()
    }

    /// Where the purchase will end; whoever gets the sender must make it.
    pub(super) fn join(&self) -> (Option<watch::Sender<Outcome>>, Purchase) {
        let mut ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a sender the task that went to buy has died, and nobody would ever answer.
        if let Ticket::Buying(purchase) = &*ticket
            && (purchase.borrow().is_some() || purchase.has_changed().is_ok())
        {
            return (None, purchase.clone());
        }
        let (tell, purchase) = watch::channel(None);
        *ticket = Ticket::Buying(purchase.clone());
        (Some(tell), purchase)
    }

    pub(super) fn hold(&self, ticket: Ticket) {
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = ticket;
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

impl Ticket {
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
        let entrance = Entrance::new(login);

        entrance.hold(Ticket::Refused(Mono::ORIGIN));

        assert!(matches!(entrance.ticket(Mono(Duration::from_secs(59))), Ticket::Refused(_)));
        assert!(matches!(entrance.ticket(Mono(Duration::from_secs(60))), Ticket::None));
    }

    #[test]
    fn one_purchase_serves_all_who_wait_and_a_dead_one_is_made_again() {
        let login = Login { username: "vedette".into(), password: Source::Env("UNSET".into()) };
        let entrance = Entrance::new(login);

        let (first, _) = entrance.join();
        let (second, waiting) = entrance.join();
        assert!(first.is_some() && second.is_none());
        first.unwrap().send_replace(Some(Ok(Ticket::Needless)));
        assert!(matches!(&*waiting.borrow(), Some(Ok(Ticket::Needless))));

        entrance.hold(Ticket::None);
        drop(entrance.join());
        assert!(entrance.join().0.is_some());
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_none() {
        assert!(matches!(Ticket::of("abc.12"), Some(Ticket::Token(_))));
        assert!(Ticket::of("a\nb").is_none());
        assert!(Ticket::of("").is_none());
    }
}
