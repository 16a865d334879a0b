//! Where a certificate, CA or token was found: one ordered type with one text form, whatever the source.
//!
//! The text form is stable, reads back, and is what the store and JSON hold. Paths of this machine are written as they
//! are, because people copy them; every other place begins with the word of its kind.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::subject::{Name, Subject};

/// Where a certificate, CA or token was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A server shows it in its handshakes: `endpoint:SUBJECT@ADDRESS?name=NAME`.
    Endpoint {
        /// Which server.
        subject: Subject,
        /// `host:port` that was connected to; empty where that is not known any more.
        address: String,
        /// The name that was asked for (SNI) and expected; empty where that is not known any more.
        server_name: String,
    },
    /// It lies in a file of this machine: `PATH`, or `PATH#ENTRY`.
    File {
        /// The path, made fit to be shown.
        path: String,
        /// The position in it, from 1; `None` for the file as a whole.
        entry: Option<u32>,
    },
    /// It lies in an object of a cluster's API: `object:CLUSTER/KIND/NAMESPACE/NAME#KEY`.
    Object {
        /// The cluster.
        cluster: Name,
        /// The kind, as its API spells it: `Secret`, `ValidatingWebhookConfiguration`.
        kind: String,
        /// The namespace; empty for an object that has none.
        namespace: String,
        /// The name of the object.
        name: String,
        /// Which part of the object holds it, as `tls.crt`; empty for the object as a whole.
        key: String,
    },
    /// It lies in a file of a node: `host:CLUSTER/NODE:PATH`.
    Host {
        /// The cluster that the node belongs to.
        cluster: Name,
        /// The name of the node.
        node: String,
        /// The path there, made fit to be shown.
        path: String,
    },
}

/// Why a text is not a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no place where a certificate can be")]
pub struct BadPlace(String);

const ENDPOINT: &str = "endpoint:";
const FILE: &str = "file:";
const OBJECT: &str = "object:";
const HOST: &str = "host:";

impl Place {
    /// A file of this machine, as a whole.
    #[must_use]
    pub fn file(path: &str) -> Self {
        Self::File { path: path.to_owned(), entry: None }
    }

    /// A server of which nothing but its subject is known.
    #[must_use]
    pub const fn served(subject: Subject) -> Self {
        Self::Endpoint { subject, address: String::new(), server_name: String::new() }
    }

    /// The server that shows it; `None` for what lies somewhere.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&Subject> {
        if let Self::Endpoint { subject, .. } = self { Some(subject) } else { None }
    }

    /// What people read on a page: the subject that serves it, or where it lies.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Endpoint { subject, .. } => subject.to_string(),
            Self::File { path, entry: None } => path.clone(),
            Self::File { path, entry: Some(entry) } => format!("{path} (entry {entry})"),
            Self::Object { cluster, kind, namespace, name, key } => {
                let inside = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
                let part = if key.is_empty() { String::new() } else { format!(" ({key})") };
                format!("{kind} {inside}{name}{part} in cluster {cluster}")
            }
            Self::Host { cluster, node, path } => format!("{path} on node {node} of cluster {cluster}"),
        }
    }

    /// Whether whatever is at `other` is hidden while this place cannot be read: it is the same, or lies in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Endpoint { subject, .. }, Self::Endpoint { subject: of, .. }) => subject == of,
            (Self::File { path, entry }, Self::File { path: of, entry: part }) => {
                is_in(path, of) && entry.is_none_or(|entry| part.is_none_or(|part| entry == part))
            }
            (
                Self::Object { cluster, kind, namespace, name, key },
                Self::Object { cluster: of, kind: of_kind, namespace: within, name: named, key: part },
            ) => {
                (cluster, kind, namespace, name) == (of, of_kind, within, named)
                    && (key.is_empty() || part.is_empty() || key == part)
            }
            (Self::Host { cluster, node, path }, Self::Host { cluster: of, node: on, path: at }) => {
                (cluster, node) == (of, on) && is_in(path, at)
            }
            (Self::Endpoint { .. } | Self::File { .. } | Self::Object { .. } | Self::Host { .. }, _) => false,
        }
    }
}

/// Whether `path` is `folder` or lies below it.
fn is_in(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { subject, address, server_name } => {
                write!(f, "{ENDPOINT}{subject}")?;
                if !address.is_empty() {
                    write!(f, "@{}", Escaped(address, "%@?"))?;
                }
                if !server_name.is_empty() {
                    write!(f, "?name={}", Escaped(server_name, "%@?"))?;
                }
                Ok(())
            }
            Self::File { path, entry } => {
                if is_plain(path) {
                    f.write_str(path)?;
                } else {
                    write!(f, "{FILE}{}", Escaped(path, "%#"))?;
                }
                entry.map_or(Ok(()), |entry| write!(f, "#{entry}"))
            }
            Self::Object { cluster, kind, namespace, name, key } => {
                let [kind, namespace, name] = [kind, namespace, name].map(|part| Escaped(part, "%#/"));
                write!(f, "{OBJECT}{cluster}/{kind}/{namespace}/{name}")?;
                if key.is_empty() { Ok(()) } else { write!(f, "#{}", Escaped(key, "%#")) }
            }
            Self::Host { cluster, node, path } => write!(f, "{HOST}{cluster}/{}:{path}", Escaped(node, "%:/")),
        }
    }
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let read = if let Some(rest) = text.strip_prefix(ENDPOINT) {
            read_endpoint(rest)
        } else if let Some(rest) = text.strip_prefix(OBJECT) {
            read_object(rest)
        } else if let Some(rest) = text.strip_prefix(HOST) {
            read_host(rest)
        } else if let Some(rest) = text.strip_prefix(FILE) {
            let (path, entry) = cut_entry(rest);
            plain(path).map(|path| Self::File { path, entry })
        } else {
            let (path, entry) = cut_entry(text);
            Some(Self::File { path: path.to_owned(), entry })
        };
        read.ok_or_else(|| BadPlace(text.chars().take(80).collect()))
    }
}

fn read_endpoint(text: &str) -> Option<Place> {
    let (rest, server_name) = text.split_once("?name=").unwrap_or((text, ""));
    let (subject, address) = rest.split_once('@').unwrap_or((rest, ""));
    Some(Place::Endpoint { subject: subject.parse().ok()?, address: plain(address)?, server_name: plain(server_name)? })
}

fn read_object(text: &str) -> Option<Place> {
    let (object, key) = text.split_once('#').unwrap_or((text, ""));
    let mut parts = object.split('/');
    let cluster = parts.next()?.parse().ok()?;
    let [kind, namespace, name] = [parts.next()?, parts.next()?, parts.next()?].map(plain);
    let object = Place::Object { cluster, kind: kind?, namespace: namespace?, name: name?, key: plain(key)? };
    parts.next().is_none().then_some(object)
}

fn read_host(text: &str) -> Option<Place> {
    let (host, path) = text.split_once(':').filter(|(host, _)| host.contains('/')).or_else(|| {
        // The name of a cluster may have a colon in it, that of a node has none here.
        let slash = text.find('/')?;
        let colon = slash + text[slash..].find(':')?;
        Some((&text[..colon], &text[colon + 1..]))
    })?;
    let (cluster, node) = host.split_once('/')?;
    Some(Place::Host { cluster: cluster.parse().ok()?, node: plain(node)?, path: path.to_owned() })
}

/// Whether a path needs no word before it to be read back as the path that it is.
fn is_plain(path: &str) -> bool {
    ![ENDPOINT, FILE, OBJECT, HOST].iter().any(|word| path.starts_with(word)) && cut_entry(path).1.is_none()
}

/// A path and the entry behind its last `#`. Only the form in which an entry is written counts: `#007` is of the path.
fn cut_entry(text: &str) -> (&str, Option<u32>) {
    let cut = text.rsplit_once('#').and_then(|(path, entry)| Some((path, entry, entry.parse::<u32>().ok()?)));
    match cut {
        Some((path, written, entry)) if entry.to_string() == written => (path, Some(entry)),
        Some(_) | None => (text, None),
    }
}

/// A part of a text form, with the characters that would end it by their number.
struct Escaped<'a>(&'a str, &'static str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| if self.1.contains(c) { write!(f, "%{:02X}", u32::from(c)) } else { f.write_char(c) })
    }
}

/// What was escaped, as it was.
fn plain(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let number = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        out.push(char::from(number));
        out.push_str(part.get(2..)?);
    }
    Some(out)
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceReader)
    }
}

/// Reads the text form, and what was written before there was one: `{"served": SUBJECT}`, `{"file": PATH}`.
struct PlaceReader;

impl<'de> Visitor<'de> for PlaceReader {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place of a certificate")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Place, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
        let entry: Option<(String, String)> = map.next_entry()?;
        match entry.as_ref().map(|(key, text)| (key.as_str(), text)) {
            Some(("served", text)) => text.parse().map(Place::served).map_err(A::Error::custom),
            Some(("file", path)) => Ok(Place::file(path)),
            _ => Err(A::Error::custom("neither 'served' nor 'file'")),
        }
    }
}

#[cfg(test)]
mod tests;
