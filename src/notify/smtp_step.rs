//! The steps of a session with a relay, and what it means when one of them fails: a class, whether it is for good, and
//! whether another address of the relay is worth a try.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lettre::Address;

use crate::model::delivery::{DeliveryFailure, FailureClass};
use crate::render::harmless;

use super::reply::Unread;
use super::smtp_connection::Trouble;
use crate::model::error_chain::{causes, innermost};

/// What a relay says is shown up to this length, in characters.
pub(super) const SAID: usize = 240;

/// Failures of single addresses that are reported together.
const TOLD: usize = 4;

/// Why nothing was taken.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) class: FailureClass,
    /// Whether the relay refused permanently.
    pub(crate) is_permanent: bool,
    /// What was being done, and the server's answer.
    pub(crate) text: String,
    /// The server's answer alone.
    pub(super) said: String,
}

/// Why a session with one address of the relay came to nothing.
#[derive(Debug)]
pub(super) struct SessionFailure {
    pub(super) failure: Failure,
    /// Whether this says nothing about the other addresses: the machine there is closed, closing or not itself, and the
    /// message has not been handed over.
    pub(super) is_of_address: bool,
}

/// Steps of a session, as a person reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Connect(SocketAddr),
    StartTls(SocketAddr),
    Login,
    Sender,
    Recipient(&'a Address),
    Data,
    Content,
}

/// Runs one step under its deadline and says what its failure means.
pub(super) async fn within<T>(
    deadline: Duration,
    step: Step<'_>,
    act: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, SessionFailure> {
    match tokio::time::timeout(deadline, act).await {
        Ok(result) => result.map_err(|trouble| classify(step, &trouble)),
        Err(_) => Err(late(step, deadline)),
    }
}

/// Runs what leads up to a dialogue under its deadline and says what its failure means.
pub(super) async fn reach<T>(
    deadline: Duration,
    step: Step<'_>,
    act: impl Future<Output = io::Result<T>>,
) -> Result<T, SessionFailure> {
    match tokio::time::timeout(deadline, act).await {
        Ok(result) => result.map_err(|error| session_failure(step, None, broken(step, &error), &innermost(&error))),
        Err(_) => Err(late(step, deadline)),
    }
}

fn late(step: Step<'_>, deadline: Duration) -> SessionFailure {
    let class = if step.is_handing_over() { FailureClass::Uncertain } else { FailureClass::TimedOut };
    session_failure(step, None, class, &format!("no answer within {deadline:?}"))
}

fn classify(step: Step<'_>, trouble: &Trouble) -> SessionFailure {
    let status = match trouble {
        Trouble::Refused(reply) => Some(reply.code()),
        Trouble::Unread(_) | Trouble::Unsent(_) | Trouble::Unfit(_) => None,
    };
    let class = match (step, status, trouble) {
        (Step::StartTls(_), Some(_), _) | (Step::StartTls(_), None, Trouble::Unfit(_)) => FailureClass::Untrusted,
        (Step::Login, Some(_), _) | (Step::Login, None, Trouble::Unfit(_)) => FailureClass::CredentialRefused,
        (Step::Sender, Some(530 | 534 | 535), _) => FailureClass::CredentialRefused,
        (_, Some(400..=499), _) => FailureClass::Deferred,
        (_, Some(500..=599), _) => FailureClass::Refused,
        // Neither yes nor no: 250 where 354 was due.
        (_, Some(_), _) => FailureClass::Broken,
        (step, None, _) if step.is_handing_over() => FailureClass::Uncertain,
        (_, None, Trouble::Unread(Unread::Io(error)) | Trouble::Unsent(error)) => broken(step, error),
        (_, None, _) => FailureClass::Broken,
    };
    // A relay may repeat what it was sent; at login that is the password.
    let why = match (step, trouble) {
        (Step::Login, Trouble::Refused(reply)) => format!("{} login rejected", reply.code()),
        (Step::Login, Trouble::Unread(Unread::Garbage(_))) => "an answer that is no SMTP reply".to_owned(),
        _ => innermost(trouble),
    };
    session_failure(step, status, class, &why)
}

fn session_failure(step: Step<'_>, status: Option<u16>, class: FailureClass, why: &str) -> SessionFailure {
    let is_permanent = status.is_some_and(|status| status >= 500) && class != FailureClass::Untrusted;
    let said = harmless::line(why, SAID);
    let is_of_address = match step {
        Step::Connect(_) | Step::StartTls(_) => true,
        // After that the message may have been accepted, whether or not there is an answer.
        Step::Content => false,
        // RFC 5321 section 3.8: 421 closes the connection at any step.
        Step::Login | Step::Sender | Step::Recipient(_) | Step::Data => {
            status == Some(421) || status.is_none() && class != FailureClass::CredentialRefused
        }
    };
    SessionFailure { failure: Failure { class, is_permanent, text: format!("{step}: {said}"), said }, is_of_address }
}

/// What a broken connection means at `step`: no connection, no TLS, or no sense in what comes.
fn broken(step: Step<'_>, error: &(dyn Error + 'static)) -> FailureClass {
    let io = causes(error).find_map(|error| error.downcast_ref::<io::Error>());
    match (step, io.map(io::Error::kind)) {
        (Step::Connect(_) | Step::StartTls(_), _) if super::is_tls(error) => FailureClass::Untrusted,
        (Step::Connect(_) | Step::StartTls(_), Some(io::ErrorKind::UnexpectedEof)) => FailureClass::Untrusted,
        // It answers, but nothing that could be an answer.
        (_, Some(io::ErrorKind::InvalidData)) => FailureClass::Broken,
        (Step::Connect(_), Some(_)) => FailureClass::Unreachable,
        (Step::StartTls(_), Some(_)) => FailureClass::Untrusted,
        _ => FailureClass::Broken,
    }
}

impl Failure {
    /// A fault of ours.
    pub(super) fn own(text: String) -> Self {
        Self::of(FailureClass::Broken, text)
    }

    /// One that may pass.
    pub(super) fn of(class: FailureClass, text: String) -> Self {
        Self { class, is_permanent: false, said: text.clone(), text }
    }

    /// What the addresses of a relay came to. Where the last of them let us in, its answer decides, else it is for good
    /// only where each of them says so.
    pub(super) fn of_all(mut failures: Vec<Self>, last_decides: bool) -> Self {
        let Some(last) = failures.pop() else { return Self::own("the relay has no address to dial".into()) };
        if failures.is_empty() {
            return last;
        }
        let is_permanent = last.is_permanent && (last_decides || failures.iter().all(|failure| failure.is_permanent));
        let class = failures.iter().chain([&last]).find(|failure| failure.is_permanent == is_permanent);
        let class = class.filter(|_| !last_decides).map_or(last.class, |failure| failure.class);
        let more = failures.len().saturating_sub(TOLD - 1);
        let mut texts: Vec<String> = failures.into_iter().take(TOLD - 1).map(|failure| failure.text).collect();
        if more > 0 {
            texts.push(format!("{more} more addresses failed as well"));
        }
        texts.push(last.text);
        Self { class, is_permanent, text: texts.join("; "), said: last.said }
    }
}

impl From<Failure> for DeliveryFailure {
    /// A relay that wants a login, where none is configured, refuses until a person configures one.
    fn from(failure: Failure) -> Self {
        let class = if failure.is_permanent { FailureClass::Refused } else { failure.class };
        Self { class, text: failure.text }
    }
}

impl Step<'_> {
    /// Whether the relay may have accepted the message although there is no answer.
    const fn is_handing_over(self) -> bool {
        matches!(self, Self::Content)
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(address) => write!(f, "connecting to the relay at {address}"),
            Self::StartTls(address) => write!(f, "upgrading to TLS at {address}"),
            Self::Login => f.write_str("logging in"),
            Self::Sender => f.write_str("naming the sender"),
            Self::Recipient(recipient) => write!(f, "naming recipient {recipient}"),
            Self::Data => f.write_str("asking to hand over the message"),
            Self::Content => f.write_str("handing over the message"),
        }
    }
}
