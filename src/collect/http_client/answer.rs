//! An answer: its head, and its body as it arrives.

use std::time::SystemTime;

use http::StatusCode;
use http::header::{self, HeaderMap};
use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::request::Limits;
use crate::collect::connection_end::Watch;
use crate::collect::error_cause;
use crate::collect::phase_timer::PhaseTimer;
use crate::model::phase::{Cause, Phase};
use crate::model::time::UnixTime;

/// Bytes of a body that come in one piece at the least, on average: Go writes chunks of 2 KiB, and each piece costs a
/// turn of the runtime.
const PIECE: usize = 1024;
/// Pieces in which even a small body may come.
const MIN_PIECES: usize = 1024;

/// Takes a body as it arrives.
pub(crate) trait Sink: Send {
    /// Takes the next piece; all of them together are within the limit of the request.
    ///
    /// # Errors
    ///
    /// Why nothing more is to be read of it.
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause>;
}

/// Keeps the whole body.
impl Sink for Vec<u8> {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.extend_from_slice(piece);
        Ok(())
    }
}

/// What takes the body stays with the caller, who so has what was read of a body that was cut.
impl<S: Sink> Sink for &mut S {
    fn take(&mut self, piece: &[u8]) -> Result<(), Cause> {
        (**self).take(piece)
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer<B> {
    pub(crate) status: StatusCode,
    pub(crate) date: Option<UnixTime>,
    pub(crate) retry_after_secs: Option<u32>,
    /// What has taken the body.
    pub(crate) body: B,
    /// Whether the server announced that it closes the connection.
    pub(crate) closes: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Http(hyper::Error),
    TooLarge,
    TooLate,
    OwnFault,
    /// The sink takes no more.
    Sink(Cause),
}

impl Failure {
    /// The cause: the connection's own record is more precise than the error of HTTP.
    pub(super) fn cause(&self, watch: &Watch) -> Cause {
        match self {
            Self::TooLarge => Cause::TooLarge,
            Self::TooLate => Cause::Timeout,
            Self::OwnFault => Cause::OwnFault,
            Self::Sink(cause) => *cause,
            Self::Http(error) if error.is_parse() => error_cause::of_http(error),
            Self::Http(error) => watch.cause().unwrap_or_else(|| error_cause::of_http(error)),
        }
    }
}

/// Waits for `response`, and passes its whole body on. Stamps the first byte and the body.
pub(super) async fn read<B: Sink>(
    response: impl Future<Output = hyper::Result<http::Response<Incoming>>>,
    limits: Limits,
    mut sink: B,
    timer: &PhaseTimer,
) -> Result<Answer<B>, Failure> {
    let response = match tokio::time::timeout(limits.head.min(limits.whole), response).await {
        Ok(response) => response.map_err(Failure::Http)?,
        Err(_) => return Err(Failure::TooLate),
    };
    timer.enter(Phase::Body);
    let (head, mut rest) = response.into_parts();
    let (mut bytes, mut pieces) = (0, 0);
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(Failure::Http)?;
        pieces += 1;
        let Some(piece) = frame.data_ref() else { continue };
        bytes += piece.len();
        if pieces > MIN_PIECES.max(limits.bytes / PIECE) || bytes > limits.bytes {
            return Err(Failure::TooLarge);
        }
        sink.take(piece).map_err(Failure::Sink)?;
    }
    timer.end();
    Ok(Answer::of(&head, sink))
}

impl<B> Answer<B> {
    /// The same without what has taken the body.
    pub(crate) fn head(self) -> Answer<()> {
        let Self { status, date, retry_after_secs, closes, body: _ } = self;
        Answer { status, date, retry_after_secs, closes, body: () }
    }

    fn of(head: &Parts, body: B) -> Self {
        Self {
            status: head.status,
            date: date(&head.headers),
            retry_after_secs: retry_after(&head.headers),
            closes: head.version < http::Version::HTTP_11 || announces_close(&head.headers),
            body,
        }
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
    use http::header::HeaderValue;

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
