//! What each apiserver tells of itself: since when its process runs, in which version, and which of its flags differ from
//! those of the others.

use crate::model::observation::Reading;
use crate::model::probe::ProbeKind;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::Subject;
use crate::render::metrics::Page;
use crate::render::metrics::fresh::is_fresh;

use super::moment::{several, short, wall};
use super::probes::latest;

/// Flags named in one line.
const NAMED: usize = 3;

/// The line of `instance`; `None` where nothing of it is known.
pub(super) fn of(page: Page<'_>, instance: &Subject, cluster_snapshot: &ClusterSnapshot) -> Option<String> {
    let seen = latest(cluster_snapshot, instance, ProbeKind::Statusz).filter(|seen| is_fresh(page, seen))?;
    let Ok(Reading::Statusz(Ok(status))) = &seen.outcome else { return None };
    // By the server's clock, which may not be ours: an age that is off by that is still the age of the process.
    let started = status.started.map(|started| format!("started {}", wall(started, page.now).age));
    let version = status.binary_version.as_ref().map(|version| format!("runs {version}"));
    let emulates = status.emulates().map(|version| format!("emulates {version}"));
    let parts: Vec<String> =
        [version, emulates, started, flags(instance, cluster_snapshot)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| short(&parts.join(", ")))
}

/// The flags for which it has another value than most, or in a tie than the others.
fn flags(instance: &Subject, cluster_snapshot: &ClusterSnapshot) -> Option<String> {
    let known = &cluster_snapshot.zpages;
    if !known.compared.contains(instance) {
        return None;
    }
    let is_odd = |values: &[(Option<String>, Vec<Subject>)]| {
        let own = values.iter().find(|(_, by)| by.contains(instance)).map_or(0, |(_, by)| by.len());
        own > 0 && values.iter().any(|(_, by)| by.len() >= own && !by.contains(instance))
    };
    let odd = known.differences.iter().filter(|flag| is_odd(&flag.values));
    let names: Vec<&str> = odd.map(|flag| flag.name.as_str()).collect();
    match names.as_slice() {
        [] if known.compared.len() > 1 => Some("flags as the others".to_owned()),
        [] => None,
        names if names.len() <= NAMED => Some(format!("differs in {}", names.join(", "))),
        names => Some(format!("differs in {}", several(names.len() as u64, "flag"))),
    }
}
