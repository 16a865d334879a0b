//! One request over an open HTTP/1.1 connection, which may be used for another one afterwards.

use std::pin::pin;

use http::Version;
use hyper_util::rt::TokioIo;

use super::answer::{self, Answer, Failure, Sink};
use super::request::{MAX_HEAD, Request};
use crate::collect::byte_stream::ByteStream;
use crate::collect::connection_end::Watched;
use crate::collect::phase_timer::PhaseTimer;
use crate::model::phase::{Cause, Phase};

/// The result of a request, and the connection if it is still open.
pub(crate) struct Exchange<S, B> {
    pub(crate) answer: Result<Answer<B>, Cause>,
    pub(crate) stream: Option<Watched<S>>,
}

/// Asks over `stream`, within the request's limits. The connection is driven by the same task as the request, so that no
/// scheduling comes between a byte's arrival and its stamp.
pub(crate) async fn exchange<S: ByteStream + 'static, B: Sink>(
    stream: Watched<S>,
    request: &Request,
    sink: B,
    timer: &PhaseTimer,
) -> Exchange<S, B> {
    let watch = stream.watch();
    let mut http = hyper::client::conn::http1::Builder::new();
    let (mut sender, mut driver) = match http.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await {
        Ok(begun) => begun,
        Err(error) => return Exchange { answer: Err(Failure::Http(error).cause(&watch)), stream: None },
    };
    let answer = {
        let asking = async {
            timer.enter(Phase::FirstByte);
            watch.expect_answer(request.grant());
            let sent = request.sent_by(Version::HTTP_11).ok_or(Failure::OwnFault)?;
            answer::read(sender.send_request(sent), request.limits, sink, timer).await
        };
        let mut asking = pin!(tokio::time::timeout(request.limits.whole, asking));
        let mut is_over = false;
        std::future::poll_fn(|cx| {
            is_over = is_over || driver.poll_without_shutdown(cx).is_ready();
            asking.as_mut().poll(cx)
        })
        .await
    };
    let answer = answer.unwrap_or(Err(Failure::TooLate)).map_err(|failure| failure.cause(&watch));
    let rest = driver.into_parts();
    if !rest.read_buf.is_empty() {
        // An unrequested response is left over; on this connection the next request would get it as its own.
        watch.announce();
    }
    Exchange { answer, stream: Some(rest.io.into_inner()) }
}
