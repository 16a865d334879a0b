//! F22 one of several apiservers bad, F24 every apiserver down.

use std::time::Duration;

use crate::model::observation::Cause;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Symptom, Verdict, Why};
use crate::observe::view::Aspect;

use super::edges::Edge;
use super::scene::{Scene, Standing, any_good, gravest, is_down};
use super::words::{Addresses, Words};
use super::{Rule, phrases};

/// F22: one of several instances is bad.
pub struct OneBad;

/// F24: every instance is bad.
pub struct AllDown;

impl Words for OneBad {
    fn id(&self) -> RuleId {
        RuleId::F22
    }

    fn title(&self) -> &'static str {
        "one of several apiservers bad"
    }

    fn headline(&self, finding: &Finding) -> String {
        match &finding.subject {
            Subject::Vip(_) => "shared API address fails in part".into(),
            subject @ (Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Cluster(_)
            | Subject::Apiserver(..)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)) => format!("apiserver {} is failing", phrases::fit(subject.short(), 24)),
        }
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let instance = phrases::place(&finding.subject, addresses);
        let Evidence::Partial { symptom, ready, of } = &finding.evidence else {
            return format!("kube-apiserver {instance} is failing.");
        };
        format!("kube-apiserver {instance} is {}. {ready} of {of} instances are ready.", phrases::symptom(symptom))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn impact(&self, finding: &Finding) -> String {
        let rest = match &finding.evidence {
            Evidence::Partial { ready: 0 | 1, .. } => " No further instance can be lost.",
            _ => "",
        };
        format!(
            "Clients that reach this instance fail or wait: calls through the shared address fail in part unless the \
             balancer has taken it out. Clients pinned to it (kubelets, controllers on the same machine) are cut \
             off.{rest}"
        )
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Partial { symptom, .. } => cause_of(symptom).into(),
            _ => "The instance's process, machine or network.".into(),
        }
    }

    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        instance_commands(&finding.subject, addresses)
    }
}

impl Words for AllDown {
    fn id(&self) -> RuleId {
        RuleId::F24
    }

    fn title(&self) -> &'static str {
        "every apiserver down"
    }

    fn headline(&self, _: &Finding) -> String {
        "every apiserver is down".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::AllBad { parts } = &finding.evidence else {
            return "No kube-apiserver of this cluster serves.".into();
        };
        let each: Vec<String> = parts
            .iter()
            .map(|(instance, symptom)| {
                format!("{} is {}", phrases::place(instance, addresses), phrases::symptom(symptom))
            })
            .collect();
        match parts.len() {
            1 => format!("The only kube-apiserver watched, {}.", phrases::list(&each)),
            count => format!("None of the {count} kube-apiservers serves: {}.", each.join("; ")),
        }
    }

    fn impact(&self, _: &Finding) -> String {
        "The API is gone: kubectl, deploys, scaling, rescheduling and everything that asks the API stop. Running pods \
         keep running and serving; service discovery inside the cluster lives on its cache, for minutes, not hours."
            .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let Evidence::AllBad { parts } = &finding.evidence else {
            return "Something the instances share.".into();
        };
        let all = |test: fn(&Symptom) -> bool| !parts.is_empty() && parts.iter().all(|(_, symptom)| test(symptom));
        if all(|symptom| matches!(symptom, Symptom::Silent(unseen) if unseen.cause == Cause::Refused)) {
            "Every instance refuses connections: the machines are up, the processes are not running. A change to all \
             of them at once is the usual reason: manifest, certificate, image, rollout. etcd is not named as the cause."
                .into()
        } else if all(|symptom| matches!(symptom, Symptom::Silent(unseen) if unseen.cause == Cause::Timeout)) {
            "Every instance stays mute while other places answer: the network to this cluster is cut, its machines are \
             down, or all instances hang, for instance under overload."
                .into()
        } else if all(|symptom| matches!(symptom, Symptom::NotReady(_))) {
            "Every instance runs and says that it is not ready: something they share fails, as the named checks say."
                .into()
        } else {
            "The instances fail in different ways: look for what they share (machines, network, a rollout under way)."
                .into()
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let first = match &finding.evidence {
            Evidence::AllBad { parts } => parts.first().map(|(instance, _)| instance.clone()),
            _ => None,
        };
        first.map_or_else(Vec::new, |first| instance_commands(&first, addresses))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "special words for some cases, a general sentence for all others")]
fn cause_of(symptom: &Symptom) -> &'static str {
    match symptom {
        Symptom::Silent(unseen) => match unseen.cause {
            Cause::Refused => {
                "The machine answers but nothing listens: the process ended and does not come back (crash loop, bad \
                 manifest, expired certificate), or it is being restarted."
            }
            Cause::Timeout => "The machine or its network is down, or the process hangs.",
            Cause::TlsBroken | Cause::TlsAlert => {
                "The TLS set-up of this instance: certificate, key, or a proxy in front."
            }
            _ => "The process or what stands in front of it drops connections.",
        },
        Symptom::Status(_) => {
            "Something in front of the instance answers in its place: a balancer or a proxy without a backend."
        }
        Symptom::NotReady(_) => "The instance runs and says itself what it lacks.",
    }
}

/// What to look at on the machine of one instance.
pub(super) fn instance_commands(instance: &Subject, addresses: &Addresses) -> Vec<String> {
    let host = phrases::host_of(instance, addresses);
    vec![
        phrases::readyz(instance, addresses),
        phrases::containers(instance, addresses, "kube-apiserver"),
        phrases::logs(instance, addresses, "kube-apiserver"),
        format!("ssh {host} 'journalctl -u kubelet --since -15min | tail -50'"),
        format!("ssh {host} ls -l --time-style=full-iso /etc/kubernetes/manifests"),
    ]
}

impl Rule for OneBad {
    fn explains(&self) -> &'static [Edge] {
        // A balancer in front of a bad instance fails in part; F23 waits until it is wholly dead for longer.
        &[]
    }

    fn judge(&self, scene: &Scene<'_>) -> Vec<(Subject, Verdict)> {
        let instances = scene.instances();
        if instances.len() < 2 {
            return Vec::new();
        }
        instances.iter().map(|instance| (instance.clone(), judge_one(scene, instance, &instances))).collect()
    }
}

fn judge_one(scene: &Scene<'_>, instance: &Subject, instances: &[Subject]) -> Verdict {
    let standing = scene.standing(instance, Aspect::Answer);
    let Standing::Bad { bad, path_unproven } = standing else { return standing.unless_bad() };
    // What it is not ready for is said by F25 and F50.
    if !is_down(&bad.symptom) {
        return Verdict::Unknown(Why::Unclear);
    }
    let ready = instances.iter().filter(|other| scene.standing(other, Aspect::Answer).good().is_some()).count();
    let lasted = scene.now.mono.since(bad.kind.first.mono);
    let level =
        if ready <= 1 && lasted >= scene.policy().redundancy_critical { Level::Critical } else { Level::Warning };
    Verdict::Bad(Finding {
        rule: RuleId::F22,
        subject: instance.clone(),
        level,
        since: bad.kind.first.wall,
        hold: scene.policy().redundancy_hold,
        path_unproven,
        evidence: Evidence::Partial { symptom: bad.symptom.clone(), ready, of: instances.len() },
    })
}

impl Rule for AllDown {
    fn explains(&self) -> &'static [Edge] {
        // Apiservers that come back are alive before they are ready: F25 and F50 are the tail of the same outage.
        const EDGES: [Edge; 5] = [
            Edge::in_cluster(RuleId::F22),
            Edge::in_cluster(RuleId::F23),
            Edge::in_cluster(RuleId::F25),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F50),
        ];
        &EDGES
    }

    fn judge(&self, scene: &Scene<'_>) -> Vec<(Subject, Verdict)> {
        scene
            .whole()
            .filter(|_| !scene.instances().is_empty())
            .map(|whole| (whole.clone(), judge_all(scene, whole)))
            .into_iter()
            .collect()
    }
}

fn judge_all(scene: &Scene<'_>, whole: Subject) -> Verdict {
    let instances = scene.instances();
    let standings: Vec<Standing<'_>> =
        instances.iter().map(|instance| scene.standing(instance, Aspect::Answer)).collect();
    if let Some(good) = any_good(standings.iter().filter_map(Standing::good)) {
        return good;
    }
    let bad: Vec<_> = standings.iter().filter_map(Standing::bad).collect();
    let youngest = bad.iter().map(|bad| bad.run.first).max_by_key(|first| first.mono);
    let (Some(since), true) = (youngest, bad.len() == instances.len()) else {
        return Verdict::Unknown(gravest(standings.iter().filter_map(|standing| match standing {
            Standing::Unknown(why) => Some(*why),
            Standing::Good(_) | Standing::Bad { .. } => None,
        })));
    };
    // All alive and none ready is said by F25 and F50, which know why.
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
        hold: if instances.len() == 1 { scene.policy().sole_hold } else { Duration::ZERO },
        path_unproven: standings.iter().any(Standing::is_unproven),
        evidence: Evidence::AllBad { parts },
    })
}
