//! Mail to the people on call, through the organisation's relay.
//!
//! One fresh connection per attempt and no pool: a relay that was restarted, or whose password changed, is seen at
//! once. Retrying is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};

use crate::config::aside::Aside;
use crate::config::settings::{self, Host, MailTls};
use crate::model::message::{Delivery, FailureClass, MessageId, Receipt};

use super::letter::{Correspondence, letter};
use super::line::{self, Expected};
use super::pin::Pin;
use super::refused::Refused;
use super::talk::{self, Errand, Failure, Protection, Taken};

/// Deadline of one step of the talk. A healthy relay answers in milliseconds; one that greylists by delay takes
/// seconds; RFC 5321 section 4.5.3.2 allows minutes, which is too long for a page.
const STEP: Duration = Duration::from_secs(10);

/// Time given to a polite end after the message was accepted.
const QUIT: Duration = Duration::from_secs(1);

/// Reads of the password and the authority at a time: one for each mail under way.
const READS: usize = 4;

/// Messages of which some recipients have been served and others not yet.
const HALF_DONE: usize = 64;

/// A configured address that is none.
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
    pin: Pin,
    tls: MailTls,
    ca: Option<settings::Source>,
    login: Option<settings::Login>,
    refused: Refused,
    who: Correspondence,
    hello: ClientId,
    files: Aside,
    step: Duration,
    /// Recipients already served, by message: the next attempt is only for the others.
    served: Mutex<BTreeMap<MessageId, BTreeSet<String>>>,
}

impl Email {
    /// A sender for these settings; `vantage` is the name it greets the relay with.
    ///
    /// # Errors
    /// When a sender, recipient or reply address cannot be used.
    pub fn new(mail: &settings::Mail, vantage: &str) -> Result<Self, BadAddress> {
        super::install_provider();
        let who = Correspondence {
            from: mailbox(&mail.from)?,
            to: mail.to.iter().map(|to| mailbox(to)).collect::<Result<_, _>>()?,
            reply_to: mail.reply_to.as_deref().map(mailbox).transpose()?,
        };
        Ok(Self {
            pin: Pin::new(&mail.relay),
            relay: mail.relay.clone(),
            tls: mail.tls,
            ca: mail.ca.clone(),
            login: mail.login.clone(),
            refused: Refused::default(),
            who,
            hello: hello(vantage),
            files: Aside::new(READS),
            step: STEP,
            served: Mutex::default(),
        })
    }

    /// Resolves the relay's name ahead of the first mail, so that DNS may die before it. Needs a tokio runtime.
    pub fn pin(&self) {
        self.pin.refresh();
    }

    /// Tries once to deliver, for `overall` at most.
    pub async fn deliver(&self, delivery: &Delivery, overall: Duration) -> Receipt {
        match self.send(delivery, overall).await {
            Ok(answer) => {
                tracing::info!(message = %delivery.message.id, "mail accepted: {answer}");
                Receipt::Accepted
            }
            Err(failure) => {
                tracing::warn!(message = %delivery.message.id, class = failure.class.as_str(), "mail not sent: {}", failure.text);
                failure.into()
            }
        }
    }

    /// As [`Email::deliver`], with the relay's own words on success.
    pub(crate) async fn send(&self, delivery: &Delivery, overall: Duration) -> Result<String, Failure> {
        let attempt = Box::pin(self.attempt(delivery));
        let result = tokio::time::timeout(overall, attempt).await.unwrap_or_else(|_| {
            Err(Failure {
                class: FailureClass::Timeout,
                is_permanent: false,
                text: format!("the whole talk with the relay: not done within {overall:?}"),
            })
        });
        let id = &delivery.message.id;
        let taken = match result {
            Ok(taken) => taken,
            Err(failure) if failure.is_permanent && self.settle(id) => {
                tracing::error!(message = %id, "the relay refuses the rest of the recipients: {}", failure.text);
                return Ok("taken for some recipients, refused for the rest".into());
            }
            Err(failure) => return Err(failure),
        };
        let Taken { answer, recipients, later, refused, mut connection } = taken;
        drop(tokio::time::timeout(QUIT, connection.quit()).await);
        for (recipient, why) in refused {
            tracing::error!(message = %id, "the relay refuses {recipient} for good: {why}");
        }
        let Some((_, why)) = later.first() else {
            self.settle(id);
            return Ok(answer);
        };
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.entry(id.clone()).or_default().extend(recipients.iter().map(ToString::to_string));
        if served.len() > HALF_DONE {
            served.pop_first();
        }
        Err(Failure {
            class: FailureClass::Temporary,
            is_permanent: false,
            text: format!("taken for {} recipients, not yet for {}: {why}", recipients.len(), later.len()),
        })
    }

    /// Forgets who was served; says whether anybody was.
    fn settle(&self, id: &MessageId) -> bool {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<Taken, Failure> {
        let letter = letter(delivery, &self.who).map_err(|error| Failure::own(format!("writing the mail: {error}")))?;
        let protection = self.protection().await?;
        let password = self.password().await?;
        let login = self.login.as_ref().zip(password.as_ref());
        let login =
            login.map(|(login, word)| Credentials::new(login.username.clone(), word.expose_secret().to_owned()));
        let addresses = tokio::time::timeout(self.step, self.pin.addresses())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.step)))
            .map_err(|why| Failure {
                class: FailureClass::Connect,
                is_permanent: false,
                text: format!("resolving the relay's name {}: {why}", host(&self.relay.host)),
            })?;
        let taken = talk::talk(&Errand {
            addresses: &addresses,
            hello: self.hello.clone(),
            protection,
            login,
            from: &self.who.from.email,
            to: self.recipients(&delivery.message.id),
            letter: &letter,
            step: self.step,
        })
        .await;
        match (taken, password) {
            (Err(failure), Some(password)) if failure.class == FailureClass::Auth && failure.is_permanent => {
                tracing::error!("the relay refuses our login; it is asked again as soon as the password changes");
                self.refused.remember(password);
                // For good with this password only.
                Err(Failure { is_permanent: false, ..failure })
            }
            (taken, _) => taken,
        }
    }

    /// Recipients that no earlier attempt has served.
    fn recipients(&self, id: &MessageId) -> Vec<lettre::Address> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let done = served.get(id);
        let is_open = |address: &lettre::Address| done.is_none_or(|done| !done.contains(&address.to_string()));
        self.who.to.iter().map(|to| to.email.clone()).filter(is_open).collect()
    }

    /// The password as it is now, if one is wanted and the relay has not just refused it.
    async fn password(&self) -> Result<Option<SecretString>, Failure> {
        let Some(login) = &self.login else { return Ok(None) };
        let unusable = |text| Failure { class: FailureClass::Auth, is_permanent: false, text };
        let source = login.password.clone();
        let read = self.files.run(self.step, move || source.read_line().map_err(|error| error.to_string())).await;
        let password = read
            .unwrap_or_else(|| Err(self.late()))
            .map_err(|why| unusable(format!("reading the relay's password from {:?}: {why}", login.password)))?;
        if self.refused.knows(&password) {
            let why = format!("logging in: the relay refused the password that {:?} still has", login.password);
            return Err(unusable(why));
        }
        Ok(Some(password))
    }

    async fn protection(&self) -> Result<Protection, Failure> {
        let make: fn(String, Option<&settings::Source>) -> Result<Protection, String> = match self.tls {
            MailTls::StartTls => |host, ca| line::upgrade(host, ca).map(Protection::StartTls),
            MailTls::Implicit => |host, ca| Expected::of(&host, ca).map(Protection::Implicit),
            MailTls::Plain => return Ok(Protection::Plain),
        };
        let (host, ca) = (host(&self.relay.host), self.ca.clone());
        let made = self.files.run(self.step, move || make(host, ca.as_ref())).await;
        made.unwrap_or_else(|| Err(format!("reading the authorities to trust: {}", self.late())))
            .map_err(|text| Failure { class: FailureClass::Tls, is_permanent: false, text })
    }

    fn late(&self) -> String {
        format!("the file system does not answer within {:?}", self.step)
    }

    /// The same, knowing whom `before` has served of messages that are still owed.
    #[must_use]
    pub fn heir_of(self, before: &Self) -> Self {
        let served = before.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { served: Mutex::new(served), ..self }
    }

    /// A shorter deadline for each step, for tests against relays that stall.
    #[cfg(test)]
    pub(super) const fn with_step(mut self, step: Duration) -> Self {
        self.step = step;
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
