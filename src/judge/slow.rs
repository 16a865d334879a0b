//! F49: answers, but slowly.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::Phase;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::ProbeRuns;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F49: answers take longer than a second, several probes in a row.
pub struct Slow;

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "Overload of the server, its host, or the network.";

/// Slow answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slowness {
    /// The endpoints that are slow, with the latest slow probe's total.
    pub parts: Vec<(Subject, Duration)>,
    /// The latest slow probe's total.
    pub total: Duration,
    /// The phase in which most of it went.
    pub dominating: Option<Phase>,
    /// Which probes are slow at the slowest of them.
    #[serde(default)]
    pub traffic: Traffic,
    /// Slow probes in a row.
    #[serde(alias = "looks")]
    pub probes: u32,
    /// Endpoints that were slow and have not been seen to be quick since, the slow ones left out.
    #[serde(default)]
    pub awaited: Vec<Subject>,
    /// Instances that are slow, the API VIP not counted.
    pub slow: usize,
    /// Of how many.
    pub of: usize,
}

impl Kind for Slowness {
    const TAG: &'static str = "slow";
}

impl Slowness {
    /// Whether the API VIP is slow and no instance is.
    fn is_address_alone(&self) -> bool {
        self.slow == 0 && self.parts.iter().all(|(endpoint, _)| endpoint.is_vip())
    }
}

impl Evidence for Slowness {
    /// One headline for the cluster, whichever endpoint is slow, because users see a slow API.
    fn headline(&self, _: &Finding) -> String {
        "the API is slow".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { total, dominating, traffic, probes, slow, of, parts, .. } = self;
        let place =
            parts.iter().map(|(endpoint, _)| phrases::place(endpoint, addresses)).collect::<Vec<_>>().join(", ");
        let most = dominating.map(|phase| format!(", mostly {}", phase_name(phase))).unwrap_or_default();
        let took = phrases::lasting(*total);
        let said = match traffic {
            Traffic::All => format!("{place} responds, but took {took}{most}; {probes} probes in a row were slow."),
            Traffic::Ordinary => format!(
                "Non-exempt requests to {place} are queued (API Priority and Fairness): the last took {took}{most}; \
                 {probes} in a row were slow. /readyz is exempt and fast."
            ),
            Traffic::Shed => format!(
                "{place} rejects non-exempt requests for overload (HTTP 429, API Priority and Fairness), {probes} in \
                 a row. /readyz is exempt and responds."
            ),
            Traffic::Connecting => format!(
                "New connections to {place} took {took}{most}; {probes} in a row were slow. Requests over a kept \
                 connection are fast."
            ),
            Traffic::Health => format!(
                "The readiness checks of {place} took {took}{most}; {probes} in a row were slow. Requests that need \
                 no etcd are fast."
            ),
        };
        let rest = if self.is_address_alone() {
            format!("Probed directly, none of the {of} instances is slow.")
        } else {
            format!("{slow} of {of} instances are slow.")
        };
        let text = format!("{said} {rest}");
        phrases::capital(text)
    }

    fn impact(&self, _: &Finding) -> String {
        if self.slow >= self.of {
            "Every request to the API is slow: kubectl, deploys, controllers; leases may be lost. Running pods keep \
             running."
                .into()
        } else if self.is_address_alone() {
            "Requests through the API VIP are slow, though the apiservers behind it are fast. Running pods keep \
             running."
                .into()
        } else {
            "Requests to this instance are slow. Other instances are not affected.".into()
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let text = match (self.traffic, self.dominating) {
            (_, Some(Phase::Resolve)) => "Name resolution on the vedette host.",
            (_, Some(Phase::Dial)) if self.is_address_alone() => {
                "The load balancer or the network to it: its accept queue is full (too many connections), or the \
                 link loses packets. The instances are not at fault."
            }
            (_, Some(Phase::Tls)) if self.is_address_alone() => {
                "The load balancer: it lacks CPU, or it waits for a backend before it passes the handshake on. The \
                 instances are not at fault; a backend that is not monitored here may be."
            }
            _ if self.is_address_alone() => {
                "The load balancer: it queues requests, or sends them to a backend that is not monitored here. The \
                 instances are not at fault."
            }
            (Traffic::Ordinary | Traffic::Shed, _) => {
                "The server is overloaded by a client (many LIST or WATCH requests) and API Priority and Fairness \
                 queues non-exempt requests, or what authenticates them (webhook, OIDC) is slow."
            }
            (Traffic::Health, Some(Phase::FirstByte | Phase::Body)) => {
                "etcd behind it, or the network to it: the readiness checks wait for it, and what needs no etcd does \
                 not."
            }
            (_, Some(Phase::Dial)) => "The network to it (packet loss, a full link), or a full accept queue.",
            (_, Some(Phase::Tls)) => {
                "The host lacks CPU: handshakes are the first to wait, and many clients that reconnect at once cost \
                 most."
            }
            (_, Some(Phase::FirstByte | Phase::Body)) => {
                "The server is overloaded (many LIST or WATCH calls, too little CPU or memory), or etcd behind it is \
                 slow."
            }
            (_, Some(Phase::Idle) | None) => LIKELY_CAUSE,
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { parts, .. } = self;
        let slowest = parts.iter().max_by_key(|(_, total)| *total).map_or(&finding.subject, |(endpoint, _)| endpoint);
        vec![
            commands.phases(slowest),
            commands.priority_levels(slowest),
            commands.pressure(std::slice::from_ref(slowest)),
            commands.logs(slowest, Program::Apiserver),
        ]
    }

    fn concerned(&self) -> Vec<Subject> {
        self.parts.iter().map(|(part, _)| part).chain(&self.awaited).cloned().collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.parts.iter().map(|(part, _)| part).collect()
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "DNS resolution",
        Phase::Dial => "the TCP connect",
        Phase::Tls => "the TLS handshake",
        Phase::FirstByte => "server processing",
        Phase::Body => "transfer of the response",
        Phase::Idle => "idling",
    }
}

/// Slow probes in a row that make a finding, so that a single slow answer raises none.
const PROBES: u32 = 3;

impl Rule for Slow {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F49,
            name: "ApiSlow",
            in_short: "slow",
            title: "the API responds slowly",
            impact: "Requests to the slow endpoint wait; if all instances are slow, the whole API does.",
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Slowness>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        let whole = Subject::Cluster(name.clone());
        let instances = context.instances();
        let mut endpoints = instances.clone();
        if cluster.vip.is_some() && !cluster.apiservers.is_empty() {
            endpoints.push(Subject::Vip(name.clone()));
        }
        if endpoints.is_empty() {
            return Vec::new();
        }
        let slow: Vec<(&Subject, &ProbeRuns, Aspect)> =
            endpoints.iter().filter_map(|endpoint| slow_track(context, endpoint)).collect();
        let awaited = awaited(context, &whole, &endpoints);
        let verdict = if slow.is_empty() {
            brisk(context, &endpoints, &awaited)
        } else {
            found(context, &whole, &slow, &instances, awaited)
        };
        vec![(whole, verdict)]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api, lines};

        Sample::of(
            "prod-eu1",
            Level::Warning,
            Arc::new(Slowness {
                parts: vec![(api("api-1"), Duration::from_millis(2340))],
                total: Duration::from_millis(2340),
                dominating: Some(Phase::FirstByte),
                traffic: Traffic::All,
                probes: 3,
                awaited: Vec::new(),
                slow: 1,
                of: 2,
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
    }
}

/// What does not answer at all is not slow: F22 to F24 report that.
fn slow_track<'a>(context: &RuleContext<'a>, endpoint: &'a Subject) -> Option<(&'a Subject, &'a ProbeRuns, Aspect)> {
    if context.view.track(endpoint, Aspect::Answer).is_some_and(|track| track.bad().is_some()) {
        return None;
    }
    [Aspect::Answer, Aspect::Ordinary].into_iter().find_map(|aspect| {
        let track = context.view.track(endpoint, aspect)?;
        track.slow().filter(|run| run.probes >= PROBES).map(|_| (endpoint, track, aspect))
    })
}

/// Endpoints that were reported as slow and have not been fast since; one that is down counts as not fast.
fn awaited(context: &RuleContext<'_>, whole: &Subject, endpoints: &[Subject]) -> Vec<Subject> {
    let raised = context.raised_of(RuleId::F49, whole).and_then(Finding::seen::<Slowness>);
    let Some(Slowness { parts, awaited, traffic, .. }) = raised else { return Vec::new() };
    let told = |endpoint: &Subject| awaited.contains(endpoint) || parts.iter().any(|(slow, _)| slow == endpoint);
    let needs_ordinary = matches!(traffic, Traffic::Ordinary | Traffic::Shed);
    endpoints
        .iter()
        .filter(|endpoint| told(endpoint) && !is_brisk_again(context, endpoint, needs_ordinary))
        .cloned()
        .collect()
}

fn is_brisk_again(context: &RuleContext<'_>, endpoint: &Subject, needs_ordinary: bool) -> bool {
    let track = |aspect| context.view.track(endpoint, aspect);
    let is_brisk = |aspect: Aspect| {
        let freshness = aspect.freshness(endpoint, context.policy());
        track(aspect).is_some_and(|track| track.brisk().is_some() && track.is_freshly_good(freshness, context.now.mono))
    };
    let asks_ordinary = track(Aspect::Ordinary).is_some_and(|track| track.last_good().is_some());
    is_brisk(Aspect::Answer) && (is_brisk(Aspect::Ordinary) || !needs_ordinary && !asks_ordinary)
}

fn found(
    context: &RuleContext<'_>,
    whole: &Subject,
    slow: &[(&Subject, &ProbeRuns, Aspect)],
    instances: &[Subject],
    awaited: Vec<Subject>,
) -> Verdict {
    let runs = || slow.iter().filter_map(|(_, track, _)| track.slow());
    let Some(since) = runs().map(|run| run.first).min_by_key(|first| first.mono) else {
        return Verdict::Unknown(Why::Unclear);
    };
    let parts: Vec<_> =
        slow.iter().map(|(endpoint, _, aspect)| ((*endpoint).clone(), phases(context, endpoint, *aspect))).collect();
    let worst = parts.iter().max_by_key(|(_, (total, _))| *total);
    let dominating = worst.and_then(|(_, (_, dominating))| *dominating);
    let traffic = worst.map(|(endpoint, _)| traffic(context, endpoint, dominating)).unwrap_or_default();
    let slow_instances = parts.iter().filter(|(endpoint, _)| instances.contains(endpoint)).count();
    let all = slow_instances == instances.len();
    let policy = context.policy();
    Verdict::Bad(Finding {
        rule: RuleId::F49,
        subject: whole.clone(),
        level: if all { Level::Critical } else { Level::Warning },
        since: since.wall,
        hold: if all { policy.single_instance_for } else { policy.redundancy_loss_for },
        path_unproven: false,
        evidence: Arc::new(Slowness {
            total: worst.map(|(_, (total, _))| *total).unwrap_or_default(),
            dominating,
            traffic,
            probes: runs().map(|run| run.probes).max().unwrap_or_default(),
            awaited: awaited.into_iter().filter(|other| slow.iter().all(|(slow, _, _)| *slow != other)).collect(),
            slow: slow_instances,
            of: instances.len(),
            parts: parts.into_iter().map(|(endpoint, (total, _))| (endpoint, total)).collect(),
        }),
    })
}

/// Which probes of an endpoint are slow, judged by the fast ones beside them.
fn traffic(context: &RuleContext<'_>, endpoint: &Subject, dominating: Option<Phase>) -> Traffic {
    let track = |aspect| context.view.track(endpoint, aspect);
    let is_slow = |aspect| track(aspect).is_some_and(|track| track.slow().is_some_and(|run| run.probes >= PROBES));
    let is_brisk = |aspect: Aspect| {
        let freshness = aspect.freshness(endpoint, context.policy());
        track(aspect).is_some_and(|track| track.brisk().is_some() && track.is_freshly_good(freshness, context.now.mono))
    };
    let (exempt, ordinary) = (Aspect::Answer, Aspect::Ordinary);
    if is_slow(ordinary) && is_brisk(exempt) {
        let is_shed = track(ordinary).is_some_and(ProbeRuns::is_shed);
        return if is_shed { Traffic::Shed } else { Traffic::Ordinary };
    }
    match dominating {
        Some(Phase::Dial | Phase::Tls) if is_slow(exempt) && is_brisk(ordinary) => Traffic::Connecting,
        Some(Phase::FirstByte | Phase::Body) if is_slow(exempt) && is_brisk(ordinary) => Traffic::Health,
        Some(_) | None => Traffic::All,
    }
}

fn phases(context: &RuleContext<'_>, endpoint: &Subject, aspect: Aspect) -> (Duration, Option<Phase>) {
    let probe = match aspect {
        Aspect::Ordinary => Probe::reused(endpoint.clone(), ProbeKind::Version),
        Aspect::Answer
        | Aspect::Leader
        | Aspect::Alarm(_)
        | Aspect::ListedAlarm(_)
        | Aspect::Mind
        | Aspect::Read
        | Aspect::Configured
        | Aspect::ConfiguredPages
        | Aspect::Started
        | Aspect::Addresses
        | Aspect::Canary
        | Aspect::Way
        | Aspect::Clock => Probe::anew(endpoint.clone(), ProbeKind::Readyz),
    };
    let cluster_snapshot = endpoint.cluster().and_then(|cluster| context.view.cluster_snapshot(cluster));
    let observation = cluster_snapshot.and_then(|cluster_snapshot| cluster_snapshot.observations.get(&probe));
    observation.map(|observation| (observation.phases.total(), observation.phases.dominating())).unwrap_or_default()
}

fn brisk(context: &RuleContext<'_>, endpoints: &[Subject], awaited: &[Subject]) -> Verdict {
    if !awaited.is_empty() {
        return Verdict::Unknown(Why::Unclear);
    }
    let runs = endpoints.iter().flat_map(|endpoint| {
        [Aspect::Answer, Aspect::Ordinary]
            .into_iter()
            .filter_map(|aspect| Some((aspect, context.view.track(endpoint, aspect)?)))
            .filter(|(aspect, track)| {
                track.is_freshly_good(aspect.freshness(endpoint, context.policy()), context.now.mono)
            })
            .filter_map(|(_, track)| track.brisk())
    });
    all_good(runs).unwrap_or(Verdict::Unknown(Why::Unclear))
}

/// Which of the probes at an endpoint are slow: the fast ones beside them show where the time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// All of them, or too little is known.
    #[default]
    All,
    /// Ordinary requests; exempt health checks are quick.
    Ordinary,
    /// Ordinary requests are refused for overload (429); exempt health checks are answered.
    Shed,
    /// New connections, before anything is asked; requests over an open one are quick.
    Connecting,
    /// Health checks, which ask etcd; ordinary requests that need no etcd are quick.
    Health,
}
