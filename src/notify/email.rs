//! Mail to the people on call, through the organisation's relay.
//!
//! One fresh connection per attempt and no pool: a relay that was restarted, or whose password changed, is seen at
//! once. Retrying is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};

use crate::config::blocking::BlockingPool;
use crate::config::settings::{self, Host, MailTls};
use crate::model::delivery::{Attempt, DeliveryResult, FailureClass, Receipt};

use super::last_read::{LastRead, Unread};
use super::mime::{Addressing, mime_message};
use super::pinned_name::PinnedName;
use super::refused_password::RefusedPassword;
use super::smtp_session::{self, Protection, SessionOutcome, SmtpJob, Taken};
use super::smtp_step::Failure;
use super::transport::Expected;

/// Deadline of one step of the session. A healthy relay answers in milliseconds; one that greylists by delay takes
/// seconds; RFC 5321 section 4.5.3.2 allows minutes, which is too long for a page.
const STEP: Duration = Duration::from_secs(10);

/// Time for QUIT and close_notify after the message was accepted.
const QUIT: Duration = Duration::from_secs(1);

/// Reads of the password and the CA at a time: one for each mail under way.
const READS: usize = 4;

/// A configured address that is not valid.
#[derive(Debug, thiserror::Error)]
#[error("'{address}' is no mail address")]
pub struct BadAddress {
    /// As configured.
    address: String,
    source: lettre::address::AddressError,
}

/// Sends mail.
pub struct Email {
    relay: settings::Address,
    pin: PinnedName,
    tls: MailTls,
    ca: Option<settings::Source>,
    login: Option<settings::Login>,
    refused: RefusedPassword,
    who: Addressing,
    hello: ClientId,
    files: BlockingPool,
    last_password: LastRead<SecretString>,
    last_expected: LastRead<Expected>,
    step: Duration,
}

/// The result of one attempt.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The relay's last answer, or why not all recipients have got it.
    pub(crate) answer: Result<String, Failure>,
    /// What became of each recipient that was asked for.
    pub(crate) results: BTreeMap<String, DeliveryResult>,
}

impl Email {
    /// A sender for these settings; `vantage` is the name it greets the relay with.
    ///
    /// # Errors
    /// When a sender, recipient or reply address cannot be used.
    pub fn new(mail: &settings::Mail, vantage: &str) -> Result<Self, BadAddress> {
        super::install_provider();
        let who = Addressing {
            from: mailbox(&mail.from)?,
            to: mail.to.iter().map(|to| mailbox(to)).collect::<Result<_, _>>()?,
            reply_to: mail.reply_to.as_deref().map(mailbox).transpose()?,
        };
        Ok(Self {
            pin: PinnedName::new(&mail.relay),
            relay: mail.relay.clone(),
            tls: mail.tls,
            ca: mail.ca.clone(),
            login: mail.login.clone(),
            refused: RefusedPassword::default(),
            who,
            hello: hello(vantage),
            files: BlockingPool::new(READS),
            last_password: LastRead::default(),
            last_expected: LastRead::default(),
            step: STEP,
        })
    }

    /// Resolves the relay's name and reads its password and CA ahead of the first mail, so that DNS and the disk may
    /// die before it. Needs a tokio runtime.
    pub async fn prepare(&self) {
        self.pin.refresh();
        // What fails now is reported by the first mail that needs it.
        let (_protection, _password) = tokio::join!(self.protection(), self.password());
    }

    /// Everybody whom it is configured to reach, without display names.
    pub(crate) fn everybody(&self) -> BTreeSet<String> {
        self.who.to.iter().map(|to| to.email.to_string()).collect()
    }

    /// Tries once to deliver, for `overall` at most. Returns a receipt for each recipient of the attempt that is
    /// configured.
    pub async fn deliver(&self, attempt: &Attempt, overall: Duration) -> Vec<Receipt> {
        let id = &attempt.message.id;
        let Outcome { answer, results } = self.send(attempt, overall).await;
        for (recipient, result) in &results {
            if let DeliveryResult::Rejected(text) = result {
                tracing::error!(message = %id, "the relay rejects {recipient} permanently: {text}");
            }
        }
        match answer {
            Ok(answer) => tracing::info!(message = %id, "mail accepted: {answer}"),
            Err(failure) => {
                tracing::warn!(message = %id, class = failure.class.as_str(), "mail not sent: {}", failure.text);
            }
        }
        let receipt = |(recipient, result): (String, _)| Receipt { delivery: attempt.delivery(&recipient), result };
        results.into_iter().map(receipt).collect()
    }

    /// As [`Email::deliver`], with the relay's own words.
    pub(crate) async fn send(&self, attempt: &Attempt, overall: Duration) -> Outcome {
        let to = self.recipients(attempt);
        let is_handed_over = AtomicBool::new(false);
        let session = Box::pin(self.attempt(attempt, &to, &is_handed_over));
        let result = tokio::time::timeout(overall, session).await.unwrap_or_else(|_| {
            let text = format!("the whole talk with the relay: not done within {overall:?}");
            let may_have_it = is_handed_over.load(Ordering::Relaxed);
            Err(Failure::of(if may_have_it { FailureClass::Uncertain } else { FailureClass::TimedOut }, text))
        });
        let SessionOutcome { taken, refused, later } = result.unwrap_or_else(|failure| SessionOutcome {
            taken: Err(failure),
            refused: Vec::new(),
            later: Vec::new(),
        });
        let (taken_for, for_the_rest) = match &taken {
            Ok(taken) => (taken.recipients.as_slice(), Failure::own("the relay was not asked to take it".into())),
            Err(failure) => (&[][..], failure.clone()),
        };
        let result_of = |who: &lettre::Address| {
            if let Some((_, text)) = refused.iter().find(|(known, _)| known == who) {
                return DeliveryResult::Rejected(text.clone());
            }
            if taken_for.contains(who) {
                return DeliveryResult::Accepted;
            }
            let own = later.iter().find(|(known, _)| known == who).map(|(_, failure)| failure);
            DeliveryResult::Failed(own.unwrap_or(&for_the_rest).clone().into())
        };
        let results = to.iter().map(|who| (who.to_string(), result_of(who))).collect();
        let Taken { answer, recipients, mut connection } = match taken {
            Ok(taken) => taken,
            Err(failure) => return Outcome { answer: Err(failure), results },
        };
        drop(tokio::time::timeout(QUIT, connection.quit()).await);
        let answer = match later.first() {
            None => Ok(answer),
            Some((waiting, Failure { said, .. })) => {
                let (taken, left) = (recipients.len(), later.len());
                let text = format!("taken for {taken} recipients, not yet for {left}: {waiting}: {said}");
                Err(Failure::of(FailureClass::Deferred, text))
            }
        };
        Outcome { answer, results }
    }

    async fn attempt(
        &self,
        attempt: &Attempt,
        to: &[lettre::Address],
        is_handed_over: &AtomicBool,
    ) -> Result<SessionOutcome, Failure> {
        let mime_message =
            mime_message(attempt, &self.who).map_err(|error| Failure::own(format!("writing the mail: {error}")))?;
        let protection = self.protection().await?;
        let password = self.password().await?;
        let login = self.login.as_ref().zip(password.as_ref());
        let login =
            login.map(|(login, word)| Credentials::new(login.username.clone(), word.expose_secret().to_owned()));
        let addresses = tokio::time::timeout(self.step, self.pin.addresses())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.step)))
            .map_err(|why| {
                let text = format!("resolving the relay's name {}: {why}", host(&self.relay.host));
                Failure::of(FailureClass::Unreachable, text)
            })?;
        let outcome = smtp_session::deliver(&SmtpJob {
            addresses: &addresses,
            hello: self.hello.clone(),
            protection,
            login,
            from: &self.who.from.email,
            to: to.to_vec(),
            mime_message: &mime_message,
            is_handed_over,
            step: self.step,
        })
        .await;
        match (outcome.taken, password) {
            (Err(failure), Some(password))
                if failure.class == FailureClass::CredentialRefused && failure.is_permanent =>
            {
                tracing::error!("SMTP login rejected; retried when the password file changes");
                self.refused.remember(password);
                // For good with this password only.
                Err(Failure { is_permanent: false, ..failure })
            }
            (taken, _) => Ok(SessionOutcome { taken, ..outcome }),
        }
    }

    /// The recipients of an attempt, as far as they are configured.
    fn recipients(&self, attempt: &Attempt) -> Vec<lettre::Address> {
        let is_asked = |to: &&Mailbox| attempt.recipients.contains(AsRef::<str>::as_ref(&to.email));
        self.who.to.iter().filter(is_asked).map(|to| to.email.clone()).collect()
    }

    /// The password as it is now, if one is wanted and the relay has not just refused it.
    async fn password(&self) -> Result<Option<SecretString>, Failure> {
        let Some(login) = &self.login else { return Ok(None) };
        let unusable = |text| Failure::of(FailureClass::CredentialRefused, text);
        let source = login.password.clone();
        let read = move || source.read_line().map_err(|error| error.to_string());
        let unread = |why| format!("reading the relay's password from {:?}: {why}", login.password);
        let password = self.last_password.read_or_last(&self.files, self.step, read, unread).await.map_err(unusable)?;
        if self.refused.knows(&password) {
            let why = format!("logging in: the relay rejected the password that {:?} still has", login.password);
            return Err(unusable(why));
        }
        Ok(Some(password))
    }

    async fn protection(&self) -> Result<Protection, Failure> {
        let over: fn(Expected) -> Protection = match self.tls {
            MailTls::StartTls => Protection::StartTls,
            MailTls::Implicit => Protection::Implicit,
            MailTls::Plain => return Ok(Protection::Plain),
        };
        let (host, ca) = (host(&self.relay.host), self.ca.clone());
        let read = move || Expected::of(&host, ca.as_ref());
        let unread = |why: Unread| match why {
            Unread::Hangs(_) => format!("reading the CAs to trust: {why}"),
            Unread::Failed(text) => text,
        };
        let expected = self.last_expected.read_or_last(&self.files, self.step, read, unread).await;
        expected.map(over).map_err(|text| Failure::of(FailureClass::Untrusted, text))
    }

    /// A shorter deadline for each step, for tests against relays that stall.
    #[cfg(test)]
    pub(super) const fn with_step(mut self, step: Duration) -> Self {
        self.step = step;
        self
    }

    /// Every read hangs for as long as what is returned lives, for tests.
    #[cfg(test)]
    pub(super) fn with_a_hung_disk(&self) -> Vec<std::sync::mpsc::Sender<()>> {
        let hang = |_| {
            let (release, held) = std::sync::mpsc::channel::<()>();
            let files = self.files.clone();
            tokio::spawn(async move { files.run(STEP, move || held.recv().is_ok()).await });
            release
        };
        (0..READS).map(hang).collect()
    }

    /// The relay's name has these addresses, for tests with several relays behind one name.
    #[cfg(test)]
    pub(super) fn at(mut self, addresses: Vec<std::net::SocketAddr>) -> Self {
        self.pin = PinnedName::by(move || {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        });
        self
    }
}

fn mailbox(address: &str) -> Result<Mailbox, BadAddress> {
    address.parse().map_err(|source| BadAddress { address: address.into(), source })
}

/// As the relay's certificate has it.
fn host(host: &Host) -> String {
    host.clone().in_certificates().to_string()
}

/// The vantage's name where it can stand in EHLO, else an address literal (RFC 5321 section 4.1.4).
fn hello(vantage: &str) -> ClientId {
    let is_name = !vantage.is_empty()
        && vantage.len() <= 255
        && vantage.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    if is_name { ClientId::Domain(vantage.into()) } else { ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST) }
}
