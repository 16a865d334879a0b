//! What a reload changed, in words for the log: names of sections and clusters, never their values.

use crate::config::settings::{Cluster, Settings};

/// One phrase for each difference from `old` to `new`; none when they say the same.
pub(super) fn differences(old: &Settings, new: &Settings) -> Vec<String> {
    let mut phrases = Vec::new();
    let find = |settings: &'_ Settings, cluster: &Cluster| {
        settings.clusters.iter().position(|known| known.name == cluster.name)
    };
    for cluster in &new.clusters {
        match find(old, cluster) {
            None => phrases.push(format!("cluster {} added", cluster.name)),
            Some(at) if old.clusters[at] != *cluster => phrases.push(format!("cluster {} changed", cluster.name)),
            Some(_) => {}
        }
    }
    let gone = old.clusters.iter().filter(|cluster| find(new, cluster).is_none());
    phrases.extend(gone.map(|cluster| format!("cluster {} removed", cluster.name)));
    let sections = [
        ("the vantage's name", old.vantage.name == new.vantage.name),
        ("the time zone", old.vantage.time_zone == new.vantage.time_zone),
        ("reference targets", old.vantage.references == new.vantage.references),
        ("resolvers", old.vantage.resolvers == new.vantage.resolvers),
        ("mail", old.mail == new.mail),
        ("links", old.links == new.links),
        ("heartbeat", old.heartbeat == new.heartbeat),
        ("files", old.files == new.files),
        ("severities", old.levels == new.levels),
        ("timing", old.policy == new.policy),
    ];
    phrases.extend(sections.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| format!("{name} changed")));
    phrases
}
