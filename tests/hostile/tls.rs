//! What can be done before and below the first question: broken handshakes, odd chains, noise under TLS.

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::farm::{Reply, Secured, TestCa};
use super::http1::{pour, trickle};

/// SHA-256 of "HelloRetryRequest": the random that makes a ServerHello one (RFC 8446 section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

pub(crate) fn silence(stream: TcpStream) -> Reply {
    Box::pin(async move {
        let _open = stream;
        std::future::pending().await
    })
}

pub(crate) fn plain_http(mut stream: TcpStream) -> Reply {
    Box::pin(async move {
        pour(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n").await;
    })
}

/// A record that is announced whole and comes a byte at a time.
pub(crate) fn dripping_handshake(mut stream: TcpStream) -> Reply {
    Box::pin(async move {
        if hello(&mut stream).await.is_some() && stream.write_all(&[22, 3, 3, 0x10, 0, 2, 0, 0xff, 0xff]).await.is_ok()
        {
            trickle(&mut stream).await;
        }
    })
}

/// A ServerHello of sixteen MiB.
pub(crate) fn endless_handshake(mut stream: TcpStream) -> Reply {
    Box::pin(async move {
        if hello(&mut stream).await.is_some() {
            let record = [&[22, 3, 3, 0x10, 0][..], &[2, 0xff, 0xff, 0xff], &[0; 4092]].concat();
            stream.write_all(&record).await.ok();
            pour(&mut stream, &[&[22, 3, 3, 0x10, 0][..], &[0; 4096]].concat()).await;
        }
    })
}

/// Warning alerts, user_canceled, for ever.
pub(crate) fn endless_warnings(mut stream: TcpStream) -> Reply {
    Box::pin(async move {
        if hello(&mut stream).await.is_some() {
            pour(&mut stream, &[21, 3, 3, 0, 2, 1, 90]).await;
        }
    })
}

/// Asks for another hello again and again.
pub(crate) fn endless_retries(mut stream: TcpStream) -> Reply {
    Box::pin(async move {
        while let Some(session) = hello(&mut stream).await {
            // TLS_AES_128_GCM_SHA256, no compression, TLS 1.3, a key share for secp384r1, of which none was sent.
            let rest = [0x13, 0x01, 0, 0, 12, 0, 0x2b, 0, 2, 3, 4, 0, 0x33, 0, 2, 0, 0x18];
            let body = [&[3, 3][..], &RETRY, &[u8::try_from(session.len()).unwrap()], &session, &rest].concat();
            let length = u8::try_from(body.len()).unwrap();
            let record = [&[22, 3, 3, 0, length + 4, 2, 0, 0, length][..], &body].concat();
            if stream.write_all(&record).await.is_err() {
                return;
            }
        }
    })
}

/// A good handshake, and then words in the clear.
pub(crate) fn plain_text_inside(stream: Secured) -> Reply {
    Box::pin(async move {
        let (mut socket, _) = stream.into_inner();
        pour(&mut socket, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
}

/// A good handshake, and then new traffic keys for ever.
pub(crate) fn endless_key_updates(mut stream: Secured) -> Reply {
    Box::pin(async move {
        while stream.get_mut().1.refresh_traffic_keys().is_ok() && stream.flush().await.is_ok() {
            tokio::task::consume_budget().await;
        }
    })
}

pub(crate) fn fifty_times_the_same(ca: &TestCa) -> Vec<CertificateDer<'static>> {
    vec![ca.leaf(); 50]
}

pub(crate) fn two_hundred_certificates(ca: &TestCa) -> Vec<CertificateDer<'static>> {
    chain(ca, 200)
}

/// More than the 64 KiB that TLS libraries take.
pub(crate) fn more_than_64_kib(ca: &TestCa) -> Vec<CertificateDer<'static>> {
    chain(ca, 400)
}

/// One of month 13, one that is no certificate.
pub(crate) fn bad_asn1(ca: &TestCa) -> Vec<CertificateDer<'static>> {
    let mut bytes = ca.leaf().to_vec();
    // UTCTime, thirteen bytes, and the month behind the year.
    let date = bytes.windows(2).position(|pair| pair == [0x17, 0x0d]).unwrap();
    bytes[date + 4..date + 6].copy_from_slice(b"13");
    vec![bytes.into(), vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0].into()]
}

fn chain(ca: &TestCa, length: usize) -> Vec<CertificateDer<'static>> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "x");
    let small = params.self_signed(&key).unwrap().der().clone();
    let mut chain = vec![small; length];
    chain[0] = ca.leaf();
    chain
}

/// Reads a ClientHello and returns its session id.
async fn hello(stream: &mut TcpStream) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.ok()?;
        let [kind, _, _, high, low] = head;
        let mut record = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        stream.read_exact(&mut record).await.ok()?;
        // A client may send a ChangeCipherSpec before its second hello.
        if kind == 22 {
            let length = usize::from(*record.get(38)?);
            return record.get(39..39 + length).map(<[u8]>::to_vec);
        }
    }
}
