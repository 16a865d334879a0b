//! Mail to the people on call, through the organisation's relay.
//!
//! One fresh connection per attempt and no pool: a relay that was restarted, or whose password changed, is seen at
//! once. Retrying is the engine's business.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};

use crate::config::blocking::BlockingPool;
use crate::config::settings::{self, Host, MailTls};
use crate::model::message::{Delivery, FailureClass, Receipt};
use crate::model::recipient::{Recipients, Rejection};

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
    /// The relay's last answer, or why not all recipients have been served.
    pub(crate) answer: Result<String, Failure>,
    pub(crate) recipients: Recipients,
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

    /// Tries once to deliver, for `overall` at most. Returns the result, and those for single recipients.
    pub async fn deliver(&self, delivery: &Delivery, overall: Duration) -> (Receipt, Recipients) {
        let id = &delivery.message.id;
        let Outcome { answer, recipients } = self.send(delivery, overall).await;
        for Rejection { recipient, text } in &recipients.refused {
            tracing::error!(message = %id, "the relay rejects {recipient} permanently: {text}");
        }
        let receipt = match answer {
            Ok(answer) => {
                tracing::info!(message = %id, "mail accepted: {answer}");
                Receipt::Accepted
            }
            Err(failure) => {
                tracing::warn!(message = %id, class = failure.class.as_str(), "mail not sent: {}", failure.text);
                failure.into()
            }
        };
        (receipt, recipients)
    }

    /// As [`Email::deliver`], with the relay's own words.
    pub(crate) async fn send(&self, delivery: &Delivery, overall: Duration) -> Outcome {
        let to = self.recipients(delivery);
        if to.is_empty() {
            // The recipients that are left are no longer configured.
            let answer = Ok("nobody is left who has not got it".into());
            return Outcome { answer, recipients: Recipients::default() };
        }
        let attempt = Box::pin(self.attempt(delivery, &to));
        let result = tokio::time::timeout(overall, attempt).await.unwrap_or_else(|_| {
            let text = format!("the whole talk with the relay: not done within {overall:?}");
            Err(Failure::of(FailureClass::Timeout, text))
        });
        let SessionOutcome { taken, refused } =
            result.unwrap_or_else(|failure| SessionOutcome { taken: Err(failure), refused: Vec::new() });
        let refused: Vec<Rejection> = refused.into_iter().map(|(who, text)| rejection(&who, text)).collect();
        let Taken { answer, recipients, later, mut connection } = match taken {
            Ok(taken) => taken,
            // Others have it, and these never will.
            Err(_) if !delivery.served.is_empty() && refused.len() == to.len() => {
                let answer = Ok("accepted for some recipients, rejected for the rest".into());
                return Outcome { answer, recipients: Recipients { refused, ..Recipients::default() } };
            }
            Err(failure) => {
                return Outcome { answer: Err(failure), recipients: Recipients { refused, ..Recipients::default() } };
            }
        };
        drop(tokio::time::timeout(QUIT, connection.quit()).await);
        let answer = match later.first() {
            None => Ok(answer),
            Some((waiting, why)) => {
                let (taken, left) = (recipients.len(), later.len());
                let text = format!("taken for {taken} recipients, not yet for {left}: {waiting}: {why}");
                Err(Failure::of(FailureClass::Temporary, text))
            }
        };
        let served = recipients.iter().map(ToString::to_string).collect();
        Outcome { answer, recipients: Recipients { served, refused } }
    }

    async fn attempt(&self, delivery: &Delivery, to: &[lettre::Address]) -> Result<SessionOutcome, Failure> {
        let mime_message =
            mime_message(delivery, &self.who).map_err(|error| Failure::own(format!("writing the mail: {error}")))?;
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
                Failure::of(FailureClass::Connect, text)
            })?;
        let outcome = smtp_session::deliver(&SmtpJob {
            addresses: &addresses,
            hello: self.hello.clone(),
            protection,
            login,
            from: &self.who.from.email,
            to: to.to_vec(),
            mime_message: &mime_message,
            step: self.step,
        })
        .await;
        match (outcome.taken, password) {
            (Err(failure), Some(password)) if failure.class == FailureClass::Auth && failure.is_permanent => {
                tracing::error!("SMTP login rejected; retried when the password file changes");
                self.refused.remember(password);
                // For good with this password only.
                Err(Failure { is_permanent: false, ..failure })
            }
            (taken, _) => Ok(SessionOutcome { taken, ..outcome }),
        }
    }

    /// Recipients that no earlier attempt has served. Those who were refused for good are asked for again only when
    /// nobody else is left: then the relay may be at fault, and may be corrected by now.
    fn recipients(&self, delivery: &Delivery) -> Vec<lettre::Address> {
        let (left, refused): (Vec<_>, Vec<_>) = self
            .who
            .to
            .iter()
            .map(|to| to.email.clone())
            .filter(|address| !delivery.served.contains(AsRef::<str>::as_ref(address)))
            .partition(|address| !delivery.refused.contains(AsRef::<str>::as_ref(address)));
        if left.is_empty() { refused } else { left }
    }

    /// The password as it is now, if one is wanted and the relay has not just refused it.
    async fn password(&self) -> Result<Option<SecretString>, Failure> {
        let Some(login) = &self.login else { return Ok(None) };
        let unusable = |text| Failure::of(FailureClass::Auth, text);
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
        expected.map(over).map_err(|text| Failure::of(FailureClass::Tls, text))
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

fn rejection(who: &lettre::Address, text: String) -> Rejection {
    Rejection { recipient: who.to_string(), text }
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
