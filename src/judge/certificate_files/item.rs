//! The evidence that something in a file ends, and its words.

use serde::{Deserialize, Serialize};

use crate::judge::commands::{Command, Commands};
use crate::judge::phrases;
use crate::model::addresses::Addresses;
use crate::model::certificate::{Class, Fingerprint};
use crate::model::certificate_evidence::{CertificateEvidence, Ending};
use crate::model::certificate_files::ItemKind;
use crate::model::finding::{Evidence, Finding, Kind};
use crate::model::inventory::{Own, OwnPart, Towards};
use crate::model::subject::Name;
use crate::model::time::UnixTime;
use crate::model::verdict::ExpiryThreshold;

use super::own::{effect, proves_us, towards};

/// The end of something in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredExpiry {
    /// Which certificate or token.
    pub fingerprint: Fingerprint,
    /// Its subject.
    pub holder: String,
    /// Its issuer.
    pub issuer: String,
    /// Its end.
    pub not_after: UnixTime,
    /// The band of the expiry thresholds it is in.
    pub band: ExpiryThreshold,
    /// Who renews it.
    pub class: Class,
    /// What it is.
    pub kind: ItemKind,
    /// What vedette itself uses it for.
    pub own: Option<Box<Own>>,
    /// Files that hold it.
    pub paths: Vec<String>,
    /// Files beyond those.
    pub more: usize,
    /// The sources that hold it; none in what was written down before they were kept.
    #[serde(default)]
    pub sources: Vec<Name>,
    /// When it was last read, where it cannot be read any more.
    pub last_read: Option<UnixTime>,
    /// Whether it is a CA beside its successor, on which nothing verified depends.
    #[serde(default)]
    pub is_spare: bool,
}

impl Kind for StoredExpiry {
    const TAG: &'static str = "stored";
}

impl Evidence for StoredExpiry {
    fn headline(&self, _: &Finding) -> String {
        if let Some(own) = &self.own {
            return match own.part {
                OwnPart::Client => format!("vedette's certificate{}: expiry", towards(own, 9)),
                OwnPart::Token => format!("vedette's token{}: expiry", towards(own, 12)),
                OwnPart::Authority => format!("trusted CA{}: expiry", towards(own, 16)),
            };
        }
        let whose = phrases::fit(&common_name(&self.holder), 22);
        match self.kind {
            ItemKind::Authority => format!("CA {whose}: expiry"),
            ItemKind::KubeconfigClient => format!("kubeconfig of {whose}: expiry"),
            ItemKind::TalosClient => format!("talosconfig of {whose}: expiry"),
            ItemKind::KubeconfigToken | ItemKind::Token => format!("token of {whose}: expiry"),
            ItemKind::Client => format!("client certificate {whose}: expiry"),
            ItemKind::Leaf => format!("certificate file {whose}: expiry"),
        }
    }

    fn what(&self, _: &Finding, _: &Addresses) -> String {
        let Self { kind, holder, not_after, band, paths, more, last_read, .. } = self;
        let what = noun(*kind);
        let ends = if *band == ExpiryThreshold::Expired { "expired" } else { "expires" };
        let places = places(paths, *more);
        let seen = last_read.map_or_else(String::new, |at| {
            format!(" The file can no longer be read; this is what it held when it was last read, at {at}.")
        });
        format!("The {what} of {holder} in {places} {ends} at {not_after}.{seen}")
    }

    fn impact(&self, _: &Finding) -> String {
        if self.is_spare {
            return "Nothing: its successor is in the same bundle, and no chain that was verified depends on it."
                .into();
        }
        let is_over = self.band == ExpiryThreshold::Expired;
        if let Some(own) = &self.own {
            let from = if is_over { "Expired" } else { "When it expires" };
            return format!("{from}: {}", effect(own));
        }
        let who = match self.kind {
            ItemKind::Authority => "everything signed by it is rejected by whoever trusts it, all at once",
            ItemKind::KubeconfigClient | ItemKind::KubeconfigToken => {
                "whoever uses this kubeconfig is locked out: people, pipelines, backups"
            }
            ItemKind::TalosClient => "talosctl is locked out with this talosconfig: the nodes run on",
            ItemKind::Client => "the program that uses it is rejected by the servers it calls",
            ItemKind::Token => "whoever uses this token gets 401",
            ItemKind::Leaf => "clients reject whatever serves it (x509: certificate has expired)",
        };
        if is_over { format!("Expired: {who}.") } else { format!("Nothing yet. When it expires {who}.") }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        match (self.kind, self.class) {
            _ if self.is_spare => "The CA was rotated, and the one before was left in the bundle.",
            (ItemKind::Authority, _) => {
                "A CA is not renewed by itself: it must be rotated, which takes preparation. Renewing what it signed \
                 does not help."
            }
            (ItemKind::TalosClient, _) => {
                "Talos renews what is on its nodes, but no talosconfig: its owner makes a new one."
            }
            (kind, _) if kind.is_in_kubeconfig() => {
                "A kubeconfig is a copy of a credential: renewing the original leaves its copies as they are."
            }
            (_, Class::Automatic) => {
                "Configured as renewed by a program (certificates: automatic), and that is overdue: the program is \
                 stuck, or it renews another file."
            }
            (_, Class::Restart) => {
                "Configured as renewed by the server when it starts (certificates: restart), and it has not been \
                 restarted since that was due."
            }
            (_, Class::Manual) => "Configured as manually renewed (certificates: manual) and not renewed yet.",
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { paths, kind, own, .. } = self;
        let path = paths.first().map_or("FILE", String::as_str);
        let mut next = vec![match kind {
            ItemKind::KubeconfigClient => commands.kubeconfig_certificate(path),
            ItemKind::TalosClient => commands.talos_certificate(path),
            ItemKind::KubeconfigToken | ItemKind::Token => commands.token_file(path),
            ItemKind::Leaf | ItemKind::Client | ItemKind::Authority => commands.file(path, "-subject -issuer -enddate"),
        }];
        let is_client = matches!(kind, ItemKind::Client | ItemKind::KubeconfigClient);
        match own.as_deref() {
            _ if *kind == ItemKind::TalosClient => next.push(commands.talos_renew()),
            Some(Own { towards: Towards::Apiservers, .. }) if is_client => {
                next.push(commands.check().note("afterwards: it is read without a restart"));
                next.extend(commands.new_credential());
            }
            Some(_) if *kind != ItemKind::Authority => {
                next.push(commands.check().note("after a new one is in place; it is read without a restart"));
            }
            Some(_) | None => next.push(commands.expirations(&finding.subject)),
        }
        next
    }

    fn renewed_by(&self, _: &Finding) -> Option<&'static str> {
        Some(match (self.kind, self.class) {
            _ if self.is_spare => "nobody: take it out of the bundle when no client needs it",
            _ if self.own.is_some() => "a person, by giving vedette a new one in the same place",
            (ItemKind::Authority, _) => "a person, by rotating this CA: new CA first, then everything it has signed",
            (_, Class::Manual) => "a person",
            (_, Class::Automatic) => "a program (certificates: automatic), which is late: find out why",
            (_, Class::Restart) => "the server itself when it starts (certificates: restart): restart it",
        })
    }

    /// Only a credential of ours that has ended makes a server refuse us.
    fn is_cause(&self) -> bool {
        self.band == ExpiryThreshold::Expired && proves_us(self.own.as_deref())
    }

    fn file(&self) -> Option<&str> {
        self.paths.first().map(String::as_str)
    }

    fn certificates(&self) -> Option<CertificateEvidence<'_>> {
        Some(CertificateEvidence::Filed {
            ending: Ending {
                fingerprint: self.fingerprint,
                holder: &self.holder,
                issuer: &self.issuer,
                not_after: self.not_after,
                band: self.band,
            },
            kind: self.kind,
            files: &self.paths,
            more: self.more,
            sources: &self.sources,
        })
    }
}

/// The common name of a subject, else all of it.
fn common_name(holder: &str) -> String {
    let common = holder.split(',').find_map(|part| part.trim().strip_prefix("CN="));
    match common.unwrap_or(holder) {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

const fn noun(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Leaf => "certificate",
        ItemKind::Client | ItemKind::KubeconfigClient | ItemKind::TalosClient => "client certificate",
        ItemKind::Authority => "CA certificate",
        ItemKind::KubeconfigToken | ItemKind::Token => "bearer token",
    }
}

fn places(paths: &[String], more: usize) -> String {
    let listed = if paths.is_empty() { "a watched source".to_owned() } else { phrases::list(paths) };
    if more > 0 { format!("{listed} (and {more} files more)") } else { listed }
}

#[cfg(test)]
pub(super) fn sample() -> crate::samples::Sample {
    use crate::model::place::Place;
    use crate::model::rule::Level;
    use crate::samples::{OPENED, Sample, new};

    Sample::of(
        "prod-eu1/stored/7c7c7c7c7c7c7c7c",
        Level::Warning,
        std::sync::Arc::new(StoredExpiry {
            fingerprint: Fingerprint([0x7c; 32]),
            holder: "CN=vedette".into(),
            issuer: "CN=kubernetes".into(),
            not_after: OPENED.plus(std::time::Duration::from_secs(6 * 86_400)),
            band: ExpiryThreshold::Urgent,
            class: Class::Manual,
            kind: ItemKind::Client,
            own: Some(Box::new(Own { part: OwnPart::Client, towards: Towards::Apiservers })),
            paths: vec!["/etc/vedette/prod-eu1/client.crt".into()],
            more: 0,
            sources: Vec::new(),
            last_read: None,
            is_spare: false,
        }),
    )
    .replaced(vec![new(Place::file("/etc/vedette/prod-eu1/client.crt"), "CN=vedette", 0x7c, 0x7e)])
}
