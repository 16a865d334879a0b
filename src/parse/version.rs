//! The body of an apiserver's `/version`.
//!
//! Keeps the one field that people recognise. Called by `collect/apiserver.rs`.

use serde::Deserialize;

use super::sanitize::shown;

/// Longest version text kept: `v1.36.3-eks-0123abc` and the like are under 40.
const MAX_VERSION: usize = 64;

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

/// `gitVersion` of the document, escaped and shortened; `None` when the body is not that document.
#[must_use]
pub fn git_version(body: &[u8]) -> Option<String> {
    let document: Document = serde_json::from_slice(body).ok()?;
    (!document.git_version.is_empty()).then(|| shown(&document.git_version, MAX_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_version_is_read_and_anything_else_is_unknown() {
        assert_eq!(git_version(br#"{"major":"1","gitVersion":"v1.36.3"}"#).as_deref(), Some("v1.36.3"));
        for body in [&b"ok"[..], b"", br#"{"gitVersion":""}"#, br#"{"gitVersion":7}"#, br#"{"major":"1"}"#] {
            assert_eq!(git_version(body), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_gives_a_bounded_answer(body in proptest::collection::vec(any::<u8>(), 0..512), text in any::<String>()) {
            let wrapped = serde_json::json!({ "gitVersion": text }).to_string();

            for body in [body.as_slice(), wrapped.as_bytes()] {
                prop_assert!(git_version(body).is_none_or(|version| version.chars().count() <= MAX_VERSION));
            }
        }
    }
}
