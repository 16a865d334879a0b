//! F62: apiservers of one cluster that run with different flags.
//!
//! They should be alike but for their own addresses and files. A rolling change passes through this, one instance after the
//! other, so it is told when it has lasted for longer than one takes; and while they run minor versions apart nothing is
//! compared, because flags and their defaults differ by nature then, and F17 tells of that.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::flag_differences::FlagDifference;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::zpages::Instance;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F62: instances with different flags.
pub struct FlagsDiffer;

/// How long a change of flags may take: the restart of all instances, with a pause between, as F17 has it for versions.
const ROLLING: Duration = Duration::from_secs(3600);

/// Flags told in full; a mail that lists more is not read.
const TOLD: usize = 8;

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing fails by itself. What a request gets depends on the instance that answers it, so that what \
                      is allowed, refused or found through one connection is not through the next.";

const LIKELY_CAUSE: &str = "A flag was changed on some hosts and not on the others (a manifest edited by hand, a change that \
                            stopped half-way), or a host came back with an old manifest.";

/// Flags that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Them, those that matter first.
    pub flags: Vec<FlagDifference>,
}

impl Kind for Differences {
    const TAG: &'static str = "flags";
}

impl Differences {
    fn instances(&self) -> Vec<Subject> {
        let all = self.flags.iter().flat_map(|flag| flag.values.iter().flat_map(|(_, instances)| instances));
        let each: std::collections::BTreeSet<&Subject> = all.collect();
        each.into_iter().cloned().collect()
    }

    /// The flags on which the answer to a request depends.
    fn weighty(&self) -> usize {
        self.flags.iter().filter(|flag| flag.is_weighty).count()
    }
}

/// One flag as a sentence without its full stop, with the value of each instance.
fn said(flag: &FlagDifference, addresses: &Addresses) -> String {
    let each: Vec<String> = flag
        .values
        .iter()
        .map(|(value, instances)| {
            let places: Vec<String> = instances.iter().map(|one| phrases::place(one, addresses)).collect();
            let places = phrases::list(&places);
            match value.as_deref() {
                None => format!("{places} without it"),
                Some("") => format!("{places} with an empty value"),
                Some(value) => format!("{places} with {value}"),
            }
        })
        .collect();
    format!("--{}: {}", flag.name, each.join("; "))
}

impl Evidence for Differences {
    fn headline(&self, _: &Finding) -> String {
        "apiservers run with different flags".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let told: Vec<String> = self.flags.iter().take(TOLD).map(|flag| said(flag, addresses)).collect();
        let more = self.flags.len().saturating_sub(TOLD);
        let rest = if more > 0 { format!(" And {more} more flags.") } else { String::new() };
        format!("{}.{rest}", told.join(". "))
    }

    fn listed(&self, _: &Finding, addresses: &Addresses) -> Option<(String, Vec<String>)> {
        let introduction = match self.flags.len() {
            1 => "1 flag differs between the apiservers:".to_owned(),
            several => format!("{several} flags differ between the apiservers:"),
        };
        let mut lines: Vec<String> = self.flags.iter().take(TOLD).map(|flag| said(flag, addresses)).collect();
        let more = self.flags.len().saturating_sub(TOLD);
        lines.extend((more > 0).then(|| format!("{more} more: the status page names them")));
        Some((introduction, lines))
    }

    fn impact(&self, _: &Finding) -> String {
        if self.weighty() > 0 {
            return IMPACT.into();
        }
        "Nothing fails by itself, and no right or data depends on these flags: the instances only work with other limits, \
         timeouts or paths."
            .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instances = self.instances();
        let names: Vec<&str> = self.flags.iter().take(TOLD).map(|flag| flag.name.as_str()).collect();
        let asked = instances.iter().take(3).map(|instance| commands.flags(instance, &names));
        let mut next: Vec<Command> = asked.collect();
        next.extend(instances.iter().take(3).filter_map(|instance| commands.manifests(instance)));
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        self.instances()
    }
}

impl Rule for FlagsDiffer {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F62,
            name: "ApiserverFlagsDiffer",
            in_short: "flags differ",
            title: "apiservers with different flags, for an hour",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Differences>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let instances: Vec<Subject> = context.instances().into_iter().filter(Subject::is_apiserver).collect();
        let is_asked = context.cluster.is_some_and(|(_, cluster)| cluster.zpages);
        let whole = context.whole().filter(|_| is_asked && instances.len() > 1);
        whole.into_iter().map(|whole| (whole.clone(), judge_flags(context, whole, &instances))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api};

        let flag = |name: &str, is_weighty, one: Option<&str>, other: Option<&str>| FlagDifference {
            name: name.into(),
            is_weighty,
            values: [(one, "api-1"), (other, "api-2")]
                .map(|(value, instance)| (value.map(str::to_owned), vec![api(instance)]))
                .into(),
        };
        let flags = vec![
            flag("anonymous-auth", true, Some("false"), Some("true")),
            flag("encryption-provider-config", true, Some("/etc/kubernetes/enc.yaml"), Some("")),
            flag("goaway-chance", false, Some("0.001"), Some("0")),
        ];
        Sample::of("prod-eu1", Level::Warning, Arc::new(Differences { flags }))
    }
}

fn judge_flags(context: &RuleContext<'_>, whole: Subject, instances: &[Subject]) -> Verdict {
    let Some((name, _)) = context.cluster else { return Verdict::Unknown(Why::NeverSeen) };
    let facts = context.view.cluster_snapshot(name).map(|known| &known.zpages);
    let known = |instance: &Subject| context.view.zpages(name)?.instance(instance);
    let times: Option<Vec<Now>> = instances.iter().map(|instance| told_at(context, known(instance)?)).collect();
    let Some(facts) = facts else { return Verdict::Unknown(Why::NeverSeen) };
    if facts.differences.is_empty() {
        let is_of_all = facts.compared.len() == instances.len();
        return match times.filter(|_| is_of_all).and_then(|times| times.into_iter().max_by_key(|at| at.mono)) {
            // The flags of a process do not change and are no measurement that could fail by chance: one reading is
            // enough.
            Some(since) => Verdict::Good { since, until: context.now, probes: u32::MAX },
            None => Verdict::Unknown(if facts.compared.is_empty() { Why::NeverSeen } else { Why::Unclear }),
        };
    }
    let raised = context.raised_of(RuleId::F62, &whole);
    let evidence = Differences { flags: facts.differences.clone() };
    Verdict::Bad(Finding {
        rule: RuleId::F62,
        level: if evidence.weighty() > 0 { Level::Warning } else { Level::Info },
        since: raised.map_or(context.now.wall, |known| known.since),
        hold: ROLLING,
        path_unproven: false,
        evidence: Arc::new(evidence),
        subject: whole,
    })
}

/// When an instance last told its flags, where that shows what it runs with: no later answer tells of another process.
fn told_at(context: &RuleContext<'_>, known: &Instance) -> Option<Now> {
    let at = known.flags().map(|(at, _)| *at)?;
    let lasting = context.policy().decides_for(context.policy().flagz_interval);
    let is_fresh = |since: Mono| context.now.mono.since(since) <= lasting;
    (is_fresh(at.mono) && !known.is_of_former_process()).then_some(at)
}
