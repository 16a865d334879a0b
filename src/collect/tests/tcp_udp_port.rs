//! A port that is ours by both protocols, as a resolver needs.
//!
//! Tests in other binaries include this file by its path, so it imports nothing of ours.

use std::io;

use tokio::net::{TcpListener, UdpSocket};

/// One port of loopback by UDP and by TCP. A port that is free for one may be taken for the other.
///
/// # Errors
///
/// When this process may open no socket more, or when a hundred ports in a row were taken.
pub(crate) async fn by_udp_and_tcp() -> io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        if let Ok(socket) = UdpSocket::bind(listener.local_addr()?).await {
            return Ok((socket, listener));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
