//! F22 an apiserver, or the API VIP in part, is down, F24 every apiserver down.

use std::time::Duration;

use crate::model::phase::Cause;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Evidence, Extent, Finding, Symptom, Verdict, Why};
use crate::observe::view::Aspect;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState, any_good, gravest, is_down};
use super::edges::Edge;
use super::words::Words;
use super::{Rule, not_an_apiserver, phrases};
use crate::model::addresses::Addresses;

/// F22: one of several instances is bad.
pub struct OneBad;

/// F24: every instance is bad.
pub struct AllDown;

impl Words for OneBad {
    fn id(&self) -> RuleId {
        RuleId::F22
    }

    fn title(&self) -> &'static str {
        "an apiserver is down, or the API VIP fails in part"
    }

    fn headline(&self, finding: &Finding) -> String {
        match &finding.subject {
            Subject::Vip(_) => "API VIP fails intermittently".into(),
            subject @ (Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_)
            | Subject::Cluster(_)
            | Subject::Apiserver(..)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)
            | Subject::Stored(..)
            | Subject::Chain(..)) => format!("kube-apiserver {} down", phrases::fit(subject.short(), 24)),
        }
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let kind = if is_vip(finding) { "" } else { "kube-apiserver " };
        let Evidence::Partial { symptom, ready, of, extent } = &finding.evidence else {
            return phrases::capital(format!("{kind}{place} is down."));
        };
        let state = phrases::symptom(symptom);
        let said = match extent {
            Extent::Whole => format!("{kind}{place} is {state}."),
            Extent::NewConnections => format!("{kind}{place} is {state}.{}", phrases::OPEN_ONES_ANSWER),
            Extent::AtTimes { failures, window } => format!(
                "{kind}{place} fails intermittently: {failures} times within {} it was {state}, and it responded in \
                 between.",
                phrases::lasting(*window)
            ),
        };
        let direct = if is_vip(finding) { "Probed directly, " } else { "" };
        phrases::capital(format!("{said} {direct}{ready} of {of} instances are ready."))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn impact(&self, finding: &Finding) -> String {
        if is_vip(finding) {
            return "Some requests through this address fail or hang while others work: kubectl and controllers see \
                    errors that come and go. The apiservers respond when addressed directly."
                .into();
        }
        let rest = match &finding.evidence {
            Evidence::Partial { ready: 0 | 1, extent: Extent::Whole, .. } => " Only one ready instance is left.",
            _ => "",
        };
        format!(
            "Requests to this instance fail or hang: those through the API VIP fail in part unless the load balancer \
             has taken it out. Clients pinned to it (kubelets, controllers on the same host) are cut off.{rest}"
        )
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Partial { extent: Extent::AtTimes { .. }, .. } if is_vip(finding) => {
                "The load balancer sends some connections to a backend that is down and is not monitored here, two \
                 hosts claim the address, or the load balancer itself is overloaded."
            }
            Evidence::Partial { extent: Extent::AtTimes { .. }, .. } => {
                "It restarts in a loop (its liveness probe fails, or it runs out of memory), or packets to its host \
                 are lost."
            }
            Evidence::Partial { extent: Extent::NewConnections, .. } => {
                "It takes no new connections: no file descriptors are left, its accept queue is full, its CPU is too \
                 busy \
                 for handshakes, or a firewall drops new flows and lets open ones pass."
            }
            Evidence::Partial { symptom, .. } => cause_of(symptom),
            _ => "The instance's process, host or network.",
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        if is_vip(finding) {
            return address_commands(&finding.subject, commands);
        }
        if let Evidence::Partial { symptom, .. } = &finding.evidence {
            return commands_for(symptom, std::slice::from_ref(&finding.subject), commands);
        }
        instance_commands(std::slice::from_ref(&finding.subject), commands)
    }
}

const fn is_vip(finding: &Finding) -> bool {
    matches!(finding.subject, Subject::Vip(_))
}

impl Words for AllDown {
    fn id(&self) -> RuleId {
        RuleId::F24
    }

    fn title(&self) -> &'static str {
        "all apiservers down"
    }

    fn headline(&self, _: &Finding) -> String {
        "all apiservers are down".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::AllBad { parts } = &finding.evidence else {
            return "All kube-apiservers of this cluster are down.".into();
        };
        let each: Vec<String> = parts
            .iter()
            .map(|(instance, symptom)| {
                format!("{} is {}", phrases::place(instance, addresses), phrases::symptom(symptom))
            })
            .collect();
        match parts.len() {
            1 => format!("The only kube-apiserver monitored, {}.", phrases::list(&each)),
            count => format!("All {count} kube-apiservers are down: {}.", each.join("; ")),
        }
    }

    fn impact(&self, _: &Finding) -> String {
        "The API is down: kubectl, deploys, scaling, rescheduling and everything that uses the API stop. Running \
         pods keep running and serving. In-cluster DNS and Services keep their last state until pods move or CoreDNS \
         restarts."
            .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let Evidence::AllBad { parts } = &finding.evidence else {
            return "Something the instances share.".into();
        };
        let all = |test: fn(&Symptom) -> bool| !parts.is_empty() && parts.iter().all(|(_, symptom)| test(symptom));
        let text = if all(|symptom| matches!(symptom, Symptom::Silent(unseen) if unseen.cause == Cause::Refused)) {
            "Every instance refuses connections: the hosts are up, the processes are not running. A change to all of \
             them at once is the usual reason: manifest, certificate, image, rollout. Nothing points to etcd."
        } else if all(|symptom| matches!(symptom, Symptom::Silent(unseen) if unseen.cause == Cause::Timeout)) {
            "No instance responds while other targets do: the network to this cluster is cut, its hosts are down, or \
             all instances hang, for instance under overload."
        } else if all(|symptom| matches!(symptom, Symptom::NotReady(_))) {
            "Every instance runs and reports that it is not ready: something they share fails, as the named checks say."
        } else if all(|symptom| matches!(symptom, Symptom::Foreign { .. })) {
            not_an_apiserver::CAUSE
        } else if all(|symptom| matches!(symptom, Symptom::Status(_))) {
            IN_FRONT
        } else if let [(_, only)] = parts.as_slice() {
            cause_of(only)
        } else {
            "The instances fail in different ways: look for what they share (hosts, network, a rollout under way)."
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Evidence::AllBad { parts } = &finding.evidence else { return Vec::new() };
        let instances: Vec<Subject> = parts.iter().map(|(instance, _)| instance.clone()).collect();
        parts.first().map_or_else(Vec::new, |(_, symptom)| commands_for(symptom, &instances, commands))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "special words for some cases, a general sentence for all others")]
fn cause_of(symptom: &Symptom) -> &'static str {
    match symptom {
        Symptom::Silent(unseen) => match unseen.cause {
            Cause::Refused => {
                "The host responds but nothing listens: the process ended and does not come back (crash loop, bad \
                 manifest, expired certificate), or it is being restarted."
            }
            Cause::Timeout => "The host or its network is down, or the process hangs.",
            Cause::TlsBroken | Cause::TlsAlert => {
                "The TLS set-up of this instance: certificate, key, or a proxy in front."
            }
            _ => "The process, or what is in front of it, drops connections.",
        },
        Symptom::Status(_) => IN_FRONT,
        Symptom::Foreign { .. } => not_an_apiserver::CAUSE,
        Symptom::NotReady(_) => "The instance runs and reports itself what fails.",
    }
}

/// Something in front answers by a status of its own.
const IN_FRONT: &str =
    "Something in front of the instance answers in its place: a load balancer or a proxy without a backend.";

fn commands_for(symptom: &Symptom, instances: &[Subject], commands: &Commands<'_>) -> Vec<Command> {
    match (symptom, instances.first()) {
        (Symptom::Foreign { .. }, Some(first)) => not_an_apiserver::commands(first, commands),
        _ => instance_commands(instances, commands),
    }
}

/// Commands for the hosts of instances that are bad for what is probably one reason.
fn instance_commands(instances: &[Subject], commands: &Commands<'_>) -> Vec<Command> {
    let Some(first) = instances.first() else { return Vec::new() };
    let mut next = vec![
        commands.readyz_verbose(first),
        commands.containers_on(instances, Program::Apiserver),
        commands.logs_on(instances, Program::Apiserver),
        commands.kubelet_log(first),
    ];
    next.extend(commands.manifests(first));
    next
}

/// Commands that ask often, since it fails only at times, and show what is behind it.
fn address_commands(vip: &Subject, commands: &Commands<'_>) -> Vec<Command> {
    let address = phrases::address(vip, commands.addresses());
    let mut next = vec![commands.readyz_again(vip)];
    let mut known = commands.addresses().keys();
    let behind = known.find(|known| matches!(known, Subject::Apiserver(..)) && known.cluster() == vip.cluster());
    if let Some(instance) = behind {
        let held = commands.address_held(instance, phrases::host(&address));
        next.push(held.note("on each: who holds the address?"));
        next.extend(commands.balancer(instance));
    }
    next
}

impl Rule for OneBad {
    fn explains(&self) -> &'static [Edge] {
        // A balancer in front of a bad instance fails in part; F23 waits until it fails entirely for longer. A name may
        // have the instances' own addresses.
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F59)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let instances = context.instances();
        let mut verdicts = Vec::new();
        if instances.len() > 1 {
            verdicts
                .extend(instances.iter().map(|instance| (instance.clone(), judge_one(context, instance, &instances))));
        }
        if let Some((name, cluster)) = context.cluster
            && cluster.vip.is_some()
            && !cluster.apiservers.is_empty()
        {
            let vip = Subject::Vip(name.clone());
            verdicts.push((vip.clone(), judge_partly(context, &vip, &instances)));
        }
        verdicts
    }
}

fn judge_one(context: &RuleContext<'_>, instance: &Subject, instances: &[Subject]) -> Verdict {
    let subject_state = context.subject_state(instance, Aspect::Answer);
    let SubjectState::Bad { bad, path_unproven } = subject_state else {
        return judge_partly(context, instance, instances);
    };
    // F25 and F50 report what it is not ready for.
    if !is_down(&bad.symptom) {
        return Verdict::Unknown(Why::Unclear);
    }
    let ready = ready(context, instances);
    let lasted = context.now.mono.since(bad.kind.first.mono);
    let level = if ready <= 1 && lasted >= context.policy().redundancy_loss_critical_after {
        Level::Critical
    } else {
        Level::Warning
    };
    let is_alive = context.reused_answers(instance, bad.kind.first);
    Verdict::Bad(Finding {
        rule: RuleId::F22,
        subject: instance.clone(),
        level,
        since: bad.kind.first.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven,
        evidence: Evidence::Partial {
            symptom: bad.symptom.clone(),
            ready,
            of: instances.len(),
            extent: if is_alive { Extent::NewConnections } else { Extent::Whole },
        },
    })
}

fn ready(context: &RuleContext<'_>, instances: &[Subject]) -> usize {
    instances.iter().filter(|other| context.subject_state(other, Aspect::Answer).good().is_some()).count()
}

/// What fails again and again, and works in between, is never three bad probes in a row.
fn judge_partly(context: &RuleContext<'_>, endpoint: &Subject, instances: &[Subject]) -> Verdict {
    let policy = context.policy();
    let subject_state = context.subject_state(endpoint, Aspect::Answer);
    let Some(own) = context.view.track(endpoint, Aspect::Answer) else { return subject_state.unless_bad() };
    let failures: Vec<&Now> = own.failures(context.now.mono, policy.partly_window).collect();
    let (Some(first), Some(symptom), true) =
        (failures.first(), own.last_failure(), failures.len() >= policy.partly_failures)
    else {
        // One below the threshold is no all-clear yet.
        let is_calm = failures.len() + 1 < policy.partly_failures || subject_state.good().is_none();
        return if is_calm { subject_state.unless_bad() } else { Verdict::Unknown(Why::Unclear) };
    };
    let track = |subject: &Subject| context.view.track(subject, Aspect::Answer);
    // A balancer fails in part with a bad instance behind it, and for a while after that has come back.
    let was_bad = |instance: &Subject| {
        let last = track(instance).and_then(|track| track.last_bad());
        last.is_some_and(|last| context.now.mono.since(last) <= policy.partly_window)
    };
    // A path of ours that loses packets fails everything in part; a place that has been down for long shows nothing
    // about it.
    let has_failed = |place: &Subject| {
        track(place).is_some_and(|track| track.failures(context.now.mono, policy.partly_window).next().is_some())
    };
    let is_explained = matches!(endpoint, Subject::Vip(_)) && instances.iter().any(was_bad);
    if is_explained || context.references().iter().any(has_failed) {
        return Verdict::Unknown(Why::Unclear);
    }
    Verdict::Bad(Finding {
        rule: RuleId::F22,
        subject: endpoint.clone(),
        level: Level::Warning,
        since: first.wall,
        hold: policy.redundancy_loss_for,
        path_unproven: false,
        evidence: Evidence::Partial {
            symptom: symptom.clone(),
            ready: ready(context, instances),
            of: instances.len(),
            extent: Extent::AtTimes { failures: failures.len(), window: policy.partly_window },
        },
    })
}

impl Rule for AllDown {
    fn explains(&self) -> &'static [Edge] {
        // Apiservers that come back are alive before they are ready: F25 and F50 are the tail of the same outage.
        const EDGES: [Edge; 7] = [
            Edge::in_cluster(RuleId::F22),
            Edge::in_cluster(RuleId::F23),
            Edge::in_cluster(RuleId::F25),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F58),
            Edge::in_cluster(RuleId::F50),
            Edge::in_cluster(RuleId::F59),
        ];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context
            .whole()
            .filter(|_| !context.instances().is_empty())
            .map(|whole| (whole.clone(), judge_all(context, whole)))
            .into_iter()
            .collect()
    }
}

fn judge_all(context: &RuleContext<'_>, whole: Subject) -> Verdict {
    let instances = context.instances();
    let subject_states: Vec<SubjectState<'_>> =
        instances.iter().map(|instance| context.subject_state(instance, Aspect::Answer)).collect();
    if let Some(good) = any_good(subject_states.iter().filter_map(SubjectState::good)) {
        return good;
    }
    let bad: Vec<_> = subject_states.iter().filter_map(SubjectState::bad).collect();
    let youngest = bad.iter().map(|bad| bad.run.first).max_by_key(|first| first.mono);
    let (Some(since), true) = (youngest, bad.len() == instances.len()) else {
        return Verdict::Unknown(gravest(subject_states.iter().filter_map(|subject_state| match subject_state {
            SubjectState::Unknown(why) => Some(*why),
            SubjectState::Good(_) | SubjectState::Bad { .. } => None,
        })));
    };
    // F25 and F50 report that all answer and none is ready, because they know why.
    if !bad.iter().any(|bad| is_down(&bad.symptom)) {
        return Verdict::Unknown(Why::Unclear);
    }
    let parts: Vec<(Subject, Symptom)> =
        instances.iter().cloned().zip(bad.iter().map(|bad| bad.symptom.clone())).collect();
    Verdict::Bad(Finding {
        rule: RuleId::F24,
        subject: whole,
        level: Level::Critical,
        since: since.wall,
        hold: if instances.len() == 1 { context.policy().single_instance_for } else { Duration::ZERO },
        path_unproven: subject_states.iter().any(SubjectState::is_unproven),
        evidence: Evidence::AllBad { parts },
    })
}
