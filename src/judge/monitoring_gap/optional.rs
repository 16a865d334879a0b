//! Gaps in what is asked of apiservers only where the configuration wants it and the cluster gives the right: who uses them,
//! their metrics, their z-pages, and canaries.

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::context::RuleContext;
use crate::model::apiserver_metrics::NoPage;
use crate::model::canary::{Canary, CanaryLack};
use crate::model::gap::Gap;
use crate::model::subject::Subject;
use crate::observe::flow_control::Instance;
use crate::observe::metrics_pages::Missing;
use crate::observe::zpages;

/// Instances that do not tell who uses them.
pub(super) fn load_gaps(context: &RuleContext<'_>) -> Vec<Gap> {
    let instances = context.instances();
    let of = |is_so: fn(&Instance) -> bool| -> Vec<Subject> {
        let asked = instances.iter().filter(|one| asks_for_load(context, one));
        asked.filter(|one| instance(context, one).is_some_and(is_so)).cloned().collect()
    };
    let (forbidden, missing) = (of(Instance::is_forbidden), of(Instance::is_missing));
    let no_pages = forbidden_pages(context);
    let gaps = [
        (forbidden, Gap::LoadForbidden as fn(_) -> _),
        (missing, Gap::NoFlowControl),
        (no_pages, Gap::MetricsForbidden),
    ];
    gaps.into_iter().filter(|(subjects, _)| !subjects.is_empty()).map(|(subjects, gap)| gap(subjects)).collect()
}

/// Instances whose page of metrics we may not read.
fn forbidden_pages(context: &RuleContext<'_>) -> Vec<Subject> {
    let Some((name, cluster)) = context.cluster.filter(|(_, cluster)| cluster.apiserver_metrics) else {
        return Vec::new();
    };
    let is_forbidden = |one: &Subject| {
        let known = context.view.metrics_pages(name).and_then(|pages| pages.instance(one));
        known.and_then(|known| known.missing()) == Some(Missing::Instead(NoPage::Forbidden))
    };
    cluster.instances(name).into_iter().filter(is_forbidden).collect()
}

/// What the canaries would show and do not.
pub(super) fn canary_gaps(context: &RuleContext<'_>) -> Vec<Gap> {
    let Some((name, _)) = context.cluster.filter(|(name, cluster)| !cluster.instances(name).is_empty()) else {
        return Vec::new();
    };
    let off: Vec<Canary> = Canary::ALL.into_iter().filter(|canary| !has_canary(context, *canary)).collect();
    let mut lacking: BTreeMap<CanaryLack, BTreeSet<Canary>> = BTreeMap::new();
    if let Some(known) = context.view.canaries(name) {
        for (kind, track) in context.instances().iter().flat_map(|instance| known.tracks(instance)) {
            if let (Some(lack), Some(canary)) = (track.lack(), kind.canary()) {
                lacking.entry(lack).or_default().insert(canary);
            }
        }
    }
    let lacks = lacking
        .into_iter()
        .map(|(lack, canaries)| Gap::CanariesLack { lack, canaries: canaries.into_iter().collect() });
    (!off.is_empty()).then_some(Gap::CanariesOff(off)).into_iter().chain(lacks).collect()
}

/// Whether the configuration has a canary of that kind.
pub(super) fn has_canary(context: &RuleContext<'_>, canary: Canary) -> bool {
    let canaries = context.cluster.and_then(|(_, cluster)| cluster.canaries.as_ref());
    canaries.is_some_and(|canaries| canaries.has(canary))
}

/// Whether a canary of that kind has been answered as it should be, so that its setup is whole.
pub(super) fn has_run(context: &RuleContext<'_>, canary: Canary) -> bool {
    let known = context.cluster.and_then(|(name, _)| context.view.canaries(name));
    known.is_some_and(|known| known.good(canary).is_some())
}

/// Instances that do not tell of their process and flags.
pub(super) fn zpage_gaps(context: &RuleContext<'_>) -> Vec<Gap> {
    let instances = context.instances();
    let of = |is_so: fn(&zpages::Instance) -> bool| -> Vec<Subject> {
        let asked = instances.iter().filter(|one| asks_for_zpages(context, one));
        asked.filter(|one| told_of_itself(context, one).is_some_and(is_so)).cloned().collect()
    };
    let forbidden = of(zpages::Instance::is_forbidden);
    let missing: Vec<Subject> =
        of(zpages::Instance::is_missing).into_iter().filter(|one| !forbidden.contains(one)).collect();
    let gaps = [(forbidden, Gap::ZpagesForbidden as fn(_) -> _), (missing, Gap::NoZpages)];
    gaps.into_iter().filter(|(subjects, _)| !subjects.is_empty()).map(|(subjects, gap)| gap(subjects)).collect()
}

/// Whether the configuration wants `one` asked for its z-pages.
pub(super) fn asks_for_zpages(context: &RuleContext<'_>, one: &Subject) -> bool {
    context
        .cluster
        .is_some_and(|(name, cluster)| cluster.zpages && one.is_apiserver() && cluster.instances(name).contains(one))
}

/// What one tells of itself.
pub(super) fn told_of_itself<'a>(context: &RuleContext<'a>, one: &Subject) -> Option<&'a zpages::Instance> {
    context.view.zpages(one.cluster()?)?.instance(one)
}

/// Whether the configuration wants `one` asked who uses it.
pub(super) fn asks_for_load(context: &RuleContext<'_>, one: &Subject) -> bool {
    context.cluster.is_some_and(|(name, cluster)| cluster.flow_control && cluster.instances(name).contains(one))
}

/// What is known of the flow control of one.
pub(super) fn instance<'a>(context: &RuleContext<'a>, one: &Subject) -> Option<&'a Instance> {
    context.view.flow_control(one.cluster()?)?.instance(one)
}
