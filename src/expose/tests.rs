//! Tests of the HTTP listener, by real requests over TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Crowd, Expose, Limits, Pages, Shared, Web, place};
use crate::model::snapshot::{ClusterSnapshot, Snapshot};
use crate::model::time::Clock;
use crate::render::fixture;

mod logins;
mod pki;
mod web;

#[tokio::test]
async fn metrics_show_the_snapshot_and_the_process() {
    let door = TestServer::open(Limits::default()).await;

    let answer = door.ask("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
    assert!(answer.contains("\nvedette_etcd_raft_term{"));
    assert!(answer.contains("\nvedette_listener_refused_connections_total 0\n"));
    assert!(answer.contains("\nprocess_cpu_seconds_total "));
}

#[tokio::test]
async fn a_replaced_snapshot_is_seen_by_the_next_request() {
    let door = TestServer::open(Limits::default()).await;
    let mut later = fixture::snapshot();
    later.counters.probes = 4711;

    door.snapshot.store(Arc::new(later));

    assert!(door.get("/metrics").await.contains("\nvedette_probes_started_total 4711\n"));
}

#[tokio::test]
async fn ready_needs_a_first_round_and_a_fresh_snapshot_and_healthy_needs_neither() {
    let door = TestServer::open(Limits::default()).await;
    assert!(door.get("/readyz").await.ends_with("\r\n\r\nok\n"));

    let old = fixture::now().minus(Duration::from_secs(7));
    door.snapshot.store(Arc::new(Snapshot { at: old, is_first_round_done: false, ..fixture::snapshot() }));
    let answer = door.get("/readyz").await;

    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("first round: ") && answer.contains("is 7 s old"), "{answer}");
    assert!(door.get("/healthz").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_snapshot_is_fresh_until_it_is_five_seconds_old() {
    let door = TestServer::open(Limits::default()).await;

    for (millis, status) in [(4999, "200"), (5000, "503")] {
        let at = fixture::now().minus(Duration::from_millis(millis));
        door.snapshot.store(Arc::new(Snapshot { at, ..fixture::snapshot() }));

        assert_eq!(&door.get("/readyz").await[9..12], status);
    }
}

#[tokio::test]
async fn only_known_paths_only_reading_and_no_bodies() {
    let door = TestServer::open(Limits::default()).await;

    for (request, status) in [
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200"),
        ("HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200"),
        ("GET /status.txt?cluster=prod HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200"),
        ("GET /api/v1/status?page=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200"),
        ("GET /?page=2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("GET /?page=x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("GET /api/v1/status?cluster=10.0.0.1:6443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("GET /status.txt?cluster=http://10.0.0.1/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        ("PUT /api/v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        ("HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "200"),
        ("GET /probe?target=http://10.0.0.1/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("GET /metrics/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("GET //metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        ("DELETE /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        ("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc", "413"),
        ("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n", "413"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        assert_eq!(door.ask(request).await.get(9..12), Some(status), "{request}");
    }
    assert!(door.ask("HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn the_front_page_is_html_for_browsers_and_text_for_curl() {
    let door = TestServer::open(Limits::default()).await;

    let browser =
        door.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: text/html,*/*;q=0.8\r\n\r\n").await;
    let curl = door.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: */*\r\n\r\n").await;

    assert!(browser.contains("content-type: text/html; charset=utf-8\r\n"), "{browser}");
    assert!(browser.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{browser}");
    assert!(browser.contains("referrer-policy: no-referrer\r\n") && browser.contains("cache-control: no-store\r\n"));
    assert!(browser.contains("http-equiv=\"refresh\""));
    assert!(curl.contains("content-type: text/plain; charset=utf-8\r\n"), "{curl}");
    assert!(curl.contains("\r\n\r\nDEGRADED: prod is degraded: "), "{curl}");
}

#[tokio::test]
async fn the_page_holds_still_for_who_asks_for_it() {
    let door = TestServer::open(Limits::default()).await;

    for (path, extra) in [("/?refresh=off", ""), ("/", "sec-ch-prefers-reduced-motion: \"reduce\"\r\n")] {
        let page = door
            .ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: text/html\r\n{extra}\r\n"))
            .await;

        assert!(page.contains("Paused") && !page.contains("http-equiv"), "{page}");
    }
}

#[tokio::test]
async fn the_api_has_a_tag_that_lasts_as_long_as_the_snapshot() {
    let door = TestServer::open(Limits::default()).await;
    let first = door.get("/api/v1/status").await;
    let tag = first.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let again = format!("GET /api/v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\nif-none-match: {tag}\r\n\r\n");

    let body: serde_json::Value = serde_json::from_str(first.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["format"], &body["state"]), (&1.into(), &"degraded".into()));
    assert!(door.ask(&again).await.starts_with("HTTP/1.1 304 "));

    for millis in [250, 6000] {
        let at = fixture::now().minus(Duration::from_millis(millis));
        door.snapshot.store(Arc::new(Snapshot { at, ..fixture::snapshot() }));

        assert!(door.ask(&again).await.starts_with("HTTP/1.1 200 "), "{millis}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_answered_with_what_does() {
    let door = TestServer::open(Limits::default()).await;

    assert!(door.get("/nowhere").await.contains("/api/v1/status"));
    assert!(door.get("/?cluster=x").await.ends_with("no cluster of that name is configured; there are\nprod\n"));
    assert!(door.get("/?page=9").await.ends_with("no such page: there are pages 1 to 1\n"));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let door = TestServer::open(Limits::default()).await;

    let answer = door
        .ask(&format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlong: {}\r\n\r\n", "a".repeat(20_000)))
        .await;

    assert_eq!(answer.get(9..12), Some("431"));
}

#[tokio::test]
async fn who_says_nothing_is_dismissed() {
    let door = TestServer::open(Limits { head: Duration::from_millis(30), ..Limits::default() }).await;

    assert_eq!(door.ask("GET / HT").await, "");
}

/// One response over a connection that is kept: its head and the text behind it.
async fn next_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_connection_is_kept_from_one_request_to_the_next_and_ends_when_it_was_idle_for_long() {
    let idle = Duration::from_millis(300);
    // The second head has the time of an idle connection, not that of a first one.
    let limits = Limits { head: Duration::from_millis(100), idle, ..Limits::default() };
    let door = TestServer::open(limits).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(next_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        tokio::time::timeout(idle / 2, stream.read_u8()).await.unwrap_err();
    }

    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_ends_between_requests_when_it_is_old() {
    let door = TestServer::open(Limits { age: Duration::from_millis(50), ..Limits::default() }).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    next_answer(&mut stream).await;

    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_is_idle_leaves_the_place_to_who_comes() {
    let door = TestServer::open(Limits { connections: 1, ..Limits::default() }).await;
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    next_answer(&mut idle).await;

    assert!(door.get("/healthz").await.ends_with("ok\n"));
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_comes_waits_for_nobody_where_no_connection_is_idle() {
    let (places, crowd) = (Arc::new(Semaphore::new(0)), Arc::new(Crowd::default()));

    assert!(place(&places, &crowd).now_or_never().is_some_and(|place| place.is_none()));

    let idle = crowd.rest();
    let waiting = place(&places, &crowd);
    let leaving = async {
        places.add_permits(1);
        drop(idle);
    };
    let (taken, ()) = tokio::join!(waiting, leaving);
    assert!(taken.is_some());
    assert!(place(&places, &crowd).now_or_never().is_some_and(|place| place.is_none()), "the place is taken again");
}

#[tokio::test]
async fn the_metrics_go_by_gzip_to_who_takes_it_and_as_protobuf_to_who_prefers_it() {
    let door = TestServer::open(Limits::default()).await;
    let of = |header: &str| format!("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n");
    for (header, shown) in [
        ("accept-encoding: gzip", "content-encoding: gzip\r\n"),
        ("accept-encoding: gzip;q=0", "content-type: text/plain; version=0.0.4\r\n"),
        (
            "accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            "content-type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily",
        ),
    ] {
        let answer = door.ask_bytes(&of(header)).await;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end + 2].to_vec()).unwrap().to_ascii_lowercase();
        assert!(head.contains(&shown.to_ascii_lowercase()), "{header}: {head}");
        assert_eq!(head.contains("gzip"), header.ends_with("gzip"), "{header}: {head}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once_and_counted() {
    let door = TestServer::open(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(door.address).await.unwrap();
    first.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();

    let mut second = TcpStream::connect(door.address).await.unwrap();
    assert_eq!(second.read_u8().await.map_err(|error| error.kind()), Err(std::io::ErrorKind::UnexpectedEof));
    first.write_all(b"host: x\r\nconnection: close\r\n\r\n").await.unwrap();

    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\nvedette_listener_refused_connections_total 1\n"), "{answer}");
}

#[tokio::test]
async fn a_reader_who_stops_in_the_middle_keeps_the_metrics_from_nobody() {
    let door = TestServer::open(Limits { whole: Duration::from_secs(600), ..Limits::default() }).await;
    let mut many = fixture::snapshot();
    let tally = &many.clusters[&fixture::name("prod")].tallies[&fixture::subject("prod/apiserver/api-1")];
    let endpoints = (0..500).map(|n| (fixture::subject(&format!("prod/apiserver/api-{n}")), Arc::clone(tally)));
    let cluster_snapshot = ClusterSnapshot { tallies: endpoints.collect(), ..ClusterSnapshot::default() };
    many.clusters = [(fixture::name("prod"), Arc::new(cluster_snapshot))].into();
    door.snapshot.store(Arc::new(many));
    let socket = TcpSocket::new_v4().unwrap();
    // The page is many times what fits on its way to such a reader.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut lazy = socket.connect(door.address).await.unwrap();

    lazy.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    lazy.read_u8().await.unwrap();
    let whole = tokio::time::timeout(Duration::from_secs(30), door.get("/metrics")).await.unwrap();

    assert!(whole.contains("instance=\"api-499\""));
    assert!(whole.ends_with("\r\n0\r\n\r\n"), "a page without this end was broken off");
}

#[tokio::test]
async fn stopping_frees_the_port_and_waits_for_nobody_who_is_silent() {
    let door = TestServer::open(Limits::default()).await;
    let mut silent = TcpStream::connect(door.address).await.unwrap();
    assert!(door.get("/healthz").await.ends_with("ok\n"));

    door.stop.cancel();
    door.serving.await.unwrap();

    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Expose::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = first.address().unwrap();

    let error = Expose::bind(address).await.unwrap_err();

    assert_eq!(error.to_string(), format!("listening on {address}"));
}

struct TestServer {
    address: SocketAddr,
    snapshot: Shared,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl TestServer {
    async fn open(limits: Limits) -> Self {
        Self::before(limits, None).await
    }

    async fn before(limits: Limits, web: Option<Web>) -> Self {
        let mut expose = Expose::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        expose.limits = limits;
        expose = match web {
            Some(web) => expose.guarded_by(web),
            None => expose,
        };
        let address = expose.address().unwrap();
        let snapshot: Shared = Arc::new(ArcSwap::from_pointee(fixture::snapshot()));
        let pages = Pages::new(Arc::clone(&snapshot), Clock::new(fixture::now));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(expose.serve(pages, stop.clone()));
        Self { address, snapshot, stop, serving }
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    async fn ask(&self, request: &str) -> String {
        String::from_utf8(self.ask_bytes(request).await).unwrap()
    }

    async fn ask_bytes(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }
}
