//! F43: an API was asked for that a coming version of Kubernetes no longer has (`apiserver_requested_deprecated_apis`).
//! Listed, never mailed on its own: it is work for before the next upgrade.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::DeprecatedApi;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::metrics_pages::InstancePages;

use super::commands::{Command, Commands};
use super::context::{RuleContext, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, pages, phrases};

/// F43: APIs that are in use and end with an upgrade.
pub struct DeprecatedApis;

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing before the upgrade. After it, what still asks for these gets 404: controllers stop working \
                      without a word, and manifests can no longer be applied.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "A controller, an operator or a manifest that is older than the cluster.";

/// APIs named in one text.
const NAMED: usize = 8;

/// APIs that were asked for since the apiservers started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deprecated {
    /// Each of them.
    pub apis: BTreeSet<DeprecatedApi>,
    /// The instances that were asked for them.
    pub instances: Vec<Subject>,
}

impl Kind for Deprecated {
    const TAG: &'static str = "deprecated_apis";
}

impl Evidence for Deprecated {
    fn headline(&self, _: &Finding) -> String {
        "APIs in use that an upgrade removes".into()
    }

    fn what(&self, _: &Finding, _: &Addresses) -> String {
        let named = self.apis.iter().take(NAMED);
        let mut each: Vec<String> = named.map(|api| format!("{} (gone in {})", api.what, api.removed_in)).collect();
        if self.apis.len() > NAMED {
            each.push(format!("{} more", self.apis.len() - NAMED));
        }
        format!("Asked for since the apiservers started: {}.", phrases::list(&each))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        self.instances
            .first()
            .map(|one| commands.metric(one, "apiserver_requested_deprecated_apis"))
            .into_iter()
            .collect()
    }
}

impl Rule for DeprecatedApis {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F43,
            name: "DeprecatedApiInUse",
            in_short: "deprecated API",
            title: "an API in use that an upgrade removes",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Deprecated>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let instances = pages::instances(context);
        let Some(whole) = context.whole().filter(|_| !instances.is_empty()) else { return Vec::new() };
        vec![(whole.clone(), judge_all(context, &whole, &instances))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::Sample;

        let what = "flowschemas.flowcontrol.apiserver.k8s.io/v1beta3".into();
        let apis = [DeprecatedApi { removed_in: "1.38".into(), what }].into();
        let instances = vec![crate::samples::api("api-1")];
        Sample::of("prod-eu1", Level::Info, Arc::new(Deprecated { apis, instances }))
    }
}

fn judge_all(
    context: &RuleContext<'_>,
    whole: &Subject,
    instances: &[(Subject, Result<&InstancePages, Why>)],
) -> Verdict {
    let pages = || instances.iter().filter_map(|(instance, known)| Some((instance, known.as_ref().ok()?.latest()?)));
    let apis: BTreeSet<DeprecatedApi> = pages().flat_map(|(_, (_, page))| page.deprecated.iter().cloned()).collect();
    if !apis.is_empty() {
        let asked = pages().filter(|(_, (_, page))| !page.deprecated.is_empty());
        let evidence = Arc::new(Deprecated { apis, instances: asked.map(|(instance, _)| instance.clone()).collect() });
        return Verdict::Bad(pages::finding(context, (RuleId::F43, whole), Level::Info, Duration::ZERO, evidence));
    }
    let unseen: Vec<Why> = instances.iter().filter_map(|(_, known)| known.as_ref().err().copied()).collect();
    if !unseen.is_empty() {
        return Verdict::Unknown(gravest(unseen));
    }
    // Whoever asked is counted until the process ends, so that one page without any shows it.
    let latest = pages().map(|(_, (at, _))| *at).min_by_key(|at| at.mono);
    latest.map_or(Verdict::Unknown(Why::NeverSeen), |at| Verdict::Good {
        since: at,
        until: context.now,
        probes: u32::MAX,
    })
}
