//! F53: what cannot be seen of a cluster. Listed and never shown as good; mailed only when our own DNS knows no address
//! for something that is to be watched, which would otherwise go unnoticed.
//!
//! Nothing of it is an outage: other rules report what is down. It shows what a status page without faults does not
//! cover, managed control planes included.

mod optional;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::canary::{Canary, CanaryLack};
use crate::model::finding::{Evidence, Kind};
use crate::model::gap::Gap;
use crate::model::phase::Cause;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F53: parts of a cluster that cannot be seen from here.
pub struct MonitoringGap;

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing fails because of it. Faults of what is not monitored are noticed late, by their \
    consequences, or not at all.";

/// What cannot be seen of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Each gap, the widest first.
    pub gaps: Vec<Gap>,
}

impl Kind for Coverage {
    const TAG: &'static str = "coverage";
}

impl Coverage {
    /// What has a name without an address.
    fn unresolved(&self) -> &[Subject] {
        self.gaps
            .iter()
            .find_map(|gap| if let Gap::Unresolved(subjects) = gap { Some(&**subjects) } else { None })
            .unwrap_or(&[])
    }
}

impl Evidence for Coverage {
    fn headline(&self, finding: &Finding) -> String {
        // Of one endpoint only this is reported.
        let is_of_all = finding.subject.is_cluster();
        if is_of_all { "monitoring gaps" } else { "name not in DNS: not monitored" }.into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { gaps } = self;
        let each: Vec<String> = gaps.iter().map(|gap| unseen(gap, addresses)).collect();
        format!("{}.", each.join("; "))
    }

    fn listed(&self, _: &Finding, addresses: &Addresses) -> Option<(String, Vec<String>)> {
        let Self { gaps } = self;
        let introduction = match gaps.len() {
            1 => "1 monitoring gap:".to_owned(),
            several => format!("{several} monitoring gaps:"),
        };
        Some((introduction, gaps.iter().map(|gap| unseen(gap, addresses)).collect()))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let Self { gaps } = self;
        if !self.unresolved().is_empty() {
            "The name in the configuration is wrong or not in the DNS any more, or the DNS servers of the vedette \
             host do not respond or do not know that zone. Nothing is known about the servers themselves."
        } else if gaps.iter().any(|gap| matches!(gap, Gap::NeverSeen(_))) {
            "What was never seen may be dead since before vedette started, or its address in the configuration is \
             wrong, or a firewall is in between."
        } else if gaps.iter().any(|gap| {
            matches!(
                gap,
                Gap::Refused(_)
                    | Gap::ReadsRefused(_)
                    | Gap::LoadForbidden(_)
                    | Gap::ZpagesForbidden(_)
                    | Gap::CanariesLack { lack: CanaryLack::Right, .. }
            )
        }) {
            "vedette's credential has too few rights there."
        } else {
            FROM_CONFIGURATION
        }
        .into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let unresolved = self.unresolved();
        let hosts = unresolved.iter().map(|subject| phrases::host_of(subject, commands.addresses));
        let lookups = hosts.take(2).map(|host| commands.resolve(&host));
        lookups.chain([commands.check(), commands.probe()]).collect()
    }
}

const FROM_CONFIGURATION: &str =
    "The configuration does not name it, or the provider of a managed control plane does not expose it.";

/// One gap as a sentence without its full stop: what is not monitored, and behind the colon what to do.
#[must_use]
pub fn unseen(gap: &Gap, addresses: &Addresses) -> String {
    let places = |subjects: &[Subject]| {
        phrases::list(&subjects.iter().map(|subject| phrases::place(subject, addresses)).collect::<Vec<_>>())
    };
    match gap {
        Gap::NoReference => {
            "no reference target outside the cluster proves that vedette's own network works, so faults take 30 s to \
             be confirmed: name one under vantage.references"
                .into()
        }
        Gap::ReferencesSilent(subjects) => format!(
            "{} no longer responds, and no other target outside the cluster proves that vedette's own network works, \
             so faults take 30 s to be confirmed: restore it, or name another under vantage.references",
            places(subjects)
        ),
        Gap::NoEtcd => {
            "etcd is not monitored: name its members under 'etcd', or list only their metrics listeners; ignore this \
             where the provider exposes neither"
                .into()
        }
        Gap::NoInstances => {
            "the apiservers behind the API VIP are not monitored one by one, so one that is down shows only in part: \
             name them under 'apiservers'"
                .into()
        }
        Gap::NoSharedAddress => {
            "the API endpoint that clients use (VIP or load balancer) is not monitored: set 'vip'".into()
        }
        Gap::Unresolved(subjects) => format!(
            "DNS on the vedette host has no address for {}, so it is not monitored: correct the name in the \
             configuration or in DNS",
            places(subjects)
        ),
        Gap::NeverSeen(subjects) => format!(
            "{} has never responded since vedette started: check its address in the configuration, firewalls in \
             between, and whether it runs",
            places(subjects)
        ),
        Gap::Refused(subjects) => format!(
            "{} rejects vedette's credential, so only that it is alive is known: renew the credential, or grant it \
             the rights that it lacks",
            places(subjects)
        ),
        Gap::NoCredential(subjects) => format!(
            "{} asks for a login for what vedette probes (/version, or etcd's own calls) and none is configured, so \
             only unauthenticated health endpoints are visible: give vedette a credential for it",
            places(subjects)
        ),
        Gap::NotWatched { etcd, members } => format!(
            "{} has members that are not monitored, {}: name them under etcd.members",
            etcd.short(),
            phrases::list(members)
        ),
        Gap::ReadsRefused(etcd) => format!(
            "reads of {} are denied to vedette's credential, so a one-way cut between its members is not noticed: \
             grant its user a role that may read",
            etcd.short()
        ),
        Gap::NoListener(subjects) => format!(
            "no etcd latency (fsync, commit, peer RTT) of {} and, before 3.6, no quota: open a metrics listener with \
             --listen-metrics-urls and name it under 'metrics' of each member",
            places(subjects)
        ),
        Gap::QuotaUnknown(etcd) => format!(
            "usage of {} unknown, because it does not report its quota (etcd before 3.6): set 'quota' of this etcd \
             to its --quota-backend-bytes",
            etcd.short()
        ),
        Gap::LoadForbidden(subjects) => format!(
            "who overloads the API cannot be seen at {}: grant vedette's user \
             /debug/api_priority_and_fairness/dump_priority_levels and dump_requests by config/rbac/vedette.yaml, or \
             set flow_control to false",
            places(subjects)
        ),
        Gap::MetricsForbidden(subjects) => format!(
            "seats taken, audit events lost, webhooks that fail and configuration not loaded cannot be seen at {}: grant \
             vedette's user /metrics by config/rbac/vedette.yaml, or set apiserver_metrics to false",
            places(subjects)
        ),
        Gap::NoFlowControl(subjects) => format!(
            "who overloads the API cannot be seen at {}, which runs without API Priority and Fairness: switch it on, \
             or set flow_control to false",
            places(subjects)
        ),
        Gap::CanariesOff(canaries) if canaries.len() == Canary::ALL.len() => {
            "what only a request with a right to write shows is not monitored: failing or slow admission webhooks (F21), \
             slow authorization webhooks (F34), Secrets that cannot be decrypted (F35, in part), stale watch caches \
             (F38): apply config/rbac/canaries.yaml and set 'writer'"
                .into()
        }
        Gap::CanariesOff(canaries) => {
            let shows: Vec<String> = canaries.iter().map(|canary| canary.shows().to_owned()).collect();
            let keys: Vec<String> = canaries.iter().map(|canary| canary.as_str().to_owned()).collect();
            let (shows, keys) = (phrases::list(&shows), phrases::list(&keys));
            format!("not monitored, because its canary is off: {shows}: switch {keys} on under 'canaries'")
        }
        Gap::CanariesLack { lack, canaries } => {
            let shows: Vec<String> = canaries.iter().map(|canary| canary.shows().to_owned()).collect();
            let (why, then) = match lack {
                CanaryLack::Right => (
                    "the writer's user lacks a right in the namespace of the canaries, or the namespace is gone",
                    "apply config/rbac/canaries.yaml for that user",
                ),
                CanaryLack::Object => (
                    "the namespace of the canaries, or an object in it, is gone or being deleted",
                    "apply config/rbac/canaries.yaml, with the names that the configuration has",
                ),
                CanaryLack::Contested => (
                    "somebody else writes the Lease of the canaries",
                    "give each vedette a vantage.name or lease_name of its own",
                ),
            };
            format!("not monitored, because {why}: {}: {then}", phrases::list(&shows))
        }
        Gap::ZpagesForbidden(subjects) => format!(
            "restarts and differing flags cannot be seen at {}: grant vedette's user /statusz and /flagz by \
             config/rbac/zpages.yaml, or set zpages to false",
            places(subjects)
        ),
        Gap::NoZpages(subjects) => format!(
            "restarts and differing flags cannot be seen at {}, which has no /statusz and /flagz (they come with \
             Kubernetes 1.36): upgrade, or set zpages to false",
            places(subjects)
        ),
    }
}

impl Rule for MonitoringGap {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F53,
            name: "MonitoringGap",
            in_short: "monitoring gap",
            title: "monitoring gaps",
            impact: IMPACT,
            likely_cause: FROM_CONFIGURATION,
            shows: Shows::Failed,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Coverage>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let whole = context.whole().map(|whole| (whole.clone(), judge_gaps(context, whole)));
        let named = connected(context).into_iter().map(|endpoint| (endpoint.clone(), judge_name(context, endpoint)));
        whole.into_iter().chain(named).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, Sample, lines, member, subject};

        Sample::of(
            "prod-eu1",
            Level::Info,
            Arc::new(Coverage {
                gaps: vec![
                    Gap::NeverSeen(vec![member("etcd-3")]),
                    Gap::NoListener(vec![subject("prod-eu1/etcd/etcd")]),
                    Gap::QuotaUnknown(subject("prod-eu1/etcd/etcd")),
                ],
            }),
        )
        .probes(vec![lines::healthy(1), lines::healthy(2), lines::no_member(3, MUTE)])
    }
}

/// Whether the name of one endpoint has an address. The gap is listed for the cluster, and reported of the endpoint
/// after the time after which a lost network is mailed, because a machine that starts may be without DNS for a while.
fn judge_name(context: &RuleContext<'_>, endpoint: Subject) -> Verdict {
    let subject_state = context.subject_state(&endpoint, Aspect::Answer);
    let Some(run) = unresolved_run(context, &endpoint) else {
        // It has an address, whether or not it answers.
        return match subject_state {
            SubjectState::Bad { bad, .. } => {
                Verdict::Good { since: bad.run.first, until: bad.run.last, probes: bad.run.probes }
            }
            SubjectState::Good(_) | SubjectState::Unknown(_) => subject_state.unless_bad(),
        };
    };
    if run.probes < context.policy().confirm_probes {
        return Verdict::Unknown(Why::NeverSeen);
    }
    Verdict::Bad(Finding {
        rule: RuleId::F53,
        level: Level::Warning,
        since: run.first.wall,
        hold: context.policy().isolated_for,
        path_unproven: false,
        evidence: Arc::new(Coverage { gaps: vec![Gap::Unresolved(vec![endpoint.clone()])] }),
        subject: endpoint,
    })
}

/// Everything that is connected to: of the cluster, or the reference targets.
fn connected(context: &RuleContext<'_>) -> Vec<Subject> {
    if context.cluster.is_some() { endpoints(context) } else { context.references() }
}

fn judge_gaps(context: &RuleContext<'_>, whole: Subject) -> Verdict {
    let gaps = with_unproven(context, gaps(context), &whole);
    if gaps.is_empty() {
        return all_seen(context);
    }
    Verdict::Bad(Finding {
        rule: RuleId::F53,
        subject: whole,
        level: Level::Info,
        since: context.now.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(Coverage { gaps }),
    })
}

fn gaps(context: &RuleContext<'_>) -> Vec<Gap> {
    let Some((name, cluster)) = context.cluster else { return Vec::new() };
    let mut gaps = Vec::new();
    let has_reference = context.view.references().has_remote();
    if has_reference && !context.view.references().any_beside(Some(name)) {
        let others = context.view.references().silent().filter(|place| place.cluster() != Some(name));
        gaps.push(Gap::ReferencesSilent(others.cloned().collect()));
    }
    let lacks = [
        (!has_reference, Gap::NoReference),
        (cluster.etcds.is_empty(), Gap::NoEtcd),
        (cluster.apiservers.is_empty(), Gap::NoInstances),
        // Of several instances one is not the address of all clients.
        (cluster.vip.is_none() && cluster.apiservers.len() > 1, Gap::NoSharedAddress),
    ];
    gaps.extend(lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, gap)| gap));

    let endpoints = endpoints(context);
    let chosen = |test: &dyn Fn(&Subject) -> bool| -> Option<Vec<Subject>> {
        let chosen: Vec<Subject> = endpoints.iter().filter(|endpoint| test(endpoint)).cloned().collect();
        (!chosen.is_empty()).then_some(chosen)
    };
    gaps.extend(chosen(&|endpoint| is_unresolved(context, endpoint)).map(Gap::Unresolved));
    gaps.extend(chosen(&|endpoint| is_never_seen(context, endpoint)).map(Gap::NeverSeen));
    gaps.extend(chosen(&|endpoint| is_refused(context, endpoint, Aspect::Answer)).map(Gap::Refused));
    let wants_login = |endpoint: &Subject| {
        [Aspect::Answer, Aspect::Ordinary].into_iter().any(|aspect| lacks_credential(context, endpoint, aspect))
    };
    gaps.extend(chosen(&wants_login).map(Gap::NoCredential));
    for etcd in context.etcds() {
        let members = context.members(&etcd);
        if members.iter().any(|member| is_refused(context, member, Aspect::Read)) {
            gaps.push(Gap::ReadsRefused(etcd.clone()));
        }
        let unwatched = context.not_watched(&etcd);
        if !unwatched.is_empty() {
            gaps.push(Gap::NotWatched { etcd: etcd.clone(), members: unwatched });
        }
        let is_known =
            |member: &Subject| context.view.status(member).is_some() || context.view.metrics(member).is_some();
        let is_untold = |member: &Subject| is_known(member) && context.view.facts(member).quota.is_none();
        if context.quota(&etcd).is_none() && members.iter().any(is_untold) {
            gaps.push(Gap::QuotaUnknown(etcd));
        }
    }
    gaps.extend(optional::load_gaps(context));
    gaps.extend(optional::canary_gaps(context));
    gaps.extend(optional::zpage_gaps(context));
    let deaf = without_listener(context);
    gaps.extend((!deaf.is_empty()).then_some(Gap::NoListener(deaf)));
    gaps.sort();
    gaps
}

/// Gaps that were listed stay so until what they lack is seen: after a restart, or while a place is down, nothing is.
fn with_unproven(context: &RuleContext<'_>, mut gaps: Vec<Gap>, whole: &Subject) -> Vec<Gap> {
    let raised = context.raised_of(RuleId::F53, whole).and_then(Finding::seen::<Coverage>);
    let Some(Coverage { gaps: listed }) = raised else { return gaps };
    for gap in listed.iter().filter_map(|gap| still_open(context, gap)) {
        absorb(&mut gaps, gap);
    }
    gaps.sort();
    gaps
}

/// The parts of a listed gap that have not been seen to be closed.
fn still_open(context: &RuleContext<'_>, gap: &Gap) -> Option<Gap> {
    let endpoints = endpoints(context);
    let answers = |endpoint: &Subject, aspect| context.subject_state(endpoint, aspect).good().is_some();
    let unproven = |subjects: &[Subject]| -> Vec<Subject> {
        let is_open = |one: &&Subject| endpoints.contains(one) && !answers(one, Aspect::Answer);
        subjects.iter().filter(is_open).cloned().collect()
    };
    match gap {
        Gap::NeverSeen(subjects) => {
            // A subject that has answered since and is down again is not a gap.
            let track = |one: &Subject| context.view.track(one, Aspect::Answer);
            let is_unheard = |one: &Subject| track(one).is_none_or(|track| track.last_good().is_none());
            let open: Vec<Subject> = unproven(subjects).into_iter().filter(is_unheard).collect();
            (!open.is_empty()).then_some(Gap::NeverSeen(open))
        }
        Gap::Refused(subjects) => {
            let open = unproven(subjects);
            (!open.is_empty()).then_some(Gap::Refused(open))
        }
        Gap::NoCredential(subjects) => {
            let is_answered =
                |one: &Subject| answers(one, Aspect::Answer) && (!one.is_api() || answers(one, Aspect::Ordinary));
            let is_open = |one: &&Subject| endpoints.contains(one) && !is_answered(one);
            let open: Vec<Subject> = subjects.iter().filter(is_open).cloned().collect();
            (!open.is_empty()).then_some(Gap::NoCredential(open))
        }
        Gap::ReadsRefused(etcd) => {
            let is_open = context.members(etcd).iter().any(|member| !answers(member, Aspect::Read));
            is_open.then(|| gap.clone())
        }
        Gap::QuotaUnknown(etcd) => {
            let is_untold = |member: &Subject| context.view.facts(member).quota.is_none();
            let is_open = context.quota(etcd).is_none() && context.members(etcd).iter().any(is_untold);
            is_open.then(|| gap.clone())
        }
        Gap::LoadForbidden(subjects) => {
            let is_open =
                |one: &&Subject| optional::instance(context, one).is_none_or(|known| known.levels().is_none());
            let open: Vec<Subject> =
                subjects.iter().filter(|one| optional::asks_for_load(context, one)).filter(is_open).cloned().collect();
            (!open.is_empty()).then_some(Gap::LoadForbidden(open))
        }
        Gap::CanariesLack { lack, canaries } => {
            let is_open =
                |canary: &Canary| optional::has_canary(context, *canary) && !optional::has_run(context, *canary);
            let canaries: Vec<Canary> = canaries.iter().copied().filter(is_open).collect();
            (!canaries.is_empty()).then_some(Gap::CanariesLack { lack: *lack, canaries })
        }
        Gap::ZpagesForbidden(subjects) => {
            let is_open =
                |one: &&Subject| optional::told_of_itself(context, one).is_none_or(|known| !known.tells_all());
            let open: Vec<Subject> = subjects
                .iter()
                .filter(|one| optional::asks_for_zpages(context, one))
                .filter(is_open)
                .cloned()
                .collect();
            (!open.is_empty()).then_some(Gap::ZpagesForbidden(open))
        }
        // Known by the next answer, and no fault of the setup that a person could have made good meanwhile.
        Gap::NoFlowControl(_) | Gap::MetricsForbidden(_) | Gap::NoZpages(_) => None,
        // Until etcd's own list is read again.
        Gap::NotWatched { etcd, .. } => context.view.membership(etcd).is_none().then(|| gap.clone()),
        // Known from the configuration alone, or from other findings.
        Gap::NoReference
        | Gap::ReferencesSilent(_)
        | Gap::NoEtcd
        | Gap::NoInstances
        | Gap::NoSharedAddress
        | Gap::Unresolved(_)
        | Gap::CanariesOff(_)
        | Gap::NoListener(_) => None,
    }
}

fn absorb(gaps: &mut Vec<Gap>, open: Gap) {
    for known in gaps.iter_mut() {
        match (known, &open) {
            (Gap::NeverSeen(known), Gap::NeverSeen(open))
            | (Gap::Refused(known), Gap::Refused(open))
            | (Gap::NoCredential(known), Gap::NoCredential(open))
            | (Gap::LoadForbidden(known), Gap::LoadForbidden(open))
            | (Gap::ZpagesForbidden(known), Gap::ZpagesForbidden(open)) => {
                known.extend(open.iter().cloned());
                known.sort();
                known.dedup();
                return;
            }
            (Gap::CanariesLack { lack, canaries }, Gap::CanariesLack { lack: open_lack, canaries: open })
                if lack == open_lack =>
            {
                canaries.extend(open);
                canaries.sort();
                canaries.dedup();
                return;
            }
            (known, open) if *known == *open => return,
            _ => {}
        }
    }
    gaps.push(open);
}

/// The etcds none of whose members has a metrics listener, and the members that lack what others of theirs have.
fn without_listener(context: &RuleContext<'_>) -> Vec<Subject> {
    let Some((name, cluster)) = context.cluster else { return Vec::new() };
    let mut lacking = Vec::new();
    for (etcd, known) in &cluster.etcds {
        if known.listeners.is_empty() {
            lacking.push(Subject::Etcd(name.clone(), etcd.clone()));
        } else {
            let without = known.members.keys().filter(|member| !known.listeners.contains_key(*member));
            lacking.extend(without.map(|member| Subject::EtcdMember(name.clone(), etcd.clone(), member.clone())));
        }
    }
    lacking
}

/// Everything of the cluster that is connected to.
fn endpoints(context: &RuleContext<'_>) -> Vec<Subject> {
    let Some((name, cluster)) = context.cluster else { return Vec::new() };
    let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
    let members = context.etcds().into_iter().flat_map(|etcd| context.members(&etcd));
    cluster.apiserver_subjects(name).chain(vip).chain(members).collect()
}

fn is_unresolved(context: &RuleContext<'_>, endpoint: &Subject) -> bool {
    unresolved_run(context, endpoint).is_some_and(|run| run.probes >= context.policy().confirm_probes)
}

fn unresolved_run(context: &RuleContext<'_>, endpoint: &Subject) -> Option<Run> {
    Some(context.view.track(endpoint, Aspect::Answer)?.unresolved()?.1)
}

/// Confirmed to be silent, and never anything else.
fn is_never_seen(context: &RuleContext<'_>, endpoint: &Subject) -> bool {
    let is_silent = context.subject_state(endpoint, Aspect::Answer).bad().is_some();
    is_silent && context.view.track(endpoint, Aspect::Answer).is_some_and(|track| track.last_good().is_none())
}

fn is_refused(context: &RuleContext<'_>, endpoint: &Subject, aspect: Aspect) -> bool {
    let refused = context.view.track(endpoint, aspect).and_then(|track| track.refused());
    refused.is_some_and(|(unseen, run)| {
        unseen.cause != Cause::NoCredential && run.probes >= context.policy().confirm_probes
    })
}

fn lacks_credential(context: &RuleContext<'_>, endpoint: &Subject, aspect: Aspect) -> bool {
    let refused = context.view.track(endpoint, aspect).and_then(|track| track.refused());
    refused.is_some_and(|(unseen, run)| {
        unseen.cause == Cause::NoCredential && run.probes >= context.policy().confirm_probes
    })
}

fn all_seen(context: &RuleContext<'_>) -> Verdict {
    let endpoints = endpoints(context);
    let subject_states: Vec<SubjectState<'_>> =
        endpoints.iter().map(|endpoint| context.subject_state(endpoint, Aspect::Answer)).collect();
    let doubts = subject_states.iter().filter_map(|subject_state| match subject_state {
        SubjectState::Unknown(why) => Some(*why),
        SubjectState::Bad { .. } => Some(Why::Unclear),
        SubjectState::Good(_) => None,
    });
    let runs: Option<Vec<_>> = subject_states.iter().map(SubjectState::good).collect();
    runs.and_then(all_good).unwrap_or_else(|| Verdict::Unknown(gravest(doubts)))
}
