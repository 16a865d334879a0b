//! The hosts of a cluster as a person reaches them: what Kubernetes was installed with, and the user for ssh.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::subject::{Name, Subject};

/// What a cluster was installed with: paths, programs and ways of renewal depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// kubeadm, and what builds on it (kubespray): static pods, certificates under `/etc/kubernetes/pki`.
    #[default]
    Kubeadm,
    /// k3s: everything in one service, etcd included.
    K3s,
    /// RKE2: static pods under `/var/lib/rancher/rke2`.
    Rke2,
    /// Talos Linux: no shell, `talosctl` only.
    Talos,
    /// OpenShift: static pods of operators, ssh as `core`.
    Openshift,
}

/// The configuration of the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostAccess {
    /// The distribution, where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Whom ssh logs in, where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_user: Option<String>,
}

/// What commands for the hosts are made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hosts {
    /// What the cluster was installed with, as far as it is known.
    pub distribution: Distribution,
    /// How it is known.
    pub basis: Basis,
    /// The user for ssh; `None` for the user who runs the command.
    #[serde(default)]
    pub ssh_user: Option<String>,
    /// etcd members that led at that time: they are defragmented last.
    #[serde(default)]
    pub leaders: BTreeSet<Subject>,
    /// What vedette's configuration names; an older release did not say.
    #[serde(default)]
    pub named: Named,
}

/// What vedette's own configuration names, for commands on its host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Named {
    /// The configuration itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// What is shown to the apiservers and trusted of them.
    #[serde(default)]
    pub apiservers: Credential,
    /// The same for each etcd cluster.
    #[serde(default)]
    pub etcds: BTreeMap<Name, Credential>,
    /// Names that are expected in certificates, of endpoints that are not dialled by them.
    #[serde(default)]
    pub server_names: BTreeMap<Subject, String>,
}

/// Files with what vedette shows a server and trusts of it; `None` where it is in no file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credential {
    /// The CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The kubeconfig that has them, or says where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
}

/// How a distribution is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The configuration says so.
    Configured,
    /// An apiserver's version, a certificate or a watched path shows it.
    Seen,
    /// Only `certificates: restart` points to it, which fits k3s and RKE2 alike.
    Renewal,
    /// Nothing points to it or away from it.
    #[default]
    Assumed,
}

impl Distribution {
    /// Every distribution.
    pub const ALL: [Self; 5] = [Self::Kubeadm, Self::K3s, Self::Rke2, Self::Talos, Self::Openshift];

    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubeadm => "kubeadm",
            Self::K3s => "k3s",
            Self::Rke2 => "rke2",
            Self::Talos => "talos",
            Self::Openshift => "openshift",
        }
    }
}
