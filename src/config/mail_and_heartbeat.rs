//! Mail and heartbeat as written.

use std::collections::BTreeSet;
use std::time::Duration;

use lettre::message::Mailbox;
use url::Url;

use super::material::Use;
use super::read_context::ReadContext;
use super::scalar;
use super::settings::{Heartbeat, Login, Mail, MailTls};
use super::yaml_tree::{Section, Wrong, nearest, shortened};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

pub(super) const MAIL_KEYS: [&str; 8] = ["relay", "tls", "ca", "username", "password", "from", "to", "reply_to"];
pub(super) const HEARTBEAT_KEYS: [&str; 3] = ["url", "interval", "ca"];

impl ReadContext<'_> {
    /// The mail section in `node`.
    pub(super) fn mail(&self, node: &Node) -> Option<Mail> {
        let section = Section::open(node, &MAIL_KEYS, self.complaints)?;
        let relay = section.read_required("relay", scalar::address);
        let tls = section.find("tls").map_or(Some(MailTls::StartTls), |node| section.scalar(node, mail_tls));
        let ca = self.source(&section, "ca", Use::Authorities);
        let login = self.login(&section);
        let from = section.read_required("from", mailbox);
        let to = self.recipients(&section);
        let reply_to = section.read("reply_to", mailbox);
        let (relay, tls) = (relay?, tls?);
        let position = section.find("tls").map_or(section.position, |node| node.position);
        if tls == MailTls::Plain && !relay.host.is_loopback() {
            let diagnostic = Diagnostic::error(position, format!("'tls: none' to {relay}, which is not this machine"));
            self.complaints.add(diagnostic.hint("use starttls or implicit"));
        }
        let usual = match relay.port {
            465 => Some(MailTls::Implicit),
            25 | 587 => Some(MailTls::StartTls),
            _ => None,
        };
        if usual.is_some_and(|usual| tls != MailTls::Plain && tls != usual) {
            let (port, usual) = (relay.port, if tls == MailTls::Implicit { "starttls" } else { "implicit" });
            let diagnostic = Diagnostic::warning(position, format!("port {port} usually wants 'tls: {usual}'"));
            self.complaints
                .add(diagnostic.hint("a relay that expects the other kind does not answer before the timeout"));
        }
        Some(Mail { relay, tls, ca, login, from: from?, to, reply_to })
    }

    /// The user name and password of a section that has both or neither.
    pub(super) fn login(&self, section: &Section<'_>) -> Option<Login> {
        let username = section.read("username", |text| Ok(text.to_owned()));
        let password = self.source(section, "password", Use::Password);
        match (section.find("username"), section.find("password")) {
            (Some(node), None) => {
                self.complaints.add(
                    Diagnostic::error(node.position, "'username' without 'password'").hint("give both or neither"),
                );
            }
            (None, Some(node)) => {
                self.complaints.add(
                    Diagnostic::error(node.position, "'password' without 'username'").hint("give both or neither"),
                );
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        Some(Login { username: username?, password: password? })
    }

    fn recipients(&self, section: &Section<'_>) -> Vec<String> {
        let Some(items) = section.list_required("to") else { return Vec::new() };
        if let (Some(node), true) = (section.find("to"), items.is_empty()) {
            self.complaints.add(Diagnostic::error(node.position, "'to' is empty: no mail would be sent"));
        }
        let mut seen = BTreeSet::new();
        let read = |node: &Node| {
            let recipient = section.scalar(node, mailbox)?;
            if !seen.insert(recipient.to_lowercase()) {
                let what = format!("'{}' is already a recipient", shortened(&recipient));
                self.complaints.add(Diagnostic::error(node.position, what));
            }
            Some(recipient)
        };
        items.iter().filter_map(read).collect()
    }

    /// The heartbeat section in `node`.
    pub(super) fn heartbeat(&self, node: &Node, default_interval: Duration) -> Option<Heartbeat> {
        let section = Section::open(node, &HEARTBEAT_KEYS, self.complaints)?;
        let url = section.read_required("url", |text| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            // Its path is often a secret, so it is not repeated.
            url.ok_or_else(|| {
                Wrong::new("not a valid http or https URL", "write for example 'https://beats.example.com/ID'")
            })
        });
        let interval = section.find("interval").map_or(Some(default_interval), |node| {
            section
                .scalar(node, |text| scalar::duration_within(text, Duration::from_secs(5), Duration::from_secs(3600)))
        });
        let ca = self.source(&section, "ca", Use::Authorities);
        let url = url?;
        let is_local =
            url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<super::settings::Host>().ok());
        if url.scheme() == "http" && !is_local.is_some_and(|host| host.is_loopback()) {
            let position = section.find("url").map_or(section.position, |node| node.position);
            let diagnostic =
                Diagnostic::warning(position, "heartbeat over http: anyone on the path can read and forge it");
            self.complaints.add(diagnostic.hint("use https"));
        }
        Some(Heartbeat { url, interval: interval?, ca })
    }
}

fn mail_tls(text: &str) -> Result<MailTls, Wrong> {
    const KNOWN: [&str; 3] = ["starttls", "implicit", "none"];
    match text {
        "starttls" => Ok(MailTls::StartTls),
        "implicit" => Ok(MailTls::Implicit),
        "none" => Ok(MailTls::Plain),
        _ => {
            let hint = nearest(text, &KNOWN)
                .map_or(format!("one of {}", KNOWN.join(", ")), |near| format!("did you mean '{near}'?"));
            Err(Wrong::new(format!("'{}' is not a valid value of 'tls'", shortened(text)), hint))
        }
    }
}

fn mailbox(text: &str) -> Result<String, Wrong> {
    let is_mailbox = text.parse::<Mailbox>().is_ok() && !text.chars().any(char::is_control);
    let wrong = || {
        let hint = "write 'name@example.com' or 'Name <name@example.com>'";
        Wrong::new(format!("'{}' is not a valid mail address", shortened(text)), hint)
    };
    if is_mailbox { Ok(text.to_owned()) } else { Err(wrong()) }
}
