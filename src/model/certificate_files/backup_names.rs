//! Names by which people and programs say that they keep a file or folder for later: `apiserver.crt.old`, `pki.bak`,
//! `expired`, `kubeadm-backup-certs-2026`, `tls-1717171717`.
//!
//! Reads single names and nothing else. `replaced.rs` decides what such a name means for the content.

/// What the name of a folder shows about its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FolderHint {
    /// In use.
    Live,
    /// Kept for later, of any file beside it.
    Kept,
    /// Kept for later, of the folder of this name beside it: `cp1.bak` is no backup of `cp2`.
    KeptOf(String),
}

/// What the name of a file shows about its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileHint {
    /// In use.
    Live,
    /// One of several that bear their dates.
    Dated,
    /// Kept for later.
    Kept,
}

/// Words for what is kept.
const KEPT: &[&str] = &[
    "old",
    "older",
    "bak",
    "bck",
    "bkp",
    "backup",
    "backups",
    "expired",
    "archive",
    "archived",
    "archives",
    "previous",
    "prev",
    "orig",
    "original",
    "save",
    "saved",
    "retired",
    "replaced",
    "superseded",
    "rotated",
    "stale",
    "obsolete",
    "outdated",
    "unused",
    "attic",
    "trash",
    "deleted",
    "removed",
    "history",
    "before",
    "rollback",
    "rpmsave",
    "tmp",
    "temp",
];

/// Words for what replaces it.
const FRESH: &[&str] = &["new", "renewed", "current", "latest", "next"];

/// Words that say what kind of thing lies in a folder, and not whose it is.
const GENERAL: &[&str] = &[
    "kubeadm",
    "kube",
    "kubernetes",
    "k8s",
    "k3s",
    "rke2",
    "etcd",
    "pki",
    "ssl",
    "tls",
    "cert",
    "certs",
    "certificate",
    "certificates",
    "ca",
    "key",
    "keys",
    "conf",
    "config",
    "configs",
    "kubeconfig",
    "kubelet",
    "manifests",
    "server",
    "files",
    "of",
];

/// Last words of the names of files that say their form.
const FORMS: &[&str] = &["crt", "pem", "cer", "cert", "der", "conf", "config", "kubeconfig", "yaml", "txt"];

/// What the name of a folder says.
pub(super) fn folder(name: &str) -> FolderHint {
    let parts = parts(name);
    if !parts.iter().any(|part| matches!(part.what, What::Kept | What::Date)) {
        return FolderHint::Live;
    }
    let is_whose = |part: &Part<'_>| part.what == What::Word && !GENERAL.contains(&part.word.as_str());
    if !parts.iter().any(is_whose) {
        return FolderHint::Kept;
    }
    let mut whose = name.to_owned();
    for part in parts.iter().rev().filter(|part| part.what != What::Word) {
        whose.replace_range(part.at..part.at + part.text.len(), "");
    }
    FolderHint::KeptOf(whose.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
}

/// What the name of a file says.
pub(super) fn file(name: &str) -> FileHint {
    let parts = parts(name);
    match () {
        () if name.ends_with('~') || parts.iter().any(|part| part.what == What::Kept) => FileHint::Kept,
        () if parts.iter().any(|part| part.what == What::Date) => FileHint::Dated,
        () => FileHint::Live,
    }
}

/// What is left of the name of a file without its form and without what says how old it is: equal for a file and the
/// one that was kept of it.
pub(super) fn stem(name: &str) -> String {
    let is_left = |part: &&Part<'_>| part.what == What::Word && !FORMS.contains(&part.word.as_str());
    let words: Vec<String> = parts(name)
        .iter()
        .filter(is_left)
        .filter(|part| !FRESH.contains(&part.word.as_str()))
        .map(|part| part.word.clone())
        .collect();
    words.join("-")
}

#[derive(PartialEq, Eq)]
enum What {
    Kept,
    Date,
    /// Anything else; numbers other than dates too, because they distinguish hosts.
    Word,
}

struct Part<'a> {
    at: usize,
    text: &'a str,
    word: String,
    what: What,
}

/// The words and numbers of a name.
fn parts(name: &str) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut has_form = false;
    for (from, run) in runs(name, |one, other| one.is_alphanumeric() && other.is_alphanumeric()) {
        let is_after_dot = name[..from].ends_with('.');
        let is_digits = |c: char| c.is_ascii_digit();
        let is_one_word = GENERAL.contains(&run.to_lowercase().as_str());
        for (at, text) in runs(run, |one, other| is_one_word || is_digits(one) == is_digits(other)) {
            let word = text.to_lowercase();
            let is_number = text.starts_with(is_digits);
            let follows_age = parts.last().is_some_and(|last| last.what != What::Word);
            let what = match () {
                // `apiserver.crt.1`, as programs number what they keep.
                () if is_number && (is_date(text) || follows_age || has_form) => What::Date,
                () if KEPT.contains(&word.as_str()) => What::Kept,
                () => What::Word,
            };
            has_form |= is_after_dot && FORMS.contains(&word.as_str());
            parts.push(Part { at: from + at, text, word, what });
        }
    }
    parts
}

/// The longest pieces of letters and digits in which each two neighbours belong `together`.
fn runs(text: &str, together: impl Fn(char, char) -> bool) -> Vec<(usize, &str)> {
    let mut runs: Vec<(usize, &str)> = Vec::new();
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
        let goes_on = before.is_some_and(|before| together(before, c));
        match runs.last_mut().filter(|(from, run)| goes_on && from + run.len() == at) {
            Some((from, run)) => *run = &text[*from..at + c.len_utf8()],
            None => runs.push((at, &text[at..at + c.len_utf8()])),
        }
        before = Some(c);
    }
    runs
}

/// A year, a date, a date with its time, or seconds or milliseconds since 1970. The years are those in which anything
/// here was made; it also keeps the first parts of IPv6 addresses apart.
fn is_date(digits: &str) -> bool {
    let year = digits.get(..4).and_then(|year| year.parse::<u16>().ok());
    let is_year = year.is_some_and(|year| (2010..2100).contains(&year));
    match digits.len() {
        4 | 8 | 12 | 14 => is_year,
        10 | 13 => digits.starts_with('1'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_keep_something_say_so_and_hosts_are_none() {
        let of = |name: &str| FolderHint::KeptOf(name.to_owned());
        for (name, said) in [
            ("pki", FolderHint::Live),
            ("cp1", FolderHint::Live),
            ("cp-2", FolderHint::Live),
            ("10.0.0.12", FolderHint::Live),
            ("2001-db8--12", FolderHint::Live),
            ("prod-new", FolderHint::Live),
            ("expired", FolderHint::Kept),
            ("Backup", FolderHint::Kept),
            ("backup-3", FolderHint::Kept),
            ("pki.bak", FolderHint::Kept),
            ("pki.bak1", FolderHint::Kept),
            ("ssl.old", FolderHint::Kept),
            ("old-certs", FolderHint::Kept),
            ("2025", FolderHint::Kept),
            ("2025-06-01", FolderHint::Kept),
            ("pki_20251101-120000", FolderHint::Kept),
            ("tls-1717171717", FolderHint::Kept),
            ("kubeadm-backup-certs-2026", FolderHint::Kept),
            ("tmp", FolderHint::Kept),
            ("k8s.bak", FolderHint::Kept),
            ("etcd-1.bak", of("etcd-1")),
            ("certs-2", FolderHint::Live),
            ("cp1.bak", of("cp1")),
            ("old-cp1", of("cp1")),
            ("cp-backup", of("cp")),
            ("10.0.0.12-old", of("10.0.0.12")),
            ("prod-old", of("prod")),
        ] {
            assert_eq!(folder(name), said, "{name}");
        }
    }

    #[test]
    fn a_file_and_the_one_that_was_kept_of_it_have_one_stem() {
        for (name, stem_of_it, hint) in [
            ("apiserver.crt", "apiserver", FileHint::Live),
            ("apiserver-new.crt", "apiserver", FileHint::Live),
            ("apiserver.crt.old", "apiserver", FileHint::Kept),
            ("apiserver.crt~", "apiserver", FileHint::Kept),
            ("apiserver.crt.bak2", "apiserver", FileHint::Kept),
            ("OLD_apiserver.pem", "apiserver", FileHint::Kept),
            ("apiserver.crt.20251101", "apiserver", FileHint::Dated),
            ("admin.conf.24601.2025-01-01@12:00:00~", "admin", FileHint::Kept),
            ("server.crt.1", "server", FileHint::Dated),
            ("server-1.crt", "server-1", FileHint::Live),
            ("k8s-old.pem", "k8s", FileHint::Kept),
            ("kubelet-client-2026-11-01-00-00-00.pem", "kubelet-client", FileHint::Dated),
            ("cp1.crt", "cp-1", FileHint::Live),
            ("10.0.0.1.crt.old", "10-0-0-1", FileHint::Kept),
        ] {
            assert_eq!((stem(name), file(name)), (stem_of_it.to_owned(), hint), "{name}");
        }
    }
}
