//! OpenShift: static pods of operators on CoreOS, ssh as `core`. Source: docs.openshift.com, backup and etcd practices.

use super::layout::{Etcdctl, Layout, Manifests, Pki};

pub(super) static LAYOUT: Layout = Layout {
    user: Some("core"),
    crictl: Some("crictl"),
    unit: "kubelet",
    // The container sets ETCDCTL_ENDPOINTS, and etcdctl refuses to be given endpoints twice.
    etcdctl: Etcdctl::Container("etcdctl", "env -u ETCDCTL_ENDPOINTS etcdctl"),
    data: "/var/lib/etcd",
    manifests: Some(Manifests {
        folder: "/etc/kubernetes/manifests",
        apiserver: "/etc/kubernetes/manifests/kube-apiserver-pod.yaml",
    }),
    pki: Pki {
        ca: "/etc/kubernetes/static-pod-resources/kube-apiserver-certs/configmaps/client-ca/ca-bundle.crt",
        etcd_ca: "/etc/kubernetes/static-pod-resources/etcd-certs/configmaps/etcd-all-bundles/server-ca-bundle.crt",
        apiserver: "/etc/kubernetes/static-pod-resources/kube-apiserver-certs/secrets/service-network-serving-certkey/tls.crt",
        etcd: "/etc/kubernetes/static-pod-resources/etcd-certs/secrets/etcd-all-certs/etcd-serving-$(hostname).crt",
        peer: "/etc/kubernetes/static-pod-resources/etcd-certs/secrets/etcd-all-certs/etcd-peer-$(hostname).crt",
        client: "/etc/kubernetes/static-pod-resources/etcd-certs/secrets/etcd-client/tls.crt",
    },
    save: Some("/usr/local/bin/cluster-backup.sh /home/core/before"),
    expirations: None,
    renew: None,
};
