//! One request over an HTTP/2 connection of its own.

use http::Version;
use hyper::client::conn::http2::Builder;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer, Failure, Sink};
use super::request::{MAX_HEAD, Request};
use crate::collect::byte_stream::ByteStream;
use crate::collect::connection_end::Watched;
use crate::collect::context::ProbeContext;
use crate::collect::phase_timer::PhaseTimer;
use crate::model::phase::{Phase, Unseen};

/// Bytes of a body that may be on the way, HTTP/2's own default: what a server may make us keep unread.
const WINDOW: u32 = 65_535;

/// Asks over `stream`, within the request's limits, and lets the connection end in the background.
///
/// # Errors
///
/// In the phase that `timer` is in.
pub(super) async fn once<S: ByteStream + 'static, B: Sink>(
    context: &ProbeContext,
    stream: Watched<S>,
    request: &Request,
    sink: B,
    timer: &PhaseTimer,
) -> Result<Answer<B>, Unseen> {
    let watch = stream.watch();
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let asking = async {
        timer.enter(Phase::FirstByte);
        watch.expect_answer(request.grant());
        let (mut sender, driver) = Builder::new(context.executor())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Http)?;
        context.drive(driver, end.clone());
        let sent = request.sent_by(Version::HTTP_2).ok_or(Failure::OwnFault)?;
        answer::read(sender.send_request(sent), request.limits, sink, timer).await
    };
    let answer = tokio::time::timeout(request.limits.whole, asking).await.unwrap_or(Err(Failure::TooLate));
    let answer = answer.map_err(|failure| failure.cause(&watch));
    // From here on its end is ours.
    watch.leave();
    answer.map_err(|cause| timer.unseen(cause))
}
