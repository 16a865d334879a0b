//! What differs from one distribution to the other: paths and programs on a host with a shell.

/// The hosts of one distribution.
#[derive(Debug)]
pub(super) struct Layout {
    /// The user for ssh unless one is configured; `None` for the user who runs the command.
    pub(super) user: Option<&'static str>,
    /// How crictl is called; `None` where the control plane runs in no containers.
    pub(super) crictl: Option<&'static str>,
    /// The systemd unit whose journal has the control plane's start.
    pub(super) unit: &'static str,
    /// How etcdctl is called.
    pub(super) etcdctl: Etcdctl,
    /// The folder of etcd's data.
    pub(super) data: &'static str,
    /// The folder of static pods, and kube-apiserver's file in it; `None` where there are none.
    pub(super) manifests: Option<Manifests>,
    /// Certificates of the control plane.
    pub(super) pki: Pki,
    /// Saves a copy of etcd's keys on the host, where the distribution has a command of its own for it.
    pub(super) save: Option<&'static str>,
    /// Lists when certificates expire, where a command of the host does.
    pub(super) expirations: Option<&'static str>,
    /// Renews what has expired, and what to know about it; `None` where operators do.
    pub(super) renew: Option<(&'static str, &'static str)>,
}

/// How etcdctl is called.
#[derive(Debug)]
pub(super) enum Etcdctl {
    /// In a container of this name, with these flags before the call.
    Container(&'static str, &'static str),
    /// On the host, where it must be installed first, with these flags.
    Host(&'static str),
}

/// Static pods.
#[derive(Debug)]
pub(super) struct Manifests {
    /// Their folder.
    pub(super) folder: &'static str,
    /// kube-apiserver's.
    pub(super) apiserver: &'static str,
}

/// Certificates of the control plane.
#[derive(Debug)]
pub(super) struct Pki {
    /// The CA of the apiservers' serving certificates.
    pub(super) ca: &'static str,
    /// etcd's CA.
    pub(super) etcd_ca: &'static str,
    /// What kube-apiserver serves.
    pub(super) apiserver: &'static str,
    /// What etcd serves to clients.
    pub(super) etcd: &'static str,
    /// What etcd shows its peers.
    pub(super) peer: &'static str,
    /// What kube-apiserver shows etcd.
    pub(super) client: &'static str,
}
