//! A mail server that misbehaves on demand, for what a real one cannot be made to do.
//!
//! It runs on threads of the lab process, on sockets of the mail place: one port that offers STARTTLS
//! and takes plain talks too, one with TLS from the first byte. Both offer AUTH PLAIN and LOGIN. It keeps
//! every message with the instant it arrived and whether its final reply went out. Misbehaviour applies
//! to talks that reach the step after it was set. Postfix is the real server beside it.

mod connection;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::clock;
use crate::http;
use crate::net::{Network, Place};
use crate::pki::Leaf;

/// Port that greets in the clear and offers STARTTLS.
pub(crate) const STARTTLS_PORT: u16 = 2525;
/// Port that expects TLS at once.
pub(crate) const IMPLICIT_PORT: u16 = 2465;
/// The one account.
pub(crate) const USER: &str = "vedette";
/// Its password.
pub(crate) const PASSWORD: &str = "no-carrier-pigeon";

/// Where in a session something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Before the first line of the server.
    Greeting,
    /// The answer to EHLO, before or after STARTTLS.
    Ehlo,
    /// The answer to AUTH.
    Auth,
    /// The answer to MAIL FROM.
    Mail,
    /// The answer to RCPT TO.
    Rcpt,
    /// The answer to DATA, before the message.
    Data,
    /// The final answer, after the message has arrived whole.
    Final,
}

/// What goes wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is answered until the misbehaviour is lifted; then the session goes on.
    Stall,
    /// This code is answered; 421 ends the session as well.
    Refuse(u16),
    /// The connection is closed without an answer.
    Cut,
}

/// A message that arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// When its last line had come.
    pub(crate) arrived: Instant,
    /// Whether the final 250 was sent to a client that was still there.
    ///
    /// False for a message whose sender cannot know that it arrived.
    pub(crate) acknowledged: bool,
    /// Whether TLS was on.
    pub(crate) encrypted: bool,
    /// The account, if the sender authenticated.
    pub(crate) account: Option<String>,
    /// Envelope sender.
    pub(crate) from: String,
    /// Envelope recipients.
    pub(crate) to: Vec<String>,
    /// The message as it came, dots unstuffed.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Default)]
struct ServerState {
    fault: Option<(Step, Fault)>,
    /// The password wanted, where it is no longer [`PASSWORD`].
    password: Option<String>,
    refused_logins: u32,
    received: Vec<Received>,
    reached: BTreeMap<Step, u32>,
}

/// What the talks share.
struct Shared {
    server_state: Mutex<ServerState>,
    changed: Condvar,
    tls: Arc<ServerConfig>,
}

/// The running server. Its threads end with the lab process.
pub(crate) struct SmtpServer {
    shared: Arc<Shared>,
}

impl SmtpServer {
    /// Listens on both ports of the mail place.
    pub(crate) fn listen(network: &Network, server: &Leaf) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(&std::fs::read(&server.key)?)?;
        let tls = ServerConfig::builder_with_provider(http::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(http::certificates(&server.cert)?, key)?;
        let shared = Arc::new(Shared { server_state: Mutex::default(), changed: Condvar::new(), tls: Arc::new(tls) });
        for (port, implicit) in [(STARTTLS_PORT, false), (IMPLICIT_PORT, true)] {
            let listener = network.inside(Place::Mail, || Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for tcp in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    // A session that ends badly is the client's news, or the fault that was asked for.
                    thread::spawn(move || session::serve(&shared, tcp, implicit).is_ok());
                }
            });
        }
        Ok(Self { shared })
    }

    /// From now on, goes wrong like this at `step`.
    pub(crate) fn misbehave(&self, step: Step, fault: Fault) -> Instant {
        self.set(Some((step, fault)))
    }

    /// Behaves well again; stalled talks go on.
    pub(crate) fn behave(&self) -> Instant {
        self.set(None)
    }

    /// From now on, wants this password.
    pub(crate) fn change_password(&self, password: &str) {
        self.shared.server_state().password = Some(password.to_owned());
    }

    /// How many logins were refused for a wrong name or password.
    pub(crate) fn refused_logins(&self) -> u32 {
        self.shared.server_state().refused_logins
    }

    /// All messages that arrived whole, in order, acknowledged or not.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.server_state().received.clone()
    }

    /// How many of them were acknowledged. Reading them takes far longer than counting.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.server_state().received.iter().filter(|mail| mail.acknowledged).count()
    }

    /// How many talks have reached `step`.
    pub(crate) fn reached(&self, step: Step) -> u32 {
        self.shared.server_state().reached.get(&step).copied().unwrap_or(0)
    }

    /// Behaves as at first, and knows of nothing that was received before.
    pub(crate) fn forget(&self) {
        *self.shared.server_state() = ServerState::default();
        self.shared.changed.notify_all();
    }

    fn set(&self, fault: Option<(Step, Fault)>) -> Instant {
        self.shared.server_state().fault = fault;
        self.shared.changed.notify_all();
        clock::now()
    }
}

impl Shared {
    fn server_state(&self) -> MutexGuard<'_, ServerState> {
        self.server_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether name and password are those wanted.
    fn knows(&self, user: &str, password: &str) -> bool {
        let mut server_state = self.server_state();
        let is_known = user == USER && password == server_state.password.as_deref().unwrap_or(PASSWORD);
        server_state.refused_logins += u32::from(!is_known);
        is_known
    }

    /// Notes that a session is at `step`, sits out a stall, and says what else goes wrong there.
    fn at(&self, step: Step) -> Option<Fault> {
        let mut server_state = self.server_state();
        *server_state.reached.entry(step).or_default() += 1;
        let stalled = |server_state: &mut ServerState| server_state.fault == Some((step, Fault::Stall));
        let server_state = self.changed.wait_while(server_state, stalled).unwrap_or_else(PoisonError::into_inner);
        server_state.fault.and_then(|(at, fault)| (at == step).then_some(fault))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Final => "final reply",
        })
    }
}
