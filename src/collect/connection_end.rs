//! A stream that records how it ended: announced, broken, or by an alert.
//!
//! Sits between TLS and HTTP, because only there a close_notify differs from a bare FIN. HTTP libraries report all ends
//! as one error, but a connection that breaks without announcement counts as a bad probe. Passes all data unchanged.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error_cause;
use super::goaway::Frames;
use crate::metered::Meter;
use crate::model::phase::Cause;

/// Bytes a peer may send before anything was asked: session tickets and HTTP/2 settings, some hundred each.
const UNASKED: usize = 16 * 1024;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has not ended.
    Open,
    /// We closed it; its end by the peer afterwards is not a bad sign.
    Left,
    /// The peer announced its close: close_notify, `connection: close`, GOAWAY.
    Announced,
    /// The peer ended it by a TLS alert.
    Alerted(Cause),
    /// It broke: a reset, or an end without close_notify.
    Broken(Cause),
}

/// The record of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    ending: Mutex<Ending>,
    announced: AtomicBool,
    meter: Arc<Meter>,
}

/// A stream and its [`Watch`].
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    /// Present when the connection uses HTTP/2.
    frames: Option<Frames>,
    /// A failed write whose reason is not known yet.
    unwritten: Option<io::Error>,
}

impl Watch {
    /// The state of the connection.
    pub(crate) fn ending(&self) -> Ending {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cause of the end, if it ended; an announced end is [`Cause::Closed`] for a request that still waits for an
    /// answer.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self.ending() {
            Ending::Open | Ending::Left => None,
            Ending::Announced => Some(Cause::Closed),
            Ending::Alerted(cause) | Ending::Broken(cause) => Some(cause),
        }
    }

    /// Whether the peer announced its close.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Acquire) || self.ending() == Ending::Announced
    }

    /// Grants the peer `bytes` for the answer to the question that is about to be asked.
    pub(crate) fn expect_answer(&self, bytes: usize) {
        self.meter.grant(bytes);
    }

    /// The peer violated the protocol above TLS, as its client reports.
    pub(crate) fn broke(&self, cause: Cause) {
        self.end(Ending::Broken(cause));
    }

    /// From here on no end of this connection is a bad sign.
    pub(crate) fn leave(&self) {
        self.end(Ending::Left);
    }

    /// The peer announced its close by other means than close_notify.
    pub(crate) fn announce(&self) {
        self.announced.store(true, Ordering::Release);
    }

    /// The first end counts; what follows an announcement is announced.
    fn end(&self, ending: Ending) {
        let ending = match ending {
            Ending::Broken(_) if self.announced.load(Ordering::Acquire) => Ending::Announced,
            Ending::Open | Ending::Left | Ending::Announced | Ending::Alerted(_) | Ending::Broken(_) => ending,
        };
        let mut current = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == Ending::Open {
            *current = ending;
        }
    }

    fn failed(&self, error: &io::Error) {
        let cause = error_cause::of_io(error);
        let is_alert = matches!(cause, Cause::TlsAlert | Cause::ClientCertificateRejected);
        self.end(if is_alert { Ending::Alerted(cause) } else { Ending::Broken(cause) });
    }
}

impl<S> Watched<S> {
    /// Watches `stream`, whose bytes `meter` counts. Until a request is sent, its peer may only send session tickets,
    /// settings and close_notify. `is_http2` says that frames are to be read along.
    pub(crate) fn new(stream: S, meter: Arc<Meter>, is_http2: bool) -> Self {
        meter.grant(UNASKED);
        let watch = Watch { ending: Mutex::new(Ending::Open), announced: AtomicBool::new(false), meter };
        Self { stream, watch: Arc::new(watch), frames: is_http2.then(Frames::default), unwritten: None }
    }

    /// Whether HTTP/2 is spoken over it.
    pub(crate) const fn is_http2(&self) -> bool {
        self.frames.is_some()
    }

    /// The record, which outlives the stream.
    pub(crate) fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let had_room = buf.remaining() > 0;
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => this.watch.failed(error),
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                let arrived = buf.filled().get(before..).unwrap_or_default();
                if this.frames.as_mut().is_some_and(|frames| frames.passes_goaway(arrived)) {
                    this.watch.announce();
                }
            }
            Poll::Ready(Ok(())) if had_room => this.watch.end(Ending::Announced),
            Poll::Ready(Ok(())) => {}
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Passes on the result of a write; after a failure it reads first, to learn the reason.
    ///
    /// A peer that refuses our certificate under TLS 1.3 sends an alert and closes; a request that crosses it fails to
    /// be written while the alert lies unread, and the alert tells more than the broken pipe. A socket that cannot be
    /// written any more always becomes readable, so waiting for that ends.
    fn noted<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) => {
                self.unwritten = Some(error);
                self.investigate_failure(cx)
            }
            Poll::Ready(Ok(_)) | Poll::Pending => polled,
        }
    }

    fn investigate_failure<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut scratch = [0; 256];
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut scratch)));
        let broken = self.unwritten.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
        let told = match read {
            Err(told) if told.kind() == io::ErrorKind::InvalidData => told,
            Ok(()) | Err(_) => broken,
        };
        self.watch.failed(&told);
        Poll::Ready(Err(told))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unwritten.is_some() {
            return self.investigate_failure(cx);
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unwritten.is_some() {
            return self.investigate_failure(cx);
        }
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.noted(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // After a shutdown no more requests follow.
        self.watch.leave();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unwritten.is_some() {
            return self.investigate_failure(cx);
        }
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.noted(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
