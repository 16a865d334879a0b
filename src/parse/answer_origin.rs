//! Whether an answer is what an apiserver or etcd sends at all, or that of something else at their address.
//!
//! A login page, a captive portal and a balancer's own health page answer 200 as well, so a status alone does not prove
//! an apiserver. Called by `collect/apiserver.rs`.

use super::health::Checks;
use crate::model::health::Foreign;

/// What `/readyz` or `/livez` answered with 2xx or 3xx, when it is no apiserver's: that lists its checks, or says `ok`
/// and nothing else where somebody hides them (managed control planes do).
///
/// Other statuses need no explanation: `None`.
#[must_use]
pub fn in_place_of_health(status: u16, body: &[u8], checks: &Checks) -> Option<Foreign> {
    let is_verdict = checks.listed > 0 || body.trim_ascii() == b"ok";
    instead(status, body, is_verdict)
}

/// What `/version` answered with 2xx or 3xx, when it is not from an apiserver, which has its `gitVersion` there.
#[must_use]
pub fn in_place_of_version(status: u16, body: &[u8], git_version: Option<&str>) -> Option<Foreign> {
    instead(status, body, git_version.is_some())
}

fn instead(status: u16, body: &[u8], is_own: bool) -> Option<Foreign> {
    match status {
        300..=399 => Some(Foreign::Redirect),
        200 if is_own => None,
        200..=299 => Some(kind(body)),
        _ => None,
    }
}

fn kind(body: &[u8]) -> Foreign {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    match body.first() {
        None => Foreign::Empty,
        Some(b'<') => Foreign::Html,
        Some(b'{' | b'[') => Foreign::Json,
        Some(_) => Foreign::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{health, version};

    const PAGE: &[u8] = b"\xef\xbb\xbf \n<!DOCTYPE html><html><body>Sign in</body></html>";

    #[test]
    fn health_is_a_list_of_checks_or_ok_and_nothing_else() {
        for (status, body, instead) in [
            (200, &b"[+]ping ok\n[+]etcd ok\nreadyz check passed\n"[..], None),
            (200, b"ok", None),
            (200, b"ok\n", None),
            (200, b"", Some(Foreign::Empty)),
            (200, b" \r\n", Some(Foreign::Empty)),
            (200, PAGE, Some(Foreign::Html)),
            (200, b"<html><body><h1>200 OK</h1>\nService ready.\n</body></html>", Some(Foreign::Html)),
            (200, b"OK", Some(Foreign::Text)),
            (200, b"ok, said the portal", Some(Foreign::Text)),
            (200, br#"{"status":"UP"}"#, Some(Foreign::Json)),
            (204, b"", Some(Foreign::Empty)),
            (204, b"ok", Some(Foreign::Text)),
            (302, b"", Some(Foreign::Redirect)),
            (307, b"ok", Some(Foreign::Redirect)),
            (500, b"[-]etcd failed: reason withheld\nreadyz check failed\n", None),
            (503, PAGE, None),
            (401, PAGE, None),
        ] {
            let checks = health::checks(body);

            assert_eq!(in_place_of_health(status, body, &checks), instead, "{status} {body:?}");
        }
    }

    #[test]
    fn a_version_is_a_document_with_its_git_version() {
        for (status, body, instead) in [
            (200, &br#"{"major":"1","gitVersion":"v1.36.3"}"#[..], None),
            (200, b"", Some(Foreign::Empty)),
            (200, PAGE, Some(Foreign::Html)),
            (200, b"{}", Some(Foreign::Json)),
            (200, br#"{"version":"2.1","name":"vault"}"#, Some(Foreign::Json)),
            (200, b"ok", Some(Foreign::Text)),
            (303, b"", Some(Foreign::Redirect)),
            (404, PAGE, None),
        ] {
            let known = version::git_version(body);

            assert_eq!(in_place_of_version(status, body, known.as_deref()), instead, "{status} {body:?}");
        }
    }
}
