//! k3s: one service that holds apiserver and etcd. It ships no etcdctl. Source: docs.k3s.io, server and certificate.

use super::layout::{Etcdctl, Layout, Pki};

pub(super) static LAYOUT: Layout = Layout {
    user: None,
    crictl: None,
    unit: "k3s",
    etcdctl: Etcdctl::Host(
        "etcdctl --cacert=/var/lib/rancher/k3s/server/tls/etcd/server-ca.crt \
         --cert=/var/lib/rancher/k3s/server/tls/etcd/server-client.crt \
         --key=/var/lib/rancher/k3s/server/tls/etcd/server-client.key",
    ),
    data: "/var/lib/rancher/k3s/server/db",
    manifests: None,
    pki: Pki {
        ca: "/var/lib/rancher/k3s/server/tls/server-ca.crt",
        etcd_ca: "/var/lib/rancher/k3s/server/tls/etcd/server-ca.crt",
        apiserver: "/var/lib/rancher/k3s/server/tls/serving-kube-apiserver.crt",
        etcd: "/var/lib/rancher/k3s/server/tls/etcd/server-client.crt",
        peer: "/var/lib/rancher/k3s/server/tls/etcd/peer-server-client.crt",
        client: "/var/lib/rancher/k3s/server/tls/etcd/client.crt",
    },
    save: Some("k3s etcd-snapshot save --name before"),
    expirations: Some("k3s certificate check"),
    renew: Some(("systemctl restart k3s", "one server after the other: it renews when it starts")),
};
