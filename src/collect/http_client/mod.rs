//! Requests over an open connection, by HTTP/1.1 or HTTP/2: bounded in bytes and time, redirects not followed.
//!
//! A request is data ([`Request`]); a body goes to a [`Sink`] as it arrives, so that none is held that need not be. Knows
//! statuses and headers, not what they mean for a health check. `http1.rs` and `http2.rs` drive a connection, `answer.rs`
//! reads what comes over it.

mod answer;
mod http1;
mod http2;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use self::answer::{Answer, Sink};
pub(crate) use self::http1::exchange;
pub(crate) use self::request::{Limits, Request};
use super::byte_stream::ByteStream;
use super::connection_end::Watched;
use super::context::ProbeContext;
use super::phase_timer::PhaseTimer;
use crate::model::phase::Unseen;

/// Sends one request over a connection of its own, in the protocol that its handshake agreed on, and closes it with
/// close_notify. The body goes to `sink`.
///
/// # Errors
///
/// In the phase that `timer` is in.
pub(crate) async fn once<S: ByteStream + 'static, B: Sink>(
    context: &ProbeContext,
    stream: Watched<S>,
    request: &Request,
    sink: B,
    timer: &PhaseTimer,
) -> Result<Answer<B>, Unseen> {
    if stream.is_http2() {
        // On the heap: callers hold this within futures of many layers, and most use the other protocol.
        return Box::pin(http2::once(context, stream, request, sink, timer)).await;
    }
    let done = exchange(stream, request, sink, timer).await;
    if let Some(stream) = done.stream {
        context.close_gracefully(stream);
    }
    done.answer.map_err(|cause| timer.unseen(cause))
}
