//! Claims about what `probe --once` prints.

use super::{Pass, State, Unknown, json, summary, text};
use crate::model::inventory::Inventory;
use crate::model::observation::Observation;
use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::verdict::{Finding, Why};
use crate::render::specimen;

#[test]
fn the_table_looks_like_this() {
    let world = World::with(vec![specimen::finding(RuleId::F02, Level::Warning, "prod/etcd/main/etcd-3")], vec![]);

    insta::assert_snapshot!(text(world.pass(), None));
}

#[test]
fn on_a_narrow_terminal_no_line_of_the_table_is_wider() {
    let world = World::with(vec![], vec![]);

    let printed = text(world.pass(), Some(120));

    assert!(printed.lines().skip(2).all(|line| line.chars().count() <= 120), "{printed}");
}

#[test]
fn the_document_looks_like_this() {
    let critical = specimen::finding(RuleId::F01, Level::Critical, "prod/etcd/main");
    let unknown = Unknown { subject: specimen::subject("prod/apiserver/api-1"), why: Why::Unclear };
    let world = World::with(vec![critical], vec![unknown]);

    insta::assert_snapshot!(json(world.pass()));
}

#[test]
fn the_exit_code_is_the_worst_finding_then_what_is_unknown() {
    let finding = |level| specimen::finding(RuleId::F02, level, "prod/etcd/main/etcd-3");
    let unknown = || vec![Unknown { subject: specimen::subject("prod/vip"), why: Why::NeverSeen }];

    check(&World::with(vec![], vec![]), State::Ok, 0);
    check(&World::with(vec![finding(Level::Info)], vec![]), State::Ok, 0);
    check(&World::with(vec![finding(Level::Info), finding(Level::Warning)], unknown()), State::Warning, 1);
    check(&World::with(vec![finding(Level::Critical), finding(Level::Warning)], unknown()), State::Critical, 2);
    check(&World::with(vec![], unknown()), State::Unknown, 3);
    check(&World { looks: vec![], ..World::with(vec![], vec![]) }, State::Unknown, 3);
}

#[test]
fn the_first_line_names_three_and_counts_the_rest() {
    let findings = ["api-1", "api-2", "api-3", "api-4", "api-5"]
        .map(|name| specimen::finding(RuleId::F22, Level::Critical, &format!("prod/apiserver/{name}")));
    let world = World::with(findings.to_vec(), vec![]);

    let line = summary(world.pass());

    assert!(
        line.starts_with("CRITICAL - prod: F22 on api-1; prod: F22 on api-2; prod: F22 on api-3; 2 more | looks="),
        "{line}"
    );
}

#[test]
fn figures_follow_the_plugin_format_and_stand_alone_behind_the_only_bar() {
    let world = World::with(vec![], vec![]);

    let printed = text(world.pass(), None);

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
    let hostile = specimen::health(500, &["etcd\u{1b}[2J", "a|b=1", "c\nOK - fine"]);
    let look = specimen::look(specimen::subject("prod/apiserver/api-2"), ProbeKind::Readyz, Ok(hostile));
    let world = World { looks: vec![look], ..World::with(vec![], vec![]) };

    let printed = text(world.pass(), None);

    assert!(!printed.contains('\u{1b}') && !printed.contains("a|b"), "{printed}");
    assert_eq!(printed.lines().count(), 4, "{printed}");
}

struct World {
    inventory: Inventory,
    looks: Vec<Observation>,
    findings: Vec<Finding>,
    unknowns: Vec<Unknown>,
}

impl World {
    fn with(findings: Vec<Finding>, unknowns: Vec<Unknown>) -> Self {
        Self { inventory: specimen::inventory(), looks: specimen::looks(), findings, unknowns }
    }

    fn pass(&self) -> Pass<'_> {
        Pass {
            now: specimen::now(),
            inventory: &self.inventory,
            looks: &self.looks,
            findings: &self.findings,
            unknowns: &self.unknowns,
            headline: &|finding| format!("{} on {}", finding.rule, finding.subject.short()),
        }
    }
}

fn check(world: &World, state: State, code: u8) {
    assert_eq!((State::of(world.pass()), state.exit_code()), (state, code));
    assert!(summary(world.pass()).starts_with(state.as_str()));
}
