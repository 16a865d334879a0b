//! One GET over an open HTTP/1.1 connection: bounded, redirects not followed.
//!
//! Knows statuses and headers, not what they mean for a health check.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

use super::byte_stream::ByteStream;
use super::connection_end::{Watch, Watched};
use super::context::ProbeContext;
use super::error_cause;
use super::phase_timer::PhaseTimer;
use super::user_agent::USER_AGENT;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::time::UnixTime;

/// Bytes of a body that come in one piece at the least, on average: Go writes chunks of 2 KiB, and each piece costs a
/// turn of the runtime.
const PIECE: usize = 1024;
/// Pieces in which even a small body may come.
const MIN_PIECES: usize = 1024;
/// Bytes of headers, all together; an apiserver sends 1 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// A request.
pub(crate) struct Question<'a> {
    pub(crate) authority: &'a Uri,
    /// Path and query.
    pub(crate) target: &'static str,
    pub(crate) accept: Option<&'static str>,
    pub(crate) token: Option<&'a HeaderValue>,
    /// Whether the request announces that no other follows.
    pub(crate) is_last: bool,
    /// Bytes read of the body; a longer one is an error.
    pub(crate) max_body: usize,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) date: Option<UnixTime>,
    pub(crate) retry_after_secs: Option<u32>,
    pub(crate) body: Vec<u8>,
    /// Whether the server announced that it closes the connection.
    pub(crate) closes: bool,
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    Http(hyper::Error),
    TooLarge,
    OwnFault,
}

impl Failure {
    /// The cause: the connection's own record is more precise than the error of HTTP.
    fn cause(&self, watch: &Watch) -> Cause {
        match self {
            Self::TooLarge => Cause::TooLarge,
            Self::OwnFault => Cause::OwnFault,
            Self::Http(error) if error.is_parse() => error_cause::of_http(error),
            Self::Http(error) => watch.cause().unwrap_or_else(|| error_cause::of_http(error)),
        }
    }
}

/// The result of a request, and the connection if it is still open.
pub(crate) struct Exchange<S> {
    pub(crate) answer: Result<Answer, Cause>,
    pub(crate) stream: Option<Watched<S>>,
}

/// Asks over `stream`, for at most `limit`. The connection is driven by the same task as the request, so that no
/// scheduling comes between a byte's arrival and its stamp.
pub(crate) async fn exchange<S: ByteStream + 'static>(
    stream: Watched<S>,
    question: &Question<'_>,
    limit: Duration,
    timer: &PhaseTimer,
) -> Exchange<S> {
    let watch = stream.watch();
    let mut http = hyper::client::conn::http1::Builder::new();
    let (mut sender, mut driver) = match http.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await {
        Ok(begun) => begun,
        Err(error) => return Exchange { answer: Err(Failure::Http(error).cause(&watch)), stream: None },
    };
    let answer = {
        let mut asking = pin!(tokio::time::timeout(limit, ask(&mut sender, &watch, question, timer)));
        let mut is_over = false;
        std::future::poll_fn(|cx| {
            is_over = is_over || driver.poll_without_shutdown(cx).is_ready();
            asking.as_mut().poll(cx)
        })
        .await
    };
    let answer = match answer {
        Ok(answer) => answer.map_err(|failure| failure.cause(&watch)),
        Err(_) => Err(Cause::Timeout),
    };
    let rest = driver.into_parts();
    if !rest.read_buf.is_empty() {
        // An unrequested response is left over; on this connection the next request would get it as its own.
        watch.announce();
    }
    Exchange { answer, stream: Some(rest.io.into_inner()) }
}

/// Sends one request over a connection of its own, and closes it with close_notify.
///
/// # Errors
///
/// In the phase that `timer` is in.
pub(crate) async fn once<S: ByteStream + 'static>(
    context: &ProbeContext,
    stream: Watched<S>,
    question: &Question<'_>,
    timer: &PhaseTimer,
) -> Result<Answer, Unseen> {
    let Exchange { answer, stream } = exchange(stream, question, context.policy.response_timeout, timer).await;
    if let Some(stream) = stream {
        context.close_gracefully(stream);
    }
    answer.map_err(|cause| timer.unseen(cause))
}

/// Asks, and reads the whole answer. Stamps the first byte and the body.
async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    watch: &Watch,
    question: &Question<'_>,
    timer: &PhaseTimer,
) -> Result<Answer, Failure> {
    timer.enter(Phase::FirstByte);
    watch.expect_answer(question.grant());
    let request = question.request().ok_or(Failure::OwnFault)?;
    let response = sender.send_request(request).await.map_err(Failure::Http)?;
    timer.enter(Phase::Body);
    let (head, mut rest) = response.into_parts();
    let (mut body, mut pieces) = (Vec::new(), 0);
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(Failure::Http)?;
        pieces += 1;
        let Some(bytes) = frame.data_ref() else { continue };
        if pieces > MIN_PIECES.max(question.max_body / PIECE) || body.len() + bytes.len() > question.max_body {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(bytes);
    }
    timer.end();
    Ok(Answer {
        status: head.status,
        date: date(&head.headers),
        retry_after_secs: retry_after(&head.headers),
        closes: head.version < http::Version::HTTP_11 || announces_close(&head.headers),
        body,
    })
}

impl Question<'_> {
    /// Bytes granted for an answer: head, body, and what chunks and TLS records add to them.
    const fn grant(&self) -> usize {
        MAX_HEAD + self.max_body + self.max_body / 16 + 16 * 1024
    }

    fn request(&self) -> Option<Request<Empty<Bytes>>> {
        let host = self.authority.authority()?.as_str();
        let mut request = Request::get(self.target)
            .header(header::HOST, host)
            .header(header::USER_AGENT, USER_AGENT)
            .body(Empty::new())
            .ok()?;
        let headers = request.headers_mut();
        if let Some(accept) = self.accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(token) = self.token {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        if self.is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Some(request)
    }
}

fn date(headers: &HeaderMap) -> Option<UnixTime> {
    let date = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok().map(UnixTime::from_secs)
}

/// Seconds only; the date form is not used by apiservers.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

fn announces_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_absent() {
        let mut headers = HeaderMap::new();
        assert_eq!((date(&headers), retry_after(&headers), announces_close(&headers)), (None, None, false));
        headers.insert(header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive, Close"));

        assert_eq!(date(&headers), Some(UnixTime::from_secs(784_111_777)));
        assert_eq!(retry_after(&headers), Some(5));
        assert!(announces_close(&headers));
    }
}
