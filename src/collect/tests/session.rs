//! TLS sessions: what passes, how they end, and that a silent one holds nothing.

use std::io::ErrorKind;

use rustls::pki_types::ServerName;
use rustls::{SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::servers::{self, TRUSTED};
use crate::collect::byte_stream::ByteStream;
use crate::collect::handshake::{Alpn, Tls};
use crate::collect::session::Session;
use crate::model::probe::Hello;

/// Bytes that the wire takes before it must be read: less than a handshake, so that every write is cut.
const WIRE: usize = 333;

/// Both ends of a session.
async fn pair(spoken: &'static SupportedProtocolVersion) -> (Session<Box<dyn ByteStream>>, TlsStream<DuplexStream>) {
    let config = servers::tls_of(&TRUSTED.server(), None, b"http/1.1", &[spoken]);
    let (ours, theirs) = tokio::io::duplex(WIRE);
    let tls = Tls::new();
    let (recorder, name) = (tls.recorder(None), ServerName::try_from(servers::SERVER).unwrap());
    let shake = tls.shake(&recorder, (Alpn::Http1, Hello::Large), name, Box::new(ours));
    let (session, server) = tokio::join!(shake, TlsAcceptor::from(config).accept(theirs));
    (session.unwrap(), server.unwrap())
}

#[tokio::test]
async fn whatever_is_said_arrives_whole_in_both_versions_and_leaves_nothing_behind() {
    let question: Vec<u8> = (0..70_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for spoken in [&version::TLS12, &version::TLS13] {
        let (mut session, mut server) = pair(spoken).await;
        let expected = question.clone();
        let echo = async move {
            let mut heard = vec![0; expected.len()];
            for _ in 0..2 {
                server.read_exact(&mut heard).await.unwrap();
                assert!(heard == expected);
                // With TLS 1.3 this asks us for new keys as well.
                server.get_mut().1.refresh_traffic_keys().ok();
                server.write_all(&heard).await.unwrap();
                server.flush().await.unwrap();
            }
            server
        };
        let ask = async {
            for _ in 0..2 {
                session.write_all(&question).await.unwrap();
                session.flush().await.unwrap();
                let mut answer = vec![0; question.len()];
                session.read_exact(&mut answer).await.unwrap();
                assert!(answer == question);
            }
        };

        let (server, ()) = tokio::join!(echo, ask);

        assert_eq!(session.held(), 0, "{:?}", spoken.version);
        drop(server);
    }
}

#[tokio::test]
async fn a_goodbye_reads_as_the_end_and_a_bare_end_does_not() {
    let mut bytes = [0; 8];
    let (mut polite, mut server) = pair(&version::TLS13).await;
    server.shutdown().await.unwrap();
    let (mut rude, server) = pair(&version::TLS13).await;
    drop(server);

    assert_eq!(polite.read(&mut bytes).await.unwrap(), 0);
    assert_eq!(polite.read(&mut bytes).await.unwrap(), 0, "and stays the end");
    assert_eq!(rude.read(&mut bytes).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn our_goodbye_is_heard_after_all_that_was_said() {
    for spoken in [&version::TLS12, &version::TLS13] {
        let (mut session, mut server) = pair(spoken).await;
        let leave = async {
            session.write_all(&[7; 5_000]).await.unwrap();
            session.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();

        let ((), read) = tokio::join!(leave, server.read_to_end(&mut heard));

        assert_eq!(read.unwrap(), 5_000, "an end without goodbye would be an error");
    }
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_told_and_told_once() {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let tls = Tls::new();
    let (recorder, name) = (tls.recorder(None), ServerName::try_from(servers::SERVER).unwrap());
    theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();

    let shaken = tls.shake(&recorder, (Alpn::Http1, Hello::Large), name, Box::new(ours)).await;

    assert!(shaken.is_err());
    drop(shaken);
    let mut heard = Vec::new();
    theirs.read_to_end(&mut heard).await.unwrap();
    let alert = heard.split_off(heard.len() - 7);
    assert_eq!((alert[0], alert[5]), (21, 2), "the last record is a fatal alert: {alert:?}");
    assert_eq!(heard[0], 22, "what comes before it is the handshake");
}

#[tokio::test]
async fn after_an_byte_that_cannot_be_decrypted_nothing_is_believed() {
    let (mut session, mut server) = pair(&version::TLS13).await;
    let forged = [&[23, 3, 3, 0, 32][..], &[9; 32]].concat();
    server.get_mut().0.write_all(&forged).await.unwrap();
    server.write_all(b"too late").await.unwrap();
    let mut bytes = [0; 64];

    for _ in 0..2 {
        let error = session.read(&mut bytes).await.unwrap_err();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        assert_eq!(inner, Some(&rustls::Error::DecryptError));
    }
    session.shutdown().await.unwrap();
}
