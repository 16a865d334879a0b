//! Who uses the apiservers of a cluster: its priority levels and its largest senders.

use std::collections::BTreeMap;

use crate::model::flow_control::{Sender, Suspect};
use crate::model::observation::Reading;
use crate::model::probe::ProbeKind;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::Name;
use crate::model::time::Now;
use crate::render::metrics::Page;
use crate::render::metrics::fresh::is_fresh;

use super::facts::{LevelLine, Load, SenderLine};
use super::moment::{mono, short};
use super::probes::latest;

/// The load of `name`; `None` where nobody is asked for it.
pub(super) fn load(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Option<Load> {
    let cluster = page.snapshot.inventory.clusters.get(name).filter(|cluster| cluster.flow_control)?;
    let mut sums: BTreeMap<&str, LevelLine> = BTreeMap::new();
    let mut seen = None;
    let instances = cluster.instances(name);
    let latest = instances.iter().filter_map(|one| latest(cluster_snapshot, one, ProbeKind::PriorityLevels));
    for observation in latest.filter(|observation| is_fresh(page, observation)) {
        let Ok(Reading::PriorityLevels(Ok(dump))) = &observation.outcome else { continue };
        let is_older = seen.is_none_or(|at: Now| observation.scheduled.mono < at.mono);
        seen = if is_older { Some(observation.scheduled) } else { seen };
        for (level, uses) in &dump.levels {
            let line = sums.entry(level).or_insert_with(|| LevelLine { level: short(level), executing: 0, waiting: 0 });
            line.executing += u64::from(uses.executing);
            line.waiting += u64::from(uses.waiting);
        }
    }
    let known = &cluster_snapshot.load;
    Some(Load {
        suspected_since: known.suspected_since.map(|since| mono(since, page.now)),
        levels: sums.into_values().collect(),
        levels_seen: seen.map(|at| mono(at, page.now)),
        senders: known.senders.iter().map(|suspect| line(suspect, known.is_usual_known)).collect(),
        senders_seen: known.at.map(|at| mono(at, page.now)),
    })
}

fn line(Suspect { share, usual }: &Suspect, is_usual_known: bool) -> SenderLine {
    let Sender { user, verb, what } = &share.sender;
    let usual = usual.filter(|_| is_usual_known);
    SenderLine {
        user: short(if user.is_empty() { "not visible" } else { user }),
        asks: short(&format!("{verb} {what}")),
        level: short(&share.flow_schema.1),
        share: format!("{:.0} %", share.share * 100.0),
        usual: usual.map_or_else(|| "unknown".to_owned(), |usual| format!("{:.0} %", usual * 100.0)),
        executing: share.uses.executing,
        waiting: share.uses.waiting,
    }
}
