//! `vedette probe`: one pass over everything, one table, and an exit code by the monitoring-plugins contract.
//!
//! The same collectors and rules as the daemon. What is bad is probed again until it is confirmed or good, so that the
//! result is as reliable as an alarm; nothing is stored or mailed.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use crate::collect::Collectors;
use crate::config::settings::Settings;
use crate::daemon::clock;
use crate::judge::context::RuleContext;
use crate::judge::{self, words};
use crate::model::etcd::{Condition, MemberStatus};
use crate::model::inventory::Inventory;
use crate::model::observation::{Observation, Reading};
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::probe::{Connection, Probe, ProbeId, ProbeKind, ProbeRequest};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Clock, Now};
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::assessment::Assessment;
use crate::observe::client_hello;
use crate::observe::quorum;
use crate::observe::view::View;
use crate::render::table::{self, Layout, Pass, State, Unknown};

use super::missing_credentials;

/// Probes again what was bad, this often, with this pause: three probes that span more than a second confirm.
const AGAIN: usize = 2;
const PAUSE: Duration = Duration::from_millis(600);

/// Probe everything once and print what is not good
///
/// The first line is the worst state, as monitoring plugins say it; a table of every probe that is not good follows,
/// and a count of the others. Exits 0 for OK, 1 for WARNING, 2 for CRITICAL and 3 for UNKNOWN.
#[derive(Debug, clap::Args)]
pub(super) struct ProbeOnce {
    /// The configuration
    #[arg(default_value = super::DEFAULT_CONFIG)]
    file: PathBuf,

    /// The default, and kept for scripts: one pass, then end
    #[arg(long)]
    once: bool,

    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,

    /// List every probe, also those whose result is good
    #[arg(long, conflicts_with = "json")]
    all: bool,
}

impl ProbeOnce {
    /// Probes; returns 0, 1, 2 or 3 for OK, WARNING, CRITICAL and UNKNOWN, which is also the result of a bad
    /// configuration.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = match Settings::load(&self.file) {
            Ok((settings, _)) => settings,
            Err(problems) => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "UNKNOWN - {} cannot be used", self.file.display())?;
                for problem in problems {
                    writeln!(stdout, "{problem}")?;
                }
                return Ok(ExitCode::from(State::Unknown.exit_code()));
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let seen = runtime.block_on(probe_all(&settings))?;
        runtime.shutdown_background();

        let inventory = settings.inventory();
        let pass = Pass {
            now: seen.view_at,
            inventory: &inventory,
            observations: &seen.observations,
            findings: &seen.findings,
            unknowns: &seen.unknowns,
            headline: &Finding::headline,
            title: &|rule| words::of(rule).title,
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", table::json(pass))?;
        } else {
            write!(stdout, "{}", table::text(pass, Layout { width: super::terminal_width(), all: self.all }))?;
        }
        let options: &[&str] = match (self.json, self.all) {
            (true, _) => &["--json"],
            (false, true) => &["--all"],
            (false, false) => &[],
        };
        if let Some(hint) = missing_credentials::hint(&settings.credentials(), &self.file, "probe", options) {
            writeln!(io::stderr().lock(), "{hint}")?;
        }
        Ok(ExitCode::from(State::of(pass).exit_code()))
    }
}

struct Seen {
    view_at: Now,
    observations: Vec<Observation>,
    findings: Vec<Finding>,
    unknowns: Vec<Unknown>,
}

async fn probe_all(settings: &Settings) -> anyhow::Result<Seen> {
    let clock = clock::system();
    // Tripwires report here; one pass has no use for them.
    let (observe, _standing) = mpsc::channel(64);
    let collectors = Collectors::new(settings, clock.clone(), observe)?;
    let inventory = Arc::new(settings.inventory());
    // One pass should not take half a minute: without a reference target the result is "unproven" at once.
    let policy = Policy { unproven_after: settings.policy.confirm_span, ..settings.policy.clone() };
    let mut view = View::new(Arc::clone(&inventory), policy);
    let mut observations: Vec<Observation> = Vec::new();

    // New connections first: they make the reused ones neither faster nor slower.
    for connection in [Connection::New, Connection::Reused] {
        let probes: Vec<Probe> =
            probes(&inventory, settings).into_iter().filter(|probe| probe.connection == connection).collect();
        observations.extend(run_probes(&collectors, &clock, &mut view, probes).await.0);
    }
    let mut bad: BTreeSet<Probe> = doubtful(&observations, &inventory);
    for _ in 0..AGAIN {
        if bad.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let again: Vec<Probe> = bad.iter().cloned().chain(references(&inventory)).collect();
        let (seen, tests) = run_probes(&collectors, &clock, &mut view, again).await;
        let tried = try_hellos(&collectors, &clock, &mut view, &tests).await;
        bad = doubtful(&seen, &inventory);
        for newer in seen.into_iter().chain(tried) {
            observations.retain(|older| older.probe != newer.probe);
            observations.push(newer);
        }
    }
    collectors.shutdown().await;

    let now = clock.now();
    let scopes = std::iter::once(None).chain(inventory.clusters.iter().map(Some));
    let mut findings = Vec::new();
    let mut unknowns = Vec::new();
    for cluster in scopes {
        for (key, verdict) in judge::judge(&RuleContext { view: &view, cluster, now, raised: &[] }) {
            match verdict {
                Verdict::Bad(finding) => findings.push(finding),
                // What is suspected counts for every rule; what is merely not known, for those that say whether a
                // cluster lives.
                Verdict::Unknown(why)
                    if matches!(why, Why::Suspected { .. }) || matches!(key.rule, RuleId::F01 | RuleId::F24) =>
                {
                    unknowns.push(Unknown { rule: key.rule, subject: key.subject, why });
                }
                Verdict::Good { .. } | Verdict::Unknown(_) => {}
            }
        }
    }
    // A consequence is no second fault, and what is known to be bad is not unknown. What only tells of the set-up
    // explains nothing.
    let causes = findings.clone();
    findings.retain(|finding| !causes.iter().any(|cause| judge::edges::explains(cause, finding)));
    unknowns.retain(|unknown| {
        let is_known =
            |cause: &Finding| cause.level > Level::Info && cause.subject.cluster() == unknown.subject.cluster();
        !causes.iter().any(is_known)
    });
    observations.sort_by(|a, b| a.probe.cmp(&b.probe));
    Ok(Seen { view_at: now, observations, findings, unknowns })
}

async fn run_probes(
    collectors: &Collectors,
    clock: &Clock,
    view: &mut View,
    probes: Vec<Probe>,
) -> (Vec<Observation>, Vec<(Subject, client_hello::Test)>) {
    let observations = probes.into_iter().map(|probe| {
        let observation = ProbeRequest { id: ProbeId(0), hello: view.hello(&probe), probe, scheduled: clock.now() };
        collectors.probe(observation)
    });
    let seen: Vec<Observation> = join_all(observations).await;
    let now = clock.now();
    // In the order of their dates, as the daemon would see them; proof of the path comes before what rests on it.
    let mut ordered: Vec<&Observation> = seen.iter().collect();
    ordered.sort_by_key(|observation| (!observation.proves_path, observation.scheduled.mono));
    let tests = ordered.into_iter().filter_map(|observation| view.take(&Arc::new(observation.clone()), now).test);
    let tests = tests.collect();
    (seen, tests)
}

/// Handshakes with small and large ClientHellos, as the daemon would make them.
async fn try_hellos(
    collectors: &Collectors,
    clock: &Clock,
    view: &mut View,
    tests: &[(Subject, client_hello::Test)],
) -> Vec<Observation> {
    let observations = tests.iter().flat_map(|(subject, test)| {
        test.iter().map(move |(after, size)| async move {
            tokio::time::sleep(*after).await;
            let kind = client_hello::probe(*size);
            let probe = Probe::anew(subject.clone(), kind);
            collectors.probe(ProbeRequest { id: ProbeId(0), probe, scheduled: clock.now(), hello: *size }).await
        })
    });
    let mut seen: Vec<Observation> = join_all(observations).await;
    seen.sort_by_key(|observation| observation.scheduled.mono);
    for observation in &seen {
        view.take(&Arc::new(observation.clone()), clock.now());
    }
    seen.retain(|observation| observation.probe.kind != ProbeKind::Chain);
    seen
}

/// Everything the daemon probes, and both kinds of connection where it uses only one.
fn probes(inventory: &Inventory, settings: &Settings) -> BTreeSet<Probe> {
    let plan = Plan::new(inventory, &settings.policy);
    let planned = plan.probes().iter().map(|line| &line.probe);
    planned
        // Who uses the cluster is for `vedette who`; whether it may be seen shows by the levels.
        .filter(|probe| probe.kind != ProbeKind::RequestDump)
        .flat_map(|probe| {
            let is_asked = probe.subject.is_api();
            let both = is_asked
                && probe.kind != ProbeKind::Addresses
                && !probe.kind.shows_use()
                && probe.kind.canary().is_none()
                && !probe.kind.is_zpage();
            let kinds: &[ProbeKind] = if both {
                &[ProbeKind::Livez, ProbeKind::Readyz, ProbeKind::Version]
            } else {
                std::slice::from_ref(&probe.kind)
            };
            let connections: &[Connection] =
                if both { &[Connection::New, Connection::Reused] } else { std::slice::from_ref(&probe.connection) };
            kinds
                .iter()
                .flat_map(move |kind| connections.iter().map(move |connection| (*kind, *connection)))
                .map(|(kind, connection)| Probe { subject: probe.subject.clone(), kind, connection })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The probes that must be made again: bad ones that decide, chains that have expired, and rounds that a member missed,
/// because its first answer may wait for a password to be hashed.
fn doubtful(observations: &[Observation], inventory: &Inventory) -> BTreeSet<Probe> {
    let is_bad = |observation: &&Observation| {
        let has_ended = observation
            .served
            .as_ref()
            .and_then(|served| served.earliest().map(|first| first.not_after < observation.scheduled.wall))
            .unwrap_or_default();
        let is_refused = observation.served.as_ref().is_some_and(|served| served.trust.distrust().is_some());
        let members_bad = match &observation.outcome {
            Ok(Reading::EtcdStatus(answers)) => {
                let is_troubled = |status: &MemberStatus| status.leader.is_none() || !status.alarms.is_empty();
                answers.iter().any(|answer| answer.answer.as_ref().map_or(true, is_troubled))
                    || quorum::as_configured(answers) != Assessment::Good
            }
            Ok(Reading::EtcdRead(answers)) => answers.iter().any(|answer| answer.answer.is_err()),
            Ok(Reading::EtcdAlarms(answers)) => {
                answers.iter().any(|answer| answer.answer.as_ref().map_or(true, |alarms| !alarms.is_empty()))
            }
            Ok(Reading::EtcdMembers(answers)) => answers.iter().any(|answer| answer.answer.is_err()),
            Ok(Reading::EtcdMetrics(answers)) => quorum::pages_as_configured(answers) != Assessment::Good,
            Ok(Reading::EtcdHealth(answers)) => answers
                .iter()
                .any(|answer| answer.answer.as_ref().map_or(true, |health| health.condition != Condition::Well)),
            Ok(Reading::Addresses(answers)) => answers.iter().any(|told| told.answer.is_err()),
            Ok(_) | Err(_) => false,
        };
        has_ended
            || is_refused
            || members_bad
            || matches!(
                Assessment::of(observation),
                Assessment::Bad(_) | Assessment::Refused(_) | Assessment::Unresolved(_) | Assessment::NoWay(_)
            )
    };
    let decides = |kind: ProbeKind| {
        matches!(
            kind,
            ProbeKind::Readyz
                | ProbeKind::EtcdStatus
                | ProbeKind::EtcdHealth
                | ProbeKind::EtcdRead
                | ProbeKind::EtcdAlarms
                | ProbeKind::EtcdMembers
                | ProbeKind::EtcdMetrics
                | ProbeKind::Chain
                | ProbeKind::Addresses
                | ProbeKind::Version
                | ProbeKind::Reference
        )
    };
    let mut again: BTreeSet<Probe> = observations
        .iter()
        .filter(|observation| decides(observation.probe.kind))
        .filter(is_bad)
        .map(|observation| observation.probe.clone())
        .collect();
    // Statements such as "etcd agrees" or "an instance is ready" need probes after the first bad one.
    let clusters: BTreeSet<_> = again.iter().filter_map(|probe| probe.subject.cluster().cloned()).collect();
    for observation in observations {
        let concerned = observation.probe.subject.cluster().is_some_and(|cluster| clusters.contains(cluster));
        if concerned
            && matches!(observation.probe.kind, ProbeKind::Readyz | ProbeKind::EtcdStatus | ProbeKind::EtcdHealth)
        {
            again.insert(observation.probe.clone());
        }
    }
    again.retain(|probe| inventory.clusters.is_empty() || probe.subject != Subject::Vantage);
    again
}

fn references(inventory: &Inventory) -> impl Iterator<Item = Probe> + '_ {
    let references = inventory.references.iter();
    references.map(|reference| Probe::anew(Subject::Reference(reference.name.clone()), ProbeKind::Reference))
}
