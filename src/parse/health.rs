//! The verbose body of an apiserver's health endpoints.
//!
//! Upstream calls this text human-only, so the status code decides and the names read here only explain. Does not use
//! the status code. Called by `collect/apiserver.rs`.

use super::sanitize::shown;
use crate::model::health::Health;

/// Longest name kept of one check; the longest of a stock apiserver has about 70 characters.
const MAX_NAME: usize = 128;

/// The checks of one body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Names of the checks that failed, in the server's order, each once, at most [`Health::MAX_PARTS`].
    pub failing: Vec<String>,
    /// Number of lines that are checks; 0 for a body that is no list, such as a plain `ok`.
    pub listed: usize,
}

/// Reads lines of the form `[+]ping ok`, `[-]etcd failed: reason withheld`, `[+]log excluded: ok`.
///
/// Everything else (the closing `readyz check passed`, warnings about unknown names, a balancer's HTML page) is
/// passed over.
#[must_use]
pub fn checks(body: &[u8]) -> Checks {
    let mut checks = Checks::default();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let (failed, rest) = match (line.strip_prefix(b"[-]"), line.strip_prefix(b"[+]")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => continue,
        };
        let name = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        checks.listed += 1;
        if failed && checks.failing.len() < Health::MAX_PARTS {
            let name = shown(&String::from_utf8_lossy(name), MAX_NAME);
            if !checks.failing.contains(&name) {
                checks.failing.push(name);
            }
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn failing_checks_are_named_in_the_servers_order() {
        let body = b"[+]ping ok\n[-]etcd failed: reason withheld\n[+]log excluded: ok\r\n\
            [-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n";

        let checks = checks(body);

        assert_eq!(checks.failing, ["etcd", "poststarthook/rbac/bootstrap-roles"]);
        assert_eq!(checks.listed, 4);
    }

    #[test]
    fn a_body_that_is_no_list_lists_nothing() {
        for body in [&b"ok"[..], b"", b"<html>[x]</html>", b"[-]\n[+] \n", b"internal server error: \"/readyz\": x"] {
            assert_eq!(checks(body), Checks::default(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_gives_a_bounded_answer(body in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let checks = checks(&body);

            prop_assert!(checks.failing.len() <= Health::MAX_PARTS);
            prop_assert!(checks.failing.len() <= checks.listed);
        }

        #[test]
        fn many_failures_are_cut_and_still_counted(count in 0_usize..300) {
            let body: String = (0..count).map(|n| format!("[-]part-{n}-{} failed\n", "x".repeat(400))).collect();

            let checks = checks(body.as_bytes());

            prop_assert_eq!(checks.listed, count);
            prop_assert_eq!(checks.failing.len(), count.min(Health::MAX_PARTS));
            prop_assert!(checks.failing.iter().all(|name| name.chars().count() <= MAX_NAME));
        }
    }
}
