//! F17: apiservers of a cluster, or members of an etcd, that have run different versions for long.
//!
//! Each upgrade passes through this, one instance after the other, so it is told only a day later: then the upgrade was
//! forgotten, or one host went back. More than one minor version apart is supported by neither Kubernetes nor etcd, and
//! is told within the hour.
//!
//! An apiserver can also be of the new version and behave like the one before (`--emulated-version`), so that an upgrade
//! is undone easily. That is meant to be ended, and is listed after a day.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::observation::Reading;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::model::zpages::minor;
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F17: instances that should be alike run different versions.
pub struct VersionSkew;

/// How long an upgrade may take. A large one is spread over a working day.
const UPGRADE: Duration = Duration::from_secs(24 * 3600);

/// How long instances may be further apart than is supported: the restart of all of them, with a pause between.
const UNSUPPORTED: Duration = Duration::from_secs(3600);

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing fails by itself. What a request gets depends on the instance that answers: fields, APIs and \
                      defaults of the newer version come and go, and etcd offers only what its oldest member can.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "An upgrade that was begun and not finished, or undone on some hosts only; or a host that came back \
                            with an old image or manifest.";

/// Instances that should be alike, each with its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Those that tell their version.
    pub parts: Vec<(Subject, String)>,
    /// Those that behave like an older version than their program's, each with that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emulated: Vec<(Subject, String)>,
}

impl Kind for Versions {
    const TAG: &'static str = "versions";
}

impl Versions {
    /// Whether the oldest and the newest are more than one minor version apart.
    fn is_unsupported(&self) -> bool {
        let minors: BTreeSet<(u32, u32)> = self.parts.iter().filter_map(|(_, version)| minor(version)).collect();
        match (minors.first(), minors.last()) {
            (Some((oldest, from)), Some((newest, to))) => oldest != newest || to - from > 1,
            (None, _) | (_, None) => false,
        }
    }

    /// The instance of the oldest version.
    fn oldest(&self) -> Option<&Subject> {
        self.parts.iter().min_by_key(|(_, version)| (minor(version), version)).map(|(instance, _)| instance)
    }

    /// Whether they are alike, and only behave like an older version.
    fn is_alike(&self) -> bool {
        let versions: BTreeSet<&str> = self.parts.iter().map(|(_, version)| version.as_str()).collect();
        versions.len() < 2 && !self.emulated.is_empty()
    }

    fn instances(&self) -> Vec<Subject> {
        self.parts.iter().map(|(instance, _)| instance.clone()).collect()
    }
}

impl Evidence for Versions {
    fn headline(&self, finding: &Finding) -> String {
        let is_of_etcd = finding.subject.etcd().is_some();
        if self.is_alike() {
            return "apiservers emulate an older version".into();
        }
        let who = if is_of_etcd { format!("{} members", etcd_name(&finding.subject)) } else { "apiservers".into() };
        format!("{who} of different versions")
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let each: Vec<String> = self
            .parts
            .iter()
            .map(|(instance, version)| {
                let emulated = self.emulated.iter().find(|(one, _)| one == instance);
                let emulates = emulated.map_or_else(String::new, |(_, version)| format!(" and emulates {version}"));
                format!("{} runs {version}{emulates}", phrases::place(instance, addresses))
            })
            .collect();
        let rest = if self.is_unsupported() {
            " More than one minor version apart is not supported, not even during an upgrade."
        } else {
            ""
        };
        phrases::capital(format!("{}.{rest}", each.join("; ")))
    }

    fn impact(&self, _: &Finding) -> String {
        if self.is_alike() {
            return "Nothing fails. What the newer version brought is not there, and the next upgrade cannot begin before \
                    the emulation ends."
                .into();
        }
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        if self.is_alike() {
            return "The last step of an upgrade is missing: taking --emulated-version away again.".into();
        }
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Some(oldest) = self.oldest() else { return Vec::new() };
        let mut next = Vec::new();
        if finding.subject.etcd().is_some() {
            next.extend(commands.etcdctl(oldest));
            next.push(commands.etcd_status(&self.instances()));
            next.push(commands.containers(oldest, Program::Etcd));
        } else {
            next.push(commands.containers_on(&self.instances(), Program::Apiserver));
        }
        next.extend(commands.manifests(oldest));
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        self.instances()
    }
}

impl Rule for VersionSkew {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F17,
            name: "VersionSkew",
            in_short: "version skew",
            title: "apiservers or etcd members of different versions, for a day",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Versions>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    /// An emulation alone.
    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let mut verdicts = Vec::new();
        let instances = context.instances();
        if let Some(whole) = context.whole().filter(|_| instances.len() > 1) {
            let version = |instance: &Subject| apiserver_version(context, instance);
            verdicts.push((whole.clone(), judge_alike(context, whole, &instances, Aspect::Ordinary, version)));
        }
        for etcd in context.etcds() {
            let members = context.members(&etcd);
            // Only the members' own statuses tell their version.
            let is_metrics_only = context.view.inventory().etcd(&etcd).is_some_and(|known| known.is_metrics_only);
            if members.len() > 1 && !is_metrics_only {
                let version = |member: &Subject| Some(context.view.status(member)?.1.version.clone());
                verdicts.push((etcd.clone(), judge_alike(context, etcd, &members, Aspect::Answer, version)));
            }
        }
        verdicts
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api};

        let parts = vec![(api("api-1"), "v1.37.0".into()), (api("api-2"), "v1.36.3".into())];
        Sample::of("prod-eu1", Level::Warning, Arc::new(Versions { parts, emulated: Vec::new() }))
    }
}

/// The version in the latest answer of an apiserver to `/version`.
fn apiserver_version(context: &RuleContext<'_>, instance: &Subject) -> Option<String> {
    let (name, _) = context.cluster?;
    let latest = &context.view.cluster_snapshot(name)?.observations;
    match &latest.get(&Probe::reused(instance.clone(), ProbeKind::Version))?.outcome {
        Ok(Reading::Version(version)) => version.git_version.clone(),
        Ok(_) | Err(_) => None,
    }
}

/// Those of `parts` that behave like an older version, by their latest `/statusz`.
fn emulated(context: &RuleContext<'_>, parts: &[(Subject, String)]) -> Vec<(Subject, String)> {
    let zpages = context.cluster.and_then(|(name, _)| context.view.zpages(name));
    let emulated = parts.iter().filter_map(|(instance, _)| {
        let (_, status) = zpages?.instance(instance)?.status()?;
        Some((instance.clone(), status.emulates()?.to_owned()))
    });
    emulated.collect()
}

/// An instance that does not answer now, or does not tell its version, shows nothing: the others may still differ, but
/// that all are alike is not known.
fn judge_alike(
    context: &RuleContext<'_>,
    subject: Subject,
    instances: &[Subject],
    aspect: Aspect,
    version: impl Fn(&Subject) -> Option<String>,
) -> Verdict {
    let answers = |instance: &&Subject| context.subject_state(instance, aspect).good().is_some();
    let parts: Vec<(Subject, String)> =
        instances.iter().filter(answers).filter_map(|instance| Some((instance.clone(), version(instance)?))).collect();
    let versions: BTreeSet<&str> = parts.iter().map(|(_, version)| version.as_str()).collect();
    let emulated = emulated(context, &parts);
    if versions.len() < 2 && emulated.is_empty() {
        let runs: Option<Vec<_>> =
            instances.iter().map(|instance| context.subject_state(instance, aspect).good().copied()).collect();
        let good = runs.filter(|_| parts.len() == instances.len()).and_then(|runs| all_good(&runs));
        return good.unwrap_or(Verdict::Unknown(if parts.is_empty() { Why::NeverSeen } else { Why::Unclear }));
    }
    let level = if versions.len() < 2 { Level::Info } else { Level::Warning };
    let evidence = Versions { parts, emulated };
    let raised = context.raised_of(RuleId::F17, &subject);
    Verdict::Bad(Finding {
        rule: RuleId::F17,
        level,
        since: raised.map_or(context.now.wall, |known| known.since),
        hold: if evidence.is_unsupported() { UNSUPPORTED } else { UPGRADE },
        path_unproven: false,
        evidence: Arc::new(evidence),
        subject,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_minor_apart_is_unsupported_and_what_cannot_be_compared_is_not() {
        for (one, other, is_unsupported) in [
            ("v1.36.3", "v1.36.2", false),
            ("v1.36.3", "v1.37.0-rc.1+k3s1", false),
            ("v1.35.9", "v1.37.0", true),
            ("v1.36.3", "v2.0.0", true),
            ("3.5.24", "3.6.16", false),
            ("v1.36.3", "unversioned", false),
        ] {
            let part = |name, version: &str| (crate::samples::api(name), version.to_owned());
            let versions = Versions { parts: vec![part("api-1", one), part("api-2", other)], emulated: Vec::new() };

            assert_eq!(versions.is_unsupported(), is_unsupported, "{one} {other}");
        }
    }
}
