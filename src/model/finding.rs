//! A finding: what is wrong, and the evidence for it together with the words that speak of it.
//!
//! Each kind of evidence is a struct in the file of the rule that finds it, and what alarms, mails and pages need to
//! know of any kind is asked here. So nothing outside a rule's file lists the kinds, and no kind is without words.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Serialize, Serializer};

use super::addresses::Addresses;
use super::certificate_evidence::{CertificateEvidence, ExpiryThreshold};
use super::command::{Command, Commands, Object};
use super::phase::Unseen;
use super::rule::{Level, RuleId};
use super::subject::{Name, Subject};
use super::time::UnixTime;

/// Something that is wrong. It is read back where its rule is known, in `judge/stored.rs`.
#[derive(Debug, Clone, Eq, Serialize)]
pub struct Finding {
    /// The rule that says so.
    pub rule: RuleId,
    /// What it is about.
    pub subject: Subject,
    /// Its severity.
    pub level: Level,
    /// Wall time of the scheduled start of the first bad probe.
    pub since: UnixTime,
    /// How long it must last, confirmed and observed, before a mail.
    pub hold: Duration,
    /// Whether it was confirmed without proof that our own path works.
    pub path_unproven: bool,
    /// What was seen, with the words for it. The texts are made from it at the end.
    pub evidence: Arc<dyn Evidence>,
}

impl PartialEq for Finding {
    fn eq(&self, other: &Self) -> bool {
        let Self { rule, subject, level, since, hold, path_unproven, evidence } = self;
        *rule == other.rule
            && *subject == other.subject
            && *level == other.level
            && *since == other.since
            && *hold == other.hold
            && *path_unproven == other.path_unproven
            && **evidence == *other.evidence
    }
}

/// A rule and a subject: the identity of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingKey {
    /// The rule.
    pub rule: RuleId,
    /// The subject.
    pub subject: Subject,
}

/// One kind of evidence. The words are read by a person at 3 am.
pub trait Evidence: Recorded {
    /// The symptom as a mail subject has it after the cluster's name, without anything that changes while the incident
    /// lasts, at most 50 characters: `etcd has lost quorum`, `apiserver api-2 is failing`.
    fn headline(&self, finding: &Finding) -> String;

    /// One or two sentences: what was seen, and where (the connect address too). A timeout of connect is worded
    /// "unreachable from here", a refused connection "down", a timeout after connect "hanging".
    fn what(&self, finding: &Finding, addresses: &Addresses) -> String;

    /// The same as [`Evidence::what`] where it is several things of equal weight: an introduction, and one line for
    /// each.
    fn listed(&self, _finding: &Finding, _addresses: &Addresses) -> Option<(String, Vec<String>)> {
        None
    }

    /// What stops working for users, and what goes on.
    fn impact(&self, finding: &Finding) -> String;

    /// The likely cause and why we think so.
    fn likely_cause(&self, finding: &Finding) -> String;

    /// What to run, with the right hosts, most useful first, what changes something last.
    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command>;

    /// What to do in which order, where that matters as much as the commands.
    fn steps(&self, _finding: &Finding) -> Vec<String> {
        Vec::new()
    }

    /// Objects that people may apply, and vedette never does.
    fn objects(&self, _finding: &Finding) -> Vec<Object> {
        Vec::new()
    }

    /// Whether it says who does it. People hear of that at once, though nothing became worse.
    fn names_culprit(&self) -> bool {
        false
    }

    /// Who has to renew what the finding is about, and how, as the rest of "renewed by"; only for things that end.
    fn renewed_by(&self, _finding: &Finding) -> Option<&'static str> {
        None
    }

    /// Whether the cluster as a whole is out of use: nothing can be read from its API or written to it, by the address
    /// that clients use, on every instance, or in etcd behind them. An expired certificate is not that, because one
    /// endpoint serves it.
    fn is_outage(&self) -> bool {
        false
    }

    /// Whether it is grave enough to be the cause of another finding at all.
    fn is_cause(&self) -> bool {
        true
    }

    /// Whether a site of which nothing answers would look like this.
    fn may_be_lost_site(&self) -> bool {
        false
    }

    /// The subjects that were bad; none where it is the finding's own.
    fn concerned(&self) -> Vec<Subject> {
        Vec::new()
    }

    /// Endpoints whose latest probes are shown beside it, beyond the finding's own subject.
    fn shown(&self) -> Vec<&Subject> {
        Vec::new()
    }

    /// Clusters that cannot be seen because of it, each with how that fails.
    fn lost_clusters(&self) -> &[(Name, Unseen)] {
        &[]
    }

    /// The file that it is about, which a person knows it by.
    fn file(&self) -> Option<&str> {
        None
    }

    /// Whether the probes of watched files belong to it.
    fn is_about_files(&self) -> bool {
        self.file().is_some()
            || self.certificates().is_some_and(|certificates| match certificates {
                CertificateEvidence::Served { .. }
                | CertificateEvidence::Filed { .. }
                | CertificateEvidence::Outdated { .. } => true,
                CertificateEvidence::Untrusted { .. } => false,
            })
    }

    /// The certificates that it is about.
    fn certificates(&self) -> Option<CertificateEvidence<'_>> {
        None
    }
}

/// How one kind is written down: a map of one entry, from its tag to the fields of the struct.
pub trait Kind: Any + fmt::Debug + Send + Sync + PartialEq + Serialize + DeserializeOwned {
    /// The tag, which no other kind of the same rule has. What is in the store has it: never change it.
    const TAG: &'static str;

    /// Tags of older versions, which are still read.
    const OLDER_TAGS: &'static [&'static str] = &[];
}

/// What the trait object needs of every [`Kind`].
pub trait Recorded: Any + fmt::Debug + Send + Sync {
    /// The tag it is written down by.
    fn tag(&self) -> &str;

    /// Its fields.
    fn content(&self) -> &dyn erased_serde::Serialize;

    /// Whether `other` is of the same kind and equal.
    fn equals(&self, other: &dyn Evidence) -> bool;
}

impl<K: Kind> Recorded for K {
    fn tag(&self) -> &str {
        K::TAG
    }

    fn content(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn equals(&self, other: &dyn Evidence) -> bool {
        other.get::<K>() == Some(self)
    }
}

impl dyn Evidence {
    /// This, where it is of kind `K`. The one way back from any evidence to a kind of it.
    #[must_use]
    pub fn get<K: Any>(&self) -> Option<&K> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

impl PartialEq for dyn Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

impl Eq for dyn Evidence {}

impl Serialize for dyn Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Tagged(self).serialize(serializer);
        }
        // It is read back by way of a JSON value, which holds no bytes and no integers for keys.
        serializer.serialize_str(&serde_json::to_string(&Tagged(self)).map_err(S::Error::custom)?)
    }
}

/// Evidence as a map from its tag to its fields.
struct Tagged<'a>(&'a dyn Evidence);

impl Serialize for Tagged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0.tag(), self.0.content())?;
        map.end()
    }
}

/// What a finding says and is about, by its evidence.
impl Finding {
    /// Identity of what is wrong, whatever its level and evidence.
    #[must_use]
    pub fn key(&self) -> FindingKey {
        FindingKey { rule: self.rule, subject: self.subject.clone() }
    }

    /// The symptom, for a mail's subject: see [`Evidence::headline`].
    #[must_use]
    pub fn headline(&self) -> String {
        self.evidence.headline(self)
    }

    /// What was seen, and where: see [`Evidence::what`].
    #[must_use]
    pub fn what(&self, addresses: &Addresses) -> String {
        self.evidence.what(self, addresses)
    }

    /// The same as a list: see [`Evidence::listed`].
    #[must_use]
    pub fn listed(&self, addresses: &Addresses) -> Option<(String, Vec<String>)> {
        self.evidence.listed(self, addresses)
    }

    /// What stops working for users, and what goes on.
    #[must_use]
    pub fn impact(&self) -> String {
        self.evidence.impact(self)
    }

    /// The likely cause and why we think so.
    #[must_use]
    pub fn likely_cause(&self) -> String {
        self.evidence.likely_cause(self)
    }

    /// What to run: see [`Evidence::next_commands`].
    #[must_use]
    pub fn next_commands(&self, commands: &Commands<'_>) -> Vec<Command> {
        self.evidence.next_commands(self, commands)
    }

    /// Who has to renew what it is about: see [`Evidence::renewed_by`].
    #[must_use]
    pub fn renewed_by(&self) -> Option<&'static str> {
        self.evidence.renewed_by(self)
    }

    /// What was seen, where it is of kind `K`.
    #[must_use]
    pub fn seen<K: Any>(&self) -> Option<&K> {
        self.evidence.get()
    }

    /// The expiry threshold that it has passed; `None` for what has nothing to do with certificates.
    #[must_use]
    pub fn band(&self) -> Option<ExpiryThreshold> {
        self.evidence.certificates()?.ending().map(|ending| ending.band)
    }

    /// The subjects that were bad: those that the evidence names where it names any, else the finding's own.
    #[must_use]
    pub fn concerned(&self) -> Vec<Subject> {
        let named = self.evidence.concerned();
        if named.is_empty() { vec![self.subject.clone()] } else { named }
    }
}
