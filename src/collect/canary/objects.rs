//! The objects that canaries send: as small as they can be, and such that policies of a hardened cluster let them pass.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::model::canary::Canaries;
use crate::model::time::Now;

/// What every object of ours bears.
const APP: &str = "vedette-canary";

/// Seconds that a Lease lasts, as those of kubelets.
const LEASE_SECONDS: u32 = 40;

/// The Lease with the time of the write, over the version that is known.
pub(super) fn lease(canaries: &Canaries, vantage: &str, version: Option<&str>, now: Now) -> Bytes {
    bytes(&json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": canaries.lease, "namespace": canaries.namespace, "resourceVersion": version },
        "spec": {
            "holderIdentity": vantage,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": micro_time(now),
        },
    }))
}

pub(super) fn config_map(namespace: &str) -> Bytes {
    bytes(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(namespace),
        "data": { "purpose": "dry run of vedette, never stored" },
    }))
}

/// A Pod of the `restricted` profile. Nothing of it is ever run: the name of its image leads nowhere.
pub(super) fn pod(namespace: &str) -> Bytes {
    bytes(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(namespace),
        "spec": {
            "serviceAccountName": Canaries::SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65_532,
                "runAsGroup": 65_532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "canary",
                "image": "canary.invalid/vedette:dry-run",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
                "resources": {
                    "requests": { "cpu": "1m", "memory": "1Mi" },
                    "limits": { "cpu": "1m", "memory": "1Mi" },
                },
            }],
        },
    }))
}

/// May we read a Secret of a name that nobody has? RBAC does not say yes, so that every authorizer is asked; and each
/// time it is another name, so that none answers from its cache. Source: apiserver `plugin/authorizer/webhook` caches
/// for minutes by user, verb and name.
pub(super) fn access_review(namespace: &str, now: Now) -> Bytes {
    bytes(&json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "namespace": namespace,
                "verb": "get",
                "resource": "secrets",
                "name": format!("{APP}-{}", now.wall.as_millis()),
            },
        },
    }))
}

fn metadata(namespace: &str) -> Value {
    json!({
        "generateName": format!("{APP}-"),
        "namespace": namespace,
        "labels": { "app.kubernetes.io/name": APP, "app.kubernetes.io/managed-by": "vedette" },
    })
}

/// As Kubernetes writes a MicroTime: six digits behind the second.
fn micro_time(now: Now) -> String {
    let second = now.wall.to_string();
    format!("{}.{:03}000Z", second.trim_end_matches('Z'), now.wall.as_millis().rem_euclid(1000))
}

fn bytes(object: &Value) -> Bytes {
    object.to_string().into()
}
