//! One SMTP talk: a fresh connection, one transaction, a deadline for every step.
//!
//! lettre speaks the protocol; this file decides which step follows, how long it may last, and what its failure means.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;

use crate::model::message::{DeliveryFailure, FailureClass, Receipt};
use crate::render::harmless;

use super::innermost;
use super::line::{self, Expected};

/// Longest that a connection attempt to one of several addresses lasts, so that a dead first one leaves time.
const DIAL: Duration = Duration::from_secs(3);

/// What a relay says is shown up to this length.
const SAID: usize = 240;

/// How the connection is protected.
#[derive(Clone)]
pub(super) enum Protection {
    StartTls(TlsParameters),
    Implicit(Expected),
    Plain,
}

/// Everything one talk needs.
pub(super) struct Errand<'a> {
    pub(super) addresses: &'a [SocketAddr],
    pub(super) hello: ClientId,
    pub(super) protection: Protection,
    pub(super) login: Option<Credentials>,
    pub(super) from: &'a Address,
    pub(super) to: Vec<Address>,
    pub(super) letter: &'a [u8],
    /// Deadline of each step.
    pub(super) step: Duration,
}

/// What the relay took.
pub(super) struct Taken {
    /// Its last word: `250 2.0.0 Ok: queued as 4F2A`.
    pub(super) answer: String,
    /// Recipients it took responsibility for.
    pub(super) recipients: Vec<Address>,
    /// Recipients it refused for now, and what it said.
    pub(super) later: Vec<(Address, String)>,
    /// Recipients it refused for good, and what it said.
    pub(super) refused: Vec<(Address, String)>,
    /// Still open, for a polite end.
    pub(super) connection: AsyncSmtpConnection,
}

/// Why nothing was taken.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: FailureClass,
    /// Whether the relay said no for good.
    pub(crate) is_permanent: bool,
    /// What was being done, and what the other side said.
    pub(crate) text: String,
}

/// Steps of a talk, as a person reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Connect(SocketAddr),
    StartTls,
    Login,
    Sender,
    Recipient(&'a Address),
    Data,
    Content,
}

/// Goes through all steps up to the relay's final acceptance.
pub(super) async fn talk(errand: &Errand<'_>) -> Result<Taken, Failure> {
    let mut connection = connect(errand).await?;
    if let Protection::StartTls(tls) = &errand.protection {
        let upgrade = connection.starttls(tls.clone(), &errand.hello);
        within(errand.step, Step::StartTls, upgrade).await?;
    }
    if let Some(login) = &errand.login {
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        within(errand.step, Step::Login, connection.auth(&mechanisms, login)).await?;
    }

    let parameters = if errand.to.iter().chain([errand.from]).any(|address| !address.to_string().is_ascii())
        && connection.server_info().supports_feature(Extension::SmtpUtfEight)
    {
        vec![MailParameter::SmtpUtfEight]
    } else {
        Vec::new()
    };
    let sender = Mail::new(Some(errand.from.clone()), parameters);
    within(errand.step, Step::Sender, connection.command(sender)).await?;
    let mut taken =
        Taken { answer: String::new(), recipients: Vec::new(), later: Vec::new(), refused: Vec::new(), connection };
    name_recipients(errand, &mut taken).await?;
    within(errand.step, Step::Data, taken.connection.command(Data)).await?;
    let answer = within(errand.step, Step::Content, taken.connection.message(errand.letter)).await?;
    taken.answer = said(&answer);
    Ok(taken)
}

/// Dials the addresses in turn until one greets.
async fn connect(errand: &Errand<'_>) -> Result<AsyncSmtpConnection, Failure> {
    let mut last = Failure::own("the relay has no address to dial".into());
    for address in errand.addresses {
        if matches!(errand.protection, Protection::Plain) && !address.ip().is_loopback() {
            last = Failure::own(format!("{address} is not this machine, and mail without TLS goes only to loopback"));
            continue;
        }
        match greet(errand, *address).await {
            Ok(connection) => return Ok(connection),
            Err(failure) if matches!(failure.class, FailureClass::Connect | FailureClass::Timeout) => last = failure,
            Err(failure) => return Err(failure),
        }
    }
    Err(last)
}

/// Dials one address and exchanges greetings.
async fn greet(errand: &Errand<'_>, address: SocketAddr) -> Result<AsyncSmtpConnection, Failure> {
    let step = Step::Connect(address);
    let line = reach(DIAL.min(errand.step), step, line::dial(address)).await?;
    let line: Box<dyn AsyncTokioStream> = match &errand.protection {
        Protection::Implicit(expected) => Box::new(reach(errand.step, step, expected.encrypt(line)).await?),
        Protection::StartTls(_) | Protection::Plain => Box::new(line),
    };
    within(errand.step, step, AsyncSmtpConnection::connect_with_transport(line, &errand.hello)).await
}

/// Runs what leads up to the greeting under its deadline and says what its failure means.
async fn reach<T>(deadline: Duration, step: Step<'_>, act: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    let failed = |class, why: &str| Failure { class, is_permanent: false, text: format!("{step}: {why}") };
    tokio::time::timeout(deadline, act)
        .await
        .map_err(|_| failed(FailureClass::Timeout, &format!("no answer within {deadline:?}")))?
        .map_err(|error| failed(connect_class(&error), &harmless::line(&innermost(&error), SAID)))
}

/// One mistyped or departed recipient must not keep the mail from the others.
async fn name_recipients(errand: &Errand<'_>, taken: &mut Taken) -> Result<(), Failure> {
    let mut first_no = None;
    for recipient in &errand.to {
        let command = Rcpt::new(recipient.clone(), Vec::new());
        match within(errand.step, Step::Recipient(recipient), taken.connection.command(command)).await {
            Ok(_) => taken.recipients.push(recipient.clone()),
            Err(failure) if failure.class == FailureClass::Temporary => {
                taken.later.push((recipient.clone(), failure.text.clone()));
                first_no = Some(failure);
            }
            Err(failure) if failure.class == FailureClass::Permanent => {
                taken.refused.push((recipient.clone(), failure.text.clone()));
                first_no = first_no.or(Some(failure));
            }
            Err(failure) => return Err(failure),
        }
    }
    match first_no {
        Some(failure) if taken.recipients.is_empty() => Err(failure),
        _ => Ok(()),
    }
}

/// Runs one step under its deadline and says what its failure means.
async fn within<T>(
    deadline: Duration,
    step: Step<'_>,
    act: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(deadline, act).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(step, &error)),
        Err(_) => Err(Failure {
            class: FailureClass::Timeout,
            is_permanent: false,
            text: format!("{step}: no answer within {deadline:?}"),
        }),
    }
}

fn classify(step: Step<'_>, error: &lettre::transport::smtp::Error) -> Failure {
    let status = error.status().map(u16::from);
    let class = match (step, status) {
        (Step::StartTls, _) => FailureClass::Tls,
        (Step::Login, Some(_)) | (Step::Sender, Some(530 | 534 | 535)) => FailureClass::Auth,
        (_, Some(400..=499)) => FailureClass::Temporary,
        (_, Some(_)) => FailureClass::Permanent,
        (_, None) if error.is_timeout() => FailureClass::Timeout,
        (Step::Connect(_), None) => connect_class(error),
        (Step::Login, None) if error.is_client() => FailureClass::Auth,
        (_, None) => FailureClass::Other,
    };
    let is_permanent = status.is_some_and(|status| status >= 500) && class != FailureClass::Tls;
    // A relay may repeat what it was sent; at login that is the password.
    let why = match (step, status) {
        (Step::Login, Some(status)) => format!("{status} login refused"),
        (_, Some(status)) => format!("{status} {}", innermost(error)),
        (_, None) => innermost(error),
    };
    Failure { class, is_permanent, text: format!("{step}: {}", harmless::line(&why, SAID)) }
}

/// What hinders us from a greeting: no connection, no TLS, or no sense in what comes.
fn connect_class(error: &(dyn Error + 'static)) -> FailureClass {
    let mut io: Option<&io::Error> = None;
    let mut next = Some(error);
    while let Some(current) = next {
        io = io.or(current.downcast_ref());
        next = current.source();
    }
    match io.map(io::Error::kind) {
        _ if super::is_tls(error) => FailureClass::Tls,
        Some(io::ErrorKind::UnexpectedEof) => FailureClass::Tls,
        // It answers, but nothing that could be an answer.
        Some(io::ErrorKind::InvalidData) => FailureClass::Other,
        Some(_) => FailureClass::Connect,
        None => FailureClass::Other,
    }
}

fn said(response: &Response) -> String {
    let words: Vec<&str> = response.message().collect();
    harmless::line(&format!("{} {}", response.code(), words.join(" ")), SAID)
}

impl Failure {
    /// A fault of ours.
    pub(super) const fn own(text: String) -> Self {
        Self { class: FailureClass::Other, is_permanent: false, text }
    }
}

impl From<Failure> for Receipt {
    fn from(failure: Failure) -> Self {
        let told = DeliveryFailure { class: failure.class, text: failure.text };
        if failure.is_permanent { Self::Rejected(told) } else { Self::Retry(told) }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(address) => write!(f, "connecting to the relay at {address}"),
            Self::StartTls => f.write_str("upgrading to TLS"),
            Self::Login => f.write_str("logging in"),
            Self::Sender => f.write_str("naming the sender"),
            Self::Recipient(recipient) => write!(f, "naming recipient {recipient}"),
            Self::Data => f.write_str("asking to hand over the message"),
            Self::Content => f.write_str("handing over the message"),
        }
    }
}
