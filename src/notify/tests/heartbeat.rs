//! Claims about heartbeats.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::config::settings::{self, Source};
use crate::model::delivery::FailureClass;
use crate::notify::heartbeat::Heartbeat;
use crate::notify::tests::relay::certificate;

/// Answers every request with interim answers for ever.
async fn flooding_receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flood = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1024);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            drop(stream.read_line(&mut String::new()).await);
            while stream.write_all(&flood).await.is_ok() {}
        }
    });
    address
}

/// Answers every request by `reply` of its path, or not at all.
pub(super) async fn receiver(
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    reply: impl Fn(&str, SocketAddr) -> Option<String> + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let reply = Arc::new(reply);
    tokio::spawn({
        let asked = Arc::clone(&asked);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, asked, acceptor) = (Arc::clone(&reply), Arc::clone(&asked), acceptor.clone());
                let reply = move |path: &str| {
                    asked.lock().unwrap().push(path.to_owned());
                    reply(path, address)
                };
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, reply).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, reply).await;
                            }
                        }
                    }
                });
            }
        }
    });
    (address, asked)
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, reply: impl Fn(&str) -> Option<String>) {
    let mut stream = BufReader::new(stream);
    let (mut request, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
        request.push_str(&line);
        line.clear();
    }
    match reply(request.split(' ').nth(1).unwrap_or_default()) {
        Some(text) => {
            let text = format!("HTTP/1.1 {text}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            drop(stream.get_mut().write_all(text.as_bytes()).await);
        }
        None => std::future::pending().await,
    }
}

pub(super) fn heartbeat(url: &str, ca: Option<Source>) -> Heartbeat {
    let url = url.parse().unwrap();
    Heartbeat::new(&settings::Heartbeat { url, interval: Duration::from_secs(30), ca })
}

#[tokio::test]
async fn only_a_2xx_is_a_beat() {
    for (status, class) in [
        ("200 OK", None),
        ("204 No Content", None),
        ("404 Not Found", Some(FailureClass::Refused)),
        ("403 Forbidden", Some(FailureClass::CredentialRefused)),
        ("503 Busy", Some(FailureClass::Deferred)),
    ] {
        let (address, _) = receiver(None, move |_, _| Some(status.into())).await;

        let result = heartbeat(&format!("http://{address}/ping/secret"), None).beat().await;

        assert_eq!(result.as_ref().err().map(|failure| failure.class), class);
        assert!(result.err().is_none_or(|failure| !failure.text.contains("secret")));
    }
}

#[tokio::test]
async fn a_stalled_receiver_costs_the_deadline_and_no_more() {
    let (address, _) = receiver(None, |_, _| None).await;
    let heartbeat = heartbeat(&format!("http://{address}/"), None).with_overall(Duration::from_millis(200));

    let failure = heartbeat.beat().await.unwrap_err();

    assert_eq!(failure.class, FailureClass::TimedOut);
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_cut_off_long_before_the_deadline() {
    let address = flooding_receiver().await;
    let heartbeat = heartbeat(&format!("http://{address}/"), None).with_overall(Duration::from_secs(60));

    let failure = heartbeat.beat().await.unwrap_err();

    assert_eq!(failure.class, FailureClass::Broken);
    assert!(failure.text.ends_with("sends more than any answer needs"), "{}", failure.text);
}

#[tokio::test]
async fn redirects_lead_to_the_same_host_only() {
    let (other, asked_other) = receiver(None, |_, _| Some("200 OK".into())).await;
    let (address, asked) = receiver(None, move |path, own| {
        Some(match path {
            "/home" => format!("302 Found\r\nLocation: http://{own}/here"),
            "/away" => format!("302 Found\r\nLocation: http://localhost:{}/there", other.port()),
            "/loop" => format!("302 Found\r\nLocation: http://{own}/loop"),
            _ => "200 OK".into(),
        })
    })
    .await;

    let home = heartbeat(&format!("http://{address}/home"), None).beat().await;
    let away = heartbeat(&format!("http://{address}/away"), None).beat().await;
    let circle = heartbeat(&format!("http://{address}/loop"), None).beat().await;

    assert_eq!(home, Ok(()));
    assert_eq!(away.unwrap_err().class, FailureClass::Refused);
    assert!(circle.is_err());
    assert!(asked_other.lock().unwrap().is_empty());
    assert_eq!(asked.lock().unwrap().iter().filter(|path| *path == "/loop").count(), 4);
}

#[tokio::test]
async fn the_ca_is_read_anew_when_it_changes() {
    crate::notify::install_provider();
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    let (right, acceptor) = certificate();
    std::fs::write(&ca, certificate().0).unwrap();
    let (address, _) = receiver(Some(acceptor), |_, _| Some("200 OK".into())).await;
    let heartbeat = heartbeat(&format!("https://{address}/"), Some(Source::File(ca.clone())));

    let wrong = heartbeat.beat().await;
    std::fs::write(&ca, right).unwrap();

    assert_eq!(wrong.unwrap_err().class, FailureClass::Untrusted);
    assert_eq!(heartbeat.beat().await, Ok(()));
}

#[tokio::test]
async fn a_heartbeat_goes_out_while_its_ca_cannot_be_read() {
    crate::notify::install_provider();
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    let (right, acceptor) = certificate();
    std::fs::write(&ca, right).unwrap();
    let (address, _) = receiver(Some(acceptor), |_, _| Some("200 OK".into())).await;
    let heartbeat = heartbeat(&format!("https://{address}/"), Some(Source::File(ca.clone())));

    assert_eq!(heartbeat.beat().await, Ok(()));
    std::fs::remove_file(ca).unwrap();

    assert_eq!(heartbeat.beat().await, Ok(()));
}
