//! kubeadm: static pods of a kubelet, certificates under `/etc/kubernetes/pki`. Source: kubeadm's constants.go.

use super::layout::{Etcdctl, Layout, Manifests, Pki};

pub(super) static LAYOUT: Layout = Layout {
    user: None,
    crictl: Some("crictl"),
    unit: "kubelet",
    // A kubeadm host has etcdctl in the container of etcd alone; the flags name files that are mounted there.
    etcdctl: Etcdctl::Container(
        "etcd",
        "etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt \
         --key=/etc/kubernetes/pki/etcd/healthcheck-client.key",
    ),
    data: "/var/lib/etcd",
    manifests: Some(Manifests {
        folder: "/etc/kubernetes/manifests",
        apiserver: "/etc/kubernetes/manifests/kube-apiserver.yaml",
    }),
    pki: Pki {
        ca: "/etc/kubernetes/pki/ca.crt",
        etcd_ca: "/etc/kubernetes/pki/etcd/ca.crt",
        apiserver: "/etc/kubernetes/pki/apiserver.crt",
        etcd: "/etc/kubernetes/pki/etcd/server.crt",
        peer: "/etc/kubernetes/pki/etcd/peer.crt",
        client: "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    },
    save: None,
    expirations: Some("kubeadm certs check-expiration"),
    renew: Some(("kubeadm certs renew all", "on each control-plane host: they all expire together")),
};
