//! Phrases that the texts of several rules share, so that the same fact always has the same wording.
//!
//! Decides nothing and cleans nothing: texts from targets are made harmless where they are rendered.

use std::time::Duration;

use crate::model::addresses::Addresses;
use crate::model::digest::stable_hash;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::subject::Subject;
use crate::model::verdict::Symptom;

/// Names listed before "and N more": a line that still reads.
const LISTED: usize = 8;

/// The name a person would say, and its address: `api-1 (10.0.0.11:6443)`.
#[must_use]
pub fn place(subject: &Subject, addresses: &Addresses) -> String {
    match addresses.get(subject).filter(|address| !address.is_empty()) {
        Some(address) => format!("{} ({address})", name(subject)),
        None => name(subject),
    }
}

/// The name a person would say.
pub(super) fn name(subject: &Subject) -> String {
    match subject {
        Subject::Vip(_) => "the API VIP".into(),
        Subject::Vantage => "vedette's own host".into(),
        Subject::Cluster(name) => format!("cluster {name}"),
        Subject::Reference(_)
        | Subject::Resolver(_)
        | Subject::Proxy(_)
        | Subject::Apiserver(..)
        | Subject::Etcd(..)
        | Subject::EtcdMember(..)
        | Subject::Stored(..)
        | Subject::Chain(..) => subject.short().to_owned(),
    }
}

/// Where a subject is, in full: `cluster prod, etcd member etcd-2`.
#[must_use]
pub fn full(subject: &Subject) -> String {
    let of = |what: String| match subject.cluster() {
        Some(cluster) => format!("cluster {cluster}, {what}"),
        None => what,
    };
    match subject {
        Subject::Vantage => "vedette's own host".into(),
        Subject::Cluster(cluster) => format!("cluster {cluster}"),
        Subject::Vip(_) => of("API endpoint (VIP or load balancer)".into()),
        Subject::Apiserver(..) => of(format!("kube-apiserver {}", subject.short())),
        Subject::Etcd(_, name) if name.as_str() == "etcd" => of("etcd".into()),
        Subject::Etcd(..) => of(format!("etcd {}", subject.short())),
        Subject::EtcdMember(..) => of(format!("etcd member {}", subject.short())),
        Subject::Stored(..) => of("a certificate or token in a file".into()),
        Subject::Chain(..) => of("a served certificate".into()),
        Subject::Reference(_) => format!("reference target {}", subject.short()),
        Subject::Resolver(_) => format!("DNS server {}", subject.short()),
        Subject::Proxy(_) => format!("proxy {}", subject.short()),
    }
}

/// `text` in at most `most` characters: start and end are kept, and a short hash keeps different texts different.
///
/// Names are ASCII; for anything else the count is in characters and the result may be shorter than it could be.
#[must_use]
pub fn fit(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let mark = format!("~{:04x}~", stable_hash(&[text]) & 0xffff);
    let room = most.saturating_sub(mark.len());
    let tail = room / 2;
    let start: String = text.chars().take(room - tail).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}{mark}{end}")
}

/// `a`, `a and b`, `a, b and c`, at most eight of them.
#[must_use]
pub fn list(items: &[String]) -> String {
    let more = items.len().saturating_sub(LISTED);
    let shown = &items[..items.len() - more];
    match (shown, more) {
        ([], _) => "none".into(),
        ([only], 0) => only.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What an endpoint that gave no answer is: `down` only when its own kernel refused the connection, else `unreachable
/// from here`.
pub(super) fn state(unseen: Unseen) -> String {
    let text = match (unseen.phase, unseen.cause) {
        (Phase::Resolve, _) => "unknown: DNS on the vedette host has no address for its name",
        (_, Cause::Refused) => "down: connection refused, nothing listens there",
        (Phase::Dial, Cause::Timeout) => "unreachable from here: no answer to the connection attempt",
        (Phase::Tls, Cause::Timeout) => {
            "hanging: it accepts the connection, then does not respond in the TLS handshake"
        }
        (Phase::FirstByte | Phase::Body, Cause::Timeout) => "hanging: connected, but no response to the request",
        (Phase::Idle, Cause::Reset | Cause::Closed) => "gone: a kept connection was dropped",
        (_, Cause::Reset | Cause::Closed) => "failing: the connection is dropped",
        (_, Cause::Unreachable) => "unreachable from here: no route to host",
        (_, Cause::ProxyTarget) => "unreachable: the proxy reports that it cannot reach it",
        (_, Cause::ProxySilent) => "unreachable: the proxy gets no answer from it, and reaches other clusters",
        (_, Cause::Unavailable) => "up, but reports that it cannot serve",
        _ => return format!("failing ({unseen})"),
    };
    text.into()
}

/// Behind what fails for new connections only.
pub(super) const OPEN_ONES_ANSWER: &str = " Over a connection opened earlier it still responds.";

/// A sentence that may begin with a turn of phrase; names keep the letters they were given.
pub(super) fn capital(text: String) -> String {
    match text.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None => text,
    }
}

/// What a bad instance does, as the rest of "it is ...".
pub(super) fn symptom(symptom: &Symptom) -> String {
    match symptom {
        Symptom::Silent(unseen) => state(*unseen),
        Symptom::Status(status) => format!("answering HTTP {status} instead of its health"),
        Symptom::NotReady(parts) => format!("not ready: {}", failing(parts)),
        Symptom::Foreign { status, page } => {
            format!("not an apiserver: something else answers there (HTTP {status} with {})", page.as_str())
        }
    }
}

/// Failing parts of a health answer.
pub(super) fn failing(parts: &[String]) -> String {
    match parts {
        [] => "it names no failing check".into(),
        [only] => format!("check {only} fails"),
        several => format!("checks {} fail", list(several)),
    }
}

/// A length of time as a person says it, two units at most: `8 s`, `14 min`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |big: u64, unit: &str, small: u64, sub: &str| {
        if small == 0 { format!("{big} {unit}") } else { format!("{big} {unit} {small} {sub}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) if time < Duration::from_secs(1) => format!("{} ms", time.as_millis()),
        (0, 0, 0) if time < Duration::from_secs(10) && time.subsec_millis() >= 100 => {
            format!("{}.{} s", seconds, time.subsec_millis() / 100)
        }
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => pair(minutes, "min", seconds % 60, "s"),
        (0, _, _) => pair(hours, "h", minutes % 60, "min"),
        _ => pair(days, "d", hours % 24, "h"),
    }
}

pub(super) use crate::model::byte_size::words as bytes;

/// The address of `subject`, or its name where none is known: the command then shows what to fill in.
pub(super) fn address(subject: &Subject, addresses: &Addresses) -> String {
    match addresses.get(subject).filter(|address| !address.is_empty()) {
        Some(address) => address.clone(),
        None => subject.short().to_owned(),
    }
}

/// The host of a `host:port`, without the brackets of IPv6, as ssh wants it.
pub fn host(address: &str) -> &str {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    };
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

/// The host of `subject`, as ssh wants it.
pub(super) fn host_of(subject: &Subject, addresses: &Addresses) -> String {
    host(&address(subject, addresses)).to_owned()
}

/// Known members of the etcd cluster that `subject` is or belongs to, in order.
pub(super) fn members(subject: &Subject, addresses: &Addresses) -> Vec<Subject> {
    let etcd = subject.etcd();
    addresses.keys().filter(|known| known.is_etcd_member() && known.etcd() == etcd).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_like_speech() {
        for (millis, text) in [
            (0, "0 ms"),
            (450, "450 ms"),
            (1800, "1.8 s"),
            (2000, "2 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (845_000, "14 min 5 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(lasting(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn long_names_are_cut_to_different_texts() {
        let one = fit(&"a".repeat(63), 20);
        let other = fit(&format!("{}b{}", "a".repeat(31), "a".repeat(31)), 20);

        assert_eq!(one.len(), 20);
        assert_ne!(one, other);
        assert_eq!(fit("api-1", 20), "api-1");
    }

    #[test]
    fn hosts_lose_port_and_brackets() {
        for (address, expected) in
            [("10.0.0.1:6443", "10.0.0.1"), ("[fd00::1]:2379", "fd00::1"), ("api.example", "api.example")]
        {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn long_lists_say_how_many_are_left_out() {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();

        assert_eq!(list(&names(1)), "0");
        assert_eq!(list(&names(3)), "0, 1 and 2");
        assert_eq!(list(&names(10)), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
