//! One connection of the programmable mail server: lines in, replies out, in the clear or in TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Result, bail};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longest line and longest message accepted, in bytes: ten times what vedette should ever send.
const LIMIT: usize = 32 << 20;

enum Transport {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// The connection and what was read ahead.
pub(super) struct Connection {
    transport: Transport,
    ahead: Vec<u8>,
}

impl Connection {
    /// A session in the clear.
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { transport: Transport::Clear(tcp), ahead: Vec::new() }
    }

    /// Goes on in TLS. What the client sent in the clear behind STARTTLS is dropped (RFC 3207).
    pub(super) fn encrypt(self, config: &Arc<ServerConfig>) -> Result<Self> {
        let Transport::Clear(tcp) = self.transport else { bail!("already in TLS") };
        let session = ServerConnection::new(Arc::clone(config))?;
        let transport = Transport::Tls(Box::new(StreamOwned::new(session, tcp)));
        Ok(Self { transport, ahead: Vec::new() })
    }

    /// Whether TLS is on.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// The next line without its end, or nothing when the client has left.
    pub(super) fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if self.ahead.len() > LIMIT {
                bail!("line too long");
            }
            let mut chunk = [0; 16 << 10];
            let read = match &mut self.transport {
                Transport::Clear(tcp) => tcp.read(&mut chunk),
                Transport::Tls(tls) => tls.read(&mut chunk),
            };
            match read {
                Ok(0) => return Ok(None),
                Ok(count) => self.ahead.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends one reply; `text` may hold several lines.
    pub(super) fn reply(&mut self, code: u16, text: &str) -> Result<()> {
        let mut out = String::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            out.push_str(&format!("{code}{mark}{line}\r\n"));
        }
        match &mut self.transport {
            Transport::Clear(tcp) => tcp.write_all(out.as_bytes())?,
            Transport::Tls(tls) => {
                tls.write_all(out.as_bytes())?;
                tls.flush()?;
            }
        }
        Ok(())
    }

    /// Whether the client, whose turn it is not, has said or closed something: it has given up.
    pub(super) fn is_abandoned(&self) -> bool {
        let tcp = match &self.transport {
            Transport::Clear(tcp) => tcp,
            Transport::Tls(tls) => &tls.sock,
        };
        let waiting = tcp.set_nonblocking(true).and_then(|()| tcp.peek(&mut [0]));
        let restored = tcp.set_nonblocking(false);
        restored.is_err() || waiting.is_ok() || waiting.is_err_and(|e| e.kind() != ErrorKind::WouldBlock)
    }
}
