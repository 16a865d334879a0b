//! One SMTP talk: a fresh connection, one transaction, a deadline for every step.
//!
//! Decides which step follows, how long it may last, which address of the relay is tried, and what became of each
//! recipient. `dialogue.rs` speaks, `step.rs` says what a failure means.

use std::net::SocketAddr;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};

use crate::model::message::FailureClass;
use crate::render::harmless;

use super::dialogue::Dialogue;
use super::line::{self, Expected};
use super::step::{Failure, SAID, Setback, Step, reach, within};

/// Longest that a connection attempt to one of several addresses lasts, so that a dead first one leaves time.
const DIAL: Duration = Duration::from_secs(3);

/// How the connection is protected.
#[derive(Clone)]
pub(super) enum Protection {
    StartTls(Expected),
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

/// How far a talk came.
pub(super) struct Talked {
    /// The relay's last word, `250 2.0.0 Ok: queued as 4F2A`, or why nothing was taken.
    pub(super) taken: Result<Taken, Failure>,
    /// Recipients that the relay refused for good, and what it said.
    pub(super) refused: Vec<(Address, String)>,
}

/// What the relay took.
pub(super) struct Taken {
    /// Its last word.
    pub(super) answer: String,
    /// Recipients it took responsibility for.
    pub(super) recipients: Vec<Address>,
    /// Recipients it refused for now, and what it said.
    pub(super) later: Vec<(Address, String)>,
    /// Still open, for a polite end.
    pub(super) dialogue: Dialogue,
}

/// What the relay says to the recipients of a mail.
#[derive(Default)]
struct Named {
    taken: Vec<Address>,
    later: Vec<(Address, Failure)>,
    refused: Vec<(Address, Failure)>,
}

/// Goes through all steps up to the relay's final acceptance, at the first of its addresses that lets it. An address
/// that does not greet, greets with a refusal, fails at TLS or closes before the message is handed over is one machine's
/// trouble and not the relay's answer.
pub(super) async fn talk(errand: &Errand<'_>) -> Talked {
    let mut failures = Vec::new();
    for address in errand.addresses {
        if matches!(errand.protection, Protection::Plain) && !address.ip().is_loopback() {
            let text = format!("{address} is not this machine, and mail without TLS goes only to loopback");
            failures.push(Failure::own(text));
            continue;
        }
        match transact(errand, *address).await {
            Ok(talked) => return talked,
            Err(Setback { failure, is_of_address }) => {
                failures.push(failure);
                if !is_of_address {
                    break;
                }
            }
        }
    }
    Talked { taken: Err(Failure::of_all(failures)), refused: Vec::new() }
}

/// One transaction with the relay at one address.
async fn transact(errand: &Errand<'_>, address: SocketAddr) -> Result<Talked, Setback> {
    let mut dialogue = greet(errand, address).await?;
    if let Some(login) = &errand.login {
        within(errand.step, Step::Login, dialogue.log_in(login)).await?;
    }
    let needs_utf8 = errand.to.iter().chain([errand.from]).any(|address| !address.to_string().is_ascii());
    let parameters = (needs_utf8 && dialogue.offers("SMTPUTF8")).then_some(MailParameter::SmtpUtfEight);
    let sender = Mail::new(Some(errand.from.clone()), parameters.into_iter().collect()).to_string();
    within(errand.step, Step::Sender, dialogue.command(&sender)).await?;

    let named = name_recipients(errand, &mut dialogue).await?;
    let said = |all: &[(Address, Failure)]| all.iter().map(|(to, no)| (to.clone(), no.said.clone())).collect();
    let refused = said(&named.refused);
    if named.taken.is_empty() {
        // The answer of those who may still take it, if there are any.
        let no = named.later.into_iter().chain(named.refused).next().map(|(_, no)| no);
        let failure = no.unwrap_or_else(|| Failure::own("nobody to send it to".into()));
        return Ok(Talked { taken: Err(failure), refused });
    }
    let answer = match hand_over(errand, &mut dialogue).await {
        Ok(answer) => answer,
        Err(setback) if setback.is_of_address => return Err(setback),
        Err(Setback { failure, .. }) => return Ok(Talked { taken: Err(failure), refused }),
    };
    let taken = Taken { answer, recipients: named.taken, later: said(&named.later), dialogue };
    Ok(Talked { taken: Ok(taken), refused })
}

/// Sends the message itself; only the relay's answer to its last line makes it the relay's.
async fn hand_over(errand: &Errand<'_>, dialogue: &mut Dialogue) -> Result<String, Setback> {
    within(errand.step, Step::Data, dialogue.opening(&Data.to_string())).await?;
    let answer = within(errand.step, Step::Content, dialogue.content(errand.letter)).await?;
    Ok(harmless::line(&answer.text(), SAID))
}

/// Dials one address, exchanges greetings, and encrypts.
async fn greet(errand: &Errand<'_>, address: SocketAddr) -> Result<Dialogue, Setback> {
    let step = Step::Connect(address);
    let (line, meter) = reach(DIAL.min(errand.step), step, line::dial(address)).await?;
    let mut dialogue: Dialogue = match &errand.protection {
        Protection::Plain => Dialogue::over(Box::new(line), meter),
        Protection::Implicit(expected) => {
            let line = reach(errand.step, step, expected.encrypt(line, &meter)).await?;
            Dialogue::over(Box::new(line), meter)
        }
        Protection::StartTls(expected) => {
            let mut open = Dialogue::over(line, meter);
            within(errand.step, step, open.greeting()).await?;
            within(errand.step, step, open.ehlo(&errand.hello)).await?;
            let step = Step::StartTls(address);
            let (line, meter) = within(errand.step, step, open.starttls()).await?;
            let line = reach(errand.step, step, expected.encrypt(line, &meter)).await?;
            let mut closed: Dialogue = Dialogue::over(Box::new(line), meter);
            within(errand.step, step, closed.ehlo(&errand.hello)).await?;
            return Ok(closed);
        }
    };
    within(errand.step, step, dialogue.greeting()).await?;
    within(errand.step, step, dialogue.ehlo(&errand.hello)).await?;
    Ok(dialogue)
}

/// One mistyped or departed recipient must not keep the mail from the others.
async fn name_recipients(errand: &Errand<'_>, dialogue: &mut Dialogue) -> Result<Named, Setback> {
    let mut named = Named::default();
    for recipient in &errand.to {
        let command = Rcpt::new(recipient.clone(), Vec::new()).to_string();
        match within(errand.step, Step::Recipient(recipient), dialogue.command(&command)).await {
            Ok(_) => named.taken.push(recipient.clone()),
            // The relay closes, whomever this was about.
            Err(setback) if setback.is_of_address => return Err(setback),
            Err(Setback { failure, .. }) if failure.class == FailureClass::Temporary => {
                named.later.push((recipient.clone(), failure));
            }
            Err(Setback { failure, .. }) if failure.class == FailureClass::Permanent => {
                named.refused.push((recipient.clone(), failure));
            }
            Err(setback) => return Err(setback),
        }
    }
    Ok(named)
}
