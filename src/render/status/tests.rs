//! Claims about the page: one model, three renderings that say the same, harmless and bounded.

mod listeners;
mod states;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::text::columns;
use super::{Choice, NoSuchPage, POLICY, STYLE, State, Status, WIDTH, html, text};
use crate::model::recordings::Recordings;
use crate::model::snapshot::Snapshot;
use crate::model::subject::{Name, Subject};
use crate::render::fixture::{self, name, now};
use crate::render::harmless;
use crate::render::metrics::Page;

#[test]
fn the_page_in_each_state() {
    for (state, snapshot) in states::all() {
        let status = status(&snapshot);

        insta::assert_snapshot!(format!("{state}_text"), text(&status));
        insta::assert_snapshot!(format!("{state}_json"), status.json());
        insta::assert_snapshot!(format!("{state}_html"), html(&status, true).replace(STYLE, "STYLE"));
    }
}

#[test]
fn who_uses_the_api_is_shown_by_level_and_by_user() {
    let status = status(&fixture::busy());

    let plain = text(&status);
    let part = plain.split("an overload is suspected").nth(1).unwrap().split("\nCERTIFICATES").next().unwrap();
    insta::assert_snapshot!(part);
    assert!(part.lines().all(|line| columns(line) <= WIDTH), "{part}");
    let page = html(&status, true);
    for shown in ["overload suspected", "workload-low", "system:serviceaccount:telemetry:agent", "93 %", "2 %"] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn each_apiserver_is_shown_with_its_version_its_age_and_the_flags_in_which_it_differs() {
    let status = status(&fixture::busy());

    let plain = text(&status);
    let page = html(&status, true);
    for shown in [
        "runs 1.37.2, started 2 d 2 h ago, differs in anonymous-auth, goaway-chance",
        "runs 1.37.2, emulates 1.36, started 3 h ago, differs in anonymous-auth, goaway-chance",
    ] {
        let unfolded = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unfolded.contains(shown), "{plain}");
        assert!(page.contains(shown), "{page}");
    }
    let lines = plain.lines().filter(|line| line.contains("runs 1.37.2"));
    assert!(lines.clone().count() == 2 && lines.clone().all(|line| columns(line) <= WIDTH), "{plain}");
}

#[test]
fn local_time_stands_beside_utc_for_people_and_not_in_the_json() {
    for (state, mut snapshot) in states::all() {
        let in_utc = status(&snapshot);
        Arc::make_mut(&mut snapshot.inventory).time_zone = Some("Asia/Tokyo".parse().unwrap());
        let status = status(&snapshot);

        let printed = text(&status);
        assert!(printed.contains(" JST)") && !printed.contains("2026-11-20T1"), "{state}: {printed}");
        assert!(printed.lines().all(|line| !line.contains("JST") || columns(line) <= WIDTH), "{state}: {printed}");
        let page = html(&status, true);
        assert!(page.contains(" JST)</span>") && !page.contains(">2026-11-20T"), "{state}: {page}");
        assert!(page.contains("<time datetime=\"2026-11-20T"), "machines read UTC: {page}");
        assert_eq!(status.json().replace("  \"time_zone\": \"Asia/Tokyo\",\n", ""), in_utc.json(), "{state}");
    }
}

#[test]
fn how_far_back_recordings_reach_is_told_in_every_form() {
    let since = now().wall.minus(Duration::from_secs(52 * 3600));
    let held = Recordings { since: Some(since), bytes: 41 << 20, kept: 1, ..Recordings::default() };
    let cases = [
        (None, "? recordings     off"),
        (Some(Recordings::default()), "? recordings     nothing recorded yet"),
        (Some(Recordings { failures: 1, ..Recordings::default() }), "~ recordings     none: 1 attempt failed"),
        (
            Some(held),
            "  recordings     since 2026-11-18T08:00:00Z (2 d 4 h ago), 41.0 MiB; beginnings of 1 incident kept",
        ),
        (
            Some(Recordings { kept: 0, dropped: 7, ..held }),
            "~ recordings     since 2026-11-18T08:00:00Z (2 d 4 h ago), 41.0 MiB; 7 inputs not recorded",
        ),
    ];
    for (recordings, line) in cases {
        let status = status(&fixture::endless()).with_recordings(recordings, now());
        let printed = text(&status);
        assert!(unwrapped(&printed).contains(line), "{line}:\n{printed}");
        let told = line.split_once("recordings").unwrap().1.trim();
        assert!(status.json().contains(told), "{line}: {}", status.json());
        assert!(html(&status, true).contains(told), "{line}");
    }
}

/// A text whose continued lines are one again.
fn unwrapped(text: &str) -> String {
    text.replace(&format!("\n{}", " ".repeat(17)), " ")
}

#[test]
fn a_certificate_without_end_is_shown_without_one() {
    let status = status(&fixture::endless());

    let printed = [text(&status), html(&status, true), serde_json::to_string(&status).unwrap()];
    assert!(!status.certificates.is_empty() && status.certificates.iter().all(|facts| facts.expires.is_none()));
    assert!(printed[0].contains("never expires") && printed[1].contains("never"));
    for page in printed {
        assert!(!page.contains("9999") && !page.contains("since 1970"), "{page}");
    }
}

#[test]
fn each_state_is_called_by_its_name() {
    let expected = [
        ("healthy", State::Ok, "prod is ok"),
        ("specimen", State::Degraded, "prod is degraded: etcd member etcd-3 is down"),
        ("outage", State::Down, "prod is down: etcd has lost quorum"),
        ("isolated", State::Unknown, "bastion-1 has no network: data below is from before 2026-11-20T11:59:00Z"),
        ("starting", State::Unknown, "prod is not known: prod/vip: readyz: no result since the start; and 3 more"),
        ("refused", State::Ok, "prod is ok"),
        ("copied", State::Ok, "prod is ok"),
        ("waiting", State::Ok, "prod is ok"),
        ("listeners_alone", State::Ok, "prod is ok"),
        ("listeners_beside", State::Ok, "prod is ok"),
        ("silenced", State::Down, "prod is down: etcd has lost quorum"),
        ("stale", State::Down, "vedette on bastion-1 is stalled"),
        ("mute", State::Down, "prod is down: etcd has lost quorum"),
    ];
    let seen: Vec<(&str, State, String)> = states::all()
        .into_iter()
        .map(|(named, snapshot)| (named, status(&snapshot)))
        .map(|(named, status)| (named, status.state, status.headline))
        .collect();

    let seen: Vec<(&str, State, &str)> =
        seen.iter().map(|(named, state, text)| (*named, *state, text.as_str())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn every_fact_of_the_model_is_in_all_three_renderings() {
    for (state, snapshot) in states::all() {
        let status = status(&snapshot);
        let plain = squeezed(&text(&status));
        // Each word of a command is in a span of its own.
        let page = squeezed(&html(&status, true).replace("<span>", "").replace("</span>", ""));
        let facts = facts(&serde_json::to_value(&status).unwrap());
        assert!(facts.len() > 30, "{state}: {facts:?}");

        for (path, fact) in facts {
            assert!(page.contains(&squeezed(&harmless::html(&fact))), "{state}: {path} is not in the page: {fact}");
            let is_instant = path.ends_with(".at");
            assert!(is_instant || plain.contains(&squeezed(&fact)), "{state}: {path} is not in the text: {fact}");
        }
    }
}

#[test]
fn what_is_never_probed_at_is_no_gap() {
    for snapshot in [listeners::alone(), listeners::beside()] {
        let status = status(&snapshot);

        assert_eq!(status.gaps, []);
        assert_eq!(status.clusters[0].members, "3 of 3 respond");
        assert!(status.clusters[0].seen.is_some());
    }
}

#[test]
fn a_site_that_is_wholly_silent_is_called_so_and_a_dead_quorum_is_not() {
    let why = |snapshot: &Snapshot| status(snapshot).clusters[0].why.clone();

    assert_eq!(why(&states::outage()), "etcd has lost quorum");
    assert_eq!(why(&states::silent()), "etcd has lost quorum; no endpoint responds");
}

#[test]
fn every_value_seen_has_an_age() {
    let status = status(&states::outage());

    for detail in &status.details {
        let cells = detail.endpoints.iter().flat_map(|endpoint| &endpoint.cells);
        let cells: Vec<_> = cells.chain(detail.members.iter().flat_map(|member| &member.cells)).collect();
        assert!(cells.len() > 10);
        assert!(cells.iter().all(|cell| cell.seen.is_some() != (cell.outcome == "never seen")));
    }
    assert!(status.clusters.iter().all(|line| line.seen.is_some()));
}

#[test]
fn the_text_keeps_to_eighty_columns_whatever_it_is_fed() {
    for snapshot in states::all().into_iter().map(|(_, snapshot)| snapshot).chain([states::hostile()]) {
        let status = status(&snapshot);
        let commands: BTreeSet<&str> =
            status.incidents.iter().flat_map(|incident| &incident.next).map(|command| command.line.as_str()).collect();
        let text = text(&status);

        let lines = text.lines().filter(|line| !commands.contains(line.trim_start()));
        let widest = lines.max_by_key(|line| columns(line)).unwrap();
        assert!(columns(widest) <= WIDTH, "{widest}");
    }
}

#[test]
fn the_page_asks_for_nothing_and_runs_nothing() {
    for snapshot in states::all().into_iter().map(|(_, snapshot)| snapshot).chain([states::hostile()]) {
        let page = html(&status(&snapshot), true);

        for banned in [
            "<script",
            "<link rel=\"stylesheet",
            "<img",
            "<iframe",
            "<form",
            " style=\"",
            " onclick=\"",
            "@import",
            "url(",
        ] {
            assert!(!page.contains(banned), "{banned}");
        }
        for link in page.split(" href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let is_own = link.starts_with('?') || link.starts_with("data:image/svg+xml;base64,");
            assert!(is_own || ["status.txt", "api/v1/status", "metrics"].contains(&link), "{link}");
        }
        assert!(!page.contains(" src=\""));
    }
}

#[test]
fn what_others_wrote_stays_text() {
    let status = status(&states::hostile());
    let (page, plain) = (html(&status, true), text(&status));

    assert!(page.contains("CN=&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    for trick in ['\u{202e}', '\u{1b}', '\u{7}', '\u{200b}'] {
        assert!(!page.contains(trick) && !plain.contains(trick) && !status.json().contains(trick), "{trick:?}");
    }
    assert_eq!(page.matches("</title>").count(), 1);
}

#[test]
fn the_policy_allows_this_sheet_and_nothing_else() {
    assert!(POLICY.starts_with("default-src 'none'; style-src 'sha256-"), "{}", *POLICY);
    assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("http"));
    let page = html(&status(&states::outage()), true);
    assert!(page.contains(&format!("<style>{STYLE}</style>")));
}

#[test]
fn a_page_that_is_held_still_does_not_load_itself() {
    let status = status(&states::healthy());

    assert!(html(&status, true).contains("http-equiv=\"refresh\" content=\"5\""));
    assert!(!html(&status, false).contains("http-equiv"));
}

#[test]
fn fifty_clusters_fit_into_150_kilobytes_also_when_all_are_down() {
    for snapshot in [states::many(0..50, &states::healthy()), states::many(0..50, &states::outage())] {
        let page = html(&status(&snapshot), true);

        assert!(page.len() <= 150 * 1024, "{} bytes", page.len());
    }
}

#[test]
fn a_thousand_clusters_come_in_pages_with_the_failing_first() {
    let mut snapshot = states::many(0..1000, &states::healthy());
    let broken = states::many(777..778, &states::outage());
    let bad = name("c-0777");
    snapshot.clusters.insert(bad.clone(), Arc::clone(&broken.clusters[&bad]));
    snapshot.alarms.extend(broken.alarms.into_iter().filter(|alarm| alarm.finding.subject.cluster() == Some(&bad)));

    let first = status(&snapshot);

    assert_eq!((first.clusters.len(), first.extent.pages), (50, 20));
    assert_eq!((first.clusters[0].name.as_str(), first.clusters[0].state), ("c-0777", State::Down));
    assert_eq!(first.details[0].cluster, "c-0777");
    let mut names: BTreeSet<String> = first.clusters.into_iter().map(|line| line.name).collect();
    let last = chosen(&snapshot, &Choice::Page(20)).unwrap();
    assert!(html(&last, true).len() <= 150 * 1024);
    names.extend(last.clusters.into_iter().map(|line| line.name));
    assert_eq!(names.len(), 100);
    assert_eq!(chosen(&snapshot, &Choice::Page(21)), Err(NoSuchPage::Page(20)));
    assert_eq!(chosen(&snapshot, &Choice::Page(0)), Err(NoSuchPage::Page(20)));
}

#[test]
fn one_cluster_can_be_asked_for_and_no_other() {
    let snapshot = states::many(0..60, &states::healthy());

    let one = chosen(&snapshot, &Choice::Only(name("c-0042"))).unwrap();

    assert_eq!(one.clusters.len(), 1);
    assert_eq!(one.details[0].cluster, "c-0042");
    assert_eq!(chosen(&snapshot, &Choice::Only(name("elsewhere"))), Err(NoSuchPage::Cluster));
}

#[test]
fn a_bad_probe_that_nothing_confirmed_is_not_called_ok() {
    let mut snapshot = states::outage();
    snapshot.alarms.clear();

    let status = status(&snapshot);

    assert_eq!(status.state, State::Unknown);
    assert!(status.gaps[0].text.contains("not confirmed"), "{:?}", status.gaps[0]);
}

#[test]
fn probes_that_grow_old_take_the_verdict_with_them() {
    let mut snapshot = states::healthy();
    let late = now().plus(Duration::from_secs(60));
    snapshot.at = late;
    let page = Page::new(&snapshot, late);

    let status = Status::of(page, &Choice::Page(1)).unwrap();

    assert_eq!(status.state, State::Unknown);
    let cells = status.details[0].endpoints.iter().flat_map(|endpoint| &endpoint.cells);
    assert!(cells.into_iter().all(|cell| cell.outcome == "outdated" && cell.state == State::Unknown));
}

#[test]
fn a_snapshot_older_than_the_fastest_ticks_makes_the_whole_page_stale() {
    let snapshot = states::healthy();
    for (millis, is_stale) in [(4999, false), (5000, true)] {
        let page = Page::new(&snapshot, now().plus(Duration::from_millis(millis)));

        let status = Status::of(page, &Choice::Page(1)).unwrap();

        assert_eq!(status.is_stale, is_stale);
        assert_eq!(html(&status, true).contains("<body class=\"stale\">"), is_stale);
        assert_eq!(text(&status).contains("STALLED"), is_stale);
    }
}

#[test]
fn the_quota_bar_names_the_tier() {
    for (share, tier) in [(64, "below 65 %"), (65, "65 %"), (75, "75 %"), (84, "75 %"), (85, "85 %"), (100, "85 %")] {
        let status = status(&states::filled(share));

        let backend = status.details[0].members[0].backend.as_ref().unwrap();
        assert_eq!(backend.tier, tier, "{share}");
        assert!(backend.text.ends_with(&format!("({share} %)")), "{}", backend.text);
    }
}

fn status(snapshot: &Snapshot) -> Status {
    chosen(snapshot, &Choice::Page(1)).unwrap()
}

fn chosen(snapshot: &Snapshot, choice: &Choice) -> Result<Status, NoSuchPage> {
    Status::of(Page::new(snapshot, now()), choice)
}

/// Every text of the model with its path. Words of closed enums are shown as signs and words of their own.
fn facts(value: &Value) -> Vec<(String, String)> {
    fn walk(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter().filter(|(name, _)| *name != "state") {
                    walk(value, &format!("{path}.{name}"), found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
            Value::String(text) if path.ends_with(".severity") => found.push((path.to_owned(), text.to_uppercase())),
            Value::String(text) if path.ends_with(".band") => found.push((path.to_owned(), text.to_uppercase())),
            Value::String(text) => found.push((path.to_owned(), text.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// Without any white space and in capitals: how a rendering breaks lines is its own affair.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_uppercase).collect()
}

/// The same subject in another cluster.
fn moved(subject: &Subject, to: &Name) -> Subject {
    let Some(cluster) = subject.cluster() else { return subject.clone() };
    subject.to_string().replacen(cluster.as_str(), to.as_str(), 1).parse().unwrap()
}
