//! Claims about what `probe` prints.

use std::sync::Arc;

use super::{Layout, Pass, State, Unknown, json, summary, text};
use crate::model::inventory::Inventory;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::verdict::{Finding, Why};
use crate::render::fixture;

#[test]
fn the_table_looks_like_this() {
    let world = World::with(vec![fixture::finding(RuleId::F02, Level::Warning, "prod/etcd/main/etcd-3")], vec![]);

    insta::assert_snapshot!(text(world.pass(), ALL));
}

#[test]
fn what_is_good_is_counted_and_what_is_not_is_listed() {
    let world = World::with(vec![fixture::finding(RuleId::F02, Level::Warning, "prod/etcd/main/etcd-3")], vec![]);

    insta::assert_snapshot!(text(world.pass(), Layout::default()));
}

#[test]
fn a_healthy_pass_is_a_line_for_each_cluster_and_nothing_else() {
    let mut world = World::well(vec![], vec![]);
    world.observations.push(fixture::observations().remove(0));

    let printed = text(world.pass(), Layout::default());

    insta::assert_snapshot!(printed);
    assert!(printed.lines().count() <= 5, "{printed}");
}

#[test]
fn a_file_is_listed_by_its_path_whole_on_a_narrow_terminal_as_well() {
    let path =
        "/var/lib/rancher/rke2/server/tls/kube-controller-manager/client-kube-apiserver-of-the-control-plane.crt";
    let reading = fixture::stored_in(path);
    let observation =
        fixture::observation(fixture::subject("prod"), ProbeKind::Files, Ok(Reading::Files(Arc::new(reading))));
    let world = World { observations: vec![observation], ..World::with(vec![], vec![]) };

    let printed = text(world.pass(), Layout { width: Some(80), all: true });

    assert!(printed.contains(path) && printed.contains("prod/file"), "{printed}");
    assert!(!printed.contains("prod/stored"), "{printed}");
}

#[test]
fn the_row_of_a_ca_in_a_file_looks_like_this() {
    let reading = Reading::Files(Arc::new(fixture::authority_in("/etc/kubernetes/pki/ca.crt")));
    let observation = fixture::observation(fixture::subject("prod"), ProbeKind::Files, Ok(reading));
    let world = World { observations: vec![observation], ..World::with(vec![], vec![]) };

    insta::assert_snapshot!(format!("{}\n{}", text(world.pass(), ALL), json(world.pass())));
}

#[test]
fn a_certificate_without_end_is_listed_without_one() {
    let mut world = World::with(vec![], vec![]);
    let endless = fixture::endless();
    for observation in world.observations.iter_mut().filter(|observation| observation.served.is_some()) {
        observation.served =
            endless.clusters.values().flat_map(|it| it.served.values()).next().map(|(_, it)| it.clone());
    }

    let (table, document) = (text(world.pass(), ALL), json(world.pass()));

    assert!(table.contains("never") && !table.contains("certificate_days_left="), "{table}");
    assert!(document.contains("\"not_after\": null") && document.contains("\"days_left\": null"), "{document}");
    assert!(!format!("{table}{document}").contains("9999"));
}

#[test]
fn on_a_narrow_terminal_no_line_of_the_table_is_wider_and_no_word_is_cut() {
    let world = World::with(vec![], vec![]);

    for width in [80, 120] {
        let printed = text(world.pass(), Layout { width: Some(width), all: true });

        assert!(printed.lines().skip(2).all(|line| line.chars().count() <= usize::from(width)), "{printed}");
        let wide = text(world.pass(), ALL);
        let names = wide.lines().skip(3).flat_map(str::split_whitespace).filter(|word| word.contains(['/', ':']));
        assert!(names.clone().count() > 15 && names.clone().all(|name| printed.contains(name)), "{printed}");
    }
}

#[test]
fn the_document_looks_like_this() {
    let critical = fixture::finding(RuleId::F01, Level::Critical, "prod/etcd/main");
    let world = World::with(vec![critical], vec![unknown("prod/apiserver/api-1", Why::Unclear)]);

    insta::assert_snapshot!(json(world.pass()));
}

#[test]
fn the_exit_code_is_the_worst_finding_then_what_is_unknown() {
    let finding = |level| fixture::finding(RuleId::F02, level, "prod/etcd/main/etcd-3");
    let unknown = || vec![unknown("prod/vip", Why::NeverSeen)];

    check(&World::well(vec![], vec![]), State::Ok, 0);
    check(&World::well(vec![finding(Level::Info)], vec![]), State::Ok, 0);
    check(&World::well(vec![finding(Level::Info), finding(Level::Warning)], unknown()), State::Warning, 1);
    check(&World::well(vec![finding(Level::Critical), finding(Level::Warning)], unknown()), State::Critical, 2);
    check(&World::well(vec![], unknown()), State::Unknown, 3);
    check(&World { observations: vec![], ..World::well(vec![], vec![]) }, State::Unknown, 3);
}

#[test]
fn ok_means_that_every_row_is_ok() {
    let unseen = |cause| Err(Unseen { phase: Phase::Dial, cause });
    for (observation, state, named) in [
        (
            fixture::observation(
                fixture::subject("prod/apiserver/api-2"),
                ProbeKind::Readyz,
                Ok(fixture::health(500, &["etcd"])),
            ),
            State::Warning,
            "prod/apiserver/api-2 readyz not ready",
        ),
        (
            fixture::observation(fixture::subject("prod/vip"), ProbeKind::Version, unseen(Cause::Timeout)),
            State::Warning,
            "prod/vip version unreachable",
        ),
        (
            fixture::observation(fixture::subject("prod/vip"), ProbeKind::Version, unseen(Cause::CredentialRejected)),
            State::Warning,
            "prod/vip version refused",
        ),
        (
            fixture::observation(fixture::subject("prod/vip"), ProbeKind::Version, unseen(Cause::OwnFault)),
            State::Unknown,
            "unknown: prod/vip",
        ),
        (fixture::round(), State::Warning, "prod/etcd/main/etcd-3 etcd_status"),
    ] {
        let mut world = World::well(vec![fixture::finding(RuleId::F53, Level::Info, "prod")], vec![]);
        world.observations.push(observation);

        check(&world, state, state.exit_code());

        let line = summary(world.pass());
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn what_a_running_vedette_would_hold_back_is_a_warning() {
    let since = fixture::now();
    let world = World::well(vec![], vec![unknown("prod/etcd/main", Why::Suspected { since })]);

    check(&world, State::Warning, 1);

    let line = summary(world.pass());
    assert!(line.starts_with("WARNING - prod/etcd/main: title of F01? One pass cannot confirm it | "), "{line}");
}

#[test]
fn the_first_line_names_three_and_counts_the_rest() {
    let findings = ["api-1", "api-2", "api-3", "api-4", "api-5"]
        .map(|name| fixture::finding(RuleId::F22, Level::Critical, &format!("prod/apiserver/{name}")));
    let world = World::with(findings.to_vec(), vec![]);

    let line = summary(world.pass());

    assert!(
        line.starts_with("CRITICAL - prod: F22 on api-1; prod: F22 on api-2; prod: F22 on api-3; 2 more | probes="),
        "{line}"
    );
}

#[test]
fn figures_follow_the_plugin_format_and_stand_alone_behind_the_only_bar() {
    let world = World::with(vec![], vec![]);

    let printed = text(world.pass(), ALL);

    assert_eq!(printed.matches('|').count(), 1);
    let (_, figures) = printed.lines().next().unwrap().split_once(" | ").unwrap();
    for figure in figures.split(' ') {
        let (label, value) = figure.split_once('=').unwrap();
        assert!(label.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{figure}");
        let number = value.split(';').next().unwrap().trim_end_matches('s');
        assert!(number.parse::<f64>().unwrap().is_finite(), "{figure}");
    }
}

#[test]
fn nothing_a_peer_sends_moves_the_cursor_or_adds_a_figure() {
    let hostile = fixture::health(500, &["etcd\u{1b}[2J", "a|b=1", "c\nOK - fine"]);
    let observation = fixture::observation(fixture::subject("prod/apiserver/api-2"), ProbeKind::Readyz, Ok(hostile));
    let world = World { observations: vec![observation], ..World::with(vec![], vec![]) };

    let printed = text(world.pass(), ALL);

    assert!(!printed.contains('\u{1b}') && !printed.contains("a|b"), "{printed}");
    assert_eq!(printed.lines().count(), 4, "{printed}");
}

/// Every row, each on one line.
const ALL: Layout = Layout { width: None, all: true };

struct World {
    inventory: Inventory,
    observations: Vec<Observation>,
    findings: Vec<Finding>,
    unknowns: Vec<Unknown>,
}

impl World {
    fn with(findings: Vec<Finding>, unknowns: Vec<Unknown>) -> Self {
        Self { inventory: fixture::inventory(), observations: fixture::observations(), findings, unknowns }
    }

    /// The same where every row is ok.
    fn well(findings: Vec<Finding>, unknowns: Vec<Unknown>) -> Self {
        let mut world = Self::with(findings, unknowns);
        world.observations.retain(|observation| observation.probe.subject.cluster().is_none());
        assert!(!world.observations.is_empty());
        world
    }

    fn pass(&self) -> Pass<'_> {
        Pass {
            now: fixture::now(),
            inventory: &self.inventory,
            observations: &self.observations,
            findings: &self.findings,
            unknowns: &self.unknowns,
            headline: &|finding| format!("{} on {}", finding.rule, finding.subject.short()),
            title: &|rule| if rule == RuleId::F01 { "title of F01" } else { "another title" },
        }
    }
}

fn unknown(subject: &str, why: Why) -> Unknown {
    Unknown { rule: RuleId::F01, subject: fixture::subject(subject), why }
}

fn check(world: &World, state: State, code: u8) {
    assert_eq!((State::of(world.pass()), state.exit_code()), (state, code));
    assert!(summary(world.pass()).starts_with(state.as_str()));
}
