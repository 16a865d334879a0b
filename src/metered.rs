//! A bound on what a peer may send, put below TLS, where nothing escapes the count.
//!
//! Limits on heads, bodies and messages bound what is kept. They do not bound what a peer can make us read and throw
//! away: pings, empty frames, interim answers, new traffic keys. A peer that floods such things costs no memory but a
//! processor, and so the ticks of every other target. Each question grants its peer the bytes of a generous answer; a
//! peer that sends more is disconnected. Time is bounded elsewhere, by deadlines. Used by three folders, which may not
//! import each other: by `collect` for every endpoint, by `notify` for the mail relay, by `expose` for who comes to us
//! over TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a peer may still send.
#[derive(Debug)]
pub struct Meter {
    left: AtomicUsize,
}

/// A stream whose peer may send so much and no more.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

/// The peer sent more than it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer sends more than any answer needs")]
pub struct Flooded;

impl Meter {
    /// Grants `bytes` to begin with.
    #[must_use]
    pub fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    /// Grants `bytes` from here on. What was left of an earlier grant is void, so that a peer cannot accumulate it.
    pub fn grant(&self, bytes: usize) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the last grant that the peer has not sent.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn count(&self, bytes: usize) {
        // A grant that comes in between is as good before as after.
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(bytes), Ordering::Relaxed);
    }
}

impl<S> Metered<S> {
    /// Counts what comes in over `stream` against `meter`.
    #[must_use]
    pub const fn new(stream: S, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.meter.is_spent() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, Flooded)));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.meter.count(buf.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_peer_may_send_what_it_was_granted_and_saves_nothing_up() {
        let meter = Meter::of(250);
        let mut stream = Metered::new(tokio::io::repeat(7), Arc::clone(&meter));
        let mut bytes = [0; 100];

        for _ in 0..3 {
            stream.read_exact(&mut bytes).await.unwrap();
        }
        let flooded = stream.read_exact(&mut bytes).await.unwrap_err();
        meter.grant(1);
        meter.grant(1);
        stream.read_exact(&mut bytes).await.unwrap();

        assert!(flooded.get_ref().is_some_and(|inner| inner.is::<Flooded>()), "{flooded}");
        assert!(stream.read_exact(&mut bytes).await.is_err());
    }
}
