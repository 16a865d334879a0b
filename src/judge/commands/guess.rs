//! What a cluster was installed with, derived from what is seen of it.
//!
//! The first of these signs that is present decides: the configuration, an apiserver's version, a served certificate, a
//! watched path, who renews. Sources: k3s and RKE2 append their name to gitVersion and sign with CAs of their own
//! (`k3s-server-ca@…`); OpenShift's signers bear its name; Talos issues by CAs whose only name is an organisation.

use crate::model::certificate::Class;
use crate::model::host_access::{Basis, Distribution, Hosts, Named};
use crate::model::inventory::{Cluster, Inventory};
use crate::model::observation::Reading;
use crate::model::snapshot::{ClusterSnapshot, Snapshot};
use crate::model::subject::{Name, Subject};

/// What commands about `cluster` are made from, or about the vantage without one, by what is configured and what
/// `cluster_snapshot` shows of it.
#[must_use]
pub fn all(inventory: &Inventory, cluster: Option<&Name>, cluster_snapshot: Option<&ClusterSnapshot>) -> Hosts {
    let known = cluster.and_then(|name| inventory.clusters.get(name));
    let hosts = known.map_or_else(Hosts::default, |cluster| hosts(cluster, cluster_snapshot));
    Hosts { named: inventory.named(cluster), ..hosts }
}

/// The same by what `snapshot` has of it.
#[must_use]
pub fn in_snapshot(snapshot: &Snapshot, cluster: Option<&Name>) -> Hosts {
    let cluster_snapshot = cluster.and_then(|name| snapshot.clusters.get(name));
    all(&snapshot.inventory, cluster, cluster_snapshot.map(|cluster_snapshot| &**cluster_snapshot))
}

/// How the hosts of `cluster` are reached, by what it is configured as and what was seen of it.
fn hosts(cluster: &Cluster, cluster_snapshot: Option<&ClusterSnapshot>) -> Hosts {
    let (distribution, basis) = distribution(cluster, cluster_snapshot);
    Hosts {
        distribution,
        basis,
        ssh_user: cluster.hosts.ssh_user.clone(),
        leaders: cluster_snapshot.map(leaders).unwrap_or_default(),
        named: Named::default(),
    }
}

fn distribution(cluster: &Cluster, cluster_snapshot: Option<&ClusterSnapshot>) -> (Distribution, Basis) {
    if let Some(configured) = cluster.hosts.distribution {
        return (configured, Basis::Configured);
    }
    let probes = || cluster_snapshot.into_iter().flat_map(|cluster_snapshot| cluster_snapshot.observations.values());
    let version = probes().find_map(|observation| match &observation.outcome {
        Ok(Reading::Version(version)) => by_version(version.git_version.as_deref()?),
        _ => None,
    });
    let chains = cluster_snapshot.into_iter().flat_map(|cluster_snapshot| cluster_snapshot.served.values());
    let served =
        || chains.flat_map(|(_, served)| &served.chain).find_map(|one| by_certificate(&one.subject, &one.issuer));
    let path = || cluster.files.values().find_map(|files| by_path(&files.path));
    if let Some(seen) = version.or_else(served).or_else(path) {
        return (seen, Basis::Seen);
    }
    let instances = cluster.apiservers.values().chain(&cluster.vip);
    if instances.clone().next().is_some() && instances.clone().all(|endpoint| endpoint.certificates == Class::Restart) {
        return (Distribution::K3s, Basis::Renewal);
    }
    (Distribution::Kubeadm, Basis::Assumed)
}

fn by_version(version: &str) -> Option<Distribution> {
    let (_, build) = version.split_once('+')?;
    match build {
        build if build.starts_with("k3s") => Some(Distribution::K3s),
        build if build.starts_with("rke2") => Some(Distribution::Rke2),
        _ => None,
    }
}

/// By subject and issuer in their RFC 4514 form.
fn by_certificate(subject: &str, issuer: &str) -> Option<Distribution> {
    let is = |mark: &str| subject.contains(mark) || issuer.contains(mark);
    if is("CN=k3s-") {
        Some(Distribution::K3s)
    } else if is("CN=rke2-") {
        Some(Distribution::Rke2)
    } else if is("OU=openshift") || is("CN=openshift-") || is("CN=kube-apiserver-lb-signer") {
        Some(Distribution::Openshift)
    } else if issuer == "O=kubernetes" || issuer == "O=etcd" {
        Some(Distribution::Talos)
    } else {
        None
    }
}

fn by_path(path: &str) -> Option<Distribution> {
    [
        ("/var/lib/rancher/k3s", Distribution::K3s),
        ("/etc/rancher/k3s", Distribution::K3s),
        ("/var/lib/rancher/rke2", Distribution::Rke2),
        ("/etc/rancher/rke2", Distribution::Rke2),
        ("/etc/kubernetes/static-pod-resources", Distribution::Openshift),
        ("/etc/kubernetes/pki", Distribution::Kubeadm),
    ]
    .into_iter()
    .find_map(|(start, distribution)| path.starts_with(start).then_some(distribution))
}

/// Members that reported themselves as leader in the latest round.
fn leaders(cluster_snapshot: &ClusterSnapshot) -> std::collections::BTreeSet<Subject> {
    let rounds = cluster_snapshot.observations.values().filter_map(|observation| {
        let Ok(Reading::EtcdStatus(answers)) = &observation.outcome else { return None };
        Some((&observation.probe.subject, answers))
    });
    let leading = rounds.flat_map(|(etcd, answers)| {
        let leads = |member: &&crate::model::etcd::MemberAnswer<_>| {
            let status: &Result<crate::model::etcd::MemberStatus, _> = &member.answer;
            status.as_ref().is_ok_and(|status| status.leader == Some(status.member_id))
        };
        answers.iter().filter(leads).filter_map(|one| etcd.member(&one.member))
    });
    leading.collect()
}

#[cfg(test)]
mod tests {
    use super::Distribution::{K3s, Kubeadm, Openshift, Rke2, Talos};
    use super::*;
    use crate::model::inventory::Endpoint;

    fn endpoint(certificates: Class) -> Endpoint {
        Endpoint { address: "10.0.0.1:6443".into(), server_name: "api".into(), is_loopback: false, certificates }
    }

    #[test]
    fn each_sign_speaks_for_one_distribution_or_none() {
        for (version, says) in [
            ("v1.36.3", None),
            ("v1.36.3+k3s1", Some(K3s)),
            ("v1.36.3+rke2r2", Some(Rke2)),
            ("v1.32.5-eks-5d4a308", None),
        ] {
            assert_eq!(by_version(version), says, "{version}");
        }
        for (subject, issuer, says) in [
            ("CN=kube-apiserver", "CN=kubernetes", None),
            ("CN=kube-apiserver", "CN=k3s-server-ca@1732900000", Some(K3s)),
            ("CN=kube-apiserver", "CN=rke2-server-ca@1732900000", Some(Rke2)),
            ("CN=10.0.0.1", "CN=kube-apiserver-lb-signer,OU=openshift", Some(Openshift)),
            ("CN=kube-apiserver,O=kube-master", "O=kubernetes", Some(Talos)),
            ("CN=etcd-1,O=etcd", "O=etcd", Some(Talos)),
        ] {
            assert_eq!(by_certificate(subject, issuer), says, "{issuer}");
        }
        for (path, says) in [
            ("/srv/pki/*.crt", None),
            ("/var/lib/rancher/k3s/server/tls", Some(K3s)),
            ("/var/lib/rancher/rke2/server/tls/*.crt", Some(Rke2)),
            ("/etc/kubernetes/static-pod-resources", Some(Openshift)),
            ("/etc/kubernetes/pki", Some(Kubeadm)),
        ] {
            assert_eq!(by_path(path), says, "{path}");
        }
    }

    #[test]
    fn what_is_written_goes_first_and_renewal_at_the_start_last() {
        let of = |class| Cluster { apiservers: [("a".parse().unwrap(), endpoint(class))].into(), ..Cluster::default() };
        let mut written = of(Class::Restart);
        written.hosts.distribution = Some(Rke2);
        for (cluster, says, basis) in [
            (of(Class::Manual), Kubeadm, Basis::Assumed),
            (of(Class::Restart), K3s, Basis::Renewal),
            (written, Rke2, Basis::Configured),
            (Cluster::default(), Kubeadm, Basis::Assumed),
        ] {
            let hosts = hosts(&cluster, None);
            assert_eq!((hosts.distribution, hosts.basis), (says, basis));
        }
    }
}
