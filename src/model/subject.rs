//! What a statement is about: cluster / component / instance, ordered, with one stable text form.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::certificate::Distrust;

/// A name from the configuration: 1 to 63 of `A-Z a-z 0-9 . _ : -`, starting with a letter or digit.
///
/// The alphabet keeps `/` free as the separator of a [`Subject`] and makes names safe in headers and labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

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

    /// The etcd cluster that a member belongs to, or the etcd cluster itself.
    #[must_use]
    pub fn etcd(&self) -> Option<Self> {
        match self {
            Self::Etcd(cluster, etcd) | Self::EtcdMember(cluster, etcd, _) => {
                Some(Self::Etcd(cluster.clone(), etcd.clone()))
            }
            Self::Vantage
            | Self::Reference(_)
            | Self::Resolver(_)
            | Self::Proxy(_)
            | Self::Cluster(_)
            | Self::Vip(_)
            | Self::Apiserver(..)
            | Self::Stored(..)
            | Self::Chain(..) => None,
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

    #[test]
    fn every_subject_reads_back_from_its_text() {
        for text in [
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
        ] {
            let subject: Subject = text.parse().unwrap();

            assert_eq!(subject.to_string(), text);
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
