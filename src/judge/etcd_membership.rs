//! F57: etcd members that are not the one cluster they are configured as.
//!
//! Each of several clusters after a restore accepts writes, a member of another cluster answers with other data, one
//! member under three names has no redundancy, a listed member that never started counts in every majority. None of
//! this is a lost quorum (F01) or a split of members from each other (F03): those rules report it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::etcd::{Group, MemberStatus, Mismatch};
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::Cause;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F57: the members of an etcd cluster are not what they are configured as.
pub struct EtcdMembership;

/// What stops working where nothing more is known.
const IMPACT: &str = "What vedette says of this etcd may be of another one.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "A restore, a change of members, or the configuration.";

/// etcd members that are not what they are configured as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// In what, the most severe first.
    pub found: Vec<Mismatch>,
    /// Configured members.
    pub of: usize,
}

impl Kind for Membership {
    const TAG: &'static str = "mismatch";
}

impl Evidence for Membership {
    fn headline(&self, finding: &Finding) -> String {
        format!("{} is not the cluster expected", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let each: Vec<String> = self.found.iter().map(|one| said(one, &etcd, addresses)).collect();
        if each.is_empty() {
            format!("The members of {etcd} are not what they are configured as.")
        } else {
            each.join(" ")
        }
    }

    fn impact(&self, _: &Finding) -> String {
        match self.found.first() {
            Some(Mismatch::SeveralClusters(groups)) if groups.iter().filter(|group| group.is_led).count() > 1 => {
                "Each of these clusters takes writes of its own: what one apiserver writes the others never see, and \
                 the data drifts further apart with every minute. Objects seem to vanish and come back, depending on \
                 which apiserver answers; controllers delete and start pods by what they see."
            }
            Some(Mismatch::SeveralLeaders(_)) => {
                "Each of these leaders takes writes that the others never see, and the data drifts further apart with \
                 every minute. What an apiserver answers depends on the member it asks."
            }
            Some(Mismatch::SeveralClusters(_)) => {
                "The members of the other cluster add nothing to the redundancy of this one. An apiserver that uses \
                 one \
                 of them sees other data, or none."
            }
            Some(Mismatch::SameMember { .. }) => {
                "Nothing fails because of it. But there are fewer members than configured: the loss of this one is the \
                 loss of all its names, and the members behind the other names are not monitored."
            }
            Some(Mismatch::NotListed(_)) => {
                "For users: nothing, as long as no apiserver uses it. It has no vote and adds nothing to the \
                 redundancy."
            }
            Some(Mismatch::NotStarted { .. }) => {
                "It counts in every majority and is never there: the cluster can lose one member less than it seems, \
                 and \
                 no write goes through once too few of the others are left."
            }
            Some(Mismatch::WithoutTls(_)) => {
                "vedette probes nothing without TLS, so this etcd is not monitored and a fault there would not be \
                 noticed. If it serves everybody without TLS, whoever reaches its port can read and change \
                 everything, Secrets included."
            }
            Some(Mismatch::WithTls(_)) => {
                "For users: nothing. These listeners are not monitored until the configuration says https."
            }
            None => IMPACT,
        }
        .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        match self.found.first() {
            Some(Mismatch::SeveralClusters(_) | Mismatch::SeveralLeaders(_)) => {
                "A restore in which each member was given only itself as --initial-cluster, a data directory that was \
                 wiped or restored on one host alone, or an address in vedette's configuration that leads to another \
                 cluster."
            }
            Some(Mismatch::SameMember { .. }) => {
                "The configured addresses lead through one balancer or name, or to one host: give each member's own \
                 address."
            }
            Some(Mismatch::NotListed(_)) => {
                "It was removed from the cluster (etcdctl member remove) and is still in vedette's configuration."
            }
            Some(Mismatch::NotStarted { .. }) => {
                "It was added (etcdctl member add, kubeadm join) and its host or etcd never came up, or came up with \
                 other peer addresses than were announced."
            }
            Some(Mismatch::WithoutTls(_)) => {
                "etcd was started with http:// in --listen-client-urls or --listen-metrics-urls, or something in \
                 front of it terminates TLS."
            }
            Some(Mismatch::WithTls(_)) => "The listener was given https:// in --listen-metrics-urls.",
            None => LIKELY_CAUSE,
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let Some(first) = members.first() else { return Vec::new() };
        match self.found.first() {
            Some(Mismatch::SeveralClusters(_) | Mismatch::SeveralLeaders(_)) => {
                let mut next = commands.etcdctl(first);
                next.extend([commands.etcd_status(&members), commands.etcd_members(&members)]);
                next.extend(commands.stop_writers(first));
                next.push(commands.copy_data(first, "on each member, before anything is repaired"));
                next
            }
            Some(Mismatch::WithoutTls(plain)) => {
                let member = plain.first().unwrap_or(first);
                let mut next: Vec<Command> = commands.etcd_urls(member).into_iter().collect();
                next.extend([commands.plain_etcd(member), commands.check()]);
                next
            }
            Some(Mismatch::WithTls(encrypted)) => {
                let urls = commands.etcd_urls(encrypted.first().unwrap_or(first));
                urls.into_iter().chain([commands.check()]).collect()
            }
            Some(Mismatch::NotStarted { ids, .. }) => {
                let mut next = commands.etcdctl(first);
                next.extend([commands.etcd_members(&members), commands.etcd_status(&members)]);
                next.extend(ids.first().map(|id| commands.remove(first, id)));
                next
            }
            Some(Mismatch::SameMember { .. } | Mismatch::NotListed(_)) | None => {
                let mut next = commands.etcdctl(first);
                next.extend([commands.etcd_status(&members), commands.etcd_members(&members), commands.check()]);
                next
            }
        }
    }
}

/// One mismatch as a sentence.
fn said(mismatch: &Mismatch, etcd: &str, addresses: &Addresses) -> String {
    let places = |subjects: &[Subject]| {
        phrases::list(&subjects.iter().map(|subject| phrases::place(subject, addresses)).collect::<Vec<_>>())
    };
    match mismatch {
        Mismatch::SeveralClusters(groups) => {
            let each: Vec<String> = groups
                .iter()
                .map(|group| {
                    let writes = if group.is_led { "with a leader of its own" } else { "without a leader" };
                    format!("{} in cluster {} ({writes})", places(&group.members), group.cluster_id)
                })
                .collect();
            format!("The members of {etcd} are not one cluster but {}: {}.", groups.len(), each.join("; "))
        }
        Mismatch::SeveralLeaders(leaders) => {
            format!("{} members of {etcd} are leader at the same time: {}.", leaders.len(), places(leaders))
        }
        Mismatch::SameMember { names, id } => {
            format!("{} are the same member of {etcd}, {id}, under {} names.", places(names), names.len())
        }
        Mismatch::NotListed(members) => {
            let verb = if members.len() == 1 { "is" } else { "are" };
            format!("{} {verb} monitored, but {etcd}'s own member list has no such member.", places(members))
        }
        Mismatch::NotStarted { ids, voters } => {
            let verb = if ids.len() == 1 { "has" } else { "have" };
            format!(
                "{} of {voters} voting members in {etcd}'s own list {verb} never started: {}.",
                ids.len(),
                phrases::list(ids)
            )
        }
        Mismatch::WithoutTls(members) => {
            let verb = if members.len() == 1 { "answers" } else { "answer" };
            format!("{} of {etcd} {verb} without TLS, and TLS is configured.", places(members))
        }
        Mismatch::WithTls(members) => {
            let verb = if members.len() == 1 { "answers" } else { "answer" };
            format!("The metrics of {} {verb} with TLS, and plain HTTP is configured.", places(members))
        }
    }
}

impl Rule for EtcdMembership {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F57,
            name: "EtcdMembershipMismatch",
            in_short: "not one etcd",
            title: "etcd members are not the cluster they should be",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Membership>()
    }

    fn explains(&self) -> &'static [Edge] {
        // Members of several clusters follow several leaders and have histories of their own.
        const EDGES: [Edge; 2] = [Edge::at_subject(RuleId::F03), Edge::at_subject(RuleId::F05)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context.etcds().into_iter().map(|etcd| (etcd.clone(), judge_members(context, etcd))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, lines, member};

        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Critical,
            Arc::new(Membership {
                found: vec![
                    Mismatch::SeveralClusters(
                        ["etcd-1", "etcd-2", "etcd-3"]
                            .map(|name| Group {
                                cluster_id: format!("e4a53b8bfba8c93{}", &name[5..]),
                                members: vec![member(name)],
                                is_led: true,
                            })
                            .into(),
                    ),
                    Mismatch::NotStarted { ids: vec!["8e9e05c52164694d".into()], voters: 2 },
                ],
                of: 3,
            }),
        )
        .probes(vec![lines::healthy(1), lines::healthy(2), lines::member(3, "leader c3, term 2", true)])
    }
}

/// One mismatch: since when, its severity, how long it must last.
struct Seen {
    mismatch: Mismatch,
    since: Now,
    level: Level,
    hold: Duration,
    path_unproven: bool,
}

fn judge_members(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let mut seen = Vec::new();
    let mut doubts = Vec::new();
    let mut runs = Vec::new();
    let is_metrics_only = context.view.inventory().etcd(&etcd).is_some_and(|known| known.is_metrics_only);
    let aspects: &[Aspect] =
        if is_metrics_only { &[Aspect::Configured, Aspect::ConfiguredPages] } else { &[Aspect::Configured] };
    for aspect in aspects {
        match context.subject_state(&etcd, *aspect) {
            SubjectState::Good(run) => runs.push(*run),
            SubjectState::Unknown(why) => doubts.push(why),
            SubjectState::Bad { bad, path_unproven } => {
                let since = bad.run.first;
                let lasted = bad.run.last.mono.since(since.mono);
                let loud = |mismatch| {
                    let (level, hold) = gravity(context, &mismatch);
                    Seen { mismatch, since, level, hold, path_unproven }
                };
                let told =
                    if *aspect == Aspect::Configured { by_status(context, &etcd) } else { by_pages(context, &etcd) };
                // A leader that was cut off steps down within an election.
                let (young, lasting): (Vec<_>, Vec<_>) = told.into_iter().partition(|mismatch| {
                    matches!(mismatch, Mismatch::SeveralLeaders(_)) && lasted < context.policy().no_leader_for
                });
                if lasting.is_empty() || !young.is_empty() {
                    doubts.push(Why::Suspected { since });
                }
                seen.extend(lasting.into_iter().map(loud));
            }
        }
    }
    seen.extend(by_list(context, &etcd));
    if is_open_by_list(context, &etcd) {
        doubts.push(Why::Unclear);
    }
    seen.sort_by(|one, other| other.level.cmp(&one.level).then(one.hold.cmp(&other.hold)));
    let Some(gravest_seen) = seen.first() else {
        let all = if doubts.is_empty() { all_good(&runs) } else { None };
        return all.unwrap_or_else(|| Verdict::Unknown(gravest(doubts)));
    };
    Verdict::Bad(Finding {
        rule: RuleId::F57,
        level: gravest_seen.level,
        since: seen.iter().map(|one| one.since).min_by_key(|since| since.mono).unwrap_or(gravest_seen.since).wall,
        hold: gravest_seen.hold,
        path_unproven: gravest_seen.path_unproven,
        evidence: Arc::new(Membership {
            of: context.members(&etcd).len(),
            found: seen.into_iter().map(|one| one.mismatch).collect(),
        }),
        subject: etcd,
    })
}

/// Whether something was reported that only etcd's own list can end, and the list does not show that it has ended.
/// After a restart it is asked for within a minute, the members themselves within seconds.
fn is_open_by_list(context: &RuleContext<'_>, etcd: &Subject) -> bool {
    let raised = context.raised_of(RuleId::F57, etcd).and_then(Finding::seen::<Membership>);
    let Some(Membership { found, .. }) = raised else { return false };
    let members = context.members(etcd);
    let list = context.view.membership(etcd);
    let is_listed = |member: &Subject| {
        let told = list.as_ref().zip(context.view.status(member));
        told.is_some_and(|(list, (_, status))| list.entry(status.member_id).is_some())
    };
    found.iter().any(|mismatch| match mismatch {
        Mismatch::NotListed(strangers) => strangers.iter().any(|one| members.contains(one) && !is_listed(one)),
        Mismatch::NotStarted { .. } => list.is_none(),
        Mismatch::SeveralClusters(_)
        | Mismatch::SeveralLeaders(_)
        | Mismatch::SameMember { .. }
        | Mismatch::WithoutTls(_)
        | Mismatch::WithTls(_) => false,
    })
}

/// A member that accepts writes apart from the others loses data with every second, so it is reported without a hold;
/// the other mismatches wait for theirs.
fn gravity(context: &RuleContext<'_>, mismatch: &Mismatch) -> (Level, Duration) {
    let is_writing_apart = match mismatch {
        Mismatch::SeveralClusters(groups) => groups.iter().filter(|group| group.is_led).count() > 1,
        Mismatch::SeveralLeaders(_) => true,
        Mismatch::SameMember { .. }
        | Mismatch::NotListed(_)
        | Mismatch::NotStarted { .. }
        | Mismatch::WithoutTls(_)
        | Mismatch::WithTls(_) => false,
    };
    if is_writing_apart {
        (Level::Critical, Duration::ZERO)
    } else {
        (Level::Warning, context.policy().redundancy_loss_for)
    }
}

/// What the members that answer report of themselves.
fn by_status(context: &RuleContext<'_>, etcd: &Subject) -> Vec<Mismatch> {
    let members = context.members(etcd);
    let told: Vec<(&Subject, &MemberStatus)> = members
        .iter()
        .filter(|member| context.subject_state(member, Aspect::Answer).good().is_some())
        .filter_map(|member| context.view.status(member).map(|(_, status)| (member, status)))
        .collect();
    let mut found = Vec::new();
    let clusters: BTreeSet<u64> = told.iter().map(|(_, status)| status.cluster_id).collect();
    if clusters.len() > 1 {
        let group = |id: u64| {
            let of_it = || told.iter().filter(move |(_, status)| status.cluster_id == id);
            Group {
                cluster_id: format!("{id:x}"),
                members: of_it().map(|(member, _)| (*member).clone()).collect(),
                is_led: of_it().any(|(_, status)| status.leader.is_some()),
            }
        };
        found.push(Mismatch::SeveralClusters(clusters.iter().map(|id| group(*id)).collect()));
    }
    for cluster in clusters {
        let leads = |(_, status): &&(&Subject, &MemberStatus)| {
            status.cluster_id == cluster && status.leader == Some(status.member_id)
        };
        let leaders: BTreeMap<u64, Subject> =
            told.iter().filter(leads).map(|(member, status)| (status.member_id, (*member).clone())).collect();
        if leaders.len() > 1 {
            found.push(Mismatch::SeveralLeaders(leaders.into_values().collect()));
        }
    }
    let ids = told.iter().map(|(member, status)| ((status.cluster_id, status.member_id), (*member).clone()));
    found.extend(same(ids, |(_, id)| format!("{id:x}")));
    let speaking = |cause: Cause| -> Vec<Subject> {
        let speaks = |member: &&Subject| context.view.tls_mismatch(member).is_some_and(|unseen| unseen.cause == cause);
        members.iter().filter(speaks).cloned().collect()
    };
    for (members, mismatch) in [
        (speaking(Cause::WithoutTls), Mismatch::WithoutTls as fn(Vec<Subject>) -> Mismatch),
        (speaking(Cause::WithTls), Mismatch::WithTls),
    ] {
        found.extend((!members.is_empty()).then(|| mismatch(members)));
    }
    found
}

/// What their metrics show.
fn by_pages(context: &RuleContext<'_>, etcd: &Subject) -> Vec<Mismatch> {
    let members = context.members(etcd);
    let pages: Vec<_> = members.iter().filter_map(|member| Some((member, &context.view.metrics(member)?.1))).collect();
    let ids = pages.iter().filter_map(|(member, page)| Some((page.member_id.clone()?, (*member).clone())));
    let mut found: Vec<Mismatch> = same(ids, Clone::clone).collect();
    let leading: BTreeMap<&str, Subject> = pages
        .iter()
        .filter(|(_, page)| page.is_leader == Some(true))
        .map(|(member, page)| (page.member_id.as_deref().unwrap_or(member.short()), (*member).clone()))
        .collect();
    if leading.len() > 1 {
        found.insert(0, Mismatch::SeveralLeaders(leading.into_values().collect()));
    }
    found
}

/// Names that lead to one member.
fn same<I: Ord>(
    ids: impl Iterator<Item = (I, Subject)>,
    told: impl Fn(&I) -> String,
) -> impl Iterator<Item = Mismatch> {
    let mut names: BTreeMap<I, Vec<Subject>> = BTreeMap::new();
    for (id, member) in ids {
        names.entry(id).or_default().push(member);
    }
    names
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(move |(id, names)| Mismatch::SameMember { names, id: told(&id) })
}

/// What etcd's own member list says. A list is not a measurement that could fail by chance, so one is enough.
fn by_list(context: &RuleContext<'_>, etcd: &Subject) -> Vec<Seen> {
    let Some(list) = context.view.membership(etcd) else { return Vec::new() };
    let policy = context.policy();
    let mut seen = Vec::new();
    let strangers = context.not_listed(etcd);
    if !strangers.is_empty() {
        seen.push(Seen {
            mismatch: Mismatch::NotListed(strangers),
            since: list.at,
            level: Level::Warning,
            hold: policy.redundancy_loss_for,
            path_unproven: false,
        });
    }
    let unstarted = list.unstarted();
    let since = context.view.track(etcd, Aspect::Started).and_then(|track| track.bad()).map(|bad| bad.run.first);
    if let Some(since) = since.filter(|_| !unstarted.is_empty()) {
        // A member that joins is listed before it starts: for some minutes that is normal.
        let raised = context.raised_of(RuleId::F57, etcd).filter(|raised| {
            let told = raised.seen::<Membership>().map_or(&[][..], |told| &told.found);
            told.iter().any(|mismatch| matches!(mismatch, Mismatch::NotStarted { .. }))
        });
        let lasted = context.bad_for(etcd, Aspect::Started, since, raised);
        let is_late = lasted >= policy.redundancy_loss_critical_after;
        let ids = unstarted.iter().map(|id| format!("{id:x}")).collect();
        seen.push(Seen {
            mismatch: Mismatch::NotStarted { ids, voters: list.voters().len() },
            since,
            level: if is_late { Level::Warning } else { Level::Info },
            hold: Duration::ZERO,
            path_unproven: false,
        });
    }
    seen
}
