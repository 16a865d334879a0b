//! The section `basic_auth_users`: names and bcrypt hashes.

use std::collections::BTreeMap;
use std::fmt;

use bcrypt::HashParts;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::material::open_to_everyone;
use super::super::yaml_tree::{Section, Wrong, shortened};
use super::Reader;
use crate::parse::diagnostic::{Diagnostic, Severity};
use crate::parse::yaml::Node;

/// Users: basic authentication is for a few, as the toolkit says itself.
const MAX_USERS: usize = 256;
/// The least that bcrypt knows.
const MIN_COST: u32 = 4;
/// Each step doubles the work: 10 takes some 70 ms, 16 some 5 s, and Prometheus gives a scrape 10 s by default.
const MAX_COST: u32 = 16;

/// A bcrypt hash, shown nowhere.
#[derive(Clone)]
pub struct PasswordHash {
    text: SecretString,
    cost: u32,
}

impl PasswordHash {
    /// The hash as it was written.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The logarithm of the work it takes to compare a password with it.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Reader<'_> {
    pub(super) fn users(&self, node: &Node) -> BTreeMap<String, PasswordHash> {
        let complaints = self.context.complaints;
        let mut users = BTreeMap::new();
        let Some(section) = Section::open_any(node, complaints) else { return users };
        if let Some(entry) = section.entries().get(MAX_USERS) {
            let diagnostic = Diagnostic::error(entry.position, format!("more than {MAX_USERS} users"));
            complaints.add(diagnostic.hint("use clients' certificates instead"));
        }
        for entry in section.entries().iter().take(MAX_USERS) {
            if entry.key.contains(':') || entry.key.chars().any(char::is_control) {
                let what = format!("'{}' is not a valid user name", shortened(&entry.key));
                complaints.add(Diagnostic::error(entry.position, what).hint("no colon: it ends the name in a request"));
            }
            if section.find(&entry.key).is_none() {
                complaints.add(Diagnostic::error(entry.position, "a user without a password hash").hint(MAKE));
                continue;
            }
            if let Some(hash) = section.scalar(&entry.node, hash) {
                users.insert(entry.key.clone(), hash);
            }
        }
        if !users.is_empty()
            && let Some(diagnostic) = open_to_everyone(self.path, self.mode, node.position)
        {
            // A hash is no password, and the toolkit's own examples are readable by all: worth a word, no more.
            complaints.add(Diagnostic { severity: Severity::Warning, ..diagnostic });
        }
        users
    }
}

const MAKE: &str = "make one with: htpasswd -nBC 10 NAME";

fn hash(text: &str) -> Result<PasswordHash, Wrong> {
    // It may well be the password itself, so it is not repeated.
    let parts: HashParts = text.parse().map_err(|_| Wrong::new("not a bcrypt hash", MAKE))?;
    let cost = parts.get_cost();
    if !(MIN_COST..=MAX_COST).contains(&cost) {
        let what = format!("a bcrypt hash of cost {cost}, and only {MIN_COST} to {MAX_COST} can be used");
        return Err(Wrong::new(what, "make one of cost 10, which takes about 0.1 s for each new login"));
    }
    Ok(PasswordHash { text: text.to_owned().into(), cost })
}
