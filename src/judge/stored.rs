//! Reads findings back from what they were written down as, by this version or an older one.
//!
//! The rule of a finding knows the kinds of its evidence. Evidence that no rule can read any more keeps its place: the
//! finding stays what it is, says why it cannot be read, and is evaluated anew within seconds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::addresses::Addresses;
use crate::model::command::{Command, Commands};
use crate::model::finding::{Evidence, Finding, Kind, Recorded};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::UnixTime;

use super::{phrases, rule};

/// Evidence as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    tag: String,
    content: Value,
}

/// Evidence that was read, or what is wrong with it.
pub type ReadBack = Result<Arc<dyn Evidence>, serde_json::Error>;

impl Stored {
    /// This as a `K`; `None` where it is of another kind.
    #[must_use]
    pub fn kind<K: Kind + Evidence>(&self) -> Option<ReadBack> {
        let is_it = self.tag == K::TAG || K::OLDER_TAGS.contains(&self.tag.as_str());
        is_it.then(|| K::deserialize(&self.content).map(|read| Arc::new(read) as Arc<dyn Evidence>))
    }

    /// The evidence of a finding of `id`.
    fn read(self, id: RuleId) -> Arc<dyn Evidence> {
        let problem = match rule(id).read(&self) {
            Some(Ok(evidence)) => return evidence,
            Some(Err(problem)) => problem.to_string(),
            None => format!("'{}' is nothing that {id} finds", self.tag),
        };
        Arc::new(Unreadable { stored: self, problem })
    }
}

/// Evidence that this version cannot read. It is written down again as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    stored: Stored,
    problem: String,
}

impl Recorded for Unreadable {
    fn tag(&self) -> &str {
        &self.stored.tag
    }

    fn content(&self) -> &dyn erased_serde::Serialize {
        &self.stored.content
    }

    fn equals(&self, other: &dyn Evidence) -> bool {
        other.get::<Self>() == Some(self)
    }
}

impl Evidence for Unreadable {
    fn headline(&self, finding: &Finding) -> String {
        rule(finding.rule).description().in_short.to_owned()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        format!(
            "What was seen at {} was written down by another version of vedette, and this one cannot read it: {}.",
            phrases::place(&finding.subject, addresses),
            self.problem
        )
    }

    fn impact(&self, finding: &Finding) -> String {
        rule(finding.rule).description().impact.to_owned()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        rule(finding.rule).description().likely_cause.to_owned()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.probe()]
    }
}

/// A finding as it is written down.
#[derive(Deserialize)]
struct Written {
    rule: RuleId,
    subject: Subject,
    level: Level,
    since: UnixTime,
    hold: Duration,
    path_unproven: bool,
    evidence: Tagged,
}

/// Evidence as it is written down: a map from its tag to its fields, in binary formats as JSON text.
struct Tagged(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Tagged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TaggedVisitor)
    }
}

struct TaggedVisitor;

impl<'de> Visitor<'de> for TaggedVisitor {
    type Value = Tagged;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("evidence under its tag")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Tagged, E> {
        serde_json::from_str(text).map(Tagged).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tagged, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Tagged)
    }
}

impl<'de> Deserialize<'de> for Finding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { rule, subject, level, since, hold, path_unproven, evidence } =
            Written::deserialize(deserializer)?;
        let mut kinds = evidence.0.into_iter().map(|(tag, content)| Stored { tag, content });
        let (Some(stored), None) = (kinds.next(), kinds.next()) else {
            return Err(D::Error::custom("evidence is of one kind"));
        };
        Ok(Self { rule, subject, level, since, hold, path_unproven, evidence: stored.read(rule) })
    }
}
