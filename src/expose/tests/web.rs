//! Claims about TLS at our own listener, over real connections.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::SanType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::pki::{Client, WebFolder, say, until};
use super::{Limits, TestServer};
use crate::config::settings::WebPlace;
use crate::expose::Web;

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[tokio::test]
async fn each_policy_lets_in_whom_it_says() {
    let folder_of_web = WebFolder::new();
    let none = folder_of_web.client();
    let ours = folder_of_web.client_with(vec![dns("prometheus.test")], true);
    let foreign = folder_of_web.client_with(vec![dns("prometheus.test")], false);
    for (policy, ca, admitted) in [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", "client_ca_file: ca.crt", [true, true, false]),
        ("RequireAndVerifyClientCert", "client_ca_file: ca.crt", [false, true, false]),
    ] {
        folder_of_web.configure(&format!("client_auth_type: {policy}\n{ca}"), "");
        let door = folder_of_web.door().await;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for (client, is_admitted) in [&none, &ours, &foreign].into_iter().zip(admitted) {
                let client = Client { versions: vec![version], ..client.clone() };

                let answer = client.get(&door, "/healthz", "").await;

                assert_eq!(answer.ends_with("ok\n"), is_admitted, "{policy} {version:?}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_must_bear_one_of_the_allowed_names() {
    let folder_of_web = WebFolder::new();
    for policy in ["RequestClientCert", "VerifyClientCertIfGiven\nclient_ca_file: ca.crt"] {
        folder_of_web.configure(
            &format!(
                "client_auth_type: {policy}\nclient_allowed_sans: [a.test, 10.0.0.7, ops@b.test, 'spiffe://c/d', '::1']"
            ),
            "",
        );
        let door = folder_of_web.door().await;
        for (names, is_admitted) in [
            (vec![dns("a.test")], true),
            (vec![dns("x.test"), dns("a.test")], true),
            (vec![SanType::IpAddress("10.0.0.7".parse().unwrap())], true),
            (vec![SanType::IpAddress("::1".parse().unwrap())], true),
            (vec![SanType::Rfc822Name("ops@b.test".try_into().unwrap())], true),
            (vec![SanType::URI("spiffe://c/d".try_into().unwrap())], true),
            (vec![dns("A.TEST")], false),
            (vec![dns("sub.a.test"), dns("10.0.0.7")], false),
            (vec![], false),
        ] {
            // A DNS name that looks like an address is the same text, and so as good: the toolkit compares texts.
            let is_admitted = is_admitted || names.contains(&dns("10.0.0.7"));
            let answer = folder_of_web.client_with(names.clone(), true).get(&door, "/healthz", "").await;

            assert_eq!(answer.ends_with("ok\n"), is_admitted, "{names:?}: {answer}");
        }
        assert_eq!(folder_of_web.client().get(&door, "/healthz", "").await, "", "who shows nothing bears no name");
    }
}

#[tokio::test]
async fn http2_is_offered_unless_it_is_turned_off() {
    let folder_of_web = WebFolder::new();
    for (rest, spoken) in [
        ("", "h2"),
        ("http_server_config: { http2: true }", "h2"),
        ("http_server_config: { http2: false }", "http/1.1"),
    ] {
        folder_of_web.configure("", rest);
        let door = folder_of_web.door().await;
        let client = Client { alpn: vec!["h2", "http/1.1"], ..folder_of_web.client() };

        let stream = client.connect(&door).await.unwrap();

        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(spoken.as_bytes()), "{rest}");
        if spoken == "h2" {
            let (status, body) = over_h2(stream, "/metrics").await;
            assert_eq!(status, 200);
            assert!(body.contains("\nvedette_listener_failed_handshakes_total 0\n"));
            assert!(body.contains("\nvedette_etcd_raft_term{"));
        } else {
            assert!(
                say(stream, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ends_with("ok\n")
            );
        }
        assert!(
            folder_of_web.client().get(&door, "/healthz", "").await.ends_with("ok\n"),
            "without ALPN it is HTTP/1.1"
        );
    }
}

#[tokio::test]
async fn requests_of_one_connection_are_all_answered_over_http2() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", "");
    let door = folder_of_web.door().await;
    let client = Client { alpn: vec!["h2"], ..folder_of_web.client() };
    let stream = client.connect(&door).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |path: &str| http::Request::get(format!("https://x{path}")).body(Empty::<Bytes>::new()).unwrap();

    for _ in 0..2 {
        let (one, two, three) =
            (sender.send_request(ask("/")), sender.send_request(ask("/nowhere")), sender.send_request(ask("/healthz")));
        let (one, two, three) = tokio::join!(one, two, three);

        assert_eq!([one, two, three].map(|answer| answer.unwrap().status().as_u16()), [200, 404, 200]);
    }
    door.stop.cancel();
    connection.await.unwrap().expect("the listener ends it in order");
}

#[tokio::test]
async fn versions_suites_and_curves_are_those_configured() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("min_version: TLS13\ncurve_preferences: [CurveP384]", "");
    let door = folder_of_web.door().await;
    let old = Client { versions: vec![&rustls::version::TLS12], ..folder_of_web.client() };
    assert!(old.connect(&door).await.is_err());
    let stream = folder_of_web.client().connect(&door).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
    assert_eq!(group, Some(rustls::NamedGroup::secp384r1));

    folder_of_web.configure("max_version: TLS12\ncipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", "");
    let door = folder_of_web.door().await;
    let stream = folder_of_web.client().connect(&door).await.unwrap();
    let suite = stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(suite, Some(rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384));
    let new = Client { versions: vec![&rustls::version::TLS13], ..folder_of_web.client() };
    assert!(new.connect(&door).await.is_err());
}

#[tokio::test]
async fn headers_stand_in_every_response_beside_those_of_the_page() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure(
        "",
        "http_server_config: { headers: { Strict-Transport-Security: max-age=9, X-Frame-Options: deny, \
                        Content-Security-Policy: frame-ancestors 'none', X-Content-Type-Options: nosniff } }",
    );
    let door = folder_of_web.door().await;

    for path in ["/", "/metrics", "/nowhere"] {
        let answer = folder_of_web.client().get(&door, path, "accept: text/html\r\n").await;

        for header in [
            "strict-transport-security: max-age=9",
            "x-frame-options: deny",
            "content-security-policy: frame-ancestors 'none'",
        ] {
            assert!(answer.contains(&format!("{header}\r\n")), "{path}: {header}");
        }
        assert_eq!(answer.matches("x-content-type-options: nosniff\r\n").count(), 1);
    }
    let page = folder_of_web.client().get(&door, "/", "accept: text/html\r\n").await;
    assert!(page.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "the page keeps its own");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_what_is_under_way_goes_on() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", "");
    let door = folder_of_web.door().await;
    let mut under_way = folder_of_web.client().connect(&door).await.unwrap();
    let served = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let first = served(&under_way);
    under_way.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();

    folder_of_web.renew();
    until(async || served(&folder_of_web.client().connect(&door).await.unwrap()) != first).await;

    under_way.write_all(b"host: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    assert!(
        folder_of_web
            .client()
            .get(&door, "/metrics", "")
            .await
            .contains("\nvedette_web_config_reloads_total{result=\"accepted\"} ")
    );
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_is_counted_until_it_is_mended() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", "");
    let door = folder_of_web.door().await;
    let shows =
        async |line: &str| folder_of_web.client().get(&door, "/metrics", "").await.contains(&format!("\n{line}\n"));
    assert!(shows("vedette_web_config_last_reload_successful 1").await);

    folder_of_web.write("server.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    until(async || shows("vedette_web_config_last_reload_successful 0").await).await;
    assert!(shows("vedette_web_config_reloads_total{result=\"rejected\"} 1").await);
    folder_of_web.configure("min_version: TLS10", "");
    until(async || shows("vedette_web_config_reloads_total{result=\"rejected\"} 2").await).await;

    folder_of_web.renew();
    folder_of_web.configure("", "");
    until(async || shows("vedette_web_config_last_reload_successful 1").await).await;
}

#[tokio::test]
async fn a_listener_that_must_guard_does_not_begin_unguarded_and_never_becomes_so() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("client_auth_type: RequireAnyClientCert", "");
    let place = WebPlace { path: folder_of_web.path("web.yml"), must_guard: true };
    assert!(Web::open(place).await.unwrap_err().to_string().contains("can be reached from outside"));

    folder_of_web.configure("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.crt", "");
    let door = TestServer::before(Limits::default(), Some(folder_of_web.web(true).await)).await;
    let ours = folder_of_web.client_with(Vec::new(), true);
    folder_of_web.configure("", "");

    let refused = async || {
        let page = ours.get(&door, "/metrics", "").await;
        page.contains("\nvedette_web_config_reloads_total{result=\"rejected\"} 1\n")
    };
    until(refused).await;
    assert_eq!(folder_of_web.client().get(&door, "/healthz", "").await, "");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended_and_counted() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", "");
    let limits = Limits { handshake: Duration::from_millis(50), ..Limits::default() };
    let door = TestServer::before(limits, Some(folder_of_web.web(false).await)).await;
    let mut silent = TcpStream::connect(door.address).await.unwrap();

    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    let mut plain = TcpStream::connect(door.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    plain.read_to_end(&mut Vec::new()).await.ok();

    assert!(
        folder_of_web
            .client()
            .get(&door, "/metrics", "")
            .await
            .contains("\nvedette_listener_failed_handshakes_total 2\n")
    );
}

#[tokio::test]
async fn one_who_opens_many_connections_and_says_nothing_keeps_nobody_else_out() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", "");
    let door = folder_of_web.door().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
        silent.push(socket.connect(door.address).await.unwrap());
    }

    let page = folder_of_web.client().get(&door, "/metrics", "").await;

    assert!(page.contains("\nvedette_listener_refused_connections_total 68\n"), "{page}");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_rejected_and_counted() {
    let folder_of_web = WebFolder::new();
    folder_of_web.configure("", "rate_limit: { interval: 1h, burst: 3 }");
    let door = folder_of_web.door().await;

    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(folder_of_web.client().get(&door, "/healthz", "").await[9..12].to_owned());
    }

    assert_eq!(statuses, ["200", "200", "200", "429", "429"]);
}

async fn over_h2(stream: tokio_rustls::client::TlsStream<TcpStream>, path: &str) -> (u16, String) {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("https://x{path}")).body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
