//! What the README says of the rules is what the table of rules says. `UPDATE=1` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use vedette::judge::edges::{Edge, Relation};
use vedette::judge::{RULES, Rule};

const BEGIN: &str = "<!-- rules: generated; UPDATE=1 cargo test --test it docs -->\n";
const END: &str = "<!-- /rules -->";

#[test]
fn the_readme_lists_every_rule_as_it_is() {
    let text = fs::read_to_string(readme()).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README has the marker in front of the rules");
    let (written, after) = rest.split_once(END).expect("the README has the marker behind the rules");
    let rules = table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(readme(), format!("{before}{BEGIN}{rules}{END}{after}")).unwrap();
        return;
    }

    assert_eq!(written, rules, "run: UPDATE=1 cargo test --test it docs");
}

fn table() -> String {
    let mut text = "| rule | says | and explains |\n|---|---|---|\n".to_owned();
    for rule in RULES {
        writeln!(text, "| {} | {} | {} |", rule.id(), rule.description().title, consequences(rule)).unwrap();
    }
    text
}

/// The findings that are folded into one of `rule`.
fn consequences(rule: &dyn Rule) -> String {
    let edges = rule.explains();
    let relations = [
        (Relation::SameCluster, " of its cluster"),
        (Relation::SameSubject, " of the same endpoint"),
        (Relation::Vantage, " of every cluster"),
    ];
    let part = |(relation, whose): (Relation, &str)| {
        let effects: Vec<String> = edges.iter().filter(|edge| edge.relation == relation).map(effect).collect();
        (!effects.is_empty()).then(|| format!("{}{whose}", effects.join(", ")))
    };
    relations.into_iter().filter_map(part).collect::<Vec<_>>().join("; ")
}

fn effect(edge: &Edge) -> String {
    edge.effect.map_or_else(|| "everything".to_owned(), |rule| rule.to_string())
}

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}
