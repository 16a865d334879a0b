//! What can be done to whoever asks by HTTP/1.1.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::farm::{Reply, Secured};

/// Between two bytes of whoever drips.
pub(crate) const DRIP: Duration = Duration::from_secs(1);
/// Bytes written at once by whoever floods.
const FLOOD: usize = 16 * 1024;

/// A healthy apiserver: tells its version, and that it is well whatever else it is asked, over and over.
pub(crate) fn healthy(mut stream: Secured) -> Reply {
    Box::pin(async move {
        while let Some(head) = head(&mut stream).await {
            let body = if head.starts_with(b"GET /version") { r#"{"gitVersion":"v1.36.3"}"# } else { "ok" };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        stream.shutdown().await.ok();
    })
}

pub(crate) fn endless_body(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\n\r\n", "x")
}

pub(crate) fn length_of_all_memory(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n", "x")
}

pub(crate) fn endless_tiny_chunks(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n")
}

pub(crate) fn endless_chunk_extension(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "x")
}

pub(crate) fn endless_trailers(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "a: b\r\n")
}

pub(crate) fn endless_headers(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\n", "a: b\r\n")
}

pub(crate) fn header_without_end(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 OK\r\na: ", "b")
}

pub(crate) fn status_without_end(stream: Secured) -> Reply {
    flood(stream, "HTTP/1.1 200 ", "O")
}

pub(crate) fn endless_continue(stream: Secured) -> Reply {
    flood(stream, "", "HTTP/1.1 100 Continue\r\n\r\n")
}

pub(crate) fn endless_early_hints(stream: Secured) -> Reply {
    flood(stream, "", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
}

pub(crate) fn large_body(stream: Secured) -> Reply {
    say(stream, format!("HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n{}", "x".repeat(1 << 20)).into_bytes())
}

/// Forty KiB that would be forty MiB if anybody unpacked them; nobody asked for that encoding.
pub(crate) fn gzip_bomb(stream: Secured) -> Reply {
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 40960\r\n\r\n\u{1f}";
    let mut answer = head.as_bytes().to_vec();
    answer.resize(answer.len() + 40_959, 0);
    say(stream, answer)
}

pub(crate) fn two_lengths(stream: Secured) -> Reply {
    say(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk".to_vec())
}

pub(crate) fn another_protocol(stream: Secured) -> Reply {
    say(stream, b"220 mail.example ESMTP\r\n".to_vec())
}

/// To an address nobody may be led to; a connection there would not be noticed by anybody.
pub(crate) fn redirect(stream: Secured) -> Reply {
    let location =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://192.0.2.1/latest/\r\ncontent-length: 0\r\n\r\n";
    say(stream, location.as_bytes().to_vec())
}

pub(crate) fn dripping_headers(stream: Secured) -> Reply {
    drip(stream, "HTTP/1.1 200 OK\r\na: ")
}

pub(crate) fn dripping_body(stream: Secured) -> Reply {
    drip(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
}

/// Says the same to every question.
fn say(mut stream: Secured, answer: Vec<u8>) -> Reply {
    Box::pin(async move {
        while heard(&mut stream).await {
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
        stream.shutdown().await.ok();
    })
}

/// Begins an answer, and goes on with `more` for ever.
fn flood(mut stream: Secured, begin: &'static str, more: &'static str) -> Reply {
    Box::pin(async move {
        if heard(&mut stream).await && stream.write_all(begin.as_bytes()).await.is_ok() {
            pour(&mut stream, more.as_bytes()).await;
        }
    })
}

fn drip(mut stream: Secured, begin: &'static str) -> Reply {
    Box::pin(async move {
        if heard(&mut stream).await && stream.write_all(begin.as_bytes()).await.is_ok() {
            trickle(&mut stream).await;
        }
    })
}

/// Writes `unit` for ever.
pub(crate) async fn pour(stream: &mut (impl AsyncWrite + Unpin), unit: &[u8]) {
    let many = unit.repeat(FLOOD.div_ceil(unit.len()));
    while stream.write_all(&many).await.is_ok() {}
}

/// Writes a byte, waits, writes a byte.
pub(crate) async fn trickle(stream: &mut (impl AsyncWrite + Unpin)) {
    let mut beat = tokio::time::interval(DRIP);
    while stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok() {
        beat.tick().await;
    }
}

/// Reads one question; whether one came.
async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    head(stream).await.is_some()
}

/// The head of a request; `None` when the client has gone.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(bytes)
}
