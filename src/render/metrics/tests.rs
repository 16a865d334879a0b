//! Claims about the metrics page as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::protobuf::{LabelPair, MetricFamily, MetricType};
use super::{Format, Pieces};
use crate::model::delivery::Backlog;
use crate::model::etcd::{MemberAnswer, MemberMetrics};
use crate::model::incident::Incident;
use crate::model::inventory::Inventory;
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::ProbeKind;
use crate::model::silence::Silence;
use crate::model::snapshot::{ClusterSnapshot, Snapshot};
use crate::model::time::{Now, UnixTime};
use crate::render::fixture;

#[test]
fn the_page_looks_like_this() {
    let page = text(&whole(), fixture::now());

    let revision = |name: &str| format!("revision=\"{name}\"");
    let page = page.replace(&revision(option_env!("VEDETTE_REVISION").unwrap_or("unknown")), &revision("REVISION"));
    insta::assert_snapshot!(page.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn priority_levels_have_a_series_each_those_of_the_cluster_one_together_and_no_user_is_a_label() {
    let page = text(&fixture::busy(), fixture::now());

    let labels = "cluster=\"prod\",component=\"apiserver\",instance=\"api-1\",priority_level=";
    for (level, executing, waiting) in [("workload-low", 98, Some(402)), ("other", 1, Some(3)), ("exempt", 2, None)] {
        let line = |name: &str, value| format!("vedette_apiserver_{name}_requests{{{labels}\"{level}\"}} {value}\n");
        assert!(page.contains(&line("executing", executing)), "{page}");
        assert_eq!(
            waiting.is_some_and(|waiting| page.contains(&line("waiting", waiting))),
            waiting.is_some(),
            "{level}"
        );
    }
    assert!(page.contains("vedette_cluster_overload_suspected{cluster=\"prod\"} 1\n"));
    assert!(!page.contains("telemetry") && !page.contains("of-our-own"));
    assert!(page.lines().filter(|line| line.starts_with("vedette_apiserver_")).count() <= 17);
}

#[test]
fn apiservers_tell_their_start_and_emulation_and_a_cluster_its_differing_flags() {
    let page = text(&fixture::busy(), fixture::now());

    let of = |instance: &str| format!("{{cluster=\"prod\",component=\"apiserver\",instance=\"{instance}\"}}");
    let started = |hours: i64| fixture::now().wall.as_secs() - hours * 3600;
    for (instance, hours, emulates) in [("api-1", 50, 0), ("api-2", 3, 1)] {
        let labels = of(instance);
        let start = format!("vedette_apiserver_start_timestamp_seconds{labels} {}", started(hours));
        assert!(page.contains(&start), "{start}{page}");
        assert!(page.contains(&format!("vedette_apiserver_emulates_older_version{labels} {emulates}\n")), "{page}");
    }
    for weight in ["high", "low"] {
        let line = format!("vedette_cluster_differing_flags{{cluster=\"prod\",weight=\"{weight}\"}} 1\n");
        assert!(page.contains(&line), "{page}");
    }
    assert!(!page.contains("anonymous-auth"), "flags are no labels");
}

#[test]
fn two_scrapes_of_one_snapshot_are_the_same() {
    let snapshot = fixture::snapshot();

    assert_eq!(text(&snapshot, fixture::now()), text(&snapshot, fixture::now()));
}

#[test]
fn every_line_is_a_comment_or_a_sample_with_a_finite_value_and_no_sample_comes_twice() {
    let page = text(&whole(), fixture::now());
    let mut seen = BTreeSet::new();

    for line in page.lines().filter(|line| !line.starts_with("# HELP ") && !line.starts_with("# TYPE ")) {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let name = series.split('{').next().unwrap();

        assert!(name.starts_with("vedette_") || name == "process_start_time_seconds", "{line}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
        assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        assert!(seen.insert(series), "{series} comes twice");
        if let Some((_, labels)) = series.split_once('{') {
            assert!(labels.ends_with("\"}") && labels.matches('"').count().is_multiple_of(2), "{line}");
        }
    }
}

#[test]
fn names_follow_the_conventions() {
    let page = text(&whole(), fixture::now());
    let mut helped = None;
    for head in page.lines().filter_map(|line| line.strip_prefix("# ")) {
        if let Some(help) = head.strip_prefix("HELP ") {
            assert!(help.ends_with('.'), "{help}");
            helped = help.split(' ').next();
            continue;
        }
        let (name, kind) = head.strip_prefix("TYPE ").unwrap().split_once(' ').unwrap();

        assert_eq!(helped, Some(name));
        match kind {
            "counter" => assert!(name.ends_with("_total"), "{name}"),
            "histogram" | "summary" => assert!(name.ends_with("_seconds"), "{name}"),
            "gauge" => assert!(!name.ends_with("_total"), "{name}"),
            kind => panic!("{name} is a {kind}"),
        }
        assert!(!name.contains("timestamp") || name.ends_with("_timestamp_seconds"), "{name}");
        for unit in ["_millis", "_ms", "_minutes", "_days", "_kb", "_percent"] {
            assert!(!name.contains(unit), "{name}");
        }
    }
    assert!(helped.is_some());
}

#[test]
fn labels_are_from_a_closed_list_and_hold_nothing_that_a_peer_sent() {
    let allowed = [
        "cluster",
        "component",
        "etcd",
        "instance",
        "probe",
        "connection",
        "phase",
        "outcome",
        "kind",
        "role",
        "position",
        "reason",
        "integration",
        "name",
        "rule",
        "severity",
        "state",
        "source",
        "kind",
        "result",
        "version",
        "revision",
    ];
    let page = text(&whole(), fixture::now());

    let labelled = page.lines().filter_map(|line| line.split_once('{')?.1.rsplit_once('}'));
    let mut names: BTreeSet<&str> = labelled
        .flat_map(|(labels, _)| labels.split("\","))
        .filter_map(|label| Some(label.split_once('=')?.0))
        .collect();
    assert!(names.remove("le") && names.contains("instance"), "{names:?}");
    for name in names {
        assert!(allowed.contains(&name), "{name}");
    }
    for peers in ["secret.example", "0badcafe", "CN=", "3.6.16", "informer-sync"] {
        assert!(!page.contains(peers), "{peers}");
    }
}

#[test]
fn what_was_never_seen_is_absent() {
    let mut snapshot = fixture::snapshot();
    snapshot.clusters = [(fixture::name("prod"), Arc::new(ClusterSnapshot::default()))].into();
    snapshot.vantage.clear();
    snapshot.backlog = Backlog::default();
    snapshot.store_works = None;
    snapshot.clock_offset_millis = None;

    let page = text(&snapshot, fixture::now());

    for absent in [
        "vedette_instance_up",
        "vedette_instance_ready",
        "vedette_etcd_",
        "vedette_certificate_",
        "vedette_last_probe",
        "vedette_notifications_oldest",
        "vedette_store_up",
        "vedette_vantage_clock",
        "vedette_probes_total",
        "vedette_probe_phase",
    ] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn values_of_probes_that_are_too_old_disappear_and_end_dates_stay() {
    let snapshot = fixture::snapshot();

    let page = text(&snapshot, fixture::now().plus(Duration::from_secs(120)));

    for absent in
        ["vedette_instance_up", "vedette_cluster_severity", "vedette_etcd_", "vedette_vantage_clock_synchronised"]
    {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("vedette_certificate_not_after_timestamp_seconds{"));
    assert!(page.contains("vedette_last_probe_timestamp_seconds{"));
}

#[test]
fn what_has_no_end_has_no_end_date() {
    let page = text(&fixture::endless(), fixture::now());

    assert!(page.contains("vedette_certificate_not_before_timestamp_seconds{"));
    assert!(page.contains("vedette_file_certificates{"), "{page}");
    assert!(!page.contains("not_after_timestamp_seconds{"), "{page}");
}

#[test]
fn an_isolated_vantage_calls_nothing_down_but_what_answers_up() {
    let mut snapshot = fixture::snapshot();
    snapshot.isolated_since = Some(fixture::now().wall);

    let page = text(&snapshot, fixture::now());

    assert!(!page.contains(r#"instance="etcd-3"} 0"#));
    assert!(!page.contains("vedette_cluster_severity"));
    assert!(
        page.contains("vedette_instance_up{cluster=\"prod\",component=\"etcd\",etcd=\"main\",instance=\"etcd-1\"} 1")
    );
}

#[test]
fn a_refused_credential_is_up_and_not_known_to_be_ready_and_our_own_fault_is_neither() {
    for (cause, up) in [(Cause::CredentialRejected, Some("1")), (Cause::OwnFault, None), (Cause::Timeout, Some("0"))] {
        let page = text(&with_api_1(Err(Unseen { phase: Phase::FirstByte, cause })), fixture::now());

        assert_eq!(value(&page, r#"vedette_instance_up{cluster="prod",component="apiserver",instance="api-1"}"#), up);
        let ready = value(&page, r#"vedette_instance_ready{cluster="prod",component="apiserver",instance="api-1"}"#);
        assert_eq!(ready, up.filter(|up| *up == "0"), "{cause:?}");
    }
}

#[test]
fn shed_load_says_nothing_of_readiness() {
    let page = text(&with_api_1(Ok(fixture::health(429, &[]))), fixture::now());

    assert_eq!(
        value(&page, r#"vedette_instance_up{cluster="prod",component="apiserver",instance="api-1"}"#),
        Some("1")
    );
    assert_eq!(value(&page, r#"vedette_instance_ready{cluster="prod",component="apiserver",instance="api-1"}"#), None);
}

#[test]
fn an_alarm_is_ruled_out_only_by_a_majority() {
    let nospace = r#"vedette_etcd_alarm{cluster="prod",component="etcd",etcd="main",kind="NOSPACE"}"#;
    let corrupt = r#"vedette_etcd_alarm{cluster="prod",component="etcd",etcd="main",kind="CORRUPT"}"#;
    let mut snapshot = fixture::snapshot();

    let page = text(&snapshot, fixture::now());
    assert_eq!((value(&page, nospace), value(&page, corrupt)), (Some("1"), Some("0")));

    let mut inventory = Inventory::clone(&snapshot.inventory);
    let members = &mut inventory.clusters.get_mut(&fixture::name("prod")).unwrap().etcds;
    let members = &mut members.get_mut(&fixture::name("main")).unwrap().members;
    let endpoint = members[&fixture::name("etcd-1")].clone();
    members.extend(["etcd-4", "etcd-5"].map(|name| (fixture::name(name), endpoint.clone())));
    snapshot.inventory = Arc::new(inventory);
    let page = text(&snapshot, fixture::now());
    assert_eq!((value(&page, nospace), value(&page, corrupt)), (Some("1"), None));
}

#[test]
fn a_configured_quota_is_that_of_the_members_that_report_none() {
    let quota = |name: &str| {
        format!(r#"vedette_etcd_db_quota_bytes{{cluster="prod",component="etcd",etcd="main",instance="{name}"}}"#)
    };
    let mut snapshot = fixture::snapshot();
    let mut inventory = Inventory::clone(&snapshot.inventory);
    let etcds = &mut inventory.clusters.get_mut(&fixture::name("prod")).unwrap().etcds;
    etcds.get_mut(&fixture::name("main")).unwrap().quota_bytes = Some(4096);
    snapshot.inventory = Arc::new(inventory);

    let page = text(&snapshot, fixture::now());

    assert_eq!(value(&page, &quota("etcd-2")), Some("2147483648"), "it reports its own");
    assert_eq!(value(&page, &quota("etcd-1")), Some("4096"));
}

#[test]
fn an_incident_of_no_instance_says_so_itself() {
    let mut snapshot = fixture::snapshot();
    let incident = snapshot.incidents.iter().find(|incident| incident.over.is_none()).unwrap();
    let mut incident = Incident::clone(incident);
    incident.headline.subject = fixture::subject("prod/etcd/main");
    snapshot.incidents = vec![Arc::new(incident)];

    let page = text(&snapshot, fixture::now());

    let series = r#"vedette_incidents{cluster="prod",component="etcd",etcd="main",instance="",rule="F02","#;
    assert!(page.contains(series), "{page}");
}

fn with_api_1(outcome: Result<Reading, Unseen>) -> Snapshot {
    let mut snapshot = fixture::snapshot();
    let observation = fixture::observation(fixture::subject("prod/apiserver/api-1"), ProbeKind::Readyz, outcome);
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&fixture::name("prod")]);
    cluster_snapshot.observations.insert(observation.probe.clone(), Arc::new(observation));
    snapshot.clusters.insert(fixture::name("prod"), Arc::new(cluster_snapshot));
    snapshot
}

fn value<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)).map(str::trim)
}

fn pieces(snapshot: &Snapshot, now: Now, format: Format) -> Vec<Vec<u8>> {
    Pieces::of(Arc::new(snapshot.clone()), now, format).map(Result::unwrap).collect()
}

fn text(snapshot: &Snapshot, now: Now) -> String {
    String::from_utf8(pieces(snapshot, now, Format::Text).concat()).unwrap()
}

#[test]
fn a_page_of_many_endpoints_comes_in_small_pieces_and_reads_as_one() {
    let mut snapshot = fixture::snapshot();
    let tally = snapshot.clusters[&fixture::name("prod")].tallies[&fixture::subject("prod/apiserver/api-1")].clone();
    let lines =
        |page: &str| page.lines().filter(|line| line.starts_with("vedette_probe_phase_duration_seconds_count")).count();
    let of_one = {
        let cluster_snapshot =
            ClusterSnapshot { tallies: [(fixture::subject("a/vip"), tally.clone())].into(), ..Default::default() };
        snapshot.clusters = [(fixture::name("a"), Arc::new(cluster_snapshot))].into();
        lines(&text(&snapshot, fixture::now()))
    };
    // Pieces that end within a cluster, with it and behind it; and a cluster without any in between.
    for (cluster, endpoints) in [("a", 3), ("b", 0), ("c", 16), ("d", 16 * 4 + 1)] {
        let subject = |n| fixture::subject(&format!("{cluster}/apiserver/api-{n}"));
        let tallies = (0..endpoints).map(|n| (subject(n), tally.clone())).collect();
        let cluster_snapshot = ClusterSnapshot { tallies, ..ClusterSnapshot::default() };
        snapshot.clusters.insert(fixture::name(cluster), Arc::new(cluster_snapshot));
    }

    let pieces = pieces(&snapshot, fixture::now(), Format::Text);
    let page = text(&snapshot, fixture::now());

    assert!(of_one > 0);
    assert_eq!(lines(&page), 84 * of_one);
    let largest = pieces.iter().map(Vec::len).max().unwrap();
    assert!(largest < page.len() / 4, "{largest} of {}", page.len());
    let mut begun = BTreeSet::new();
    let family = |line: &str| {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").split([' ', '{']).next().unwrap();
        let suffix = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
        suffix.unwrap_or(name).to_owned()
    };
    let mut before = String::new();
    for line in page.lines() {
        let begins = line.starts_with("# HELP ") && begun.insert(family(line));
        assert!(begins || family(line) == before, "{line} after {before}");
        before = family(line);
    }
}

#[test]
fn a_page_of_many_clusters_has_what_the_page_of_each_has_and_the_vantage_once() {
    let specimen = whole();
    let page_of = |names: &[String]| {
        let prod = &specimen.clusters[&fixture::name("prod")];
        let etcds = &specimen.inventory.clusters[&fixture::name("prod")];
        let mut snapshot = specimen.clone();
        snapshot.clusters = names.iter().map(|name| (fixture::name(name), Arc::clone(prod))).collect();
        let clusters = names.iter().map(|name| (fixture::name(name), etcds.clone())).collect();
        snapshot.inventory = Arc::new(Inventory { clusters, ..Inventory::clone(&snapshot.inventory) });
        let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut lines = Vec::new();
        for line in text(&snapshot, fixture::now()).lines() {
            match line.strip_prefix("# TYPE ") {
                Some(family) => lines = vec![families.entry(family.to_owned()).or_default()],
                None if line.starts_with('#') => {}
                None => lines[0].push(line.to_owned()),
            }
        }
        families
    };
    let names: Vec<String> = (0..70).map(|number| format!("c-{number:02}")).collect();
    let of_none = page_of(&[]);
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in &names {
        for (family, samples) in page_of(std::slice::from_ref(name)) {
            let of_vantage = of_none.get(&family).map_or(&[][..], Vec::as_slice);
            let of_cluster = samples.strip_suffix(of_vantage).expect("the vantage comes last");
            expected.entry(family).or_default().extend_from_slice(of_cluster);
        }
    }
    for (family, samples) in of_none {
        expected.entry(family).or_default().extend(samples);
    }

    let found = page_of(&names);

    assert!(found.values().any(|samples| samples.len() > 600), "families of one piece show nothing");
    assert_eq!(found, expected);
}

#[test]
fn a_silence_shows_when_it_ends() {
    assert!(!text(&fixture::snapshot(), fixture::now()).contains("vedette_silence_"));

    let page = text(&whole(), fixture::now());

    assert!(page.contains("vedette_silence_end_timestamp_seconds{cluster=\"prod\"} 1795179600\n"), "{page}");
    assert!(!page.contains("secret.example"), "words of people are no labels");
}

/// The specimen with a sample of every family that a good day does not have, or not every site: the dashboards are
/// checked against it.
fn whole() -> Snapshot {
    let mut snapshot = fixture::snapshot();
    let since = UnixTime::from_secs(1_795_176_000);
    snapshot.silences = vec![Silence {
        cluster: fixture::name("prod"),
        since,
        until: since.plus(Duration::from_secs(3600)),
        comment: "secret.example is moved".into(),
        author: "anna".into(),
        include_outages: false,
    }];
    let metrics = MemberMetrics {
        leader_changes: Some(2),
        is_defragmenting: Some(false),
        open_descriptors: Some(120),
        most_descriptors: Some(1024),
        ..MemberMetrics::default()
    };
    let answer = MemberAnswer {
        member: fixture::name("etcd-2"),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(metrics),
    };
    let round = Reading::EtcdMetrics(vec![answer]);
    let mut round = fixture::observation(fixture::subject("prod/etcd/main"), ProbeKind::EtcdMetrics, Ok(round));
    round.phases = Phases::default();
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&fixture::name("prod")]);
    cluster_snapshot.observations.insert(round.probe.clone(), Arc::new(round));
    let facts = cluster_snapshot.members.get_mut(&fixture::subject("prod/etcd/main/etcd-2")).unwrap();
    facts.slowest.as_mut().unwrap().peer_round_trip = Some(fixture::millis(2));
    snapshot.clusters.insert(fixture::name("prod"), Arc::new(cluster_snapshot));
    snapshot
}

/// The samples of a protobuf page as its text has them.
fn samples_of_protobuf(page: &[u8]) -> BTreeSet<String> {
    let (mut rest, mut samples) = (page, BTreeSet::new());
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        let name = family.name.unwrap();
        assert!(!family.help.unwrap().is_empty(), "{name}");
        for metric in family.metric {
            let mut add = |suffix: &str, bound: Option<f64>, value: f64| {
                let shown = |LabelPair { name, value }: &LabelPair| {
                    format!("{}=\"{}\"", name.as_deref().unwrap(), value.as_deref().unwrap())
                };
                let le =
                    bound.map(|bound| if bound.is_finite() { format!("le=\"{bound}\"") } else { "le=\"+Inf\"".into() });
                let labels: Vec<String> = metric.label.iter().map(shown).chain(le).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                samples.insert(format!("{name}{suffix}{labels} {value}"));
            };
            match MetricType::try_from(family.r#type.unwrap()).unwrap() {
                MetricType::Counter => add("", None, metric.counter.unwrap().value.unwrap()),
                MetricType::Gauge => add("", None, metric.gauge.unwrap().value.unwrap()),
                MetricType::Summary => {
                    let summary = metric.summary.unwrap();
                    add("_count", None, exact(summary.sample_count.unwrap()));
                    add("_sum", None, summary.sample_sum.unwrap());
                }
                MetricType::Histogram => {
                    let histogram = metric.histogram.as_ref().unwrap();
                    let count = histogram.sample_count.unwrap();
                    for bucket in &histogram.bucket {
                        add("_bucket", bucket.upper_bound, exact(bucket.cumulative_count.unwrap()));
                    }
                    add("_bucket", Some(f64::INFINITY), exact(count));
                    add("_count", None, exact(count));
                    add("_sum", None, histogram.sample_sum.unwrap());
                    let (mut native, mut of_bucket) = (0, 0);
                    for delta in &histogram.positive_delta {
                        of_bucket += delta;
                        native += of_bucket;
                    }
                    assert_eq!(u64::try_from(native).unwrap(), count, "{name} in native buckets");
                }
            }
        }
    }
    samples
}

#[expect(clippy::cast_precision_loss, reason = "counts of a fixture")]
fn exact(count: u64) -> f64 {
    count as f64
}

#[test]
fn both_formats_have_the_same_samples() {
    let snapshot = whole();
    let page = text(&snapshot, fixture::now());
    let of_text: BTreeSet<String> = page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();

    let of_protobuf = samples_of_protobuf(&pieces(&snapshot, fixture::now(), Format::Protobuf).concat());

    assert!(of_text.iter().any(|line| line.contains("_bucket{")), "{page}");
    assert_eq!(of_protobuf, of_text);
}
