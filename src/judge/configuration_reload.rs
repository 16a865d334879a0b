//! F64: a configuration file that an apiserver could not load again, or that instances have loaded in different forms:
//! authentication, authorization, encryption (`apiserver_*_config_controller_*`).
//!
//! An apiserver goes on with what it loaded before, so that nothing fails at once: the instances judge by different
//! rules, and the one that could not load its file does not start again with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::{Configuration, Loaded};
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::metrics_pages::InstancePages;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, pages, phrases};

/// F64: configuration that is not what its files say, or not alike.
pub struct ConfigurationNotLoaded;

/// A file is written on one host after the other; pages of three instances come within nine minutes.
const HOLD: Duration = Duration::from_secs(900);

/// What stops working, whatever was seen.
const IMPACT: &str = "Requests are judged by different rules, whichever instance answers: who is let in, what he may do, and how \
                      Secrets are written to etcd. An apiserver with a broken file does not start again.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "A mistake in the file, or a file that was changed on some hosts only.";

/// What instances have loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configurations {
    /// Instances that could not load a file, and which.
    pub failed: Vec<(Subject, Configuration)>,
    /// What is not alike, with the hash of each instance as it reports it.
    pub differing: Vec<(Configuration, Vec<(Subject, String)>)>,
}

impl Kind for Configurations {
    const TAG: &'static str = "configurations";
}

impl Evidence for Configurations {
    fn headline(&self, _: &Finding) -> String {
        match (self.failed.as_slice(), self.differing.as_slice()) {
            ([(instance, configuration)], _) => {
                format!("{}: {configuration} not loaded", phrases::fit(&phrases::name(instance), 14))
            }
            ([], [(configuration, _)]) => format!("{configuration} differs between apiservers"),
            ([], _) => "configuration differs between apiservers".into(),
            (_, _) => "configuration of apiservers not loaded".into(),
        }
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let failed = self.failed.iter().map(|(instance, configuration)| {
            let (place, flag) = (phrases::place(instance, addresses), configuration.flag());
            format!("{place} could not load its {configuration} ({flag}) again and goes on with the former one.")
        });
        let differing = self.differing.iter().map(|(configuration, hashes)| {
            let each: Vec<String> = hashes
                .iter()
                .map(|(instance, hash)| format!("{} {}", phrases::place(instance, addresses), phrases::fit(hash, HASH)))
                .collect();
            let flag = configuration.flag();
            format!("The {configuration} ({flag}) in use differs, by its hash: {}.", phrases::list(&each))
        });
        let sentences: Vec<String> = failed.chain(differing).map(phrases::capital).collect();
        sentences.join(" ")
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let concerned = self.concerned();
        let Some(first) = concerned.first() else { return Vec::new() };
        let mut next = vec![commands.logs(first, Program::Apiserver)];
        next.push(commands.metric(first, "apiserver_[a-z]*_config_controller_"));
        next.extend(commands.manifests(first));
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        let failed = self.failed.iter().map(|(instance, _)| instance);
        let differing = self.differing.iter().flat_map(|(_, hashes)| hashes).map(|(instance, _)| instance);
        let mut all: Vec<Subject> = failed.chain(differing).cloned().collect();
        all.dedup();
        all
    }
}

/// Characters of a hash that are shown: `sha256:` and eight digits.
const HASH: usize = 16;

impl Rule for ConfigurationNotLoaded {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F64,
            name: "ConfigurationNotLoaded",
            in_short: "configuration not loaded",
            title: "an apiserver has not loaded its configuration, or another than the others",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Configurations>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let instances = pages::instances(context);
        let Some(whole) = context.whole().filter(|_| !instances.is_empty()) else { return Vec::new() };
        vec![(whole.clone(), judge_all(context, &whole, &instances))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api};

        let failed = vec![(api("api-2"), Configuration::Encryption)];
        Sample::of("prod-eu1", Level::Warning, Arc::new(Configurations { failed, differing: Vec::new() }))
    }
}

/// What an instance reports of one file: the instances that tell it.
type Told<'a> = Vec<(&'a Subject, &'a Loaded)>;

fn judge_all(
    context: &RuleContext<'_>,
    whole: &Subject,
    instances: &[(Subject, Result<&InstancePages, Why>)],
) -> Verdict {
    let (mut failed, mut differing) = (Vec::new(), Vec::new());
    for (configuration, _) in Configuration::ALL {
        let told: Told<'_> = instances
            .iter()
            .filter_map(|(instance, known)| {
                let (_, page) = known.as_ref().ok()?.latest()?;
                Some((instance, page.configurations.get(&configuration)?))
            })
            .collect();
        let broken = told.iter().filter(|(_, loaded)| is_failed(loaded));
        failed.extend(broken.map(|(instance, _)| ((*instance).clone(), configuration)));
        let hashes: Vec<(Subject, String)> =
            told.iter().filter_map(|(instance, loaded)| Some(((*instance).clone(), loaded.hash.clone()?))).collect();
        if hashes.iter().map(|(_, hash)| hash).collect::<BTreeSet<_>>().len() > 1 {
            differing.push((configuration, hashes));
        }
    }
    if !failed.is_empty() || !differing.is_empty() {
        let evidence = Arc::new(Configurations { failed, differing });
        return Verdict::Bad(pages::finding(context, (RuleId::F64, whole), Level::Warning, HOLD, evidence));
    }
    let unseen: Vec<Why> = instances.iter().filter_map(|(_, known)| known.as_ref().err().copied()).collect();
    if !unseen.is_empty() {
        return Verdict::Unknown(gravest(unseen));
    }
    let latest = instances.iter().filter_map(|(_, known)| known.as_ref().ok()?.latest()).map(|(at, _)| *at);
    let oldest = latest.min_by_key(|at| at.mono);
    // A state and no rate: one page of each shows it.
    oldest.map_or(Verdict::Unknown(Why::NeverSeen), |at| Verdict::Good {
        since: at,
        until: context.now,
        probes: u32::MAX,
    })
}

/// Whether the latest attempt to load the file failed.
fn is_failed(loaded: &Loaded) -> bool {
    loaded.failed_at.is_some_and(|failed| loaded.succeeded_at.is_none_or(|succeeded| failed > succeeded))
}
