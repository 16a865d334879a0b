//! F61: the balancer in front of the API loses some of the connections that clients open.
//!
//! A dead instance is nobody's problem while the balancer sends nothing there. Where its check is weaker than what
//! clients need (it opens a connection, and a frozen instance accepts that), one connection in so many is lost for as
//! long as the instance is down, and every client feels it. That is worth a mail of its own, without the hold of a lost
//! redundancy. When losses are too many is decided in `observe/connection_losses.rs`.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::Unseen;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, is_down};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F61: of the new connections to the API VIP some are lost, the others are answered.
pub struct BalancerLosesConnections;

/// With so many of a thousand lost, users notice: the share of one instance of five.
const CRITICAL_PERMILLE: usize = 200;

/// What stops working, whatever was seen.
const IMPACT: &str = "Some requests through this address fail or hang while others work: kubectl and controllers see \
                      errors that come and go. The apiservers respond when addressed directly.";

/// The likely cause while no instance is known to be down.
const LIKELY_CAUSE: &str = "The load balancer sends some connections to a backend that is down and is not monitored \
                            here, two hosts claim the address, the load balancer itself is overloaded, or packets to it \
                            are lost.";

/// New connections that were lost while others were answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostConnections {
    /// How many of the latest were lost.
    pub lost: usize,
    /// Of how many.
    pub of: usize,
    /// How the last of them was lost.
    pub last: Option<Unseen>,
    /// Instances that are down when asked directly.
    pub down: Vec<Subject>,
}

impl Kind for LostConnections {
    const TAG: &'static str = "lost_connections";
}

impl LostConnections {
    /// Of a hundred.
    pub(super) const fn percent(&self) -> usize {
        match (self.lost * 100 + self.of / 2).checked_div(self.of) {
            Some(percent) => percent,
            None => 0,
        }
    }
}

impl Evidence for LostConnections {
    fn headline(&self, _: &Finding) -> String {
        "API VIP loses connections".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::address(&finding.subject, addresses);
        let how =
            self.last.map_or_else(String::new, |unseen| format!(" The last of them: {}.", phrases::state(unseen)));
        let said = format!(
            "Of the last {} new connections to the API VIP {place} {} were lost ({} %), the \
             others were answered.{how}",
            self.of,
            self.lost,
            self.percent()
        );
        let down: Vec<String> = self.down.iter().map(|instance| phrases::place(instance, addresses)).collect();
        if down.is_empty() {
            return said;
        }
        let verb = if down.len() == 1 { "is" } else { "are" };
        format!(
            "{said} Probed directly, {} {verb} down, and the load balancer still sends connections there.",
            phrases::list(&down)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let names: Vec<String> = self.down.iter().map(|instance| instance.short().to_owned()).collect();
        if names.is_empty() {
            return LIKELY_CAUSE.into();
        }
        format!(
            "The load balancer's health check does not ask for /readyz: it takes {} for healthy, because its port still \
             accepts connections. Take it out of the load balancer by hand, and let the check ask for /readyz over HTTPS.",
            phrases::list(&names)
        )
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let vip = &finding.subject;
        let address = phrases::address(vip, commands.addresses);
        let mut next = vec![commands.readyz_again(vip)];
        next.extend(self.down.first().map(|instance| commands.readyz(instance)));
        let behind = self.down.first().or_else(|| {
            commands.addresses.keys().find(|known| known.is_apiserver() && known.cluster() == vip.cluster())
        });
        if let Some(instance) = behind {
            let held = commands.address_held(instance, phrases::host(&address));
            next.push(held.note("on each: who holds the address?"));
            next.extend(commands.balancer(instance));
        }
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        self.down.clone()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.down.iter().collect()
    }
}

impl Rule for BalancerLosesConnections {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F61,
            name: "ApiVipLosesConnections",
            in_short: "API VIP loses connections",
            title: "the API VIP loses some of the new connections",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<LostConnections>()
    }

    fn explains(&self) -> &'static [Edge] {
        // The instance that is down behind it is told with it, and after its own hold it needs no second mail.
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F22)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        if cluster.vip.is_none() {
            return Vec::new();
        }
        let vip = Subject::Vip(name.clone());
        vec![(vip.clone(), judge_vip(context, vip))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, Sample, api, lines};

        Sample::of(
            "prod-eu1/vip",
            Level::Critical,
            Arc::new(LostConnections { lost: 33, of: 100, last: Some(MUTE), down: vec![api("api-2")] }),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 1200, "HTTP 200"),
            lines::no_api("apiserver/api-2", MUTE),
            lines::no_api("vip", MUTE),
        ])
    }
}

fn judge_vip(context: &RuleContext<'_>, vip: Subject) -> Verdict {
    let subject_state = context.subject_state(&vip, Aspect::Answer);
    let Some(losses) = context.view.connection_losses(&vip) else { return subject_state.unless_bad() };
    let Some(since) = losses.lossy_since() else {
        // What was told before a restart is over once a whole window has been answered.
        let is_over = losses.is_calm() || context.raised_of(RuleId::F61, &vip).is_none();
        return if is_over { subject_state.unless_bad() } else { Verdict::Unknown(Why::Unclear) };
    };
    // Where everything is lost, F23 and F24 tell it.
    let is_dead = subject_state.bad().is_some();
    let instances: Vec<Subject> = context.instances().into_iter().filter(|instance| *instance != vip).collect();
    let down: Vec<Subject> = instances.iter().filter(|instance| is_bad(context, instance)).cloned().collect();
    let all_down = !instances.is_empty() && down.len() == instances.len();
    if is_dead || all_down || has_lossy_path(context, &instances, &down) {
        return Verdict::Unknown(Why::Unclear);
    }
    let (lost, of) = losses.lost();
    let is_critical = lost * 1000 >= of * CRITICAL_PERMILLE;
    Verdict::Bad(Finding {
        rule: RuleId::F61,
        subject: vip,
        level: if is_critical { Level::Critical } else { Level::Warning },
        since: since.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(LostConnections { lost, of, last: losses.last(), down }),
    })
}

/// Whether an instance does not answer when asked directly, even if that is not confirmed yet.
fn is_bad(context: &RuleContext<'_>, instance: &Subject) -> bool {
    let bad = context.view.track(instance, Aspect::Answer).and_then(|track| track.bad());
    bad.is_some_and(|bad| is_down(&bad.symptom))
}

/// A path of ours that loses packets fails everything in part: a reference target, or each instance that is not down.
fn has_lossy_path(context: &RuleContext<'_>, instances: &[Subject], down: &[Subject]) -> bool {
    let mut others = instances.iter().filter(|instance| !down.contains(instance)).peekable();
    context.references().iter().any(|place| context.has_failed(place))
        || (others.peek().is_some() && others.all(|instance| context.has_failed(instance)))
}
