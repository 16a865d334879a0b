//! The way from a file to [`Settings`]: read all, complain about all, decide at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::cluster::{Taken, Written};
use super::duration;
use super::environment::{Environment, Sources};
use super::problem::{Complaints, Problem};
use super::read_context::ReadContext;
use super::scalar;
use super::settings::Settings;
use super::source;
use super::yaml_tree::{Section, shortened};
use crate::model::error_chain::chain;
use crate::model::policy::Policy;
use crate::model::rule::{Level, RuleId};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::invisible;
use crate::parse::text;
use crate::parse::yaml::{self, Node, Position};

pub(super) const KEYS: [&str; 8] =
    ["vantage", "mail", "links", "heartbeat", "severities", "files", "clusters", "timing"];

/// A file that can be used, as it was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What is worth a word, in the order of the file.
    pub warnings: Vec<Problem>,
    /// The file itself.
    pub text: String,
}

impl Loaded {
    /// Reads the file at `path` as on a machine like `environment`, and keeps its text.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included, when anything is an error.
    pub fn read(path: &Path, environment: &Environment) -> Result<Self, Vec<Problem>> {
        let text = match source::read_file(path) {
            Ok(contents) => text::decode(contents.bytes.expose_secret()).0.to_string(),
            Err(error) => {
                let diagnostic = Diagnostic::error(None, chain(&error));
                return Err(vec![Problem { file: path.display().to_string(), diagnostic }]);
            }
        };
        let (settings, warnings) = Settings::from_text(&text, path, environment)?;
        Ok(Self { settings, warnings, text })
    }
}

impl Settings {
    /// Reads the file at `path` on this machine, with all that it names.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included, when anything is an error.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::load_in(path, &Environment::here(Sources::Examined))
    }

    /// Reads the file at `path` as on a machine like `environment`. Warnings come with the settings.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included, when anything is an error.
    pub fn load_in(path: &Path, environment: &Environment) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Loaded::read(path, environment).map(|loaded| (loaded.settings, loaded.warnings))
    }

    /// Reads `text`, the content of `file`; the file itself is not opened.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included, when anything is an error.
    pub fn from_text(text: &str, file: &Path, environment: &Environment) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let complaints = Complaints::about(file.display().to_string());
        let folder = file.parent().unwrap_or(Path::new(""));
        let settings = ReadContext { complaints: &complaints, folder, environment, kubeconfigs: RefCell::default() }
            .settings(text);
        let settings = settings.map(|settings| Self { file: file.to_owned(), ..settings });
        let problems = complaints.sorted();
        match settings {
            Some(settings) if !problems.iter().any(Problem::is_error) => Ok((settings, problems)),
            Some(_) | None => Err(problems),
        }
    }
}

impl ReadContext<'_> {
    /// `None` only together with an error among the complaints; settings may still be incomplete beside errors.
    fn settings(&self, text: &str) -> Option<Settings> {
        invisible::diagnostics(text).into_iter().for_each(|diagnostic| self.complaints.add(diagnostic));
        let documents =
            yaml::documents(text).map_err(|fault| self.complaints.add(Diagnostic::error(fault.position, fault.what)));
        let documents = documents.ok()?;
        let [root] = documents.as_slice() else {
            self.complaints.add(match documents.get(1) {
                Some(second) => {
                    Diagnostic::error(second.position, "a second document").hint("one file describes one vedette")
                }
                None => Diagnostic::error(Position { line: 1, column: 1 }, "the file is empty")
                    .hint("start from config/minimal.yaml"),
            });
            return None;
        };
        let section = Section::open(root, &KEYS, self.complaints)?;
        let mut policy = Policy::default();
        if let Some(node) = section.find("timing") {
            self.timing(node, &mut policy);
        }
        let mail = section.find("mail").and_then(|node| self.mail(node));
        let vantage = self.vantage(section.find("vantage"), mail.as_ref());
        let heartbeat = section.find("heartbeat").and_then(|node| self.heartbeat(node, policy.heartbeat_interval));
        if let Some(heartbeat) = &heartbeat {
            policy.heartbeat_interval = heartbeat.interval;
        }
        let links = section.find("links").map(|node| self.links(node)).unwrap_or_default();
        let levels = self.levels(&section);
        let clusters = self.clusters(&section, &policy, &vantage.name);
        if section.find("mail").is_none() {
            let diagnostic = Diagnostic::warning(root.position, "no 'mail' section: no notifications will be sent");
            self.complaints.add(diagnostic.hint("add one; without it vedette only serves the status page and metrics"));
        }
        let files = self.files(&section, None);
        let kubeconfigs = self.kubeconfigs.take();
        let file = PathBuf::new();
        let settings = Settings { file, vantage, mail, links, heartbeat, clusters, files, levels, policy, kubeconfigs };
        self.path_proof(&settings, root);
        Some(settings)
    }

    fn clusters(&self, section: &Section<'_>, policy: &Policy, vantage: &str) -> Vec<super::settings::Cluster> {
        let Some(items) = section.list_required("clusters") else { return Vec::new() };
        if let (Some(node), true) = (section.find("clusters"), items.is_empty()) {
            self.complaints.add(Diagnostic::error(node.position, "'clusters' is empty: there is nothing to monitor"));
        }
        let mut names = Taken::default();
        let written: Vec<Written> = items.iter().filter_map(|node| self.cluster(node, &mut names, vantage)).collect();
        for Written { position, cluster } in &written {
            self.budget(cluster, *position, policy);
        }
        written.into_iter().map(|written| written.cluster).collect()
    }

    /// Without a reference target, a silent cluster cannot be distinguished from a lost network of the vantage.
    fn path_proof(&self, settings: &Settings, root: &Node) {
        if self.complaints.has_errors() || settings.inventory().has_remote_reference() {
            return;
        }
        let what = "no reference target outside this host: faults can only be confirmed after";
        let what = format!("{what} {}, as path unproven", duration::show(settings.policy.unproven_after));
        let hint = "list places that answer when the cluster does not under 'references' of 'vantage'";
        self.complaints.add(Diagnostic::warning(root.position, what).hint(hint));
    }

    /// The `severities` of a section.
    pub(super) fn levels(&self, section: &Section<'_>) -> BTreeMap<RuleId, Level> {
        let mut levels = BTreeMap::new();
        let Some(section) = section.find("severities").and_then(|node| Section::open_any(node, self.complaints)) else {
            return levels;
        };
        for entry in section.entries() {
            let rule = entry.key.parse::<RuleId>().map_err(|_| {
                let known = RuleId::ALL.map(RuleId::as_str);
                let hint = match known.iter().find(|rule| rule.eq_ignore_ascii_case(&entry.key)) {
                    Some(meant) => format!("did you mean '{meant}'?"),
                    None => format!("the rules are {}", known.join(", ")),
                };
                self.complaints
                    .add(Diagnostic::error(entry.position, format!("no rule '{}'", shortened(&entry.key))).hint(hint));
            });
            if let (Ok(rule), Some(level)) = (rule, section.scalar(&entry.node, scalar::level)) {
                levels.insert(rule, level);
            }
        }
        levels
    }
}
