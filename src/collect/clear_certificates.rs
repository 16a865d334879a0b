//! The certificates of a server that rustls has nothing in common with, by its first answer: see
//! [`tls_certificates`]. The connection is closed as soon as they are read, or cannot come any more.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::handshake;
use crate::parse::tls_certificates::{self, Answer, Served};

/// What `place` serves when it is asked for `name`; `None` where that is nothing. The caller sets the deadline.
///
/// # Errors
///
/// Those of the connection.
pub(super) async fn of(place: SocketAddr, name: Option<&str>) -> io::Result<Option<Served>> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let mut stream = TcpStream::connect(place).await?;
    stream.write_all(&tls_certificates::client_hello(name, random)).await?;

    let mut bytes = Vec::new();
    let mut most = (&mut stream).take(u64::try_from(handshake::BYTES).unwrap_or(u64::MAX));
    loop {
        match tls_certificates::read(&bytes) {
            Answer::Served(served) => return Ok(Some(served)),
            Answer::Nothing => return Ok(None),
            Answer::More => {}
        }
        bytes.reserve(16 * 1024);
        if most.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
