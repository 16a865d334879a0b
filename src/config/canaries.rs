//! The canaries of a cluster as written, and the credential that only they use.
//!
//! Without `writer` there are none, whatever else is written: vedette then writes nothing. Called by the reader of
//! clusters.

use std::collections::BTreeSet;

use super::material::Use;
use super::read_context::ReadContext;
use super::settings::Credentials;
use super::yaml_tree::{Section, Wrong, shortened};
use crate::model::canary::{Canaries, Canary};
use crate::parse::diagnostic::Diagnostic;

pub(super) const KEYS: [&str; 8] =
    ["namespace", "lease_name", "secret_name", "lease", "propagation", "create", "authorization", "secret"];
pub(super) const WRITER_KEYS: [&str; 4] = ["kubeconfig", "client_certificate", "client_key", "token"];

/// Source: RFC 1123, as `validation.IsDNS1123Label` and `IsDNS1123Subdomain` of apimachinery have it.
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// The canaries and their credential.
pub(super) struct Written {
    pub(super) writer: Option<Credentials>,
    pub(super) canaries: Option<Canaries>,
}

impl ReadContext<'_> {
    /// The canaries of the cluster in `section`, whose apiservers are trusted and reached as `reader` says. `vantage` is
    /// the name of this host.
    pub(super) fn canaries(&self, section: &Section<'_>, reader: &Credentials, vantage: &str) -> Written {
        let writer = section.find("writer").and_then(|node| {
            let written = Section::open(node, &WRITER_KEYS, self.complaints)?;
            self.writer(&written, reader)
        });
        let node = section.find("canaries");
        if let (Some(node), None) = (node, section.find("writer")) {
            let diagnostic =
                Diagnostic::error(node.position, "'canaries' without 'writer': there is no credential for them");
            self.complaints
                .add(diagnostic.hint("make one, as config/rbac/canaries.yaml says, and name it under 'writer'"));
        }
        let stock = || Canaries {
            on: Canary::ALL.into(),
            namespace: Canaries::NAMESPACE.into(),
            lease: Canaries::lease_of(vantage),
            secret: Canaries::SECRET.into(),
        };
        let written = node.and_then(|node| Section::open(node, &KEYS, self.complaints));
        let canaries = written.map_or_else(stock, |written| self.switched(&written, stock()));
        let canaries = writer.as_ref().map(|_| canaries).filter(|canaries| !canaries.on.is_empty());
        Written { writer: writer.filter(|_| canaries.is_some()), canaries }
    }

    fn switched(&self, section: &Section<'_>, stock: Canaries) -> Canaries {
        let is_on = |canary: &Canary| section.find(canary.as_str()).is_none() || section.flag(canary.as_str());
        let on: BTreeSet<Canary> = Canary::ALL.into_iter().filter(is_on).collect();
        let reads_alone = on.contains(&Canary::Propagation) && !on.contains(&Canary::Lease);
        if let (true, Some(node)) = (reads_alone, section.find(Canary::Lease.as_str())) {
            let diagnostic = Diagnostic::error(
                node.position,
                "'propagation' without 'lease': nothing is written that it could read",
            );
            self.complaints.add(diagnostic.hint("add 'propagation: false', or leave 'lease' on"));
        }
        if on.is_empty() {
            let diagnostic =
                Diagnostic::warning(section.position, "every canary is off, so 'writer' is used for nothing");
            self.complaints.add(diagnostic.hint("leave 'writer' and 'canaries' out"));
        }
        Canaries {
            on,
            namespace: section.read("namespace", label).unwrap_or(stock.namespace),
            lease: section.read("lease_name", name).unwrap_or(stock.lease),
            secret: section.read("secret_name", name).unwrap_or(stock.secret),
        }
    }

    /// What proves who the canaries are. Whom to trust and which way to take is the cluster's.
    fn writer(&self, section: &Section<'_>, reader: &Credentials) -> Option<Credentials> {
        let trusting = |own: Credentials| Credentials {
            anchors: reader.anchors.clone().or(own.anchors),
            proxy: reader.proxy.clone(),
            ..own
        };
        let has = |key: &str| section.find(key).is_some();
        let is_written_out = ["client_certificate", "client_key", "token"].into_iter().any(has);
        if let Some(node) = section.find("kubeconfig") {
            if is_written_out {
                let diagnostic = Diagnostic::error(node.position, "both a kubeconfig and a credential written out");
                self.complaints.add(diagnostic.hint("keep one of the two"));
            }
            let given = self.kubeconfig(node)?;
            if !given.credentials.prove_who_we_are() && !self.complaints.has_errors() {
                let diagnostic = Diagnostic::error(node.position, "the kubeconfig has no credential");
                self.complaints.add(diagnostic.hint("give one with a client certificate or a token"));
            }
            return Some(trusting(given.credentials));
        }
        if !is_written_out {
            let diagnostic = Diagnostic::error(section.position, "'writer' has no credential");
            self.complaints
                .add(diagnostic.hint("give 'kubeconfig', 'token', or 'client_certificate' and 'client_key'"));
            return None;
        }
        let (client, token) = (self.client_pair(section), self.source(section, "token", Use::Token));
        if client.is_some() && client == reader.client || token.is_some() && token == reader.token {
            let diagnostic =
                Diagnostic::error(section.position, "the writer has the credential that vedette reads with");
            let hint = "make one of its own, so that the one in constant use can only read";
            self.complaints.add(diagnostic.hint(hint));
        }
        Some(trusting(Credentials { client, token, ..Credentials::default() }))
    }
}

/// The name of a namespace.
fn label(text: &str) -> Result<String, Wrong> {
    if is_label(text) && text.len() <= LONGEST_LABEL {
        return Ok(text.to_owned());
    }
    let hint = format!("small letters, digits and '-', at most {LONGEST_LABEL}, such as 'vedette'");
    Err(Wrong::new(format!("'{}' is not a valid namespace", shortened(text)), hint))
}

/// The name of an object.
fn name(text: &str) -> Result<String, Wrong> {
    if text.len() <= LONGEST_NAME && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    let hint = format!("small letters, digits, '-' and '.', at most {LONGEST_NAME}, such as 'vedette-bastion-1'");
    Err(Wrong::new(format!("'{}' is not a valid name of an object", shortened(text)), hint))
}

fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}
