//! What vedette talks to beside its targets: a mail relay that takes everything, relays, resolvers and a receiver of
//! heartbeats that do what they can to hurt.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::farm::Reply;
use super::http1::{pour, trickle};
use super::tcp_udp_port::by_udp_and_tcp;

/// Mails that were taken, as they came.
pub(crate) type Post = Arc<Mutex<Vec<String>>>;

/// A relay that takes everything, without TLS.
pub(crate) async fn relay() -> (SocketAddr, Post) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let post = Post::default();
    let taken = Arc::clone(&post);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_mail(stream, Arc::clone(&taken)));
        }
    });
    (address, post)
}

async fn serve_mail(stream: TcpStream, post: Post) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 farm ESMTP\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let answer = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut mail).await? == 0 {
                        return Ok(());
                    }
                }
                post.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                "250 taken"
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => "250 farm",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// A greeting whose line never ends.
pub(crate) fn greeting_without_end(mut stream: TcpStream) -> Reply {
    Box::pin(async move { pour(&mut stream, b"220 farm ").await })
}

/// A greeting whose lines never end.
pub(crate) fn endless_greeting(mut stream: TcpStream) -> Reply {
    Box::pin(async move { pour(&mut stream, b"220-farm\r\n").await })
}

pub(crate) fn dripping_greeting(mut stream: TcpStream) -> Reply {
    Box::pin(async move { trickle(&mut stream).await })
}

/// A receiver of heartbeats whose answer never gets past its headers.
pub(crate) fn receiver(mut stream: TcpStream) -> Reply {
    Box::pin(async move { pour(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n").await })
}

/// Answers every question with the bytes that `answer` makes of it, over and over.
pub(crate) async fn resolver(answer: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
    let (socket, listener) = by_udp_and_tcp().await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer).await {
            let bytes = answer(&buffer[..length]);
            for _ in 0..1_000 {
                if socket.send_to(&bytes, asker).await.is_err() {
                    break;
                }
            }
        }
    });
    // Truncated answers lead here.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { pour(&mut stream, &[0xff]).await });
        }
    });
    address
}

/// An answer to another question.
pub(crate) fn wrong_id(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[0] ^= 0xff;
    answer[2] |= 0x80;
    answer
}

/// The right number, and then nothing that could be read.
pub(crate) fn gibberish(question: &[u8]) -> Vec<u8> {
    [&question[..2], &[0xff; 400]].concat()
}

/// "Ask by TCP", where everything is ones.
pub(crate) fn truncated(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x82;
    answer
}
