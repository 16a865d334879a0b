//! One SMTP session: a fresh connection, one transaction, a deadline for every step.
//!
//! Decides which step follows, how long it may last, which address of the relay is tried, and what became of each
//! recipient. `smtp_connection.rs` sends and receives, `smtp_step.rs` classifies failures.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};

use crate::model::delivery::FailureClass;
use crate::render::harmless;

use super::smtp_connection::SmtpConnection;
use super::smtp_step::{Failure, SAID, SessionFailure, Step, reach, within};
use super::transport::{self, Expected};

/// Longest that a connection attempt lasts.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest that it lasts where another address is left, so that a machine that is gone costs an alert little: enough
/// for one repetition of a lost SYN, which Linux sends after a second.
const CONNECT_ONE_OF_SEVERAL: Duration = Duration::from_millis(1500);

/// How the connection is protected.
#[derive(Clone)]
pub(super) enum Protection {
    StartTls(Expected),
    Implicit(Expected),
    Plain,
}

/// Everything one session needs.
pub(super) struct SmtpJob<'a> {
    pub(super) addresses: &'a [SocketAddr],
    pub(super) hello: ClientId,
    pub(super) protection: Protection,
    pub(super) login: Option<Credentials>,
    pub(super) from: &'a Address,
    pub(super) to: Vec<Address>,
    pub(super) mime_message: &'a [u8],
    /// Set once the message is being handed over: from then on it may have been accepted.
    pub(super) is_handed_over: &'a AtomicBool,
    /// Deadline of each step.
    pub(super) step: Duration,
}

/// How far a session came.
pub(super) struct SessionOutcome {
    /// The relay's last word, `250 2.0.0 Ok: queued as 4F2A`, or why nothing was taken.
    pub(super) taken: Result<Taken, Failure>,
    /// Recipients that the relay refused for good, and its answers.
    pub(super) refused: Vec<(Address, String)>,
    /// Recipients it refused for now, and why.
    pub(super) later: Vec<(Address, Failure)>,
}

/// What the relay took.
pub(super) struct Taken {
    /// Its last word.
    pub(super) answer: String,
    /// Recipients it took responsibility for.
    pub(super) recipients: Vec<Address>,
    /// Still open, for a polite end.
    pub(super) connection: SmtpConnection,
}

/// What the relay says to the recipients of a mail.
#[derive(Default)]
struct Named {
    taken: Vec<Address>,
    later: Vec<(Address, Failure)>,
    refused: Vec<(Address, Failure)>,
}

/// Goes through all steps up to the relay's final acceptance, at the first of its addresses that lets it. An address
/// that does not greet, greets with a refusal, fails at TLS or closes before the message is handed over is one
/// machine's trouble and not the relay's answer.
pub(super) async fn deliver(job: &SmtpJob<'_>) -> SessionOutcome {
    let mut failures = Vec::new();
    let mut is_decided = false;
    for (number, address) in job.addresses.iter().enumerate() {
        let is_last = number + 1 == job.addresses.len();
        if matches!(job.protection, Protection::Plain) && !address.ip().is_loopback() {
            let text = format!("{address} is not this machine, and mail without TLS goes only to loopback");
            failures.push(Failure::own(text));
            continue;
        }
        let patience = if is_last { CONNECT } else { CONNECT_ONE_OF_SEVERAL };
        match transact(job, *address, patience).await {
            Ok(outcome) => return outcome,
            Err(SessionFailure { failure, is_of_address }) => {
                failures.push(failure);
                if !is_of_address {
                    is_decided = true;
                    break;
                }
            }
        }
    }
    let failure = Failure::of_all(failures, is_decided);
    SessionOutcome { taken: Err(failure), refused: Vec::new(), later: Vec::new() }
}

/// One transaction with the relay at one address.
async fn transact(
    job: &SmtpJob<'_>,
    address: SocketAddr,
    patience: Duration,
) -> Result<SessionOutcome, SessionFailure> {
    let mut connection = greet(job, address, patience).await?;
    if let Some(login) = &job.login {
        within(job.step, Step::Login, connection.log_in(login)).await?;
    }
    let needs_utf8 = job.to.iter().chain([job.from]).any(|address| !address.to_string().is_ascii());
    let parameters = (needs_utf8 && connection.offers("SMTPUTF8")).then_some(MailParameter::SmtpUtfEight);
    let sender = Mail::new(Some(job.from.clone()), parameters.into_iter().collect()).to_string();
    within(job.step, Step::Sender, connection.command(&sender)).await?;

    let Named { taken, later, refused: no } = name_recipients(job, &mut connection).await?;
    let refused = no.iter().map(|(to, failure)| (to.clone(), failure.said.clone())).collect();
    if taken.is_empty() {
        // The answer to those who may still get it, if there are any.
        let no = later.iter().chain(&no).next().map(|(_, failure)| failure.clone());
        let failure = no.unwrap_or_else(|| Failure::own("nobody to send it to".into()));
        return Ok(SessionOutcome { taken: Err(failure), refused, later });
    }
    let answer = match hand_over(job, &mut connection).await {
        Ok(answer) => answer,
        Err(session_failure) if session_failure.is_of_address => return Err(session_failure),
        Err(SessionFailure { failure, .. }) => return Ok(SessionOutcome { taken: Err(failure), refused, later }),
    };
    let taken = Taken { answer, recipients: taken, connection };
    Ok(SessionOutcome { taken: Ok(taken), refused, later })
}

/// Sends the message itself; only the relay's answer to its last line makes it the relay's.
async fn hand_over(job: &SmtpJob<'_>, connection: &mut SmtpConnection) -> Result<String, SessionFailure> {
    within(job.step, Step::Data, connection.opening(&Data.to_string())).await?;
    job.is_handed_over.store(true, Ordering::Relaxed);
    let answer = within(job.step, Step::Content, connection.content(job.mime_message)).await?;
    Ok(harmless::line(&answer.text(), SAID))
}

/// Dials one address, exchanges greetings, and encrypts.
async fn greet(job: &SmtpJob<'_>, address: SocketAddr, patience: Duration) -> Result<SmtpConnection, SessionFailure> {
    let step = Step::Connect(address);
    let (line, meter) = reach(patience.min(job.step), step, transport::dial(address)).await?;
    let mut connection: SmtpConnection = match &job.protection {
        Protection::Plain => SmtpConnection::over(Box::new(line), meter),
        Protection::Implicit(expected) => {
            let line = reach(job.step, step, expected.encrypt(line, &meter)).await?;
            SmtpConnection::over(Box::new(line), meter)
        }
        Protection::StartTls(expected) => {
            let mut open = SmtpConnection::over(line, meter);
            within(job.step, step, open.greeting()).await?;
            within(job.step, step, open.ehlo(&job.hello)).await?;
            let step = Step::StartTls(address);
            let (line, meter) = within(job.step, step, open.starttls()).await?;
            let line = reach(job.step, step, expected.encrypt(line, &meter)).await?;
            let mut closed: SmtpConnection = SmtpConnection::over(Box::new(line), meter);
            within(job.step, step, closed.ehlo(&job.hello)).await?;
            return Ok(closed);
        }
    };
    within(job.step, step, connection.greeting()).await?;
    within(job.step, step, connection.ehlo(&job.hello)).await?;
    Ok(connection)
}

/// One mistyped or departed recipient must not keep the mail from the others.
async fn name_recipients(job: &SmtpJob<'_>, connection: &mut SmtpConnection) -> Result<Named, SessionFailure> {
    let mut named = Named::default();
    for recipient in &job.to {
        let command = Rcpt::new(recipient.clone(), Vec::new()).to_string();
        match within(job.step, Step::Recipient(recipient), connection.command(&command)).await {
            Ok(_) => named.taken.push(recipient.clone()),
            // The relay closes, whomever this was about.
            Err(session_failure) if session_failure.is_of_address => return Err(session_failure),
            Err(SessionFailure { failure, .. }) if failure.class == FailureClass::Deferred => {
                named.later.push((recipient.clone(), failure));
            }
            Err(SessionFailure { failure, .. }) if failure.class == FailureClass::Refused => {
                named.refused.push((recipient.clone(), failure));
            }
            Err(session_failure) => return Err(session_failure),
        }
    }
    Ok(named)
}
