//! Claims about metrics listeners: a page is read as it arrives, and a bad one is called by its reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::servers::{Fixture, Server, endpoint, head, name, request};
use crate::config::settings::MetricsListener;
use crate::model::etcd::MemberMetrics;
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::Subject;

const PAGE: &str = include_str!("../../parse/etcd_page/3.6.metrics");

/// The page that comes of `answer`, sent once, again and again when it is `endless`; then the server closes, if it
/// `closes`.
async fn read(answer: Vec<u8>, endless: &'static [u8], closes: bool) -> Result<MemberMetrics, Unseen> {
    let answer = Arc::new(answer);
    let server = Server::raw(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            head(&mut stream).await;
            stream.write_all(&answer).await.ok();
            while !endless.is_empty() && stream.write_all(endless).await.is_ok() {}
            if !closes {
                std::future::pending::<()>().await;
            }
            stream.shutdown().await.ok();
        }
    })
    .await;
    let mut fixture = Fixture::new().etcd(&[server.address]).policy(|policy| {
        policy.response_timeout = Duration::from_secs(if closes { 20 } else { 1 });
    });
    let etcd = &mut fixture.settings.clusters[0].etcds[0];
    let listener = MetricsListener { is_tls: false, endpoint: endpoint(server.address, "127.0.0.1") };
    etcd.listeners.push((name("m0"), listener));
    etcd.is_metrics_only = true;
    let (collectors, _observations) = fixture.collectors();
    let round = Probe::anew(Subject::Etcd(name("c"), name("e")), ProbeKind::EtcdMetrics);
    match collectors.probe(request(round)).await.outcome {
        Ok(Reading::EtcdMetrics(mut answers)) => answers.remove(0).answer,
        other => panic!("{other:?}"),
    }
}

fn answer(status: &str, length: usize, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    answer(status, body.len(), body)
}

#[tokio::test]
async fn a_page_is_read_and_what_nobody_wants_of_it_is_not_held() {
    let plain = read(whole("200 OK", PAGE), b"", true).await.unwrap();
    // As much beside it as is read of a page at all.
    let beside = "go_gc_heap{class=\"a\"} 1\n".repeat(3_900_000 / 24);
    let long = read(whole("200 OK", &format!("{beside}{PAGE}")), b"", true).await.unwrap();

    assert_eq!(plain.has_leader, Some(true));
    assert_eq!(long, plain);
}

#[tokio::test]
async fn a_bad_page_is_called_by_its_reason() {
    let body = |cause| Unseen { phase: Phase::Body, cause };
    let first = |cause| Unseen { phase: Phase::FirstByte, cause };
    let half = &PAGE[..PAGE.len() / 2];
    let within_a_line = &PAGE[..PAGE.rfind(' ').unwrap()];
    let peers: String = (0..20_000)
        .map(|n| format!("etcd_network_peer_round_trip_time_seconds_bucket{{To=\"{n}\",le=\"1\"}} 1\n"))
        .collect();
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    for (what, answer, endless, closes, unseen) in [
        ("cut by its connection", answer("200 OK", PAGE.len(), half), &b""[..], true, body(Cause::Closed)),
        ("cut within a line", whole("200 OK", within_a_line), b"", true, body(Cause::ProtocolBroken)),
        ("without an end", head.clone(), b"etcd_server_has_leader 1\n", true, body(Cause::TooLarge)),
        ("a line without an end", head.clone(), b"etcd_server_has_leader{", true, body(Cause::TooLarge)),
        ("too many peers", whole("200 OK", &peers), b"", true, body(Cause::TooLarge)),
        ("slow", answer("200 OK", PAGE.len(), half), b"", false, body(Cause::Timeout)),
        ("silent", Vec::new(), b"", false, first(Cause::Timeout)),
        ("something else", whole("200 OK", "<html>Sign in</html>"), b"", true, first(Cause::Foreign)),
        ("an error", whole("500 Internal Server Error", PAGE), b"", true, first(Cause::ServerError)),
        ("a refusal", whole("403 Forbidden", ""), b"", true, first(Cause::CredentialRejected)),
    ] {
        assert_eq!(read(answer, endless, closes).await, Err(unseen), "{what}");
    }
}
