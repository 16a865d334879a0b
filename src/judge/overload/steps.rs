//! What to do while the API hardly answers, in which order: what works without it comes before what needs it.

/// The steps; with `has_object` there is one to apply.
pub(super) fn steps(has_object: bool) -> Vec<String> {
    let apply = "Apply the object below: it works within seconds on every apiserver, and its requests that are under way \
                 end by themselves.";
    [
        Some(
            "Take a credential of the group system:masters (kubeadm: /etc/kubernetes/super-admin.conf) straight to one \
             apiserver, not to the VIP: its requests are exempt and do not wait. Everything by other credentials, \
             OIDC first of all, may hang.",
        ),
        has_object.then_some(apply),
        Some(
            "If the API takes nothing: stop the client where it runs, without the API. On a node, stop its container \
             with crictl or its unit with systemctl; for a workload on every node, cut its address range off port 6443 \
             on the control-plane hosts or at the balancer, and leave nodes and control plane in.",
        ),
        Some(
            "Restart an apiserver only when it runs out of memory, one at a time: every restart makes all clients list \
             anew.",
        ),
        Some("Then find what changed: the last rollout of that client; roll it back or scale it down."),
        Some("Undo: let the addresses in again first, then delete the object."),
    ]
    .into_iter()
    .flatten()
    .map(str::to_owned)
    .collect()
}
