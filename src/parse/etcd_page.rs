//! What an etcd member's metrics listener reports: `/metrics` and `/health`.
//!
//! Takes the few families that are wanted and passes over the rest, piece by piece as a page arrives; a family that the
//! member's version does not have stays unknown. Knows nothing of HTTP. Called by `collect/etcd/metrics_listener.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exposition::{Families, Flaw, Reader, Sample};
use super::sanitize::shown;
use crate::model::etcd::{Buckets, MemberMetrics};

/// Buckets kept of one distribution; etcd's widest has 16.
const MAX_BUCKETS: usize = 64;
/// Characters kept of a version or a reason.
const MAX_TEXT: usize = 100;

/// What is wanted of a page.
const FAMILIES: Families = Families::new(&[
    "etcd_disk_backend_commit_duration_seconds",
    "etcd_disk_defrag_inflight",
    "etcd_disk_wal_fsync_duration_seconds",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_network_peer_round_trip_time_seconds",
    "etcd_server_has_leader",
    "etcd_server_id",
    "etcd_server_is_leader",
    "etcd_server_is_learner",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_quota_backend_bytes",
    "etcd_server_version",
    "process_max_fds",
    "process_open_fds",
    "process_start_time_seconds",
]);
/// Samples taken of a page: a member of seven has some 200.
const MAX_SAMPLES: usize = 10_000;

/// Why a page tells nothing of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It holds nothing of etcd: something else answers there.
    Foreign,
    /// Its last line has no end, so it is not all that the member wanted to say.
    Cut,
    /// It has more of what is wanted than any member has.
    TooLarge,
}

/// Reads a page of `/metrics` as it arrives.
#[derive(Debug)]
pub struct PageReader {
    exposition: Reader,
    found: Found,
}

/// What a page has told so far.
#[derive(Debug, Default)]
struct Found {
    metrics: MemberMetrics,
    is_etcd: bool,
    fsync: Distribution,
    commit: Distribution,
    round_trip: Distribution,
}

impl Default for PageReader {
    fn default() -> Self {
        Self { exposition: Reader::new(FAMILIES, MAX_SAMPLES), found: Found::default() }
    }
}

impl PageReader {
    /// Takes the next piece of the page.
    ///
    /// # Errors
    /// [`Unreadable::TooLarge`]: the rest of the page is not to be read.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Unreadable> {
        let found = &mut self.found;
        self.exposition.push(piece, |sample| found.take(sample)).map_err(Unreadable::from)
    }

    /// What the page told, after its last piece.
    ///
    /// # Errors
    /// When that is not all, or nothing of an etcd.
    pub fn finish(self) -> Result<MemberMetrics, Unreadable> {
        let Self { exposition, found } = self;
        if !found.is_etcd {
            return Err(Unreadable::Foreign);
        }
        exposition.finish()?;
        Ok(MemberMetrics {
            wal_fsync: found.fsync.finish(),
            backend_commit: found.commit.finish(),
            peer_round_trip: found.round_trip.finish(),
            ..found.metrics
        })
    }
}

impl Found {
    fn take(&mut self, sample: &Sample<'_>) {
        let metrics = &mut self.metrics;
        self.is_etcd = self.is_etcd || sample.name.starts_with("etcd_");
        match sample.name {
            "etcd_server_has_leader" => metrics.has_leader = sample.flag(),
            "etcd_server_is_leader" => metrics.is_leader = sample.flag(),
            "etcd_server_is_learner" => metrics.is_learner = sample.flag(),
            "etcd_server_leader_changes_seen_total" => metrics.leader_changes = sample.whole(),
            "etcd_mvcc_db_total_size_in_bytes" => metrics.db_size_bytes = sample.whole(),
            "etcd_mvcc_db_total_size_in_use_in_bytes" => metrics.db_in_use_bytes = sample.whole(),
            // Zero or less means etcd's default or no quota at all; neither is a number to count against.
            "etcd_server_quota_backend_bytes" => metrics.db_quota_bytes = sample.whole().filter(|quota| *quota > 0),
            "etcd_disk_defrag_inflight" => metrics.is_defragmenting = sample.flag(),
            "etcd_server_version" => {
                metrics.version = sample.label("server_version").map(|version| shown(&version, MAX_TEXT));
            }
            "etcd_server_id" => {
                metrics.member_id = sample.label("server_id").map(|id| shown(&id, MAX_TEXT));
            }
            "process_start_time_seconds" => metrics.started = sample.instant(),
            "process_open_fds" => metrics.open_descriptors = sample.whole(),
            "process_max_fds" => metrics.most_descriptors = sample.whole(),
            "etcd_disk_wal_fsync_duration_seconds_bucket" => self.fsync.add(sample),
            "etcd_disk_backend_commit_duration_seconds_bucket" => self.commit.add(sample),
            "etcd_network_peer_round_trip_time_seconds_bucket" => self.round_trip.add(sample),
            _ => {}
        }
    }
}

impl From<Flaw> for Unreadable {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Cut => Self::Cut,
            Flaw::TooManySamples => Self::TooLarge,
        }
    }
}

/// The health of a member by its `/health`: the document has `health` as a text, `"true"` or `"false"`. `None` for any
/// other body: then something else answers there.
#[must_use]
pub fn is_well(body: &[u8]) -> Option<bool> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    match body.get("health")?.as_str()? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The reason in the body of an unhealthy `/health`, such as `RAFT NO LEADER`; none before etcd 3.5.
#[must_use]
pub fn reason(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let reason = body.get("reason")?.as_str()?;
    (!reason.is_empty()).then(|| shown(reason, MAX_TEXT))
}

/// One distribution under construction; several series of it (one for each peer) are added up.
#[derive(Debug, Default)]
struct Distribution {
    /// Cumulative counts by upper bound.
    below: BTreeMap<Duration, u64>,
    count: Option<u64>,
}

impl Distribution {
    fn add(&mut self, sample: &Sample<'_>) {
        let (Some(le), Some(count)) = (sample.label("le"), sample.whole()) else { return };
        if le == "+Inf" {
            self.count = Some(self.count.unwrap_or(0).saturating_add(count));
        } else if let Some(bound) = le.parse::<f64>().ok().and_then(|bound| Duration::try_from_secs_f64(bound).ok())
            && (self.below.len() < MAX_BUCKETS || self.below.contains_key(&bound))
        {
            let known = self.below.entry(bound).or_default();
            *known = known.saturating_add(count);
        }
    }

    fn finish(self) -> Option<Buckets> {
        Some(Buckets { below: self.below.into_iter().collect(), count: self.count? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("etcd_page/3.6.metrics");

    fn metrics(page: &[u8]) -> Result<MemberMetrics, Unreadable> {
        let mut reader = PageReader::default();
        reader.push(page)?;
        reader.finish()
    }

    #[test]
    fn a_page_without_anything_wanted_tells_nothing() {
        assert_eq!(metrics(b"etcd_server_id 1\ngo_goroutines 93\n"), Ok(MemberMetrics::default()));
    }

    #[test]
    fn what_has_nothing_of_etcd_is_no_page_of_it() {
        for page in [&b""[..], b"<html>Sign in</html>", b"go_goroutines 93\nnode_load1 0.5\n", b"{}"] {
            assert_eq!(metrics(page), Err(Unreadable::Foreign), "{page:?}");
        }
    }

    #[test]
    fn a_verdict_is_told_from_whatever_else_is_answered() {
        for (body, says) in [
            (&br#"{"health":"true"}"#[..], Some(true)),
            (br#"{"health":"true","reason":""}"#, Some(true)),
            (br#"{"health":"false","reason":"RAFT NO LEADER"}"#, Some(false)),
            (br#"{"health":true}"#, None),
            (br#"{"status":"UP"}"#, None),
            (b"<html>Sign in</html>", None),
            (b"ok", None),
            (b"", None),
        ] {
            assert_eq!(is_well(body), says, "{body:?}");
        }
    }

    #[test]
    fn series_of_several_peers_are_added_up() {
        let page = "etcd_network_peer_round_trip_time_seconds_bucket{To=\"a\",le=\"0.1\"} 3\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"a\",le=\"+Inf\"} 4\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"0.1\"} 1\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"+Inf\"} 1\n";

        let buckets = metrics(page.as_bytes()).unwrap().peer_round_trip.unwrap();

        assert_eq!(buckets, Buckets { below: vec![(Duration::from_millis(100), 4)], count: 5 });
    }

    #[test]
    fn a_quota_that_is_none_is_not_told() {
        for quota in ["0", "-1", "NaN", "+Inf"] {
            let page = format!("etcd_server_quota_backend_bytes {quota}\n");
            assert_eq!(metrics(page.as_bytes()).unwrap().db_quota_bytes, None, "{quota}");
        }
    }

    #[test]
    fn reasons_are_read_where_there_is_one() {
        assert_eq!(reason(br#"{"health":"false","reason":"RAFT NO LEADER"}"#).as_deref(), Some("RAFT NO LEADER"));
        for none in [r#"{"health":"false"}"#, r#"{"health":"true","reason":""}"#, "oops", "[]"] {
            assert_eq!(reason(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_page_of_every_version_tells_all_that_is_wanted() {
        for (version, page) in [
            ("3.4", include_str!("etcd_page/3.4.metrics")),
            ("3.5", include_str!("etcd_page/3.5.metrics")),
            ("3.6", PAGE),
            ("3.7", include_str!("etcd_page/3.7.metrics")),
        ] {
            let read = metrics(page.as_bytes()).unwrap();

            assert_eq!(read.has_leader, Some(true), "{version}");
            assert!(read.member_id.is_some_and(|id| u64::from_str_radix(&id, 16).is_ok()), "{version}");
            assert_eq!(read.is_learner, Some(false), "{version}");
            assert_eq!(read.db_quota_bytes, Some(4 << 20), "{version}");
            assert!(read.db_in_use_bytes <= read.db_size_bytes && read.db_in_use_bytes > Some(0), "{version}");
            assert!(read.version.unwrap().starts_with(version));
            assert!(read.is_leader.is_some() && read.leader_changes > Some(0), "{version}");
            assert!(read.started.is_some() && read.open_descriptors < read.most_descriptors, "{version}");
            for buckets in [read.wal_fsync, read.backend_commit, read.peer_round_trip] {
                assert!(buckets.unwrap().below.len() >= 14, "{version}");
            }
            assert_eq!(read.is_defragmenting, Some(false), "{version}");
        }
    }

    #[test]
    fn a_page_tells_the_same_in_any_pieces_and_nothing_when_it_ends_within_a_line() {
        for size in [1, 7, 100, 4096] {
            let mut reader = PageReader::default();
            PAGE.as_bytes().chunks(size).for_each(|piece| reader.push(piece).unwrap());
            assert_eq!(reader.finish(), metrics(PAGE.as_bytes()), "{size}");
        }
        let cut = PAGE.find("etcd_server_is_leader 1").unwrap_or(PAGE.len() / 2) + 5;
        assert_eq!(metrics(&PAGE.as_bytes()[..cut]), Err(Unreadable::Cut));
    }

    #[test]
    fn a_page_with_more_than_any_member_has_is_not_read_on() {
        let mut reader = PageReader::default();
        let peers: String = (0..MAX_SAMPLES)
            .map(|n| format!("etcd_network_peer_round_trip_time_seconds_bucket{{To=\"{n}\",le=\"{n}\"}} 1\n"))
            .collect();

        reader.push(peers.as_bytes()).unwrap();

        assert_eq!(reader.push(b"etcd_server_has_leader 1\n"), Err(Unreadable::TooLarge));
        assert_eq!(reader.found.round_trip.below.len(), MAX_BUCKETS);
    }

    proptest! {
        #[test]
        fn a_damaged_page_gives_a_bounded_answer(cut in 0..PAGE.len(), byte in any::<u8>(), at in 0..PAGE.len()) {
            let mut page = PAGE.as_bytes()[..cut].to_vec();
            if let Some(hit) = page.get_mut(at) {
                *hit = byte;
            }

            let Ok(read) = metrics(&page) else { return Ok(()) };

            let buckets = [read.wal_fsync, read.backend_commit, read.peer_round_trip].into_iter().flatten();
            prop_assert!(buckets.map(|buckets| buckets.below.len()).all(|len| len <= MAX_BUCKETS));
            prop_assert!(read.version.is_none_or(|version| version.chars().count() <= MAX_TEXT));
        }
    }
}
