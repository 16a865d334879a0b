//! F23: the address clients use is down while instances are ready.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::Cause;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::ProbeRuns;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, is_down};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, not_an_apiserver, phrases};

/// F23: the API VIP gives no answer, yet an instance asked directly is ready.
pub struct VipDead;

/// What stops working, whatever was seen.
const IMPACT: &str = "Every client of this address has lost the API: kubectl, kubelets, controllers, deploys. The \
    apiservers respond when addressed directly (kubectl --server=https://HOST:PORT). Running pods keep running and \
    serving.";

/// The likely cause while nothing else is known.
const LIKELY_CAUSE: &str = "The load balancer, or the host that owns the VIP.";

/// The API VIP is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// What it does.
    pub symptom: Symptom,
    /// Instances that are ready when asked directly.
    pub ready: Vec<Subject>,
    /// Whether a connection opened earlier still answers.
    #[serde(default)]
    pub reused_answers: bool,
}

impl Kind for Vip {
    const TAG: &'static str = "vip";
}

impl Evidence for Vip {
    fn headline(&self, _: &Finding) -> String {
        "API VIP down".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::address(&finding.subject, addresses);
        let Self { symptom, ready, reused_answers } = self;
        let ready: Vec<String> = ready.iter().map(|instance| phrases::place(instance, addresses)).collect();
        let verb = if ready.len() == 1 { "is" } else { "are" };
        format!(
            "The API VIP {place} is {}.{} Probed directly, {} {verb} ready.",
            phrases::symptom(symptom),
            if *reused_answers { phrases::OPEN_ONES_ANSWER } else { "" },
            phrases::list(&ready)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let text = match &self.symptom {
            Symptom::Silent(unseen) if unseen.cause == Cause::Refused => {
                "The host that owns the VIP is up but its load balancer (haproxy, kube-vip, nginx) is not running."
            }
            Symptom::Silent(unseen) if unseen.cause == Cause::Timeout => {
                "No host owns the VIP (keepalived, kube-vip, cloud load balancer), or the host that owns it hangs."
            }
            Symptom::Silent(_) => {
                "The load balancer accepts and drops connections: it sees no healthy backend, or its own TLS or \
                 proxy set-up is broken."
            }
            Symptom::Status(_) => {
                "The load balancer answers by itself: it sees no healthy backend. Check its health checks first."
            }
            Symptom::Foreign { .. } => not_an_apiserver::CAUSE,
            Symptom::NotReady(_) => LIKELY_CAUSE,
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let address = phrases::address(&finding.subject, commands.addresses);
        let vip = phrases::host(&address);
        let is_foreign = matches!(self.symptom, Symptom::Foreign { .. });
        let mut next = if is_foreign {
            commands.who_answers(&finding.subject).to_vec()
        } else {
            vec![commands.readyz(&finding.subject)]
        };
        let ready = &self.ready;
        next.extend(ready.first().map(|instance| commands.nodes(instance)));
        let holders = ready.iter().take(if is_foreign { 1 } else { 2 });
        next.extend(holders.map(|instance| commands.address_held(instance, vip).note("does it hold the address?")));
        next.extend(ready.first().and_then(|instance| commands.balancer(instance)));
        next
    }

    fn is_outage(&self) -> bool {
        true
    }

    fn may_be_lost_site(&self) -> bool {
        true
    }
}

/// While an instance behind the VIP is bad, or was since the VIP began to fail, every probe of the VIP must fail for
/// this long before the VIP itself is reported: a balancer that rotates between instances lets every second probe
/// through, so 30 bad ones in a row (1 s apart) are not due to the instance.
const PARTLY_FAILING: Duration = Duration::from_secs(30);

impl Rule for VipDead {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F23,
            name: "ApiVipDown",
            in_short: "API VIP down",
            title: "API VIP down, apiservers healthy",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Vip>()
    }

    fn explains(&self) -> &'static [Edge] {
        // It failed in part before it failed entirely.
        const EDGES: [Edge; 1] = [Edge::at_subject(RuleId::F61)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        if cluster.vip.is_none() || cluster.apiservers.is_empty() {
            return Vec::new();
        }
        let vip = Subject::Vip(name.clone());
        vec![(vip.clone(), judge_vip(context, vip, cluster.vip_fails_over))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, Sample, api, lines};

        Sample::of(
            "prod-eu1/vip",
            Level::Critical,
            Arc::new(Vip {
                symptom: Symptom::Silent(MUTE),
                ready: vec![api("api-1"), api("api-2")],
                reused_answers: false,
            }),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 1200, "HTTP 200"),
            lines::api("apiserver/api-2", 1100, "HTTP 200"),
            lines::no_api("vip", MUTE),
        ])
    }
}

fn judge_vip(context: &RuleContext<'_>, vip: Subject, fails_over: bool) -> Verdict {
    let subject_state = context.subject_state(&vip, Aspect::Answer);
    // A balancer that is known to lose connections loses several in a row at times: no sign that the address is dead.
    let is_lossy = context.view.loses_connections_since(&vip).is_some();
    let SubjectState::Bad { bad, path_unproven } = subject_state else {
        let is_suspected = matches!(subject_state, SubjectState::Unknown(Why::Suspected { .. }));
        return if is_lossy && is_suspected { Verdict::Unknown(Why::Unclear) } else { subject_state.unless_bad() };
    };
    let suspected = Verdict::Unknown(Why::Suspected { since: bad.run.first });
    if !is_down(&bad.symptom) {
        // It leads to an instance that is not ready: the address itself works.
        return Verdict::Unknown(Why::Unclear);
    }
    let instances = context.instances();
    let freshly_ready: Vec<Subject> = instances
        .iter()
        .filter(|instance| {
            let good = context.view.track(instance, Aspect::Answer).and_then(|track| track.good().copied());
            good.is_some_and(|good| good.last.mono > bad.run.first.mono)
        })
        .cloned()
        .collect();
    if freshly_ready.is_empty() {
        return suspected;
    }
    let was_bad =
        |track: &ProbeRuns| track.bad().is_some() || track.last_bad().is_some_and(|at| at >= bad.run.first.mono);
    let has_bad_instance =
        instances.iter().any(|instance| context.view.track(instance, Aspect::Answer).is_some_and(was_bad));
    let lasted = bad.run.last.mono.since(bad.run.first.mono);
    if has_bad_instance && lasted < PARTLY_FAILING {
        return suspected;
    }
    Verdict::Bad(Finding {
        rule: RuleId::F23,
        evidence: Arc::new(Vip {
            symptom: bad.symptom.clone(),
            ready: freshly_ready,
            reused_answers: context.reused_answers(&vip, bad.run.first),
        }),
        subject: vip,
        level: Level::Critical,
        since: bad.run.first.wall,
        hold: if fails_over { context.policy().single_instance_for } else { Duration::ZERO },
        path_unproven,
    })
}
