//! A port of this machine that stays ours while no process listens on it.
//!
//! Tests in other binaries include this file by its path, so it imports nothing of ours.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A TCP port that is bound and not listened on. It refuses whoever dials it, and the kernel gives it neither to those
/// who ask for any port nor to outgoing connections. A program that is told its number may listen there all the same,
/// as both sockets permit reuse.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) address: SocketAddr,
    _bound: TcpSocket,
}

impl Reserved {
    /// On loopback.
    ///
    /// # Errors
    ///
    /// When this process may open no socket more, or every port is taken.
    pub(crate) fn new() -> io::Result<Self> {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// At `address`, whose port may be 0 for any.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], and when `address` is not of this machine.
    pub(crate) fn at(address: SocketAddr) -> io::Result<Self> {
        let bound = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        bound.set_reuseaddr(true)?;
        bound.bind(address)?;
        Ok(Self { address: bound.local_addr()?, _bound: bound })
    }
}
