//! Which flags differ between the apiservers of one cluster, and which of them matter.
//!
//! Flags by which each instance says who it is differ on purpose and are left out. Of those that are left, a difference
//! in who may do what, and in where the data is, makes requests end differently depending on the instance that answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::zpages::Flagz;

/// Differences kept. So many only differ where the instances are not of one cluster.
pub const MAX: usize = 64;

/// Characters of a value that are kept to be shown.
const SHOWN: usize = 400;

/// One flag that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagDifference {
    /// Its name, without dashes before it.
    pub name: String,
    /// Whether the answer to a request depends on it: see [`is_weighty`].
    pub is_weighty: bool,
    /// Each value with the instances that run with it, the most common one first. `None` where there is no such flag.
    pub values: Vec<(Option<String>, Vec<Subject>)>,
}

/// What was concluded of the z-pages of a cluster's apiservers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ZpageFacts {
    /// Flags that differ between `compared`.
    pub differences: Vec<FlagDifference>,
    /// Instances whose flags are known; none of them while they run minor versions apart, whose flags differ by nature.
    pub compared: Vec<Subject>,
}

/// The flags in which `told` differ, those that matter first; none of a single instance. All must be of one version, else
/// flags and defaults of the newer one are told as differences.
#[must_use]
pub fn differences(told: &[(&Subject, &Flagz)]) -> Vec<FlagDifference> {
    let flags: Vec<BTreeMap<&str, &str>> = told.iter().map(|(_, flags)| flags.iter().collect()).collect();
    let names: BTreeSet<&str> = flags.iter().flat_map(BTreeMap::keys).copied().collect();
    // Of an instance that told only a part of its flags, what it did not tell is not known.
    let is_whole = told.iter().all(|(_, flags)| flags.left_out == 0);
    let mut found: Vec<FlagDifference> = names
        .into_iter()
        .filter(|name| !is_own(name))
        .filter_map(|name| {
            let told = told.iter().zip(&flags).map(|((instance, _), flags)| (*instance, flags.get(name).copied()));
            difference(name, told.filter(|(_, value)| is_whole || value.is_some()))
        })
        .collect();
    found.sort_by_key(|difference| !difference.is_weighty);
    found.truncate(MAX);
    found
}

fn difference<'a>(name: &str, told: impl Iterator<Item = (&'a Subject, Option<&'a str>)>) -> Option<FlagDifference> {
    let mut values: BTreeMap<Comparable<'_>, (Option<&str>, Vec<Subject>)> = BTreeMap::new();
    for (instance, value) in told {
        let same = value.map(|value| comparable(name, value));
        values.entry(same).or_insert((value, Vec::new())).1.push(instance.clone());
    }
    if values.len() < 2 || name == ETCD_SERVERS && is_each_its_own(values.keys()) {
        return None;
    }
    let mut values: Vec<(Option<String>, Vec<Subject>)> =
        values.into_values().map(|(value, instances)| (value.map(shortened), instances)).collect();
    values.sort_by_key(|(_, instances)| std::cmp::Reverse(instances.len()));
    Some(FlagDifference { name: name.to_owned(), is_weighty: is_weighty(name), values })
}

/// What of a value counts; `None` where there is no such flag.
type Comparable<'a> = Option<Vec<&'a str>>;

/// The flag with the etcd members that an instance uses.
pub const ETCD_SERVERS: &str = "etcd-servers";

/// The same for some resources: `events#https://10.0.0.1:2379;https://10.0.0.2:2379`.
pub const ETCD_OVERRIDES: &str = "etcd-servers-overrides";

/// Where each instance uses the one member on its own host, no two are alike.
fn is_each_its_own<'a>(mut values: impl Iterator<Item = &'a Comparable<'a>>) -> bool {
    values.all(|value| value.as_ref().is_some_and(|servers| servers.len() == 1))
}

/// What of a value counts: lists in which the order has no meaning are sorted.
fn comparable<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    let mut items: Vec<&str> = items(value).collect();
    if !ORDERED.contains(&name) {
        items.sort_unstable();
    }
    items
}

/// The items of a value that is a list, `[a,b]` or `a,b`; of any other the value.
pub fn items(value: &str) -> impl Iterator<Item = &str> {
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    inner.split(',').map(str::trim)
}

fn shortened(value: &str) -> String {
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    value.chars().take(SHOWN - 1).chain(['…']).collect()
}

/// Lists of which the first item that applies decides.
const ORDERED: [&str; 6] = [
    "authorization-mode",
    "service-account-issuer",
    "kubelet-preferred-address-types",
    "requestheader-username-headers",
    "requestheader-group-headers",
    "requestheader-uid-headers",
];

/// Whether a flag says who or where one instance is.
fn is_own(name: &str) -> bool {
    ADDRESSES.contains(&name) || OWN_FILES.contains(&name) || LOGS.contains(&name)
}

/// Where it listens, and under which address others find it.
const ADDRESSES: [&str; 8] = [
    "advertise-address",
    "bind-address",
    "secure-port",
    "external-hostname",
    "peer-advertise-ip",
    "peer-advertise-port",
    "apiserver-count",
    "permit-address-sharing",
];

/// Its own certificates and keys: kubespray and OpenShift put the host's name into these paths.
const OWN_FILES: [&str; 11] = [
    "tls-cert-file",
    "tls-private-key-file",
    "tls-sni-cert-key",
    "cert-dir",
    "etcd-certfile",
    "etcd-keyfile",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "egress-selector-config-file",
];

/// How it writes its own logs: more of it on one instance is how people look for a fault.
const LOGS: [&str; 8] =
    ["v", "vmodule", "log-dir", "log-file", "audit-log-path", "profiling", "contention-profiling", "help"];

/// Whether the answer to a request depends on the flag: who one is (authentication), what one may do (authorization),
/// what is changed or refused on the way in (admission), what is served at all, how it is encrypted, and where it is
/// stored.
#[must_use]
pub fn is_weighty(name: &str) -> bool {
    WEIGHTY.contains(&name) || WEIGHTY_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

const WEIGHTY: [&str; 19] = [
    "anonymous-auth",
    "client-ca-file",
    "token-auth-file",
    "enable-bootstrap-token-auth",
    "api-audiences",
    "enable-admission-plugins",
    "disable-admission-plugins",
    "admission-control",
    "admission-control-config-file",
    "allow-privileged",
    ETCD_SERVERS,
    ETCD_OVERRIDES,
    "etcd-prefix",
    "runtime-config",
    "feature-gates",
    "emulated-version",
    "service-cluster-ip-range",
    "service-node-port-range",
    "audit-policy-file",
];

const WEIGHTY_BEGINNINGS: [&str; 6] =
    ["authorization-", "authentication-", "oidc-", "requestheader-", "service-account-", "encryption-provider-"];

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Flagz {
        let flags = text.split_ascii_whitespace().map(|flag| flag.split_once('=').unwrap());
        Flagz::new(flags.map(|(name, value)| (name.to_owned(), value.to_owned())), 0)
    }

    fn api(n: usize) -> Subject {
        format!("prod/apiserver/api-{n}").parse().unwrap()
    }

    /// `name: value (instances); value (instances)`, with `!` where it matters.
    fn found(told: &[&str]) -> Vec<String> {
        let told: Vec<(Subject, Flagz)> = told.iter().enumerate().map(|(n, text)| (api(n + 1), flags(text))).collect();
        let told: Vec<(&Subject, &Flagz)> = told.iter().map(|(subject, flags)| (subject, flags)).collect();
        let said = |difference: FlagDifference| {
            let values = difference.values.iter().map(|(value, instances)| {
                let names: Vec<&str> = instances.iter().map(Subject::short).collect();
                format!("{} ({})", value.as_deref().unwrap_or("none"), names.join(" "))
            });
            let values: Vec<String> = values.collect();
            let mark = if difference.is_weighty { "!" } else { "" };
            format!("{mark}{}: {}", difference.name, values.join("; "))
        };
        differences(&told).into_iter().map(said).collect()
    }

    #[test]
    fn what_differs_is_told_with_each_value_and_who_has_it_the_weighty_first() {
        let three = ["goaway-chance=0 anonymous-auth=true", "goaway-chance=0.1 anonymous-auth=false"];
        let three = [three[0], three[1], three[0]];

        assert_eq!(
            found(&three),
            ["!anonymous-auth: true (api-1 api-3); false (api-2)", "goaway-chance: 0 (api-1 api-3); 0.1 (api-2)"]
        );
    }

    #[test]
    fn what_each_instance_has_of_its_own_is_no_difference() {
        for (one, other) in [
            ("advertise-address=10.0.0.1", "advertise-address=10.0.0.2"),
            ("tls-cert-file=/etc/a.crt", "tls-cert-file=/etc/b.crt"),
            ("etcd-certfile=/etc/member-a.pem", "etcd-certfile=/etc/member-b.pem"),
            ("v=2", "v=6"),
            ("etcd-servers=[https://10.0.0.1:2379]", "etcd-servers=[https://10.0.0.2:2379]"),
            ("anonymous-auth=true", "anonymous-auth=true"),
            ("", ""),
        ] {
            assert_eq!(found(&[one, other]), [""; 0], "{one}");
        }
    }

    #[test]
    fn lists_are_compared_as_sets_unless_their_order_counts() {
        for (flag, one, other, differs) in [
            ("enable-admission-plugins", "[NodeRestriction,PodSecurity]", "[PodSecurity,NodeRestriction]", false),
            ("enable-admission-plugins", "[NodeRestriction]", "[NodeRestriction,PodSecurity]", true),
            ("feature-gates", "A=true,B=false", "B=false,A=true", false),
            ("feature-gates", "A=true,B=false", "A=true,B=true", true),
            ("authorization-mode", "[Node,RBAC]", "[RBAC,Node]", true),
            ("etcd-servers", "[https://a:2379,https://b:2379]", "[https://b:2379,https://a:2379]", false),
            ("etcd-servers", "[https://a:2379,https://b:2379]", "[https://a:2379]", true),
        ] {
            let told = [format!("{flag}={one}"), format!("{flag}={other}")];

            assert_eq!(!found(&[&told[0], &told[1]]).is_empty(), differs, "{flag} {one} {other}");
        }
    }

    #[test]
    fn a_flag_that_one_instance_lacks_differs_unless_it_told_only_a_part() {
        let (one, other) = ("encryption-provider-config=/etc/enc.yaml goaway-chance=0", "goaway-chance=0");
        assert_eq!(found(&[one, other]), ["!encryption-provider-config: none (api-2); /etc/enc.yaml (api-1)"]);

        let whole = flags(one);
        let part = Flagz::new([("goaway-chance".to_owned(), "0".to_owned())], 1);
        assert_eq!(differences(&[(&api(1), &whole), (&api(2), &part)]), []);
    }

    #[test]
    fn differences_and_their_values_are_bounded() {
        let many = |value: &str| {
            let flags = (0..MAX + 9).map(|n| (format!("flag-{n}"), value.repeat(SHOWN)));
            Flagz::new(flags, 0)
        };

        let found = differences(&[(&api(1), &many("ab")), (&api(2), &many("cd"))]);

        assert_eq!(found.len(), MAX);
        let longest = found.iter().flat_map(|one| &one.values).filter_map(|(value, _)| value.as_ref());
        assert!(longest.map(|value| value.chars().count()).all(|length| length == SHOWN));
    }
}
