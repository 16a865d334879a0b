//! `vedette who CLUSTER`: who uses the API now, asked of every apiserver, and what throttles the largest.
//!
//! Asks by itself, so that it tells the same with and without a daemon; only what is usual is known to the daemon alone.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::collect::Collectors;
use crate::config::settings::Settings;
use crate::daemon::clock;
use crate::judge::overload::Culprit;
use crate::judge::throttle::Throttle;
use crate::model::flow_control::{PriorityLevels, Suspicion};
use crate::model::observation::{Observation, Reading};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeId, ProbeKind, ProbeRequest};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Clock, Now};
use crate::observe::flow_control::{FlowControl, NoAnswer, Senders};
use crate::render::harmless::{LONGEST, line, verbatim};

use super::control_client::Whom;

/// Nothing could be learnt, by the contract of monitoring plugins.
const UNKNOWN: u8 = 3;

/// Show who uses the API now: user, verb, resource and share of seats
///
/// Asks each apiserver for its priority levels and its requests under way (API Priority and Fairness), with the
/// credential of the configuration, and prints the objects that would throttle the largest clients. Applies nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// The cluster, by its name in the configuration
    cluster: Name,
    #[command(flatten)]
    whom: Whom,
}

impl Who {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let settings = match Settings::load(self.whom.config()) {
            Ok((settings, _)) => settings,
            Err(problems) => {
                let mut stderr = io::stderr().lock();
                problems.iter().try_for_each(|problem| writeln!(stderr, "{problem}"))?;
                return Ok(ExitCode::from(super::CONFIG));
            }
        };
        let inventory = settings.inventory();
        let Some(cluster) = inventory.clusters.get(&self.cluster) else {
            anyhow::bail!("no cluster '{}' in {}", self.cluster, self.whom.config().display());
        };
        let instances = cluster.instances(&self.cluster);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (observations, now) = runtime.block_on(ask(&settings, &instances))?;
        runtime.shutdown_background();
        let usual = self.usual();
        let shown = Shown { cluster: &self.cluster, instances: &instances, policy: &settings.policy, usual: &usual };
        let (text, is_known) = shown.text(&observations, now);
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::from(UNKNOWN) })
    }

    /// What is usual for whom, as far as the daemon runs and shows it: by user and by what it asks for.
    fn usual(&self) -> BTreeMap<(String, String), String> {
        let path = format!("/api/v1/status?cluster={}", self.cluster);
        let told = self.whom.ask(Method::GET, &path, String::new()).ok().filter(|answer| answer.status.is_success());
        let status: Option<Value> = told.and_then(|answer| serde_json::from_str(&answer.text).ok());
        let details = status.as_ref().and_then(|status| status["details"].as_array()).into_iter().flatten();
        let senders = details.filter_map(|detail| detail["load"]["senders"].as_array()).flatten();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        senders
            .filter_map(|sender| Some(((text(&sender["user"])?, text(&sender["asks"])?), text(&sender["usual"])?)))
            .collect()
    }
}

/// The levels and then the requests of each of `instances`.
async fn ask(settings: &Settings, instances: &[Subject]) -> anyhow::Result<(Vec<Observation>, Now)> {
    let clock: Clock = clock::system();
    // Tripwires report here; one question has no use for them.
    let (observe, _standing) = mpsc::channel(64);
    let collectors = Collectors::new(settings, clock.clone(), observe)?;
    let asked = instances.iter().map(|instance| async {
        let mut seen = Vec::new();
        for kind in [ProbeKind::PriorityLevels, ProbeKind::RequestDump] {
            let (probe, scheduled) = (Probe::anew(instance.clone(), kind), clock.now());
            let request = ProbeRequest { id: ProbeId(0), probe, scheduled, hello: Default::default() };
            seen.push(collectors.probe(request).await);
        }
        seen
    });
    let seen = join_all(asked).await.concat();
    collectors.shutdown().await;
    Ok((seen, clock.now()))
}

/// What is printed.
struct Shown<'a> {
    cluster: &'a Name,
    instances: &'a [Subject],
    policy: &'a Policy,
    usual: &'a BTreeMap<(String, String), String>,
}

impl Shown<'_> {
    /// The text, and whether anybody told who sends requests.
    fn text(&self, observations: &[Observation], now: Now) -> (String, bool) {
        let mut flow_control = FlowControl::default();
        // Everything asked here counts, whether or not anything is suspected.
        if let Some(first) = observations.iter().map(|seen| seen.scheduled).min_by_key(|at| at.mono) {
            flow_control.take_slow(first);
        }
        let mut out = format!("{}: who uses the API, asked at {}\n", self.cluster, now.wall);
        for seen in observations {
            if let Err(why) = take(&mut flow_control, seen) {
                out.push_str(&line(&format!("{}: {why}", seen.probe.subject.short()), LONGEST));
                out.push('\n');
            }
        }
        self.levels(&mut out, observations);
        let senders = flow_control.senders(self.instances, self.policy, now.mono);
        let facts = flow_control.facts(self.instances, self.policy, now.mono);
        if !facts.senders.is_empty() {
            out.push_str("\nSHARE  USUALLY  UNDER WAY  WAITING  USER, VERB, RESOURCE (PRIORITY LEVEL)\n");
        }
        for suspect in facts.senders {
            let culprit = Culprit::of(suspect);
            let asks = format!("{} {}", culprit.sender.verb, culprit.sender.what);
            let usual = self.usual.get(&(culprit.sender.user.clone(), asks)).map_or("unknown", String::as_str);
            out.push_str(&format!(
                "{:>3} %  {usual:>7}  {:>9}  {:>7}  {} ({})\n",
                culprit.percent,
                culprit.executing,
                culprit.waiting,
                line(&culprit.name(), LONGEST),
                line(&culprit.flow_schema.1, LONGEST),
            ));
        }
        let is_known = matches!(senders, Senders::Known(_));
        match senders {
            Senders::Known(Suspicion::Culprits(large)) => {
                let own_user = flow_control.own_user(self.instances);
                large.into_iter().map(Culprit::of).for_each(|culprit| object(&mut out, &culprit, own_user));
            }
            Senders::Known(Suspicion::NotVisible) => out.push_str(
                "\nHardly any seats are held or waited for. If the API is slow all the same: open watches and clients \
                 in system:masters hold none.\n",
            ),
            Senders::Known(Suspicion::Everybody(_)) => out.push_str("\nNobody asks for unusually much.\n"),
            Senders::Asked | Senders::Unanswered | Senders::Forbidden | Senders::Missing => {
                out.push_str("\nWho it is cannot be seen: see above. config/rbac/vedette.yaml has the rights and the seats it takes.\n");
            }
        }
        (out, is_known)
    }

    fn levels(&self, out: &mut String, observations: &[Observation]) {
        let dumps: Vec<&PriorityLevels> = observations
            .iter()
            .filter_map(|seen| match &seen.outcome {
                Ok(Reading::PriorityLevels(Ok(dump))) => Some(&**dump),
                Ok(_) | Err(_) => None,
            })
            .collect();
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (name, level) in dumps.iter().flat_map(|dump| &dump.levels) {
            let (executing, waiting) = sums.entry(name).or_default();
            *executing += u64::from(level.executing);
            *waiting += u64::from(level.waiting);
        }
        if !sums.is_empty() {
            out.push_str("\nUNDER WAY  WAITING  PRIORITY LEVEL\n");
        }
        for (name, (executing, waiting)) in sums {
            out.push_str(&format!("{executing:>9}  {waiting:>7}  {}\n", line(name, LONGEST)));
        }
    }
}

/// Takes what an instance told, or why it told nothing.
fn take(flow_control: &mut FlowControl, seen: &Observation) -> Result<(), String> {
    let (instance, at) = (&seen.probe.subject, seen.scheduled);
    match &seen.outcome {
        Ok(Reading::PriorityLevels(came)) => {
            flow_control.take_levels(instance, at, came.as_ref().map_err(|instead| NoAnswer::Instead(*instead)));
            came.as_ref().map(drop).map_err(|instead| format!("priority levels: {instead}"))
        }
        Ok(Reading::RequestDump(came)) => {
            flow_control.take_requests(instance, at, came.as_ref().map_err(|instead| NoAnswer::Instead(*instead)));
            came.as_ref().map(drop).map_err(|instead| format!("requests: {instead}"))
        }
        Ok(_) => Ok(()),
        Err(unseen) => {
            flow_control.take_requests(instance, at, Err(NoAnswer::Unseen(*unseen)));
            Err(unseen.to_string())
        }
    }
}

/// What throttles one client, or why nothing may.
fn object(out: &mut String, culprit: &Culprit, own_user: Option<&str>) {
    let user = line(&culprit.sender.user, LONGEST);
    match culprit.throttle(own_user) {
        Throttle::Objects(objects) => {
            out.push_str(&format!(
                "\nThis throttles {user} alone. vedette never applies it; 'kubectl delete -f' undoes it:\n\n"
            ));
            objects.yaml.lines().for_each(|text| {
                out.push_str(&verbatim(text));
                out.push('\n');
            });
        }
        Throttle::Never(reason) => out.push_str(&format!("\nNo object throttles {user}: {}.\n", reason.instead())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::fixture::{at, name, of};
    use crate::model::flow_control::{NoDump, PriorityLevel, RequestKey, RequestLoad, SeatUse};
    use crate::model::phase::Phases;

    use super::*;

    fn seen(instance: &str, kind: ProbeKind, reading: Reading) -> Observation {
        Observation {
            request: None,
            probe: Probe::anew(of(instance), kind),
            scheduled: at(0),
            finished: at(10),
            phases: Phases::default(),
            served: None,
            greeting: None,
            proves_path: true,
            outcome: Ok(reading),
            own_flaw: None,
        }
    }

    fn load(rows: &[(&str, &str, &str, u32)]) -> Reading {
        let mut load = RequestLoad::default();
        for (user, verb, what, waiting) in rows {
            let key = RequestKey {
                level: "workload-low".into(),
                flow_schema: "service-accounts".into(),
                user: (*user).into(),
                verb: (*verb).into(),
                what: (*what).into(),
                namespace: String::new(),
            };
            let seats_wanted = u64::from(*waiting);
            load.add(key, SeatUse { waiting: *waiting, seats_wanted, ..SeatUse::default() });
        }
        Reading::RequestDump(Ok(Arc::new(load)))
    }

    #[test]
    fn who_uses_the_api_is_told_with_what_throttles_it() {
        let level = PriorityLevel { waiting: 400, executing: 98, ..PriorityLevel::default() };
        let levels =
            PriorityLevels { levels: [("workload-low".to_owned(), level)].into(), ..PriorityLevels::default() };
        let agent = "system:serviceaccount:telemetry:agent";
        let observations = [
            seen("prod/apiserver/api-1", ProbeKind::PriorityLevels, Reading::PriorityLevels(Ok(Arc::new(levels)))),
            seen(
                "prod/apiserver/api-1",
                ProbeKind::RequestDump,
                load(&[
                    (agent, "list", "configmaps", 380),
                    ("system:kube-controller-manager", "list", "pods", 19),
                    ("vedette", "get", "/debug/api_priority_and_fairness/dump_requests", 1),
                ]),
            ),
            seen("prod/apiserver/api-2", ProbeKind::RequestDump, Reading::RequestDump(Err(NoDump::Forbidden))),
        ];
        let usual = BTreeMap::from([((agent.to_owned(), "list configmaps".to_owned()), "2 %".to_owned())]);
        let instances = [of("prod/apiserver/api-1"), of("prod/apiserver/api-2")];
        let policy = Policy::default();
        let shown = Shown { cluster: &name("prod"), instances: &instances, policy: &policy, usual: &usual };

        let (text, is_known) = shown.text(&observations, at(20));

        assert!(is_known);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn where_nobody_tells_it_says_why() {
        let observations =
            [seen("prod/apiserver/api-1", ProbeKind::RequestDump, Reading::RequestDump(Err(NoDump::Forbidden)))];
        let (instances, policy) = ([of("prod/apiserver/api-1")], Policy::default());
        let shown = Shown { cluster: &name("prod"), instances: &instances, policy: &policy, usual: &BTreeMap::new() };

        let (text, is_known) = shown.text(&observations, at(20));

        assert!(!is_known);
        assert!(text.contains("api-1: requests: not allowed for vedette's user"), "{text}");
    }
}
