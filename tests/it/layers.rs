//! Who may import whom: the house of the architecture page, held by reading every source file.
//!
//! Looks at paths that begin with `crate`, `super` or `self`, groups included. Comments and literals do not count, nor do
//! tests and their fixtures, which may borrow specimens from any folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder with what it may import besides itself. `ANY` sees all.
const MAY_IMPORT: [(&str, &[&str]); 16] = [
    ("model", &[]),
    ("metered", &[]),
    ("name_pin", &[]),
    ("parse", &["model"]),
    ("observe", &["model"]),
    ("alert", &["model"]),
    ("store", &["model"]),
    ("judge", &["model", "observe"]),
    ("engine", &["model", "observe", "judge", "alert"]),
    ("render", &["model", "judge::words", "judge::phrases", "judge::commands"]),
    ("config", &["model", "parse"]),
    ("collect", &["model", "parse", "config", "metered", "name_pin"]),
    ("notify", &["model", "render", "config", "metered", "name_pin"]),
    ("expose", &["model", "render", "config", "metered"]),
    ("daemon", ANY),
    ("cli", ANY),
];
const ANY: &[&str] = &["*"];

#[test]
fn nobody_imports_upwards_or_sideways() {
    let faults: Vec<String> = house().iter().flat_map(|(file, text)| check(file, text)).collect();

    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn inside_a_folder_nobody_imports_in_a_circle() {
    let circles = circles(&house());

    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_planted_circle_is_found_and_what_a_parent_shares_with_its_modules_is_none() {
    for (files, found) in [
        (vec![("rows", "use super::unsent;"), ("unsent", "use super::rows::read;")], 2),
        (vec![("rows", "use crate::store::{envelope, unsent};"), ("unsent", "fn f() { super::rows::read() }")], 2),
        (vec![("a", "use super::b;"), ("b", "use super::c;"), ("c", "use super::{Store, a::A};")], 3),
        (vec![("a/deep", "use super::super::b;"), ("a", "mod deep;"), ("b", "use super::a::A;")], 2),
        (vec![("rows", "use super::unsent;"), ("unsent", "use super::Store;"), ("mod", "use rows::read;")], 0),
        (vec![("a", "use self::deep::Deep;"), ("a/deep", "use super::Shared;")], 0),
        (vec![("a", "use super::b;"), ("b", "// use super::a;\n#[cfg(test)]\nmod tests { use super::a; }")], 0),
    ] {
        let files: Vec<(String, String)> =
            files.iter().map(|(file, text)| (format!("src/store/{file}.rs"), (*text).to_owned())).collect();

        assert_eq!(circles(&files).len(), found, "{files:?}");
    }
}

#[test]
fn the_table_has_no_circles() {
    for (folder, imports) in MAY_IMPORT.iter().filter(|(_, imports)| *imports != ANY) {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = imports.to_vec();
        while let Some(next) = open.pop() {
            let next = next.split("::").next().unwrap();
            if reached.insert(next) {
                open.extend(allowed(next).unwrap());
            }
        }
        assert!(!reached.contains(folder), "{folder} reaches itself");
    }
}

#[test]
fn a_planted_upward_import_is_found() {
    for (file, planted) in [
        ("src/model/time.rs", "use crate::daemon::clock;"),
        ("src/model/time.rs", "pub use crate::parse::pem::{self, Pem};"),
        ("src/judge/quorum.rs", "use crate::{model::time::Now, alert::lifecycle::Lifecycle};"),
        ("src/judge/quorum.rs", "use crate::{\n    model::{self, time},\n    collect,\n};"),
        ("src/engine.rs", "fn f() { let _ = crate::store::open(); }"),
        ("src/collect/http.rs", "use crate::notify::email;"),
        ("src/metered.rs", "use crate::model::phase::Cause;"),
        ("src/render/text.rs", "use crate::metered::Meter;"),
        ("src/expose/pages.rs", "use super::super::judge::words;"),
        ("src/expose/mod.rs", "fn f() -> super::engine::Engine;"),
        ("src/render/text.rs", "use crate::judge::quorum;"),
        ("src/render/text.rs", "use crate::judge::{quorum, words};"),
        ("src/store/mod.rs", "use crate :: alert :: Outbox;"),
        ("src/attic/mod.rs", "use crate::model;"),
    ] {
        assert!(!check(file, planted).is_empty(), "{file}: {planted}");
    }
}

#[test]
fn what_is_allowed_or_only_talked_about_is_not_found() {
    for (file, text) in [
        ("src/judge/quorum.rs", "use crate::model::time::Now;\nuse crate::observe::view::View;"),
        ("src/judge/quorum.rs", "use super::words::Words; use crate::judge::words;"),
        ("src/render/text.rs", "use crate::judge::words::{self, Words};"),
        ("src/model/time.rs", "//! See [`crate::daemon::clock`].\n/* use crate::cli; */"),
        ("src/model/time.rs", "const TEXT: &str = \"use crate::cli; \\\" use crate::daemon;\";"),
        ("src/model/time.rs", "const TEXT: &str = r#\"use crate::cli; \"# ;"),
        ("src/model/time.rs", "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' } // use crate::cli"),
        ("src/expose/pages.rs", "use super::Shared; use super::super::expose::pages;"),
        ("src/daemon/run.rs", "use crate::engine::Engine; use crate::store;"),
        ("src/store/tests.rs", "use crate::render::fixture;"),
        ("src/lib.rs", "pub mod cli; pub mod model;"),
        ("src/main.rs", "use vedette::cli;"),
    ] {
        assert_eq!(check(file, text), Vec::<String>::new(), "{file}: {text}");
    }
}

/// What `text`, the content of `file`, imports against the table.
fn check(file: &str, text: &str) -> Vec<String> {
    let Some(module) = module(file) else { return Vec::new() };
    let folder = module[0].as_str();
    let Some(allowed) = allowed(folder) else {
        return vec![format!("{file}: the folder {folder} is not in the table of layers")];
    };
    let tokens = tokens(text);
    let mut faults = Vec::new();
    for at in 0..tokens.len() {
        for path in paths_at(&tokens, at, &module) {
            let target = path[0].as_str();
            let both = path.get(1).map(|next| format!("{target}::{next}"));
            let is_known = MAY_IMPORT.iter().any(|(known, _)| *known == target);
            let is_allowed = allowed == ANY
                || target == folder
                || allowed.contains(&target)
                || both.is_some_and(|both| allowed.contains(&both.as_str()));
            if is_known && !is_allowed {
                faults.push(format!("{file}: {folder} may not import crate::{}", path.join("::")));
            }
        }
    }
    faults
}

fn allowed(folder: &str) -> Option<&'static [&'static str]> {
    MAY_IMPORT.iter().find(|(known, _)| *known == folder).map(|(_, allowed)| *allowed)
}

/// The module path of a file; `None` for the crate's roots, which anybody may use, and for tests.
fn module(file: &str) -> Option<Vec<String>> {
    let path = file.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    let is_of_tests = path.split('/').any(|part| matches!(part, "tests" | "fixture"));
    let is_free = is_of_tests || matches!(path, "lib" | "main" | "catalogue" | "samples");
    (!is_free).then_some(parts)
}

/// Modules that reach themselves by imports among the modules of their parent.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let modules: Vec<(Vec<String>, &String)> =
        files.iter().filter_map(|(file, text)| Some((module(file)?, text))).collect();
    let known: BTreeSet<&[String]> =
        modules.iter().flat_map(|(module, _)| (1..=module.len()).map(|length| &module[..length])).collect();
    let mut imports: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for (module, text) in &modules {
        let mut tokens = tokens(text);
        let tests = ["#", "[", "cfg", "(", "test", ")", "]", "mod", "tests", "{"];
        let end = tokens.windows(tests.len()).position(|window| window == tests);
        tokens.truncate(end.unwrap_or(tokens.len()));
        for path in (0..tokens.len()).flat_map(|at| paths_at(&tokens, at, module)) {
            let shared = module.iter().zip(&path).take_while(|(one, other)| one == other).count();
            // The folders themselves have the table.
            let is_beside = shared > 0 && shared < module.len() && shared < path.len();
            if let Some(imported) = is_beside.then(|| known.get(&path[..=shared])).flatten() {
                imports.entry(&module[..=shared]).or_default().insert(imported);
            }
        }
    }
    let reaches_itself = |module: &&&[String]| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![**module]);
        while let Some(next) = open.pop() {
            open.extend(imports.get(next).into_iter().flatten().filter(|import| reached.insert(**import)));
        }
        reached.contains(*module)
    };
    imports.keys().filter(reaches_itself).map(|module| format!("{} imports itself", module.join("::"))).collect()
}

/// Paths from the crate's root, of what token `at` of `module` begins to name.
fn paths_at(tokens: &[String], at: usize, module: &[String]) -> Vec<Vec<String>> {
    let is_inside = at > 0 && tokens[at - 1] == "::";
    let mut prefix = match tokens[at].as_str() {
        _ if is_inside => return Vec::new(),
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return Vec::new(),
    };
    let mut next = at;
    while tokens.get(next).is_some_and(|token| token == "super") {
        prefix.pop();
        next += 2;
    }
    // Behind the last `super`, or behind `crate` or `self`.
    let colons = if next == at { at + 1 } else { next - 1 };
    if tokens.get(colons).is_none_or(|token| token != "::") {
        return Vec::new();
    }
    let mut paths = Vec::new();
    tree(tokens, &mut (colons + 1), &mut prefix, &mut paths);
    paths.retain(|path| !path.is_empty());
    paths
}

/// Reads one use tree (`a::b::{c, d}`) and adds every path in it.
fn tree(tokens: &[String], at: &mut usize, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let depth = prefix.len();
    loop {
        match tokens.get(*at).map(String::as_str) {
            Some("{") => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    tree(tokens, at, prefix, paths);
                    if tokens.get(*at).is_some_and(|token| token == ",") {
                        *at += 1;
                    } else if tokens.get(*at).is_none_or(|token| token != "}") {
                        break;
                    }
                }
                *at += 1;
                break;
            }
            Some(word) if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                prefix.push(word.to_owned());
                *at += 1;
                if tokens.get(*at).is_some_and(|token| token == "as") {
                    *at += 2;
                }
                if tokens.get(*at).is_none_or(|token| token != "::") {
                    paths.push(prefix.clone());
                    break;
                }
                *at += 1;
            }
            _ => {
                *at += usize::from(tokens.get(*at).is_some_and(|token| token == "*"));
                paths.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
}

/// Words, `::` and single signs, without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Length of the string or character literal that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let marks = text.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
    if let Some(marks) = marks.filter(|marks| text[1 + marks..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(marks));
        let start = 2 + marks;
        return Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()));
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at + 1),
            // A lifetime: no character literal is longer than its escape.
            _ if quote == '\'' && at > 1 && !text[1..].starts_with('\\') => return None,
            _ => {}
        }
    }
    None
}

/// Every source file with its text.
fn house() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let named = |file: &PathBuf| file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
    files.iter().map(|file| (named(file), fs::read_to_string(file).unwrap())).collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
