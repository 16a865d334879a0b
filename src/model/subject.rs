//! What a statement is about: cluster / component / instance, ordered, with one stable text form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::certificate::Distrust;

/// A name from the configuration: 1 to 63 of `A-Z a-z 0-9 . _ : -`, starting with a letter or digit.
///
/// The alphabet keeps `/` free as the separator of a [`Subject`] and makes names safe in headers and labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Ord for Name {
    /// Most names that are compared are copies of one in the inventory, and need not be read for it.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 63 letters, digits, '.', '_', ':' or '-', and starts with a letter or digit")]
pub struct BadName;

/// A subject: the thing that a probe, a verdict or an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// The machine vedette runs on, with its own network.
    Vantage,
    /// A place outside every watched cluster that proves our path.
    Reference(Name),
    /// A DNS server the vantage relies on.
    Resolver(Name),
    /// A proxy that clusters are reached through, named by its host and port.
    Proxy(Name),
    /// A whole cluster.
    Cluster(Name),
    /// The address clients use: a balancer or a floating address in front of the instances.
    Vip(Name),
    /// One kube-apiserver instance.
    Apiserver(Name, Name),
    /// One etcd cluster: cluster, etcd name.
    Etcd(Name, Name),
    /// One member of an etcd cluster: cluster, etcd name, member.
    EtcdMember(Name, Name, Name),
    /// Something in a file: cluster (`None` for the vantage), then the beginning of a fingerprint for a certificate or
    /// token, or the name of a source of the inventory.
    Stored(Option<Name>, Name),
    /// The chains that verification refuses for one reason: cluster, the etcd whose members serve them (`None` for the
    /// apiservers and the API VIP), the reason.
    Chain(Name, Option<Name>, Distrust),
}

/// What a subject is to whoever decides how and how often to probe it, and what its answers prove.
///
/// A new kind of subject is added above and gets its role here. What depends on the role is decided by exhaustive
/// matches on it; everything else asks the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Our own side: the machine vedette runs on, and proxies on the way.
    OwnSide,
    /// A place outside every cluster that is asked to prove our path.
    Outside,
    /// A whole cluster: what is known of it comes from its parts.
    Cluster,
    /// Answers as a kube-apiserver: an instance, or the address in front of them.
    Api,
    /// An etcd cluster or one of its members, which are asked in rounds.
    Etcd,
    /// Something that was found by probes of other subjects: a stored certificate, a refused chain.
    Item,
}

/// Why a text is not a [`Subject`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no subject; write CLUSTER, CLUSTER/vip, CLUSTER/apiserver/NAME or CLUSTER/etcd/NAME[/MEMBER]")]
pub struct BadSubject(String);

/// The first part of every subject that belongs to no cluster; no cluster may bear this name.
pub const VANTAGE: &str = "vantage";

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 63 && text.chars().all(allowed) { Ok(Self(text.into())) } else { Err(BadName) }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Subject {
    /// The cluster this subject belongs to; `None` for the vantage and what belongs to it.
    #[must_use]
    pub const fn cluster(&self) -> Option<&Name> {
        match self {
            Self::Vantage | Self::Reference(_) | Self::Resolver(_) | Self::Proxy(_) => None,
            Self::Cluster(cluster)
            | Self::Vip(cluster)
            | Self::Apiserver(cluster, _)
            | Self::Etcd(cluster, _)
            | Self::EtcdMember(cluster, _, _)
            | Self::Chain(cluster, _, _) => Some(cluster),
            Self::Stored(cluster, _) => cluster.as_ref(),
        }
    }

    /// The component as a bounded label value: `vantage`, `reference`, `resolver`, `proxy`, `cluster`, `vip`,
    /// `apiserver`, `etcd`, `stored`, `chain`.
    #[must_use]
    pub const fn component(&self) -> &'static str {
        match self {
            Self::Vantage => VANTAGE,
            Self::Reference(_) => "reference",
            Self::Resolver(_) => "resolver",
            Self::Proxy(_) => "proxy",
            Self::Cluster(_) => "cluster",
            Self::Vip(_) => "vip",
            Self::Apiserver(..) => "apiserver",
            Self::Etcd(..) | Self::EtcdMember(..) => "etcd",
            Self::Stored(..) => "stored",
            Self::Chain(..) => "chain",
        }
    }

    /// The last name of the subject, the one a person would say: `api-1`, `etcd-2`, `vip`.
    #[must_use]
    pub fn short(&self) -> &str {
        match self {
            Self::Vantage => VANTAGE,
            Self::Vip(_) => "vip",
            Self::Reference(name)
            | Self::Resolver(name)
            | Self::Proxy(name)
            | Self::Cluster(name)
            | Self::Apiserver(_, name) => name.as_str(),
            Self::Etcd(_, name) | Self::EtcdMember(_, _, name) | Self::Stored(_, name) => name.as_str(),
            Self::Chain(_, _, reason) => reason.as_str(),
        }
    }

    /// How it is probed, and what that proves.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Vantage | Self::Proxy(_) => Role::OwnSide,
            Self::Reference(_) | Self::Resolver(_) => Role::Outside,
            Self::Cluster(_) => Role::Cluster,
            Self::Vip(_) | Self::Apiserver(..) => Role::Api,
            Self::Etcd(..) | Self::EtcdMember(..) => Role::Etcd,
            Self::Stored(..) | Self::Chain(..) => Role::Item,
        }
    }

    /// Whether it is one server of a cluster with an address of its own.
    #[must_use]
    pub const fn is_endpoint(&self) -> bool {
        matches!(self, Self::Vip(_) | Self::Apiserver(..) | Self::EtcdMember(..))
    }

    /// Whether it answers as a kube-apiserver: an instance, or the address in front of them.
    #[must_use]
    pub const fn is_api(&self) -> bool {
        matches!(self.role(), Role::Api)
    }

    /// Whether it is the address that clients use, in front of the instances.
    #[must_use]
    pub const fn is_vip(&self) -> bool {
        matches!(self, Self::Vip(_))
    }

    /// Whether it is one kube-apiserver instance.
    #[must_use]
    pub const fn is_apiserver(&self) -> bool {
        matches!(self, Self::Apiserver(..))
    }

    /// Whether it is a whole etcd cluster.
    #[must_use]
    pub const fn is_etcd(&self) -> bool {
        matches!(self, Self::Etcd(..))
    }

    /// Whether it is one member of an etcd cluster.
    #[must_use]
    pub const fn is_etcd_member(&self) -> bool {
        matches!(self, Self::EtcdMember(..))
    }

    /// Whether it is a whole cluster.
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Whether it is a DNS server that the vantage relies on.
    #[must_use]
    pub const fn is_resolver(&self) -> bool {
        matches!(self, Self::Resolver(_))
    }

    /// Whether it is a proxy that clusters are reached through.
    #[must_use]
    pub const fn is_proxy(&self) -> bool {
        matches!(self, Self::Proxy(_))
    }

    /// Whether it is something in a file.
    #[must_use]
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored(..))
    }

    /// The etcd cluster that a member belongs to, or the etcd cluster itself.
    #[must_use]
    pub fn etcd(&self) -> Option<Self> {
        if let Self::Etcd(cluster, etcd) | Self::EtcdMember(cluster, etcd, _) = self {
            Some(Self::Etcd(cluster.clone(), etcd.clone()))
        } else {
            None
        }
    }

    /// Whether it is an etcd cluster or a member of one.
    #[must_use]
    pub const fn is_of_etcd(&self) -> bool {
        matches!(self.role(), Role::Etcd)
    }

    /// The name of the etcd cluster that it is, belongs to, or was found at: `None` for what is no matter of etcd.
    #[must_use]
    pub const fn etcd_name(&self) -> Option<&Name> {
        match self {
            Self::Etcd(_, etcd) | Self::EtcdMember(_, etcd, _) => Some(etcd),
            Self::Chain(_, etcd, _) => etcd.as_ref(),
            Self::Vantage
            | Self::Reference(_)
            | Self::Resolver(_)
            | Self::Proxy(_)
            | Self::Cluster(_)
            | Self::Vip(_)
            | Self::Apiserver(..)
            | Self::Stored(..) => None,
        }
    }

    /// Why verification refuses the chains that it stands for; `None` for anything else.
    #[must_use]
    pub const fn distrust(&self) -> Option<Distrust> {
        if let Self::Chain(_, _, reason) = self { Some(*reason) } else { None }
    }

    /// The member `name` of this etcd cluster; `None` where this is no etcd cluster.
    #[must_use]
    pub fn member(&self, name: &Name) -> Option<Self> {
        if let Self::Etcd(cluster, etcd) = self {
            Some(Self::EtcdMember(cluster.clone(), etcd.clone(), name.clone()))
        } else {
            None
        }
    }

    /// What tells it from others of its cluster and component, as label names and values in reading order.
    ///
    /// A member bears the name of its etcd cluster as well, because two of them may use the same member names.
    #[must_use]
    pub fn labels(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Vantage | Self::Cluster(_) => Vec::new(),
            Self::Reference(_) | Self::Resolver(_) | Self::Proxy(_) | Self::Vip(_) | Self::Apiserver(..) => {
                vec![("instance", self.short())]
            }
            Self::Etcd(_, etcd) => vec![("etcd", etcd.as_str())],
            Self::EtcdMember(_, etcd, member) => vec![("etcd", etcd.as_str()), ("instance", member.as_str())],
            Self::Stored(_, name) => vec![("item", name.as_str())],
            Self::Chain(_, None, reason) => vec![("item", reason.as_str())],
            Self::Chain(_, Some(etcd), reason) => vec![("etcd", etcd.as_str()), ("item", reason.as_str())],
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vantage => f.write_str(VANTAGE),
            Self::Reference(name) => write!(f, "{VANTAGE}/reference/{name}"),
            Self::Resolver(name) => write!(f, "{VANTAGE}/resolver/{name}"),
            Self::Proxy(name) => write!(f, "{VANTAGE}/proxy/{name}"),
            Self::Cluster(cluster) => write!(f, "{cluster}"),
            Self::Vip(cluster) => write!(f, "{cluster}/vip"),
            Self::Apiserver(cluster, name) => write!(f, "{cluster}/apiserver/{name}"),
            Self::Etcd(cluster, etcd) => write!(f, "{cluster}/etcd/{etcd}"),
            Self::EtcdMember(cluster, etcd, member) => write!(f, "{cluster}/etcd/{etcd}/{member}"),
            Self::Stored(None, name) => write!(f, "{VANTAGE}/stored/{name}"),
            Self::Stored(Some(cluster), name) => write!(f, "{cluster}/stored/{name}"),
            Self::Chain(cluster, None, reason) => write!(f, "{cluster}/chain/{}", reason.as_str()),
            Self::Chain(cluster, Some(etcd), reason) => write!(f, "{cluster}/chain/{}/{etcd}", reason.as_str()),
        }
    }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let bad = || BadSubject(text.chars().take(80).collect());
        let name = |part: &str| part.parse::<Name>().map_err(|_| bad());
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [VANTAGE] => Ok(Self::Vantage),
            [VANTAGE, "reference", reference] => Ok(Self::Reference(name(reference)?)),
            [VANTAGE, "resolver", resolver] => Ok(Self::Resolver(name(resolver)?)),
            [VANTAGE, "proxy", proxy] => Ok(Self::Proxy(name(proxy)?)),
            [VANTAGE, "stored", item] => Ok(Self::Stored(None, name(item)?)),
            [VANTAGE, ..] => Err(bad()),
            [cluster] => Ok(Self::Cluster(name(cluster)?)),
            [cluster, "vip"] => Ok(Self::Vip(name(cluster)?)),
            [cluster, "apiserver", instance] => Ok(Self::Apiserver(name(cluster)?, name(instance)?)),
            [cluster, "etcd", etcd] => Ok(Self::Etcd(name(cluster)?, name(etcd)?)),
            [cluster, "etcd", etcd, member] => Ok(Self::EtcdMember(name(cluster)?, name(etcd)?, name(member)?)),
            [cluster, "stored", item] => Ok(Self::Stored(Some(name(cluster)?), name(item)?)),
            [cluster, "chain", reason, etcd @ ..] if etcd.len() <= 1 => {
                let reason = Distrust::ALL.into_iter().find(|known| known.as_str() == *reason).ok_or_else(bad)?;
                Ok(Self::Chain(name(cluster)?, etcd.first().map(|etcd| name(etcd)).transpose()?, reason))
            }
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = BadSubject;

    fn try_from(text: String) -> Result<Self, BadSubject> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One subject of each kind, with and without what may be absent.
    const TEXTS: [&str; 13] = [
        "vantage",
        "vantage/reference/relay",
        "vantage/resolver/10.0.0.53:53",
        "vantage/proxy/squid.example:3128",
        "prod-eu1",
        "prod-eu1/vip",
        "prod-eu1/apiserver/api-1",
        "prod-eu1/etcd/main",
        "prod-eu1/etcd/main/etcd-1",
        "prod-eu1/stored/5a5a5a5a5a5a5a5a",
        "vantage/stored/own-mail-ca",
        "prod-eu1/chain/unknown_authority",
        "prod-eu1/chain/wrong_name/main",
    ];

    #[test]
    fn every_subject_reads_back_from_its_text() {
        for text in TEXTS {
            let subject: Subject = text.parse().unwrap();

            assert_eq!(subject.to_string(), text);
        }
    }

    #[test]
    fn cluster_component_and_labels_tell_every_subject_apart() {
        let subjects = TEXTS.map(|text| text.parse::<Subject>().unwrap());
        let told = subjects.iter().map(|subject| (subject.cluster(), subject.component(), subject.labels()));

        assert_eq!(told.collect::<std::collections::BTreeSet<_>>().len(), TEXTS.len());
    }

    #[test]
    fn only_an_etcd_cluster_has_members_and_they_belong_to_it() {
        let name: Name = "etcd-1".parse().unwrap();
        for subject in TEXTS.map(|text| text.parse::<Subject>().unwrap()) {
            let member = subject.member(&name);

            assert_eq!(member.is_some(), subject.is_etcd(), "{subject}");
            assert!(member.is_none_or(|member| member.is_etcd_member() && member.etcd() == Some(subject)));
        }
    }

    #[test]
    fn texts_that_name_nothing_are_refused() {
        for text in
            ["", "/", "vantage/x", "a/b", "a/etcd", "a/etcd/b/c/d", "a/chain/odd", "a/chain/invalid/b/c", "a b", "-a"]
        {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
