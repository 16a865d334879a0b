//! A member's metrics listener: `/health` and `/metrics`, over plain HTTP or TLS, always over a new connection.
//!
//! It answers without a quorum and while the member defragments, and needs no right inside etcd. Draws no conclusion
//! beyond one member's answer. Called by the rounds in `mod.rs`.

use std::sync::Arc;

use http::Uri;

use super::super::connect;
use super::super::connection_end::Watched;
use super::super::context::ProbeContext;
use super::super::handshake::Alpn;
use super::super::http_client::{self, Answer, Limits, Request, Sink};
use super::super::phase_timer::PhaseTimer;
use super::super::tls_detection::TlsDetection;
use super::super::tls_endpoint::TlsEndpoint;
use crate::config::settings::Address;
use crate::metered::{Meter, Metered};
use crate::model::cost::body_limit;
use crate::model::etcd::{Condition, MemberHealth, MemberMetrics};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::ProbeKind;
use crate::parse::etcd_page::{self, PageReader, Unreadable};

/// A metrics listener.
pub(crate) enum MetricsListener {
    /// Plain HTTP at this address, with its name, and whether it turned out to use TLS.
    Plain(Address, Uri, TlsDetection),
    /// HTTP over TLS.
    Tls(Arc<TlsEndpoint>),
}

impl MetricsListener {
    /// What the member finds wrong with itself. A member that is not well is asked once more, without its NOSPACE
    /// alarm, which hides what else there may be; and without CORRUPT as well where it gives no reason, as 3.4 does.
    pub(super) async fn health(&self, context: &ProbeContext, timer: &PhaseTimer) -> Result<MemberHealth, Unseen> {
        let all = self.verdict(context, "/health", timer).await?;
        if verdict(&all)? {
            return Ok(MemberHealth { condition: Condition::Well, reason: None });
        }
        let reason = etcd_page::reason(&all.body);
        if let Some(condition) = reason.as_deref().and_then(alarmed) {
            return Ok(MemberHealth { condition, reason });
        }
        let rest = self.verdict(context, "/health?exclude=NOSPACE", timer).await?;
        if verdict(&rest)? {
            return Ok(MemberHealth { condition: Condition::Full, reason });
        }
        if let Some(told) = etcd_page::reason(&rest.body) {
            let condition = alarmed(&told).unwrap_or(Condition::Ill);
            return Ok(MemberHealth { condition, reason: Some(told) });
        }
        let least = self.verdict(context, "/health?exclude=NOSPACE&exclude=CORRUPT", timer).await?;
        let condition = if verdict(&least)? { Condition::Corrupt } else { Condition::Ill };
        Ok(MemberHealth { condition, reason })
    }

    /// The wanted part of the page.
    pub(super) async fn metrics(&self, context: &ProbeContext, timer: &PhaseTimer) -> Result<MemberMetrics, Unseen> {
        let limit = body_limit(ProbeKind::EtcdMetrics);
        let answer = Box::pin(self.get(context, "/metrics", limit, PageReader::default(), timer)).await?;
        match answer.status.as_u16() {
            200 => answer.body.finish().map_err(unseen),
            status => Err(refused(status)),
        }
    }

    async fn verdict(
        &self,
        context: &ProbeContext,
        target: &'static str,
        timer: &PhaseTimer,
    ) -> Result<Answer<Vec<u8>>, Unseen> {
        Box::pin(self.get(context, target, body_limit(ProbeKind::EtcdHealth), Vec::new(), timer)).await
    }

    async fn get<B: Sink>(
        &self,
        context: &ProbeContext,
        target: &'static str,
        max_body: usize,
        sink: B,
        timer: &PhaseTimer,
    ) -> Result<Answer<B>, Unseen> {
        let limit = context.policy.response_timeout;
        let limits = Limits { bytes: max_body, head: limit, whole: limit };
        match self {
            Self::Plain(address, authority, tls_detection) => {
                let connected = connect::dial(&context.names, address, None, &context.policy, timer).await?;
                // Without TLS there is nothing to read before the request, which grants the bytes of its answer.
                let meter = Meter::of(0);
                let metered = Metered::new(connected.wire, Arc::clone(&meter));
                let stream = Watched::new(metered, meter, false);
                let request = Request::get(authority, target, limits);
                let answer = http_client::once(context, stream, &request, sink, timer).await;
                // Go's servers drop a plain request where they use TLS, or answer it with 400.
                let suspect = match &answer {
                    Ok(answer) if answer.status == 400 => Some(refused(400)),
                    Err(unseen) => Some(*unseen),
                    Ok(_) => None,
                };
                match suspect {
                    Some(unseen) if tls_detection.is_tls(context, address, unseen.cause).await => {
                        Err(Unseen { cause: Cause::WithTls, ..unseen })
                    }
                    Some(_) | None => answer,
                }
            }
            Self::Tls(tls_endpoint) => {
                let ready_credentials = tls_endpoint.identity.current().await;
                let opened = tls_endpoint
                    .open(context, &ready_credentials, (Alpn::Http1, tls_endpoint.hello(context)), timer)
                    .await
                    .result?;
                let request = Request::get(&tls_endpoint.authority, target, limits);
                let answer = http_client::once(context, opened.stream, &request, sink, timer).await;
                answer.map_err(|unseen| Unseen {
                    cause: ready_credentials.blame_for_answer(unseen.cause, true),
                    ..unseen
                })
            }
        }
    }
}

impl Sink for PageReader {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.push(piece).map_err(|unreadable| unseen(unreadable).cause)
    }
}

const fn unseen(unreadable: Unreadable) -> Unseen {
    match unreadable {
        Unreadable::Foreign => FOREIGN,
        Unreadable::Cut => Unseen { phase: Phase::Body, cause: Cause::ProtocolBroken },
        Unreadable::TooLarge => Unseen { phase: Phase::Body, cause: Cause::TooLarge },
    }
}

/// The alarm that a reason names, NOSPACE excepted: `ALARM CORRUPT`, or `ALARM UNKNOWN` for one that etcd itself has no
/// word for.
fn alarmed(reason: &str) -> Option<Condition> {
    let kind = reason.strip_prefix("ALARM ")?;
    match kind.trim() {
        "NOSPACE" => None,
        "CORRUPT" => Some(Condition::Corrupt),
        _ => Some(Condition::Alarmed),
    }
}

/// Whether the member is well, as far as it was asked.
fn verdict(answer: &Answer<Vec<u8>>) -> Result<bool, Unseen> {
    match answer.status.as_u16() {
        // A 200 or 503 without etcd's health document is not from etcd.
        status @ (200 | 503) => match etcd_page::is_well(&answer.body) {
            Some(is_well) => Ok(is_well && status == 200),
            None => Err(FOREIGN),
        },
        status => Err(refused(status)),
    }
}

/// An answer that etcd does not give.
const FOREIGN: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Foreign };

const fn refused(status: u16) -> Unseen {
    match status {
        401 | 403 => Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected },
        // etcd has no redirect and no other success on these paths.
        201..=399 => FOREIGN,
        _ => Unseen { phase: Phase::FirstByte, cause: Cause::ServerError },
    }
}
