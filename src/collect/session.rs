//! A TLS session over a byte stream, as a client, that holds no bytes while none are under way.
//!
//! Connections are kept open by the thousand to notice their end, and most of the time they are silent. The usual
//! stream keeps its read buffer of 4 KiB for as long as it lives, which is as much as all the rest of such a
//! connection; here rustls works without buffers of its own, and what is read is on the stack until an incomplete
//! record must be kept. To the peer and to callers it is the usual stream: an alert is sent before its error is
//! returned, a close_notify reads as the end, and an end without one is [`io::ErrorKind::UnexpectedEof`]. Called by
//! `handshake.rs`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once: an apiserver's verbose readyz fits.
const READ: usize = 4096;

/// Bytes kept of what is not whole yet: more than the largest handshake message that rustls takes, 64 KiB.
const MOST: usize = 80 * 1024;

/// Bytes written at once: one record.
const RECORD: usize = 16 * 1024;

/// The bytes by which a record is longer than its content, in any version, with room for one more message of the
/// protocol.
const OVERHEAD: usize = 128;

/// A TLS session over `S`.
pub(crate) struct Session<S> {
    wire: S,
    tls: UnbufferedClientConnection,
    /// From the peer, and not decrypted yet.
    incoming: Vec<u8>,
    /// From the peer, decrypted, and not read yet.
    heard: ByteQueue,
    /// For the peer, and not accepted by the socket yet.
    outgoing: ByteQueue,
    /// The error after which nothing more can be decrypted.
    failure: Option<Box<Error>>,
    /// The peer sent close_notify.
    is_over: bool,
    has_said_goodbye: bool,
}

/// Bytes that are consumed from their front, and need no memory once they are.
#[derive(Debug, Default)]
struct ByteQueue {
    all: Vec<u8>,
    used: usize,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The handshake waits for the peer.
    Shaking,
    /// Both sides may send.
    Open,
    /// Both sides have sent close_notify.
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Shakes hands with `name` over `wire`.
    ///
    /// # Errors
    ///
    /// Those of the wire; with [`rustls::Error`] inside, those of TLS.
    pub(crate) async fn connect(config: Arc<ClientConfig>, name: ServerName<'static>, wire: S) -> io::Result<Self> {
        let tls = UnbufferedClientConnection::new(config, name).map_err(invalid)?;
        let mut session = Self {
            wire,
            tls,
            incoming: Vec::new(),
            heard: ByteQueue::default(),
            outgoing: ByteQueue::default(),
            failure: None,
            is_over: false,
            has_said_goodbye: false,
        };
        std::future::poll_fn(|cx| session.poll_shake(cx)).await?;
        Ok(session)
    }

    fn poll_shake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let stage = self.understand(cx)?;
            ready!(self.poll_send(cx))?;
            match stage {
                Stage::Open => return Pin::new(&mut self.wire).poll_flush(cx),
                Stage::Closed => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Stage::Shaking => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Bytes it has room for at the moment.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.incoming.capacity() + self.heard.all.capacity() + self.outgoing.all.capacity()
    }

    /// Processes what was received. If that calls for a TLS alert, it is sent as far as the socket takes it at once.
    fn understand(&mut self, cx: &mut Context<'_>) -> io::Result<Stage> {
        self.digest().map_err(|error| {
            // Whether the alert is sent makes no difference to the error that is returned.
            drop(self.poll_send(cx));
            invalid(error)
        })
    }

    fn digest(&mut self) -> Result<Stage, Error> {
        // After an error nothing that follows can be decoded.
        if let Some(error) = &self.failure {
            return Err(Error::clone(error));
        }
        loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(stage)) => return Ok(stage),
                Err(error) => {
                    // The alert that gives the peer the reason, if there is one, is sent before anything else.
                    self.step().ok();
                    self.failure = Some(Box::new(error.clone()));
                    return Err(error);
                }
            }
        }
    }

    /// Understands one thing; `None` when there may be more of them.
    fn step(&mut self) -> Result<Option<Stage>, Error> {
        let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(&mut self.incoming);
        let stage = match state {
            Ok(ConnectionState::ReadTraffic(mut records)) => {
                while let Some(record) = records.next_record() {
                    let record = record?;
                    discard += record.discard;
                    self.heard.all.extend_from_slice(record.payload);
                }
                Ok(None)
            }
            Ok(ConnectionState::EncodeTlsData(mut message)) => {
                let written = self.outgoing.append(0, |room| {
                    message.encode(room).map_err(|error| match error {
                        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(required_size),
                        EncodeError::AlreadyEncoded => None,
                    })
                });
                written.map(|()| None)
            }
            // It lies in `outgoing`, and goes before anything else does.
            Ok(ConnectionState::TransmitTlsData(message)) => {
                message.done();
                Ok(None)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.is_over = true;
                Ok(None)
            }
            Ok(ConnectionState::Closed) => Ok(Some(Stage::Closed)),
            Ok(ConnectionState::BlockedHandshake) => Ok(Some(Stage::Shaking)),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Some(Stage::Open)),
            Ok(_) => Err(Error::General("a state that clients do not have".to_owned())),
            Err(error) => Err(error),
        };
        self.incoming.drain(..discard);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        stage
    }

    /// Encrypts what `say` says into `outgoing`, which has room for `room` bytes at first.
    fn speak(
        &mut self,
        room: usize,
        mut say: impl FnMut(&mut WriteTraffic<'_, ClientConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.incoming);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let written = self.outgoing.append(room, |room| {
            say(&mut traffic, room).map_err(|error| match error {
                EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(required_size),
                EncryptError::EncryptExhausted => None,
            })
        });
        written.map_err(invalid)
    }

    /// Reads once, onto the end of `incoming`; 0 when the peer has closed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.incoming.len() >= MOST {
            return Poll::Ready(Err(invalid(Error::General("a message longer than any".to_owned()))));
        }
        let mut bytes = [0; READ];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.wire).poll_read(cx, &mut read))?;
        self.incoming.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Hands everything in `outgoing` to the wire.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.rest().is_empty() {
            let written = ready!(Pin::new(&mut self.wire).poll_write(cx, self.outgoing.rest()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.use_up(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Session<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.heard.rest().is_empty() {
            if this.is_over {
                return Poll::Ready(Ok(()));
            }
            if this.failure.is_none() && ready!(this.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            this.understand(cx)?;
            // What the protocol itself has to say waits for the next one who writes, if it must.
            if let Poll::Ready(sent) = this.poll_send(cx) {
                sent?;
            }
        }
        let taken = this.heard.rest().len().min(buf.remaining());
        buf.put_slice(&this.heard.rest()[..taken]);
        this.heard.use_up(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Session<S> {
    /// Does not promise that anything is sent before a flush.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_send(cx))?;
        let bytes = &bytes[..bytes.len().min(RECORD)];
        this.understand(cx)?;
        this.speak(bytes.len() + OVERHEAD, |traffic, room| traffic.encrypt(bytes, room))?;
        if let Poll::Ready(sent) = this.poll_send(cx) {
            sent?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.has_said_goodbye {
            this.has_said_goodbye = true;
            // After an error no close_notify is sent.
            if this.digest().is_ok() {
                this.speak(OVERHEAD, |traffic, room| traffic.queue_close_notify(room)).ok();
            }
        }
        ready!(this.poll_send(cx))?;
        match ready!(Pin::new(&mut this.wire).poll_shutdown(cx)) {
            // The peer closed first.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            ended => Poll::Ready(ended),
        }
    }
}

impl ByteQueue {
    fn rest(&self) -> &[u8] {
        self.all.get(self.used..).unwrap_or_default()
    }

    fn use_up(&mut self, count: usize) {
        self.used += count;
        if self.rest().is_empty() {
            *self = Self::default();
        }
    }

    /// Appends what `write` writes into at first `room` bytes; it tells how many it needs when these are too few.
    fn append(
        &mut self,
        mut room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Result<(), Error> {
        let from = self.all.len();
        loop {
            self.all.resize(from + room, 0);
            let written = write(&mut self.all[from..]);
            self.all.truncate(from + written.unwrap_or(0));
            match written {
                Ok(_) => return Ok(()),
                Err(Some(needed)) if needed > room => room = needed,
                Err(_) => return Err(Error::EncryptError),
            }
        }
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
