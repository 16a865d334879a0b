//! The sections `http_server_config` and `rate_limit`: headers of every response, HTTP/2, and how many there are.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::super::duration;
use super::super::yaml_tree::{Section, Wrong, nearest, shortened};
use super::Reader;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::{Entry, Node, Value};

pub(super) const KEYS: [&str; 2] = ["http2", "headers"];
pub(super) const RATE_KEYS: [&str; 2] = ["interval", "burst"];

/// The headers that the toolkit lets one set, with the only values that some may have.
pub(super) const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// How many requests are answered: `burst` at once, and one more in each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Time between two requests in the long run; never zero.
    pub interval: Duration,
    /// Requests at once; never zero.
    pub burst: u32,
}

impl Reader<'_> {
    /// Whether HTTP/2 is offered, and the headers of every response.
    pub(super) fn http(&self, node: &Node) -> (bool, Vec<(HeaderName, HeaderValue)>) {
        let Some(section) = Section::open(node, &KEYS, self.context.complaints) else { return (true, Vec::new()) };
        let http2 = section.find("http2").is_none() || section.flag("http2");
        let headers = section.find("headers").and_then(|node| Section::open_any(node, self.context.complaints));
        let headers =
            headers.iter().flat_map(|headers| headers.entries().iter().filter_map(|entry| self.header(entry)));
        (http2, headers.collect())
    }

    fn header(&self, entry: &Entry) -> Option<(HeaderName, HeaderValue)> {
        let complaints = self.context.complaints;
        let names = HEADERS.map(|(name, _)| name);
        let Some((name, allowed)) = HEADERS.into_iter().find(|(name, _)| *name == entry.key) else {
            let hint = match nearest(&entry.key, &names) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("the headers that can be set are: {}", names.join(", ")),
            };
            let what = format!("the header '{}' cannot be set", shortened(&entry.key));
            complaints.add(Diagnostic::error(entry.position, what).hint(hint));
            return None;
        };
        if entry.node.value == Value::Null {
            return None;
        }
        let Some(text) = entry.node.scalar() else {
            let what = format!("expected a string, found {}", entry.node.kind());
            complaints.add(Diagnostic::error(entry.node.position, what));
            return None;
        };
        if !allowed.is_empty() && !allowed.contains(&text) {
            let what = format!("'{}' is not a valid {name}", shortened(text));
            let quoted: Vec<String> = allowed.iter().map(|value| format!("'{value}'")).collect();
            complaints.add(Diagnostic::error(entry.node.position, what).hint(format!("write {}", quoted.join(" or "))));
            return None;
        }
        if text.is_empty() {
            return None;
        }
        let Ok(value) = HeaderValue::from_str(text) else {
            let diagnostic =
                Diagnostic::error(entry.node.position, format!("the value of {name} cannot be sent in a header"));
            complaints.add(diagnostic.hint("printable characters on one line only"));
            return None;
        };
        HeaderName::from_bytes(name.as_bytes()).ok().map(|name| (name, value))
    }

    /// `None` when there is no limit.
    pub(super) fn rate_limit(&self, node: &Node) -> Option<RateLimit> {
        let section = Section::open(node, &RATE_KEYS, self.context.complaints)?;
        let burst = section.read("burst", |text| {
            let hint = "a whole number, the requests that are answered at once";
            text.parse::<u32>().map_err(|_| Wrong::new(format!("'{}' is not a valid burst", shortened(text)), hint))
        });
        let interval = section.read("interval", |text| match text {
            // The toolkit takes a bare 0 as well, which needs no unit.
            "0" => Ok(Duration::ZERO),
            text => duration::parse(text).map_err(|what| Wrong::new(shortened(&what), duration::FORM)),
        })?;
        if interval.is_zero() {
            return None;
        }
        if burst.is_none_or(|burst| burst == 0) {
            let position = section.find("burst").map_or(section.position, |node| node.position);
            let diagnostic =
                Diagnostic::error(position, "'interval' without a 'burst' of at least 1 rejects every request");
            self.context.complaints.add(diagnostic.hint("add 'burst: 10'"));
        }
        Some(RateLimit { interval, burst: burst?.max(1) })
    }
}
