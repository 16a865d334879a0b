//! Whether an endpoint uses TLS: tested on a connection of its own, after what is configured has failed.
//!
//! A server without TLS drops a handshake or waits for the end of its first line, and one with TLS drops a plain
//! request: both as a failing one would. It is reported only when the other protocol is answered. An answer of 400
//! without TLS is what servers with TLS give to plain requests as well (Go's net/http, nginx): it counts only where the
//! handshake itself was answered without TLS. Called by `tls_endpoint.rs` and the metrics listeners.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connect;
use super::context::ProbeContext;
use super::handshake::{self, Alpn};
use super::phase_timer::PhaseTimer;
use crate::config::proxy::Proxy;
use crate::config::settings::{Address, Host};
use crate::metered::{Meter, Metered};
use crate::model::phase::Cause;
use crate::model::probe::Hello;
use crate::model::time::Mono;

/// HTTP/2's connection preface and an empty SETTINGS frame (RFC 9113 sections 3.4 and 6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// The same for HTTP/1: whatever the answer is, it begins with a status line.
const REQUEST: &[u8] = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Bytes that show a frame of HTTP/2, or HTTP/1.
const HEAD: usize = 9;
/// Bytes of an HTTP/1 status, behind those.
const STATUS: usize = 3;
/// Type of the frame with which a server of HTTP/2 begins.
const SETTINGS: u8 = 4;
/// Time for the answers to both requests: on a path of 100 ms it takes 400.
const LIMIT: Duration = Duration::from_millis(500);
/// How long the result is used: a server is rarely switched between TLS and plain HTTP, and a burst needs one test
/// only.
const HOLDS: Duration = Duration::from_secs(10);

/// What was found out about an endpoint.
#[derive(Debug, Default)]
pub(crate) struct TlsDetection {
    known: Mutex<Option<(Mono, Answer)>>,
    /// Whether the latest handshake that ended, or was given up, showed nothing.
    is_doubtful: AtomicBool,
}

/// The result of the test of the other protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing that shows it.
    None,
    /// 400: a bad request, perhaps because it was a plain one.
    BadRequest,
    /// It answered in that protocol.
    Understood,
}

/// The address to test, and the protocol that is used there.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) address: &'a Address,
    pub(crate) proxy: Option<&'a Proxy>,
    pub(crate) alpn: Alpn,
}

/// A handshake under way.
#[must_use]
pub(crate) struct Handshake<'a> {
    tls_detection: &'a TlsDetection,
    /// Whether the one before showed nothing.
    pub(crate) is_doubtful: bool,
    is_tls: bool,
}

impl Handshake<'_> {
    /// The peer served a certificate, or completed the handshake.
    pub(crate) const fn is_tls(&mut self) {
        self.is_tls = true;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.tls_detection.is_doubtful.store(!self.is_tls, Ordering::Release);
    }
}

impl TlsDetection {
    /// A handshake begins.
    pub(crate) fn handshake(&self) -> Handshake<'_> {
        Handshake { tls_detection: self, is_doubtful: self.is_doubtful.load(Ordering::Acquire), is_tls: false }
    }

    /// Ends when the endpoint has answered without TLS, and never if it does not.
    pub(crate) async fn turns_out_plain(&self, context: &ProbeContext, place: Place<'_>) {
        if self.known(context, answers_plainly(context, place)).await != Answer::Understood {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the endpoint answers without TLS, asked only where `cause` is how a handshake with such a one ends. One
    /// that is silent is asked beside the next handshake instead, so that no probe at a frozen server lasts longer for
    /// it.
    pub(crate) async fn is_plain(&self, context: &ProbeContext, place: Place<'_>, cause: Cause) -> bool {
        let may_be = matches!(cause, Cause::TlsBroken | Cause::ProtocolBroken | Cause::Closed | Cause::Reset);
        if !may_be {
            return false;
        }
        match self.known(context, answers_plainly(context, place)).await {
            Answer::None => false,
            Answer::BadRequest => matches!(cause, Cause::TlsBroken | Cause::ProtocolBroken),
            Answer::Understood => true,
        }
    }

    /// Whether the endpoint answers with TLS, asked only where `cause` is how a plain request to such a one ends.
    pub(crate) async fn is_tls(&self, context: &ProbeContext, address: &Address, cause: Cause) -> bool {
        if !matches!(cause, Cause::ProtocolBroken | Cause::Closed | Cause::Reset | Cause::ServerError) {
            return false;
        }
        self.known(context, shows_chain(context, address)).await == Answer::Understood
    }

    async fn known(&self, context: &ProbeContext, asking: impl Future<Output = Answer>) -> Answer {
        let known = *self.lock();
        if let Some((at, found)) = known
            && context.clock.now().mono.since(at) < HOLDS
        {
            return found;
        }
        let found = tokio::time::timeout(LIMIT, asking).await.unwrap_or(Answer::None);
        *self.lock() = Some((context.clock.now().mono, found));
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Mono, Answer)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answers_plainly(context: &ProbeContext, place: Place<'_>) -> Answer {
    plain_answer(context, place).await.unwrap_or(Answer::None)
}

async fn plain_answer(context: &ProbeContext, Place { address, proxy, alpn }: Place<'_>) -> Option<Answer> {
    let timer = PhaseTimer::new(&context.clock);
    let mut connected = connect::dial(&context.names, address, proxy, &context.policy, &timer).await.ok()?;
    let greeting = match alpn {
        Alpn::Http1 | Alpn::Unsaid => REQUEST,
        Alpn::Http2 => PREFACE,
    };
    connected.wire.write_all(greeting).await.ok()?;
    let mut head = [0_u8; HEAD];
    connected.wire.read_exact(&mut head).await.ok()?;
    if head[3..] == [SETTINGS, 0, 0, 0, 0, 0] {
        return Some(Answer::Understood);
    }
    if !head.starts_with(b"HTTP/1.") {
        return None;
    }
    let mut status = [0_u8; STATUS];
    connected.wire.read_exact(&mut status).await.ok()?;
    Some(if status == *b"400" { Answer::BadRequest } else { Answer::Understood })
}

async fn shows_chain(context: &ProbeContext, address: &Address) -> Answer {
    let name = match &address.host {
        Host::Ip(ip) => ServerName::from(*ip),
        Host::Name(name) => match ServerName::try_from(name.clone()) {
            Ok(name) => name,
            Err(_) => return Answer::None,
        },
    };
    let timer = PhaseTimer::new(&context.clock);
    let Ok(connected) = connect::dial(&context.names, address, None, &context.policy, &timer).await else {
        return Answer::None;
    };
    let recorder = context.tls.recorder(None);
    let wire = Box::new(Metered::new(connected.wire, Meter::of(handshake::BYTES)));
    // Whether it accepts our credentials does not matter.
    let shaken = context.tls.shake(&recorder, (Alpn::Http1, Hello::Large), name, wire).await;
    if shaken.is_ok() || !recorder.take_record().chain.is_empty() { Answer::Understood } else { Answer::None }
}
