//! RKE2: static pods of its own kubelet under `/var/lib/rancher/rke2`. Source: docs.rke2.io, cluster access and backup.

use super::layout::{Etcdctl, Layout, Manifests, Pki};

pub(super) static LAYOUT: Layout = Layout {
    user: None,
    crictl: Some("/var/lib/rancher/rke2/bin/crictl --config /var/lib/rancher/rke2/agent/etc/crictl.yaml"),
    unit: "rke2-server",
    etcdctl: Etcdctl::Container(
        "etcd",
        "etcdctl --cacert=/var/lib/rancher/rke2/server/tls/etcd/server-ca.crt \
         --cert=/var/lib/rancher/rke2/server/tls/etcd/server-client.crt \
         --key=/var/lib/rancher/rke2/server/tls/etcd/server-client.key",
    ),
    data: "/var/lib/rancher/rke2/server/db",
    manifests: Some(Manifests {
        folder: "/var/lib/rancher/rke2/agent/pod-manifests",
        apiserver: "/var/lib/rancher/rke2/agent/pod-manifests/kube-apiserver.yaml",
    }),
    pki: Pki {
        ca: "/var/lib/rancher/rke2/server/tls/server-ca.crt",
        etcd_ca: "/var/lib/rancher/rke2/server/tls/etcd/server-ca.crt",
        apiserver: "/var/lib/rancher/rke2/server/tls/serving-kube-apiserver.crt",
        etcd: "/var/lib/rancher/rke2/server/tls/etcd/server-client.crt",
        peer: "/var/lib/rancher/rke2/server/tls/etcd/peer-server-client.crt",
        client: "/var/lib/rancher/rke2/server/tls/etcd/client.crt",
    },
    save: Some("rke2 etcd-snapshot save --name before"),
    expirations: Some("rke2 certificate check"),
    renew: Some(("systemctl restart rke2-server", "one server after the other: it renews when it starts")),
};
