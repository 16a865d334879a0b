//! The objects that throttle exactly one client of an apiserver, printed for people and never applied.
//!
//! A FlowSchema that matches one user, verb and resource sends these requests to a priority level of their own with one
//! share and nothing to borrow; all others keep their seats. What keeps the cluster alive is never throttled: its
//! control plane, its nodes, the controllers of kube-system, and vedette itself.

use crate::model::digest::stable_hash;
use crate::model::flow_control::Sender;

/// Before every FlowSchema that Kubernetes suggests (the first of them is `system-leader-election` with 100) and behind
/// the mandatory `exempt` (1) and `probes` (2). Source: `apiserver/pkg/apis/flowcontrol/bootstrap/default.go`.
const PRECEDENCE: u32 = 60;

/// What can be done about a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Throttle {
    /// Objects to apply.
    Objects(Objects),
    /// None, and what to do instead.
    Never(Reason),
}

/// A FlowSchema and its PriorityLevelConfiguration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// The name of both.
    pub name: String,
    /// Both as one YAML text, lines without indentation.
    pub yaml: String,
}

/// Why a client is not throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its user is not known.
    NotVisible,
    /// Part of the control plane.
    ControlPlane,
    /// A kubelet.
    Node,
    /// A controller in kube-system, of which DNS and the network are two.
    KubeSystem,
    /// vedette.
    Ourselves,
    /// Its requests are exempt from priority and fairness.
    Exempt,
    /// Its name was shortened or escaped, so that no object would match it.
    OddName,
}

impl Reason {
    /// Why not, and what to do instead, as one sentence.
    #[must_use]
    pub const fn instead(self) -> &'static str {
        match self {
            Self::NotVisible => {
                "the user is not visible in the dumps, so nothing can be throttled by name: find the clients that hold \
                 open watches in the audit log, or by the addresses connected to the apiservers"
            }
            Self::ControlPlane => {
                "this is the control plane's own identity and must not be throttled: restart that component, and look \
                 for what makes it ask (a controller in a loop, a large number of objects)"
            }
            Self::Node => {
                "kubelets must not be throttled, or their nodes are evicted: stop what runs on the node (a crash loop, \
                 a mount of many Secrets or ConfigMaps), or stop that kubelet"
            }
            Self::KubeSystem => {
                "controllers in kube-system must not be throttled, DNS and the network among them: scale that one \
                 workload down, or roll its last change back"
            }
            Self::Ourselves => {
                "these are vedette's own requests, which it has reduced already: stop vedette if in doubt"
            }
            Self::Exempt => {
                "members of system:masters are exempt from priority and fairness, so no object throttles them: stop \
                 the client, or end its certificate's use at its owner"
            }
            Self::OddName => {
                "its name is very long or has unprintable characters, so no object can be printed that surely matches \
                 it: write the FlowSchema by hand, or stop the client"
            }
        }
    }
}

/// What throttles `sender`. `own_user` is the user that vedette is to this apiserver, where that is known.
#[must_use]
pub fn throttle(sender: &Sender, level: &str, own_user: Option<&str>) -> Throttle {
    if let Some(reason) = never(&sender.user, level, own_user) {
        return Throttle::Never(reason);
    }
    let name = format!("vedette-throttle-{:08x}", stable_hash(&[&sender.user, &sender.verb, &sender.what]) >> 32);
    let subject = subject(&sender.user);
    let rule = rule(sender);
    let yaml = format!(
        "apiVersion: flowcontrol.apiserver.k8s.io/v1\n\
         kind: PriorityLevelConfiguration\n\
         metadata:\n\
         \x20 name: {name}\n\
         spec:\n\
         \x20 type: Limited\n\
         \x20 limited:\n\
         \x20   nominalConcurrencyShares: 1\n\
         \x20   lendablePercent: 0\n\
         \x20   borrowingLimitPercent: 0\n\
         \x20   limitResponse:\n\
         \x20     type: Queue\n\
         \x20     queuing: {{ queues: 1, handSize: 1, queueLengthLimit: 10 }}\n\
         ---\n\
         apiVersion: flowcontrol.apiserver.k8s.io/v1\n\
         kind: FlowSchema\n\
         metadata:\n\
         \x20 name: {name}\n\
         spec:\n\
         \x20 matchingPrecedence: {PRECEDENCE}\n\
         \x20 priorityLevelConfiguration: {{ name: {name} }}\n\
         \x20 rules:\n\
         \x20 - subjects:\n\
         \x20   - {subject}\n\
         {rule}"
    );
    Throttle::Objects(Objects { name, yaml })
}

fn never(user: &str, level: &str, own_user: Option<&str>) -> Option<Reason> {
    if user.is_empty() {
        return Some(Reason::NotVisible);
    }
    if own_user == Some(user) {
        return Some(Reason::Ourselves);
    }
    if user.starts_with("system:serviceaccount:kube-system:") {
        return Some(Reason::KubeSystem);
    }
    if user.starts_with("system:node:") {
        return Some(Reason::Node);
    }
    let is_workload = user.starts_with("system:serviceaccount:") || user == "system:anonymous";
    if user.starts_with("system:") && !is_workload {
        return Some(Reason::ControlPlane);
    }
    // So does `parse::sanitize` write what it changed.
    if user.contains("\\u{") || user.ends_with('…') {
        return Some(Reason::OddName);
    }
    (level == "exempt").then_some(Reason::Exempt)
}

/// A service account is matched by its own kind, as in the FlowSchemas that Kubernetes suggests.
fn subject(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => format!(
            "{{ kind: ServiceAccount, serviceAccount: {{ namespace: {}, name: {} }} }}",
            quoted(namespace),
            quoted(name)
        ),
        None => format!("{{ kind: User, user: {{ name: {} }} }}", quoted(user)),
    }
}

fn rule(sender: &Sender) -> String {
    let verbs = quoted(&sender.verb);
    if sender.what.starts_with('/') {
        let path = quoted(&sender.what);
        return format!(
            "\x20   nonResourceRules:\n\
             \x20   - {{ verbs: [{verbs}], nonResourceURLs: [{path}] }}\n"
        );
    }
    let (named, part) = sender.what.split_once('/').map_or((sender.what.as_str(), None), |(a, b)| (a, Some(b)));
    let (resource, group) = named.split_once('.').unwrap_or((named, ""));
    let resource = part.map_or_else(|| resource.to_owned(), |part| format!("{resource}/{part}"));
    format!(
        "\x20   resourceRules:\n\
         \x20   - {{ verbs: [{verbs}], apiGroups: [{}], resources: [{}], clusterScope: true, namespaces: [\"*\"] }}\n",
        quoted(group),
        quoted(&resource)
    )
}

/// A double-quoted YAML scalar: JSON's strings are such.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(user: &str, verb: &str, what: &str) -> Sender {
        Sender { user: user.into(), verb: verb.into(), what: what.into() }
    }

    fn yaml(sender: &Sender) -> String {
        match throttle(sender, "global-default", Some("vedette")) {
            Throttle::Objects(objects) => objects.yaml,
            Throttle::Never(reason) => panic!("{reason:?}"),
        }
    }

    #[test]
    fn what_keeps_the_cluster_alive_is_never_throttled() {
        for (user, reason) in [
            ("", Reason::NotVisible),
            ("vedette", Reason::Ourselves),
            ("system:kube-controller-manager", Reason::ControlPlane),
            ("system:kube-scheduler", Reason::ControlPlane),
            ("system:apiserver", Reason::ControlPlane),
            ("system:node:node-7", Reason::Node),
            ("system:serviceaccount:kube-system:coredns", Reason::KubeSystem),
        ] {
            assert_eq!(
                throttle(&sender(user, "list", "pods"), "workload-low", Some("vedette")),
                Throttle::Never(reason),
                "{user}"
            );
        }
        let master = sender("kubernetes-admin", "list", "pods");
        assert_eq!(throttle(&master, "exempt", None), Throttle::Never(Reason::Exempt));
    }

    #[test]
    fn a_workload_is_throttled_as_what_it_is_and_for_what_it_asks() {
        let text = yaml(&sender("system:serviceaccount:telemetry:agent", "list", "deployments.apps"));
        assert!(text.contains(r#"kind: ServiceAccount, serviceAccount: { namespace: "telemetry", name: "agent" }"#));
        assert!(text.contains(r#"verbs: ["list"], apiGroups: ["apps"], resources: ["deployments"]"#));

        let text = yaml(&sender("jane", "get", "pods/log"));
        assert!(text.contains(r#"kind: User, user: { name: "jane" }"#));
        assert!(text.contains(r#"apiGroups: [""], resources: ["pods/log"]"#));

        let text = yaml(&sender("jane", "get", "/metrics"));
        assert!(text.contains(r#"nonResourceURLs: ["/metrics"]"#));
    }

    #[test]
    fn no_name_breaks_out_of_its_place() {
        let text = yaml(&sender("a\"} ]\nkind: Secret", "list", "pods"));
        assert!(text.contains(r#"name: "a\"} ]\nkind: Secret""#));
        assert_eq!(text.lines().filter(|line| line.starts_with("kind: ")).count(), 2);
    }

    #[test]
    fn the_same_client_has_the_same_objects_and_another_has_others() {
        let name = |sender: &Sender| match throttle(sender, "global-default", None) {
            Throttle::Objects(objects) => objects.name,
            Throttle::Never(reason) => panic!("{reason:?}"),
        };
        let pods = sender("jane", "list", "pods");
        assert_eq!(name(&pods), name(&pods.clone()));
        assert_ne!(name(&pods), name(&sender("jane", "list", "secrets")));
    }
}
