//! Canaries: requests with a credential of their own, each over a connection of its own.
//!
//! A canary shows what a client's request meets behind the connection, and nothing of whether the server lives: nothing
//! is resolved or read again because of one. The objects are in `objects.rs`, the meaning of an answer in
//! `parse/canary.rs`.

mod objects;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderValue};

use super::context::{ProbeContext, ProbeResult};
use super::handshake::Alpn;
use super::http_client::{self, Limits, Request};
use super::identity::{Identity, ReadyCredentials};
use super::phase_timer::PhaseTimer;
use super::tls_endpoint::TlsEndpoint;
use crate::model::canary::{Canaries, Canary, CanaryAnswer, CanaryResult};
use crate::model::certificate::Served;
use crate::model::cost::body_limit;
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Hello, ProbeKind};
use crate::parse;

/// The canaries of one cluster, for all of its instances.
pub(crate) struct Writer {
    canaries: Canaries,
    vantage: String,
    /// The `resourceVersion` of the Lease as it was last written or read; the lock is held while it is written, because
    /// two writes at a time would only conflict.
    version: tokio::sync::Mutex<Option<String>>,
}

/// One instance, as the canaries see it.
pub(crate) struct CanaryTarget {
    tls_endpoint: Arc<TlsEndpoint>,
    writer: Arc<Writer>,
}

/// What is sent.
struct Sent {
    method: Method,
    target: String,
    body: Bytes,
}

/// An answer: its status, when it wants to be asked again, its body.
struct Got {
    status: u16,
    retry_after_secs: Option<u32>,
    body: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(canaries: Canaries, vantage: String) -> Self {
        Self { canaries, vantage, version: tokio::sync::Mutex::default() }
    }

    /// Whether these are the canaries of that configuration.
    pub(crate) fn is_of(&self, canaries: &Canaries, vantage: &str) -> bool {
        self.canaries == *canaries && self.vantage == vantage
    }
}

impl CanaryTarget {
    pub(crate) fn new(tls_endpoint: Arc<TlsEndpoint>, writer: Arc<Writer>) -> Self {
        Self { tls_endpoint, writer }
    }

    /// Who the canaries are.
    pub(crate) fn identity(&self) -> &Identity {
        &self.tls_endpoint.identity
    }

    /// Its endpoint.
    pub(crate) fn tls_endpoint(&self) -> &Arc<TlsEndpoint> {
        &self.tls_endpoint
    }

    /// Sends the canary of that kind; `None` for what is none.
    pub(crate) async fn probe(&self, context: &ProbeContext, kind: ProbeKind, hello: Hello) -> Option<ProbeResult> {
        kind.canary()?;
        let timer = PhaseTimer::new(&context.clock);
        let result = if kind == ProbeKind::LeaseWrite {
            self.write_lease(context, hello, timer).await
        } else {
            let sent = self.sent(context, kind)?;
            let (served, got) = self.ask(context, (kind, hello), sent, &timer).await;
            let outcome = got.map(|got| reading(kind, &got));
            ProbeResult::of(&timer, served, outcome)
        };
        Some(result)
    }

    /// Writes the Lease over the version that is known. One that is not known, or not the latest any more, is read and
    /// written over once; only the time of the last write is measured.
    async fn write_lease(&self, context: &ProbeContext, hello: Hello, first: PhaseTimer) -> ProbeResult {
        let mut version = self.writer.version.lock().await;
        let mut timer = first;
        for is_last in [false, true] {
            if version.is_none() {
                let sent = Sent { method: Method::GET, target: self.lease_target(), body: Bytes::new() };
                let (served, got) = self.ask(context, (ProbeKind::LeaseWrite, hello), sent, &timer).await;
                match got {
                    Ok(got) if got.status == 200 => *version = parse::canary::resource_version(&got.body),
                    Ok(got) => return ProbeResult::of(&timer, served, Ok(reading(ProbeKind::LeaseWrite, &got))),
                    Err(unseen) => return ProbeResult::of(&timer, served, Err(unseen)),
                }
                timer = PhaseTimer::new(&context.clock);
            }
            let body =
                objects::lease(&self.writer.canaries, &self.writer.vantage, version.as_deref(), context.clock.now());
            let sent = Sent { method: Method::PUT, target: self.lease_target(), body };
            let (served, got) = self.ask(context, (ProbeKind::LeaseWrite, hello), sent, &timer).await;
            // Whether a write whose answer is lost was done is not known.
            *version = got
                .as_ref()
                .ok()
                .filter(|got| got.status == 200)
                .and_then(|got| parse::canary::resource_version(&got.body));
            let is_conflict = got.as_ref().is_ok_and(|got| got.status == 409);
            if is_last || !is_conflict {
                return ProbeResult::of(&timer, served, got.map(|got| reading(ProbeKind::LeaseWrite, &got)));
            }
            timer = PhaseTimer::new(&context.clock);
        }
        ProbeResult::nothing()
    }

    fn lease_target(&self) -> String {
        let Canaries { namespace, lease, .. } = &self.writer.canaries;
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}?timeout=4s&fieldManager=vedette")
    }

    /// What is sent for a canary that is one request. The timeout makes an overloaded server reject it within a quarter
    /// of that, instead of keeping it in its queue.
    fn sent(&self, context: &ProbeContext, kind: ProbeKind) -> Option<Sent> {
        let Canaries { namespace, lease, secret, .. } = &self.writer.canaries;
        let create = |resource: &str, body: Bytes| Sent {
            method: Method::POST,
            target: format!("/api/v1/namespaces/{namespace}/{resource}?dryRun=All&fieldManager=vedette&timeout=4s"),
            body,
        };
        let read = |target: String| Sent { method: Method::GET, target, body: Bytes::new() };
        Some(match kind.canary()? {
            Canary::Lease => return None,
            Canary::Propagation => read(format!(
                "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}?resourceVersion=0&timeout=4s"
            )),
            Canary::Create if kind == ProbeKind::CreatePod => create("pods", objects::pod(namespace)),
            Canary::Create => create("configmaps", objects::config_map(namespace)),
            Canary::Authorization => Sent {
                method: Method::POST,
                target: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?timeout=4s".into(),
                body: objects::access_review(namespace, context.clock.now()),
            },
            Canary::Secret => read(format!("/api/v1/namespaces/{namespace}/secrets/{secret}?timeout=4s")),
        })
    }

    async fn ask(
        &self,
        context: &ProbeContext,
        (kind, hello): (ProbeKind, Hello),
        sent: Sent,
        timer: &PhaseTimer,
    ) -> (Option<Arc<Served>>, Result<Got, Unseen>) {
        let ready_credentials = self.tls_endpoint.identity.current().await;
        let opening = self.tls_endpoint.open(context, &ready_credentials, (Alpn::Http1, hello), timer).await;
        let (served, opened) = match opening.result {
            Ok(opened) => (opening.served, opened),
            Err(unseen) => return (opening.served, Err(self.blamed(&ready_credentials, unseen, false))),
        };
        let request = self.request(context, kind, sent, &ready_credentials, opened.is_trusted);
        let answer = http_client::once(context, opened.stream, &request, Vec::new(), timer).await;
        timer.end();
        let got = answer.and_then(|answer| match answer.status.as_u16() {
            401 => Err(Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected }),
            status => Ok(Got { status, retry_after_secs: answer.retry_after_secs, body: answer.body }),
        });
        (served, got.map_err(|unseen| self.blamed(&ready_credentials, unseen, opened.is_trusted)))
    }

    fn blamed(&self, ready_credentials: &ReadyCredentials, unseen: Unseen, token_was_sent: bool) -> Unseen {
        let cause = ready_credentials.blame_for_answer(unseen.cause, token_was_sent);
        if matches!(cause, Cause::CredentialRejected | Cause::OwnCredential) {
            self.tls_endpoint.identity.refused();
        }
        Unseen { cause, ..unseen }
    }

    fn request(
        &self,
        context: &ProbeContext,
        kind: ProbeKind,
        sent: Sent,
        ready_credentials: &ReadyCredentials,
        is_trusted: bool,
    ) -> Request {
        let limit = context.policy.response_timeout;
        let limits = Limits { bytes: body_limit(kind), head: limit, whole: limit };
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let request = Request::get(&self.tls_endpoint.authority, sent.target, limits).with(header::ACCEPT, JSON);
        let request = match ready_credentials.token.as_ref().filter(|_| is_trusted) {
            Some(token) => request.with(header::AUTHORIZATION, token.clone()),
            None => request,
        };
        let request = if sent.body.is_empty() { request } else { request.with(header::CONTENT_TYPE, JSON) };
        Request { method: sent.method, body: sent.body, ..request }
    }
}

fn reading(kind: ProbeKind, got: &Got) -> Reading {
    let answer = parse::canary::answer(kind, got.status, got.retry_after_secs, &got.body);
    // The words of what was done are those of the object, a Secret among them.
    let is_object = matches!(answer.result, CanaryResult::Done { .. } | CanaryResult::Foreign);
    Reading::Canary(if is_object { CanaryAnswer { said: None, ..answer } } else { answer })
}
