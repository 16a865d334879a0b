//! What TLS and HTTP are spoken over: a socket, or a tunnel through a proxy.

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to an endpoint.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}
