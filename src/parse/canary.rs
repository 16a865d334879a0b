//! Answers to canaries: what an apiserver did, or by which part of it the request ended.
//!
//! The status decides; the words of the server's `Status` object only tell apart what shares one. They are for people
//! upstream, so whatever is not recognised stays a plain status. Called by `collect/canary.rs`.

use serde::Deserialize;

use super::sanitize::shown;
use crate::model::canary::{Canary, CanaryAnswer, CanaryResult, WebhookFault};
use crate::model::probe::ProbeKind;

/// Characters kept of the server's words: the call of a webhook with its URL and the reason.
const MOST: usize = 400;

/// Longest name of a webhook kept. Source: names are DNS subdomains, and a mail shows no more.
const MOST_NAME: usize = 120;

/// What of an object or a Status is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    kind: String,
    message: String,
    reason: String,
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "resourceVersion")]
    resource_version: String,
}

/// The meaning of an answer with this status and body to a canary of this kind. A body that is cut or nothing of
/// Kubernetes has no words.
#[must_use]
pub fn answer(kind: ProbeKind, status: u16, retry_after_secs: Option<u32>, body: &[u8]) -> CanaryAnswer {
    let document: Document = serde_json::from_slice(body).unwrap_or_default();
    let result = match status {
        200 | 201 if document.kind == expected(kind) => {
            CanaryResult::Done { revision: document.metadata.resource_version.parse().ok() }
        }
        200..=299 => CanaryResult::Foreign,
        429 => CanaryResult::Shed { retry_after_secs },
        504 => CanaryResult::TimedOut,
        500 if kind == ProbeKind::SecretRead && is_undecryptable(&document.message) => CanaryResult::Undecryptable,
        _ => refusal(status, &document),
    };
    let is_done = matches!(result, CanaryResult::Done { .. });
    let said = (!is_done && !document.message.is_empty()).then(|| shown(&document.message, MOST));
    CanaryAnswer { result, said }
}

/// The `resourceVersion` of an object as it is sent back; `None` for anything else.
#[must_use]
pub fn resource_version(body: &[u8]) -> Option<String> {
    let document: Document = serde_json::from_slice(body).ok()?;
    let version = document.metadata.resource_version;
    (!version.is_empty() && version.len() <= 64).then_some(version)
}

/// What a success is.
const fn expected(kind: ProbeKind) -> &'static str {
    match kind.canary() {
        Some(Canary::Lease | Canary::Propagation) => "Lease",
        Some(Canary::Create) if matches!(kind, ProbeKind::CreatePod) => "Pod",
        Some(Canary::Create) => "ConfigMap",
        Some(Canary::Authorization) => "SelfSubjectAccessReview",
        Some(Canary::Secret) => "Secret",
        None => "",
    }
}

fn refusal(status: u16, document: &Document) -> CanaryResult {
    let message = document.message.as_str();
    if let Some((name, rest)) = failed_webhook(message) {
        return CanaryResult::Webhook { name: shown(name, MOST_NAME), fault: fault(rest) };
    }
    let is_of_kubernetes = document.kind == "Status";
    match status {
        403 if message.contains("because it is being terminated") => CanaryResult::Terminating,
        // Whoever else says 403 is a webhook, a policy or a quota, and comes after authorization.
        403 if is_of_kubernetes && !is_denied_by_authorization(message) => CanaryResult::Rejected,
        403 => CanaryResult::Forbidden,
        404 => CanaryResult::Missing,
        409 if document.reason == "AlreadyExists" => CanaryResult::Rejected,
        409 => CanaryResult::Conflict,
        400 | 405 | 406 | 410 | 413 | 415 | 422 if is_of_kubernetes => CanaryResult::Rejected,
        // A webhook may answer with any status.
        _ if is_denied_by_webhook(message) => CanaryResult::Rejected,
        _ => CanaryResult::Status(status),
    }
}

/// `... is forbidden: User "x" cannot create resource "configmaps" ...`. Source: apiserver
/// `endpoints/handlers/responsewriters/errors.go`.
fn is_denied_by_authorization(message: &str) -> bool {
    message.contains(" cannot ") && message.contains("User \"")
}

/// `admission webhook "x" denied the request: ...`. Source: apiserver `plugin/webhook/errors/statuserror.go`.
fn is_denied_by_webhook(message: &str) -> bool {
    message.starts_with("admission webhook \"") && message.contains("denied the request")
}

/// The name in `... failed calling webhook "x": reason`, and the reason. Source: apiserver
/// `plugin/webhook/mutating/dispatcher.go` and `webhook.ErrCallingWebhook`.
fn failed_webhook(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("failed calling webhook \"")?;
    rest.split_once('"')
}

fn fault(reason: &str) -> WebhookFault {
    // The URL has a timeout in its query.
    let reason = reason.rsplit_once("\": ").map_or(reason, |(_, reason)| reason);
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["x509", "certificate", "tls: "]) {
        WebhookFault::Certificate
    } else if has(&["deadline exceeded", "timeout", "Timeout", "timed out"]) {
        WebhookFault::Timeout
    } else if has(&["connection refused", "no endpoints", "no route", "no such host", "not found", "unreachable"]) {
        WebhookFault::Unreachable
    } else {
        WebhookFault::Error
    }
}

/// Source: apiserver `storage/etcd3/store.go` ("unable to transform key"), `storage/value/encrypt/envelope` and its
/// `kmsv2`.
fn is_undecryptable(message: &str) -> bool {
    const WORDS: [&str; 5] = ["unable to transform key", "decrypt", "DEK", "kms", "no matching prefix found"];
    WORDS.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use ProbeKind::{CreateConfigMap, CreatePod, LeaseRead, LeaseWrite, SecretRead};

    fn said(kind: ProbeKind, status: u16, reason: &str, message: &str) -> CanaryResult {
        let body = serde_json::json!({ "kind": "Status", "reason": reason, "message": message }).to_string();
        answer(kind, status, Some(3), body.as_bytes()).result
    }

    fn webhook(fault: WebhookFault) -> CanaryResult {
        CanaryResult::Webhook { name: "policy.example.com".into(), fault }
    }

    #[test]
    fn an_object_of_the_kind_asked_for_is_a_success_and_its_revision_is_kept() {
        let lease = br#"{"kind":"Lease","metadata":{"resourceVersion":"812"}}"#;

        assert_eq!(answer(LeaseWrite, 200, None, lease).result, CanaryResult::Done { revision: Some(812) });
        assert_eq!(answer(CreatePod, 201, None, br#"{"kind":"Pod"}"#).result, CanaryResult::Done { revision: None });
        assert_eq!(answer(SecretRead, 200, None, lease).result, CanaryResult::Foreign);
        assert_eq!(answer(LeaseRead, 200, None, b"welcome").result, CanaryResult::Foreign);
        assert_eq!(resource_version(lease).as_deref(), Some("812"));
        assert_eq!(resource_version(b"{}"), None);
    }

    #[test]
    fn a_webhook_that_cannot_be_called_is_named_with_how_the_call_failed() {
        let url = r#"Post "https://policy.policy.svc:443/validate?timeout=10s""#;
        for (reason, fault) in [
            ("context deadline exceeded", WebhookFault::Timeout),
            ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", WebhookFault::Timeout),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                WebhookFault::Certificate,
            ),
            ("dial tcp 10.96.0.12:443: connect: connection refused", WebhookFault::Unreachable),
            ("no endpoints available for service \"policy\"", WebhookFault::Unreachable),
            ("service \"policy\" not found", WebhookFault::Unreachable),
            ("an error on the server (\"boom\") has prevented the request from succeeding", WebhookFault::Error),
        ] {
            let message = format!(
                "Internal error occurred: failed calling webhook \"policy.example.com\": failed to call webhook: {url}: {reason}"
            );

            assert_eq!(said(CreateConfigMap, 500, "InternalError", &message), webhook(fault), "{reason}");
        }
    }

    #[test]
    fn what_policy_quota_and_validation_say_is_an_answer() {
        for (status, reason, message) in [
            (403, "Forbidden", "admission webhook \"policy.example.com\" denied the request: no owner label"),
            (500, "", "admission webhook \"policy.example.com\" denied the request: odd"),
            (403, "Forbidden", "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot"),
            (403, "Forbidden", "configmaps \"x\" is forbidden: exceeded quota: few, requested: count/configmaps=1"),
            (403, "Forbidden", "pods \"x\" is forbidden: error looking up service account vedette/vedette-canary"),
            (422, "Invalid", "ValidatingAdmissionPolicy 'registries' with binding 'all' denied request: image"),
            (409, "AlreadyExists", "configmaps \"x\" already exists"),
        ] {
            assert_eq!(said(CreatePod, status, reason, message), CanaryResult::Rejected, "{message}");
        }
    }

    #[test]
    fn what_the_canary_itself_lacks_is_no_fault_of_the_cluster() {
        let denied = "configmaps is forbidden: User \"vedette-writer\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"vedette\"";
        let going = "configmaps \"x\" is forbidden: unable to create new content in namespace vedette because it is being terminated";
        for (status, message, result) in [
            (403, denied, CanaryResult::Forbidden),
            (403, going, CanaryResult::Terminating),
            (404, "namespaces \"vedette\" not found", CanaryResult::Missing),
            (409, "Operation cannot be fulfilled on leases: the object has been modified", CanaryResult::Conflict),
            (429, "too many requests", CanaryResult::Shed { retry_after_secs: Some(3) }),
            (504, "Timeout: request did not complete within requested timeout", CanaryResult::TimedOut),
            (500, "etcdserver: no leader", CanaryResult::Status(500)),
        ] {
            assert_eq!(said(CreateConfigMap, status, "", message), result, "{message}");
        }
        assert_eq!(answer(CreatePod, 403, None, b"<html>").result, CanaryResult::Forbidden);
    }

    #[test]
    fn only_a_secret_is_undecryptable() {
        let message = "Internal error occurred: unable to transform key \"/registry/secrets/vedette/vedette-canary\": rpc error: code = Unavailable";

        assert_eq!(said(SecretRead, 500, "InternalError", message), CanaryResult::Undecryptable);
        assert_eq!(said(LeaseRead, 500, "InternalError", message), CanaryResult::Status(500));
        assert_eq!(said(SecretRead, 500, "", "etcdserver: request timed out"), CanaryResult::Status(500));
    }

    proptest! {
        #[test]
        fn any_body_gives_a_bounded_answer(
            status: u16,
            body in proptest::collection::vec(any::<u8>(), 0..512),
            text in any::<String>(),
        ) {
            let named = format!("failed calling webhook \"{text}\": {text}");
            let wrapped = serde_json::json!({ "kind": "Status", "message": named }).to_string();
            for body in [body.as_slice(), wrapped.as_bytes()] {
                for kind in [LeaseWrite, LeaseRead, CreateConfigMap, CreatePod, ProbeKind::AccessReview, SecretRead] {
                    let CanaryAnswer { result, said } = answer(kind, status, None, body);
                    prop_assert!(said.is_none_or(|said| said.chars().count() <= MOST));
                    if let CanaryResult::Webhook { name, .. } = result {
                        prop_assert!(name.chars().count() <= MOST_NAME);
                    }
                }
            }
        }
    }
}
