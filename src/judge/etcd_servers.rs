//! F63: the etcd members that the apiservers use are not those that etcd has.
//!
//! An address that is no member is silent at best; at worst a member of another cluster answers there one day, restored or
//! reborn, and takes a part of the writes (kubernetes/kubernetes#80244). A member that no apiserver uses adds nothing to
//! what they survive. Known from the flags of the apiservers (`/flagz`) and etcd's own list of members.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::flag_differences::{ETCD_OVERRIDES, ETCD_SERVERS, items};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::model::zpages::Flagz;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F63: apiservers use other etcd members than there are.
pub struct EtcdServers;

/// How long a change of members may take: the member comes or goes first, and then the flags of one apiserver after the
/// other. As F62 has it.
const CHANGE: Duration = Duration::from_secs(3600);

/// Addresses and members told.
const TOLD: usize = 8;

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing fails as long as nothing answers there: the apiservers try their other addresses. But should a \
                      member of another cluster come up there, restored or reborn, a part of the reads and writes goes to \
                      other data, and what is written there is lost to the others.";

const LIKELY_CAUSE: &str = "A member was replaced or removed, and --etcd-servers was not changed on every apiserver.";

/// What does not match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mismatched {
    /// Addresses that apiservers use and no member has, each with who uses it.
    pub strangers: Vec<(String, Vec<Subject>)>,
    /// Voting members that no apiserver uses, by name and address as etcd reports them.
    pub unused: Vec<String>,
    /// All members, in the same form.
    pub members: Vec<String>,
    /// The etcd, or the first of several.
    pub etcd: Option<Subject>,
}

impl Kind for Mismatched {
    const TAG: &'static str = "servers";
}

impl Evidence for Mismatched {
    fn headline(&self, _: &Finding) -> String {
        if self.strangers.is_empty() {
            return "an etcd member that no apiserver uses".into();
        }
        "an apiserver uses what is no etcd member".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let strangers = self.strangers.iter().take(TOLD).map(|(address, by)| {
            let by: Vec<String> = by.iter().map(|one| phrases::place(one, addresses)).collect();
            let verb = if by.len() == 1 { "uses" } else { "use" };
            format!("{} {verb} {address} for etcd, which is no member of it.", phrases::list(&by))
        });
        let unused = (!self.unused.is_empty()).then(|| {
            format!("No apiserver uses the member {}.", phrases::list(&self.unused[..self.unused.len().min(TOLD)]))
        });
        let members = format!("etcd's own list has {}.", phrases::list(&self.members));
        let said: Vec<String> = strangers.chain(unused).chain([members]).collect();
        said.join(" ")
    }

    fn impact(&self, _: &Finding) -> String {
        if self.strangers.is_empty() {
            return "Nothing fails because of it. But should the members that are used be lost, the apiservers stop, \
                    though this one may still have a majority."
                .into();
        }
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        if self.strangers.is_empty() {
            return "A member was added, and --etcd-servers was not changed on the apiservers.".into();
        }
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let by: BTreeSet<&Subject> = self.strangers.iter().flat_map(|(_, by)| by).collect();
        let mut next: Vec<Command> = by.into_iter().take(3).filter_map(|one| commands.etcd_flags(one)).collect();
        if let Some(first) = self.etcd.as_ref().map(|etcd| commands.members(etcd)).filter(|members| !members.is_empty())
        {
            next.extend(commands.etcdctl(&first[0]));
            next.push(commands.etcd_members(&first));
        }
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        let by: BTreeSet<&Subject> = self.strangers.iter().flat_map(|(_, by)| by).collect();
        by.into_iter().cloned().collect()
    }
}

impl Rule for EtcdServers {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F63,
            name: "ApiserverEtcdServersMismatch",
            in_short: "etcd servers",
            title: "apiservers use other etcd members than there are, for an hour",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Mismatched>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let is_asked = context.cluster.is_some_and(|(_, cluster)| cluster.zpages && !cluster.apiservers.is_empty());
        // Metrics listeners alone do not tell who is a member.
        let etcds: Vec<Subject> = context.etcds().into_iter().filter(|etcd| has_list(context, etcd)).collect();
        let whole = context.whole().filter(|_| is_asked && !etcds.is_empty());
        whole.into_iter().map(|whole| (whole.clone(), judge_servers(context, whole, &etcds))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api, subject};

        let member = |n: u8| format!("etcd-{n} (https://10.0.0.2{n}:2379)");
        let mismatched = Mismatched {
            strangers: vec![("https://10.0.0.29:2379".into(), vec![api("api-2")])],
            unused: vec![member(3)],
            members: (1..=3).map(member).collect(),
            etcd: Some(subject("prod-eu1/etcd/etcd")),
        };
        Sample::of("prod-eu1", Level::Warning, Arc::new(mismatched))
    }
}

fn has_list(context: &RuleContext<'_>, etcd: &Subject) -> bool {
    context.view.inventory().etcd(etcd).is_some_and(|known| !known.is_metrics_only)
}

fn judge_servers(context: &RuleContext<'_>, whole: Subject, etcds: &[Subject]) -> Verdict {
    let instances = context.instances();
    let Some(told) = told(context, &instances) else { return Verdict::Unknown(Why::NeverSeen) };
    let Some(members) = members(context, etcds) else { return Verdict::Unknown(Why::NeverSeen) };
    let since = told.iter().map(|(_, at, _)| *at).chain(members.at.iter().copied()).max_by_key(|at| at.mono);
    let Some(found) = compare(&told, &members) else { return Verdict::Unknown(Why::Unclear) };
    if found.strangers.is_empty() && found.unused.is_empty() {
        return match since.filter(|_| told.len() == instances.len()) {
            // Neither flags nor a list are measurements that could fail by chance: one reading of each is enough.
            Some(since) => Verdict::Good { since, until: context.now, probes: u32::MAX },
            None => Verdict::Unknown(Why::Unclear),
        };
    }
    let raised = context.raised_of(RuleId::F63, &whole);
    Verdict::Bad(Finding {
        rule: RuleId::F63,
        level: if found.strangers.is_empty() { Level::Info } else { Level::Warning },
        since: raised.map_or(context.now.wall, |known| known.since),
        hold: CHANGE,
        path_unproven: false,
        evidence: Arc::new(Mismatched { etcd: etcds.first().cloned(), ..found }),
        subject: whole,
    })
}

/// The flags of `instances`, of those that tell them; `None` where nobody does.
fn told<'a>(context: &RuleContext<'a>, instances: &[Subject]) -> Option<Vec<(Subject, Now, &'a Flagz)>> {
    let zpages = context.view.zpages(context.cluster?.0)?;
    let lasting = context.policy().decides_for(context.policy().flagz_interval);
    let told = instances.iter().filter_map(|instance| {
        let known = zpages.instance(instance)?;
        let (at, flags) = known.flags()?;
        let is_fresh = context.now.since(*at) <= lasting && !known.is_of_former_process();
        is_fresh.then(|| (instance.clone(), *at, &**flags))
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then_some(told)
}

/// The members of all etcds, and where they are found.
struct Members {
    /// Each by name and address as etcd reports it, with whether it has a vote and has started, and its places.
    listed: Vec<(String, bool, BTreeSet<Place>)>,
    /// Where they are found as the configuration has it.
    configured: BTreeSet<Place>,
    /// When the lists were asked for.
    at: Vec<Now>,
}

/// Host and port, as far as they can be compared.
type Place = (String, u16);

/// The members of `etcds`; `None` while a list of them is missing.
fn members(context: &RuleContext<'_>, etcds: &[Subject]) -> Option<Members> {
    let mut members = Members { listed: Vec::new(), configured: BTreeSet::new(), at: Vec::new() };
    for etcd in etcds {
        let list = context.view.membership(etcd)?;
        members.at.push(list.at);
        for member in list.members {
            let places: BTreeSet<Place> = member.client_urls.iter().filter_map(|url| place(url)).collect();
            let name = if member.name.is_empty() { format!("{:x}", member.id) } else { member.name.clone() };
            let told = match member.client_urls.first() {
                Some(url) => format!("{name} ({url})"),
                None => name,
            };
            members.listed.push((told, !member.is_learner && !places.is_empty(), places));
        }
        let inventory = context.view.inventory();
        let of_it =
            inventory.members(etcd).filter_map(|member| place(&format!("https://{}", inventory.address(&member))));
        members.configured.extend(of_it);
    }
    Some(members)
}

/// What does not match; `None` where the apiservers use addresses of which none is known: another etcd, or ways to it
/// that vedette does not see.
fn compare(told: &[(Subject, Now, &Flagz)], members: &Members) -> Option<Mismatched> {
    let mut used: BTreeMap<&str, Vec<Subject>> = BTreeMap::new();
    for (instance, _, flags) in told {
        let servers = flags.get(ETCD_SERVERS).into_iter().flat_map(items).filter(|server| !server.is_empty());
        for server in servers {
            used.entry(server).or_default().push(instance.clone());
        }
    }
    let everywhere: BTreeSet<&Place> =
        members.listed.iter().flat_map(|(_, _, places)| places).chain(&members.configured).collect();
    let is_known = |server: &str| place(server).is_some_and(|place| everywhere.contains(&place));
    if !used.keys().any(|server| is_known(server)) {
        return None;
    }
    let strangers: Vec<(String, Vec<Subject>)> = used
        .iter()
        .filter(|(server, _)| !is_known(server) && is_elsewhere(server))
        .map(|(server, by)| ((*server).to_owned(), by.clone()))
        .collect();
    // Through names, and through the host itself, any member may be used.
    let is_certain = used.keys().all(|server| is_known(server) || is_elsewhere(server));
    let overrides = told.iter().filter_map(|(_, _, flags)| flags.get(ETCD_OVERRIDES)).flat_map(override_servers);
    let used_places: BTreeSet<Place> = used.keys().copied().chain(overrides).filter_map(place).collect();
    let is_unused = |places: &BTreeSet<Place>| places.is_disjoint(&used_places);
    let unused = members.listed.iter().filter(|(_, counts, places)| is_certain && *counts && is_unused(places));
    Some(Mismatched {
        unused: unused.map(|(told, _, _)| told.clone()).collect(),
        members: members.listed.iter().map(|(told, _, _)| told.clone()).collect(),
        strangers,
        etcd: None,
    })
}

/// The servers in `group/resource#server;server,...`.
fn override_servers(value: &str) -> impl Iterator<Item = &str> {
    items(value).filter_map(|one| one.split_once('#')).flat_map(|(_, servers)| servers.split(';'))
}

/// Host and port of a URL; `None` where it has none, as `unix://`.
fn place(url: &str) -> Option<Place> {
    let url = Url::parse(url).ok()?;
    let host = url.host()?.to_string().to_ascii_lowercase();
    Some((host, url.port_or_known_default().unwrap_or(ETCD_PORT)))
}

/// Source: etcd's default for client traffic.
const ETCD_PORT: u16 = 2379;

/// Whether a server is at an address that can be told from those of the members: not a name, and not on the apiserver's
/// own host.
fn is_elsewhere(server: &str) -> bool {
    let Ok(url) = Url::parse(server) else { return false };
    match url.host() {
        Some(Host::Ipv4(address)) => !IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => !IpAddr::from(address).is_loopback(),
        // A scheme that the URL standard does not know keeps an address as a name.
        Some(Host::Domain(name)) => name.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::api;

    fn members(urls: &[&str]) -> Members {
        let listed = urls.iter().map(|url| (format!("m ({url})"), true, place(url).into_iter().collect()));
        Members { listed: listed.collect(), configured: BTreeSet::new(), at: Vec::new() }
    }

    /// Strangers and unused members, of apiservers with these `--etcd-servers`.
    fn found(servers: &[&str], urls: &[&str]) -> Option<(Vec<String>, usize)> {
        let flags: Vec<Flagz> =
            servers.iter().map(|value| Flagz::new([(ETCD_SERVERS.to_owned(), (*value).to_owned())], 0)).collect();
        let now = Now { wall: crate::samples::OPENED, mono: crate::model::time::Mono::ORIGIN };
        let told: Vec<_> = flags.iter().map(|flags| (api("api-1"), now, flags)).collect();
        let found = compare(&told, &members(urls))?;
        Some((found.strangers.into_iter().map(|(server, _)| server).collect(), found.unused.len()))
    }

    #[test]
    fn addresses_are_compared_with_those_of_the_members() {
        let two = ["https://10.0.0.1:2379", "https://10.0.0.2:2379"];
        let six = ["https://[fd00::1]:2379", "https://[fd00::2]:2379"];
        for (servers, urls, expected) in [
            (vec!["[https://10.0.0.1:2379,https://10.0.0.2:2379]"], two, Some((vec![], 0))),
            (vec!["https://10.0.0.2:2379/", "https://10.0.0.1:2379"], two, Some((vec![], 0))),
            (vec!["[https://10.0.0.1:2379,https://10.0.0.9:2379]"], two, Some((vec!["https://10.0.0.9:2379"], 1))),
            (vec!["[https://10.0.0.1:2379]"], two, Some((vec![], 1))),
            (vec!["[https://[FD00:0::1]:2379,https://[fd00::2]:2379]"], six, Some((vec![], 0))),
            (vec!["[https://10.0.0.1:2379,https://10.0.0.2:12379]"], two, Some((vec!["https://10.0.0.2:12379"], 1))),
            // Through the own host or a name any member may be used.
            (vec!["[https://10.0.0.1:2379,https://127.0.0.1:2379]"], two, Some((vec![], 0))),
            (vec!["[https://10.0.0.1:2379,https://etcd.example:2379]"], two, Some((vec![], 0))),
            (vec!["[https://10.0.0.1:2379,unix:///run/etcd.sock]"], two, Some((vec![], 0))),
            // A way that vedette does not see.
            (vec!["https://127.0.0.1:2379"], two, None),
            (vec!["https://etcd.example:2379"], two, None),
            (vec!["https://192.0.2.7:2379"], two, None),
            (vec![""], two, None),
            (vec!["[[["], two, None),
        ] {
            let expected = expected.map(|(strangers, unused): (Vec<&str>, usize)| {
                (strangers.into_iter().map(str::to_owned).collect::<Vec<_>>(), unused)
            });
            assert_eq!(found(&servers, &urls), expected, "{servers:?}");
        }
    }

    #[test]
    fn servers_of_single_resources_are_used_as_well() {
        let value = "/events#https://10.0.0.3:2379;https://10.0.0.4:2379,apps/deployments#https://10.0.0.5:2379";

        let servers: Vec<&str> = override_servers(value).collect();

        assert_eq!(servers, ["https://10.0.0.3:2379", "https://10.0.0.4:2379", "https://10.0.0.5:2379"]);
        assert_eq!(override_servers("").count() + override_servers("#;,x").count(), 2);
    }
}
