//! What is not an endpoint of a cluster: reference targets, resolvers, proxies, the machine itself.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{Name as DnsName, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::closed_port::Reserved;
use super::servers::{
    Fixture, Server, TRUSTED, answer, endpoint, head, health, instance, name, outward_address, request, unseen,
};
use super::tcp_udp_port::by_udp_and_tcp;
use crate::collect::{Collectors, SetupError};
use crate::config::settings::{Address, Host, NamedAddress};
use crate::model::certificate::Trust;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Greeting, Hello, Probe, ProbeKind, ProbeRequest};
use crate::model::subject::Subject;
use crate::model::vantage::ResolverAnswer;

#[tokio::test]
async fn a_reference_point_proves_by_accepting_and_by_refusing() {
    let accepting = Server::raw(|mut stream| async move {
        stream.write_all(b"220 mail.example ESMTP\r\n").await.ok();
        stream.read_to_end(&mut Vec::new()).await.ok();
    })
    .await;
    let refusing = Reserved::new().unwrap();

    for address in [accepting.address, refusing.address] {
        let seen = see(address, ProbeKind::Reference).await;

        assert_eq!(seen.outcome, Ok(Reading::Reference));
        assert!(seen.phases.dial.is_some());
        assert!(!seen.proves_path, "loopback proves nothing about the path");
    }
}

#[tokio::test]
async fn whatever_comes_from_an_address_that_is_not_loopback_proves_the_path() {
    let Some(own) = outward_address().await else {
        skip("this machine has no address but loopback");
        return;
    };
    let refusing = Reserved::at((own, 0).into()).unwrap();
    let (server, _heads) = Server::answering_at(own, &TRUSTED.server(), answer("200 OK", "ok")).await;
    let (collectors, _observations) = Fixture::new().apiserver(server.address).collectors();
    let livez = || request(Probe::reused(instance(), ProbeKind::Livez));

    assert!(see(refusing.address, ProbeKind::Reference).await.proves_path, "a refusal");
    assert!(collectors.probe(livez()).await.proves_path, "a connection and an answer");
    assert!(collectors.probe(livez()).await.proves_path, "an answer over the kept connection");
}

#[tokio::test]
async fn a_resolver_is_asked_and_only_its_own_answer_counts() {
    let address = resolver(|query, bytes| {
        let mut answers = vec![bytes[..2].iter().map(|byte| !byte).chain(bytes[2..].iter().copied()).collect()];
        answers.push(reply(&query, ResponseCode::NoError, 3, false));
        answers
    })
    .await;

    let seen = see(address, ProbeKind::Resolver).await;

    assert_eq!(seen.outcome, Ok(Reading::Resolver(ResolverAnswer { rcode: 0, addresses: 3 })));
    assert!(seen.phases.first_byte.is_some() && seen.phases.dial.is_none());
}

#[tokio::test]
async fn a_resolver_proves_the_path_by_whatever_it_says_of_itself() {
    let Some(own) = outward_address().await else {
        skip("this machine has no address but loopback");
        return;
    };
    for (code, proves) in [
        (ResponseCode::NoError, true),
        (ResponseCode::NXDomain, true),
        (ResponseCode::Refused, true),
        (ResponseCode::ServFail, false),
    ] {
        let socket = UdpSocket::bind((own, 0)).await.unwrap();
        let address = serve(socket, move |query, _| vec![reply(&query, code, 0, false)]);

        assert_eq!(see(address, ProbeKind::Resolver).await.proves_path, proves, "{code}");
    }
}

#[tokio::test]
async fn a_resolver_that_fails_says_so_by_its_code() {
    let address = resolver(|query, _| vec![reply(&query, ResponseCode::ServFail, 0, false)]).await;

    let seen = see(address, ProbeKind::Resolver).await;

    assert_eq!(seen.outcome, Ok(Reading::Resolver(ResolverAnswer { rcode: 2, addresses: 0 })));
    assert!(!seen.proves_path);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_by_tcp() {
    let (socket, listener) = by_udp_and_tcp().await.unwrap();
    let address = serve(socket, |query, _| vec![reply(&query, ResponseCode::NoError, 0, true)]);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await.unwrap();
        let answer = reply(&Message::from_bytes(&bytes).unwrap(), ResponseCode::NoError, 13, false);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    });

    let seen = see(address, ProbeKind::Resolver).await;

    assert_eq!(seen.outcome, Ok(Reading::Resolver(ResolverAnswer { rcode: 0, addresses: 13 })));
    assert!(seen.phases.dial.is_some());
}

#[tokio::test]
async fn a_silent_and_an_absent_resolver_differ() {
    let silent = resolver(|_, _| Vec::new()).await;
    // A connected datagram socket receives from its peer only; others are refused.
    let absent = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    absent.connect(silent).await.unwrap();

    for (address, cause) in [(silent, Cause::Timeout), (absent.local_addr().unwrap(), Cause::Refused)] {
        let seen = see(address, ProbeKind::Resolver).await;

        assert_eq!(unseen(&seen), Unseen { phase: Phase::FirstByte, cause });
    }
}

#[tokio::test]
async fn a_proxys_tunnel_leads_to_the_endpoint_and_counts_as_connecting() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let proxy = Server::raw(|mut stream| async move {
        let head = head(&mut stream).await.unwrap();
        assert!(head.contains("proxy-authorization: basic "), "{head}");
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let mut onward = TcpStream::connect(target).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
    })
    .await;
    let socks = Server::raw(|mut stream| async move {
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).await.unwrap();
        stream.read_exact(&mut vec![0; usize::from(greeting[1])]).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 10];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(request[..4], [5, 1, 0, 1], "connect to an IPv4 address");
        let target = SocketAddr::from((
            <[u8; 4]>::try_from(&request[4..8]).unwrap(),
            u16::from_be_bytes([request[8], request[9]]),
        ));
        let mut onward = TcpStream::connect(target).await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
    })
    .await;

    for url in [format!("http://me:secret@{}", proxy.address), format!("socks5://{}", socks.address)] {
        let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.proxy = Some(url.parse().unwrap()));

        let seen = fixture.see(ProbeKind::Readyz).await;

        assert_eq!(health(&seen).status, 200, "{url}");
        assert!(seen.phases.dial.is_some());
    }
    assert_eq!((proxy.accepted(), socks.accepted(), server.accepted()), (1, 1, 2));
}

#[tokio::test]
async fn only_what_a_proxy_says_of_the_endpoint_is_the_endpoints_fault() {
    for (answer, cause) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", Cause::ProxyLogin),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsorry", Cause::ProxyDenied),
        ("HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", Cause::ProxyDenied),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Cause::ProxyTarget),
        ("HTTP/1.1 503 Service Unavailable\r\nServer: squid/5.7\r\n\r\n", Cause::ProxyTarget),
        ("HTTP/1.0 504 Gateway Timeout\r\n\r\n", Cause::ProxyTarget),
        ("220 mail.example ESMTP\r\n", Cause::ProxyDown),
        ("", Cause::ProxyDown),
    ] {
        let proxy = Server::raw(move |mut stream| async move {
            head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.ok();
        })
        .await;

        assert_eq!(through(&format!("http://{}", proxy.address)).await, cause, "{answer}");
    }
    let absent = Reserved::new().unwrap();
    for scheme in ["http", "https", "socks5"] {
        assert_eq!(through(&format!("{scheme}://{}", absent.address)).await, Cause::ProxyDown, "{scheme}");
    }
    let mute = Server::raw(|mut stream| async move {
        stream.read_to_end(&mut Vec::new()).await.ok();
    })
    .await;
    for scheme in ["http", "https", "socks5"] {
        assert_eq!(through(&format!("{scheme}://{}", mute.address)).await, Cause::ProxySilent, "{scheme}");
    }
    assert_eq!(through("http://no-such-proxy.invalid:3128").await, Cause::ProxyUnreachable);
}

#[tokio::test]
async fn a_socks_proxy_tells_whose_fault_it_is() {
    for (reply, cause) in [
        (1, Cause::ProxyDown),
        (2, Cause::ProxyDenied),
        (3, Cause::Unreachable),
        (4, Cause::Unreachable),
        (5, Cause::Refused),
        (6, Cause::Unreachable),
        (7, Cause::ProxyDown),
    ] {
        let proxy = Server::raw(move |mut stream| async move {
            stream.read_exact(&mut [0; 3]).await.unwrap();
            stream.write_all(&[5, 0]).await.unwrap();
            stream.read_exact(&mut [0; 10]).await.unwrap();
            stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        })
        .await;

        assert_eq!(through(&format!("socks5://{}", proxy.address)).await, cause, "{reply}");
    }
    // No method acceptable; then a login that it does not take.
    for refuses_method in [true, false] {
        let proxy = Server::raw(move |mut stream| async move {
            stream.read_exact(&mut [0; 4]).await.unwrap();
            stream.write_all(&[5, if refuses_method { 0xff } else { 2 }]).await.unwrap();
            let mut login = [0; 3 + 3 + 5];
            if stream.read_exact(&mut login).await.is_ok() {
                assert_eq!(&login, b"\x01\x03ops\x05p@ss!");
                stream.write_all(&[1, 1]).await.unwrap();
            }
        })
        .await;

        assert_eq!(through(&format!("socks5://ops:p%40ss%21@{}", proxy.address)).await, Cause::ProxyLogin);
    }
}

#[tokio::test]
async fn a_proxy_gets_the_login_as_it_was_meant() {
    for (login, basic) in [
        ("ops:p%40ss%21", "b3BzOnBAc3Mh"),
        ("CORP%5Cops:secret", "Q09SUFxvcHM6c2VjcmV0"),
        ("ops:a%25b", "b3BzOmElYg=="),
    ] {
        let proxy = Server::raw(move |mut stream| async move {
            let head = head(&mut stream).await.unwrap();
            assert!(head.contains(&format!("proxy-authorization: Basic {basic}\r\n").to_lowercase()), "{head}");
            stream.write_all(b"HTTP/1.1 418 I have seen it\r\n\r\n").await.ok();
        })
        .await;

        assert_eq!(through(&format!("http://{login}@{}", proxy.address)).await, Cause::ProxyDenied, "{login}");
    }
}

async fn through(proxy: &str) -> Cause {
    let seen = at(proxy).see(ProbeKind::Readyz).await;
    assert!(!seen.proves_path, "a proxy is part of the path");
    unseen(&seen).cause
}

fn at(proxy: &str) -> Fixture {
    let target: SocketAddr = ([192, 0, 2, 1], 6443).into();
    let url = proxy.parse().unwrap();
    Fixture::new()
        .apiserver(target)
        .credentials(|c| c.proxy = Some(url))
        .policy(|p| (p.connect_timeout, p.response_timeout) = (Duration::from_millis(400), Duration::from_millis(400)))
}

#[tokio::test]
async fn what_can_never_work_is_refused_before_anything_is_connected() {
    let address: SocketAddr = ([127, 0, 0, 1], 1).into();
    let mut fixture = Fixture::new().apiserver(address);
    fixture.settings.clusters[0].apiservers[0].1 = endpoint(address, "not a name");

    let refused = |fixture: &Fixture| {
        let (observed, _observations) = tokio::sync::mpsc::channel(1);
        Collectors::new(&fixture.settings, super::test_clock(), observed).unwrap_err()
    };

    assert!(matches!(refused(&fixture), SetupError::ServerName(_)));
}

#[tokio::test]
async fn an_impossible_probe_still_gives_its_one_observation() {
    let (collectors, mut observations) = Fixture::new().collectors();

    collectors.start(request(Probe::anew(Subject::Cluster(name("c")), ProbeKind::Readyz)));
    collectors.start(request(Probe::anew(Subject::Vantage, ProbeKind::OwnClock)));

    let mut seen = [observations.recv().await.unwrap(), observations.recv().await.unwrap()];
    seen.sort_by_key(|observation| observation.probe.kind);
    assert_eq!(unseen(&seen[0]).cause, Cause::OwnFault);
    assert!(matches!(seen[1].outcome, Ok(Reading::OwnClock(_))));
}

async fn see(address: SocketAddr, kind: ProbeKind) -> Observation {
    let mut fixture = Fixture::new().policy(|p| p.connect_timeout = Duration::from_millis(400));
    let place =
        NamedAddress { name: name("x"), address: Address { host: Host::Ip(address.ip()), port: address.port() } };
    fixture.settings.vantage.references.push(place.clone());
    fixture.settings.vantage.resolvers.push(place);
    let is_resolver = kind == ProbeKind::Resolver;
    let subject = if is_resolver { Subject::Resolver(name("x")) } else { Subject::Reference(name("x")) };
    fixture.collectors().0.probe(request(Probe::anew(subject, kind))).await
}

/// A DNS server that answers each query with whatever `answers` says.
async fn resolver(answers: impl Fn(Message, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    serve(UdpSocket::bind(("127.0.0.1", 0)).await.unwrap(), answers)
}

fn serve(socket: UdpSocket, answers: impl Fn(Message, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let bytes = &buffer[..length];
            for answer in answers(Message::from_bytes(bytes).unwrap(), bytes) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    address
}

fn reply(query: &Message, code: ResponseCode, answers: u8, is_cut: bool) -> Vec<u8> {
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.response_code = code;
    message.metadata.truncation = is_cut;
    message.queries = query.queries.clone();
    for n in 0..answers {
        let server = DnsName::from_ascii(format!("{n}.root.example.")).unwrap();
        message.answers.push(Record::from_rdata(DnsName::root(), 60, RData::NS(NS(server))));
    }
    message.to_bytes().unwrap()
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// Type of a TLS record that carries a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

#[tokio::test]
async fn behind_a_middlebox_that_cuts_or_swallows_large_hellos_only_a_small_one_gets_through() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let target = server.address;
    for swallows in [false, true] {
        let middlebox = middlebox(target, swallows).await;
        let fixture = Fixture::new().apiserver(middlebox.address).policy(|p| p.tls_timeout = Duration::from_secs(1));
        let (collectors, _observations) = fixture.collectors();
        for kind in [ProbeKind::Readyz, ProbeKind::Chain] {
            let with = |hello| {
                let probe = Probe::anew(instance(), kind);
                collectors.probe(ProbeRequest { hello, ..request(probe) })
            };

            let (large, small) = (with(Hello::Large).await, with(Hello::Small).await);

            let cause = if swallows { Cause::Timeout } else { Cause::Closed };
            assert_eq!(unseen(&large), Unseen { phase: Phase::Tls, cause });
            assert_eq!(large.greeting, Some(Greeting { hello: Hello::Large, is_heard: false }));
            assert!(small.outcome.is_ok(), "{:?}", small.outcome);
            assert_eq!(small.greeting, Some(Greeting { hello: Hello::Small, is_heard: true }));
            assert_eq!(small.served.unwrap().trust, Trust::Trusted);
        }
    }
}

/// Payload of one TCP segment on an ordinary Ethernet.
const ONE_PACKET: usize = 1_400;

/// Leads to `target`, and cuts or swallows what begins with a ClientHello of more than one packet.
pub(crate) async fn middlebox(target: SocketAddr, swallows: bool) -> Server {
    Server::raw(move |mut stream| async move {
        let mut header = [0; 5];
        if stream.read_exact(&mut header).await.is_err() {
            return;
        }
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        // The request that tests for plain HTTP is not a hello.
        if header[0] != HANDSHAKE || stream.read_exact(&mut hello).await.is_err() {
            return;
        }
        if hello.len() > ONE_PACKET {
            if swallows {
                stream.read_to_end(&mut Vec::new()).await.ok();
            }
            return;
        }
        let mut onward = TcpStream::connect(target).await.unwrap();
        onward.write_all(&[&header[..], &hello].concat()).await.unwrap();
        tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
    })
    .await
}
