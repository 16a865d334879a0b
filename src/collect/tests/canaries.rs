//! Canaries: what is sent, by whom, and how a Lease is written that somebody else has written.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::servers::{Fixture, Server, TRUSTED, answer, client, head, inline, instance, request, tls};
use crate::config::settings::Credentials;
use crate::model::canary::{Canaries, Canary, CanaryAnswer, CanaryResult, WebhookFault};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Cause;
use crate::model::probe::{Probe, ProbeKind};

/// A request as it came: its first line, its headers, its body.
type Came = (String, String, Value);

/// An apiserver with one Lease and nothing else.
#[derive(Default)]
struct Stored {
    version: u64,
    came: Vec<Came>,
    /// Somebody else writes between the next read and the write behind it, so many times.
    rivals: u32,
}

impl Stored {
    fn answer(&mut self, line: &str, body: &Value) -> String {
        let lease = |version: u64| {
            format!("{{\"kind\":\"Lease\",\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"spec\":{{}}}}")
        };
        if line.starts_with("get /apis/coordination") {
            return answer("200 OK", &lease(self.version));
        }
        if line.starts_with("put ") {
            if self.rivals > 0 {
                self.rivals -= 1;
                self.version += 1;
            }
            if body["metadata"]["resourceVersion"] != Value::String(self.version.to_string()) {
                return answer("409 Conflict", r#"{"kind":"Status","reason":"Conflict","message":"modified"}"#);
            }
            self.version += 1;
            return answer("200 OK", &lease(self.version));
        }
        answer("500 Internal Server Error", r#"{"kind":"Status","message":"failed calling webhook \"w\": boom"}"#)
    }
}

async fn serving(stored: &Arc<Mutex<Stored>>) -> Server {
    let stored = Arc::clone(stored);
    Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), move |mut stream| {
        let stored = Arc::clone(&stored);
        async move {
            let Some(head) = head(&mut stream).await else { return };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
            stream.read_exact(&mut body).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let line = head.lines().next().unwrap().to_owned();
            let reply = {
                let mut stored = stored.lock().unwrap();
                let reply = stored.answer(&line, &body);
                stored.came.push((line, head, body));
                reply
            };
            stream.write_all(reply.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
    })
    .await
}

fn fixture(server: &Server, writer: Credentials) -> Fixture {
    let mut fixture = Fixture::new().apiserver(server.address);
    let cluster = &mut fixture.settings.clusters[0];
    cluster.writer = Some(Credentials { anchors: cluster.credentials.anchors.clone(), ..writer });
    cluster.canaries = Some(Canaries {
        on: Canary::ALL.into(),
        namespace: "vedette".into(),
        lease: "vedette-bastion".into(),
        secret: "vedette-canary".into(),
    });
    fixture
}

fn token() -> Credentials {
    Credentials { token: Some(inline("of-the-writer")), ..Credentials::default() }
}

/// Each of these canaries once, over one set of collectors.
async fn sent(fixture: &Fixture, kinds: &[ProbeKind]) -> Vec<Observation> {
    let (collectors, _observations) = fixture.collectors();
    let mut seen = Vec::new();
    for kind in kinds {
        seen.push(collectors.probe(request(Probe::anew(instance(), *kind))).await);
    }
    collectors.shutdown().await;
    seen
}

fn result(observation: &Observation) -> &CanaryResult {
    let Ok(Reading::Canary(CanaryAnswer { result, .. })) = &observation.outcome else { panic!("{observation:?}") };
    result
}

fn lines(stored: &Mutex<Stored>) -> Vec<String> {
    stored.lock().unwrap().came.iter().map(|(line, _, _)| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_lease_is_read_once_and_then_written_over_the_version_that_the_last_write_gave() {
    let stored = Arc::new(Mutex::new(Stored { version: 40, ..Stored::default() }));
    let server = serving(&stored).await;

    let seen = sent(&fixture(&server, token()), &[ProbeKind::LeaseWrite, ProbeKind::LeaseWrite]).await;

    let results: Vec<_> = seen.iter().map(result).collect();
    assert_eq!(results, [&CanaryResult::Done { revision: Some(41) }, &CanaryResult::Done { revision: Some(42) }]);
    assert_eq!(lines(&stored), ["get", "put", "put"]);
    let body = stored.lock().unwrap().came[1].2.clone();
    assert_eq!(
        (body["spec"]["holderIdentity"].as_str(), body["metadata"]["name"].as_str()),
        (Some("bastion"), Some("vedette-bastion"))
    );
    let renewed = body["spec"]["renewTime"].as_str().unwrap().to_owned();
    assert!(renewed.len() == "2026-03-01T03:14:00.000000Z".len() && renewed.ends_with("000Z"), "{renewed}");
}

#[tokio::test]
async fn a_lease_that_somebody_else_wrote_is_read_again_once_and_a_contest_is_told() {
    for (rivals, expected) in [(1, CanaryResult::Done { revision: Some(42) }), (2, CanaryResult::Conflict)] {
        let stored = Arc::new(Mutex::new(Stored { version: 40, rivals, ..Stored::default() }));
        let server = serving(&stored).await;

        let seen = sent(&fixture(&server, token()), &[ProbeKind::LeaseWrite]).await;

        assert_eq!(result(&seen[0]), &expected, "{rivals}");
        assert_eq!(lines(&stored), ["get", "put", "get", "put"], "{rivals}");
    }
}

#[tokio::test]
async fn what_is_created_is_a_dry_run_with_a_deadline_and_the_writers_credential() {
    let stored = Arc::new(Mutex::new(Stored::default()));
    let server = serving(&stored).await;
    let kinds = [
        ProbeKind::CreateConfigMap,
        ProbeKind::CreatePod,
        ProbeKind::AccessReview,
        ProbeKind::SecretRead,
        ProbeKind::LeaseRead,
    ];

    let seen = sent(&fixture(&server, token()), &kinds).await;

    let named = CanaryResult::Webhook { name: "w".into(), fault: WebhookFault::Error };
    assert_eq!(result(&seen[0]), &named);
    let came = &stored.lock().unwrap().came;
    for (line, head, body) in came {
        assert!(line.contains("timeout=4s"), "{line}");
        assert!(head.contains("authorization: bearer of-the-writer"), "{head}");
        let stores = line.starts_with("post ") && !line.contains("selfsubjectaccessreviews");
        assert!(!stores || line.contains("dryrun=all"), "{line}");
        assert!(line.contains("/namespaces/vedette/") || body["spec"]["resourceAttributes"]["namespace"] == "vedette");
    }
    assert!(came[4].0.contains("resourceversion=0"), "{}", came[4].0);
}

#[tokio::test]
async fn a_refused_writer_is_told_as_a_refusal_and_without_any_there_is_no_canary() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("401 Unauthorized", "{}")).await;

    let seen = sent(
        &fixture(&server, Credentials { client: Some(client(&TRUSTED.server())), ..Credentials::default() }),
        &[ProbeKind::SecretRead],
    )
    .await;

    assert_eq!(seen[0].outcome.as_ref().unwrap_err().cause, Cause::CredentialRejected);
    let without = Fixture::new().apiserver(server.address);
    let outcome = sent(&without, &[ProbeKind::SecretRead]).await.remove(0).outcome;
    assert_eq!(outcome.unwrap_err().cause, Cause::OwnFault);
}
