//! Endpoints as they are met: those that refuse whoever shows no certificate, and those that serve nothing.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use rcgen::KeyPair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::tests::closed_port::Reserved;
use super::super::tests::servers::{FOREIGN, SERVER, Server, TRUSTED, tls, tls_of};
use super::*;
use crate::model::certificate_list::End;
use crate::model::time::UnixTime;

async fn list(place: SocketAddr) -> (Vec<ListEntry>, Vec<Unread>) {
    listed(Address { host: Host::Ip(place.ip()), port: place.port() }).await
}

async fn listed(address: Address) -> (Vec<ListEntry>, Vec<Unread>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for event in ServedCertificates::default().list(&address).await {
        match event {
            ListEvent::Found(entry) => found.push(entry),
            ListEvent::Unread(fault) => unread.push(fault),
            ListEvent::Note(_) | ListEvent::Progress => {}
        }
    }
    (found, unread)
}

#[tokio::test]
async fn a_chain_counts_whatever_the_server_then_wants() {
    let ended = FOREIGN.issue(&KeyPair::generate().unwrap(), |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for clients in [None, Some(&*TRUSTED)] {
            // It names a protocol that nobody here speaks.
            let config = tls_of(&ended, clients, b"imap", &[version]);
            let server = Server::tls(config, |mut stream| async move {
                drop(stream.read_u8().await);
            })
            .await;

            let (found, unread) = list(server.address).await;

            assert_eq!(unread, [], "{version:?}");
            assert_eq!((found.len(), found[0].kind, &*found[0].place), (1, "leaf", &*server.address.to_string()));
            assert_eq!(
                found[0].end,
                End::At(
                    "2021-01-01T00:00:00Z"
                        .parse::<jiff::Timestamp>()
                        .map(|at| UnixTime::from_secs(at.as_second()))
                        .unwrap()
                )
            );
        }
    }
}

#[tokio::test]
async fn every_address_of_a_name_is_asked_and_named() {
    let pair = TRUSTED.server();
    let server = Server::tls(tls(&pair, None, b"h2"), |_| async {}).await;

    let (found, unread) = listed(Address { host: "localhost".parse().unwrap(), port: server.address.port() }).await;

    // Where localhost is ::1 as well, nothing listens there, and that is said.
    let places: Vec<&str> = found.iter().map(|entry| &*entry.place).collect();
    assert_eq!(places, [format!("localhost:{} (127.0.0.1)", server.address.port())]);
    assert!(
        unread.iter().all(|fault| fault.place.ends_with("(::1)") && fault.reason.contains("refused")),
        "{unread:?}"
    );
}

#[tokio::test]
async fn a_long_chain_is_read_to_its_bound_and_the_rest_is_counted() {
    let mut pair = TRUSTED.server();
    let leaf = pair.chain[0].clone();
    pair.chain.extend(std::iter::repeat_n(leaf, 49));
    let server = Server::tls(tls(&pair, None, b"h2"), |_| async {}).await;

    let (found, unread) = list(server.address).await;

    assert_eq!(found.len(), 16);
    assert_eq!(&*unread[0].reason, "sends 50 certificates, of which 16 are read");
    assert!(found[0].subject.contains("watcher") && SERVER == "api.example");
}

#[tokio::test]
async fn an_endpoint_without_a_certificate_says_why() {
    let alert = |code: u8| vec![0x15, 3, 3, 0, 2, 2, code];
    for (answer, said) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "what answers there does not speak TLS"),
        (alert(80), "the TLS alert InternalError (80), as a server without a certificate sends it"),
        (alert(70), "ProtocolVersion (70): it speaks neither TLS 1.2 nor TLS 1.3"),
        (alert(112), "(112): it has no certificate for this name"),
        (Vec::new(), "TLS handshake: closed by the peer"),
    ] {
        let answer = Arc::new(answer);
        let server = Server::raw(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let mut hello = [0; 4096];
                stream.read_exact(&mut hello[..5]).await.ok();
                stream.write_all(&answer).await.ok();
                stream.shutdown().await.ok();
                while stream.read(&mut hello).await.is_ok_and(|count| count > 0) {}
            }
        })
        .await;

        let (found, unread) = list(server.address).await;

        assert_eq!((found, unread.len()), (vec![], 1));
        assert!(unread[0].reason.contains(said), "{} lacks {said}", unread[0].reason);
    }
    let closed = Reserved::new().unwrap();
    assert_eq!(&*list(closed.address).await.1[0].reason, "connect: connection refused");
}

/// OpenSSL's own server, for what rustls cannot speak; ended when it is dropped.
struct OldServer {
    process: Child,
    place: SocketAddr,
    /// What it goes on to print needs a reader, or it is ended by SIGPIPE.
    _output: BufReader<ChildStdout>,
}

impl OldServer {
    /// `None` where this OpenSSL does not offer what is asked of it, or is not there.
    fn start(files: &std::path::Path, arguments: &[&str]) -> Option<Self> {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-key", "key", "-cert", "certificate"])
            .args(arguments)
            .current_dir(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut output = BufReader::new(process.stdout.take()?);
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        let place = lines.find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok());
        match place {
            Some(place) => Some(Self { process, place, _output: output }),
            None => {
                process.wait().unwrap();
                None
            }
        }
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn what_only_older_clients_can_complete_is_seen_and_the_reason_is_said() {
    let home = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=old"])
        .args(["-keyout", "key", "-out", "certificate"])
        .current_dir(home.path())
        .output()
        .expect("openssl is there, as the tests of the lab need it");
    assert!(made.status.success(), "{made:?}");
    let mut seen = 0;
    for (arguments, reason) in [
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..], "TLS 1.0 is the newest version that it speaks"),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.1 is the newest version that it speaks"),
        (&["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], "it chooses TLS 1.2 with RSA key exchange"),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"],
            "it chooses TLS 1.2 with a cipher in CBC mode or an older one",
        ),
        (
            &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
            "it chooses TLS 1.2 with finite-field Diffie-Hellman (DHE)",
        ),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-groups", "brainpoolP256r1"],
            "it chooses TLS 1.2 with a curve or a signature that is rarely used",
        ),
    ] {
        let Some(server) = OldServer::start(home.path(), arguments) else { continue };
        seen += 1;
        let address = Address { host: Host::Ip(server.place.ip()), port: server.place.port() };

        let events = ServedCertificates::default().list(&address).await;

        let note = format!(
            "{address}: its certificates were read from a handshake that vedette cannot complete, because {reason}; \
             nothing proves that it has their key"
        );
        assert_eq!(events[0], ListEvent::Note(note), "{arguments:?}: {events:?}");
        let ListEvent::Found(found) = &events[1] else { panic!("{arguments:?}: {events:?}") };
        assert_eq!((found.kind, &*found.subject), ("authority", "CN=old"), "{arguments:?}");
        assert_eq!(events[2..], [ListEvent::Progress], "{arguments:?}");
    }
    assert!(seen >= 4, "OpenSSL offered only {seen} of the cases");
}
