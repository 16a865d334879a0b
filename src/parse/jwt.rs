//! The claims of a bearer token: subject, issuer, expiry.
//!
//! Nothing is verified and nothing used beyond the dates; `alg` is not read. The signature never leaves this file, and
//! the fingerprint is made without it, so nothing here can be used as the token. Called for tokens in files and
//! kubeconfigs.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::sanitize::shown;
use super::x509;
use crate::model::certificate::Fingerprint;
use crate::model::time::UnixTime;

/// Longest token that is read, in bytes; an HTTP server takes no header beyond 1 MB, most none beyond 16 KB.
pub const MAX_BYTES: usize = 64 * 1024;
/// Characters kept of names in it.
const MAX_NAME: usize = 256;
/// Seconds beyond which a date must have been written in milliseconds: the year 5138.
const MOST_SECONDS: f64 = 1.0e11;

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// SHA-256 of header and claims, without the signature.
    pub fingerprint: Fingerprint,
    /// `sub`, fit to be shown.
    pub subject: String,
    /// `iss`, fit to be shown.
    pub issuer: String,
    /// `iat`, else `nbf`.
    pub issued: Option<UnixTime>,
    /// `exp`; tokens of old service-account Secrets have none.
    pub expires: Option<UnixTime>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    iat: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    exp: Value,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What `token` says; `None` for anything that is no JSON Web Token.
#[must_use]
pub fn claims(token: &[u8]) -> Option<Claims> {
    let token = token.trim_ascii();
    if token.len() > MAX_BYTES {
        return None;
    }
    let text = std::str::from_utf8(token).ok()?;
    let (said, _signature) = text.rsplit_once('.')?;
    let (header, payload) = said.split_once('.')?;
    let is_object = |part: &str| BASE64.decode(part).is_ok_and(|bytes| bytes.first() == Some(&b'{'));
    if !is_object(header) {
        return None;
    }
    let raw: Raw = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
    Some(Claims {
        fingerprint: x509::fingerprint(said.as_bytes()),
        subject: name(&raw.sub),
        issuer: name(&raw.iss),
        issued: instant(&raw.iat).or_else(|| instant(&raw.nbf)),
        expires: instant(&raw.exp),
    })
}

fn name(value: &Value) -> String {
    value.as_str().map(|text| shown(text, MAX_NAME)).unwrap_or_default()
}

/// Seconds since 1970 as RFC 7519 has them, fractions allowed; strings and milliseconds are met as well.
fn instant(value: &Value) -> Option<UnixTime> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    if !number.is_finite() || number.abs() > MOST_SECONDS * 1000.0 {
        return None;
    }
    let millis = if number.abs() > MOST_SECONDS { number } else { number * 1000.0 };
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e14 in either direction")]
    Some(UnixTime::from_millis(millis as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_read_in_every_form_they_come_in() {
        let end = UnixTime::from_secs(1_800_000_000);
        for (payload, expires) in [
            (r#"{"exp":1800000000}"#, Some(end)),
            (r#"{"exp":1800000000.0}"#, Some(end)),
            (r#"{"exp":"1800000000"}"#, Some(end)),
            (r#"{"exp":1800000000000}"#, Some(end)),
            (r#"{"sub":"system:serviceaccount:a:b"}"#, None),
            (r#"{"exp":null}"#, None),
            (r#"{"exp":"soon"}"#, None),
            (r#"{"exp":1e300}"#, None),
        ] {
            let claims = claims(&token(payload)).unwrap();

            assert_eq!(claims.expires, expires, "{payload}");
        }
    }

    #[test]
    fn who_and_from_whom_are_told_without_the_signature() {
        let told = |signature: &str| {
            let token = [token(r#"{"iss":"https://k\u0000","sub":"a","iat":1}"#), signature.as_bytes().to_vec()];
            claims(&token.concat()).unwrap()
        };

        assert_eq!((told("x").issuer.as_str(), told("x").subject.as_str()), ("https://k\\u{0}", "a"));
        assert_eq!(told("one"), told("another"));
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        for text in ["", ".", "..", "a.b.c", "eyJ.eyJ", "10.0.0.1", "api.example.com", &"e".repeat(100_000)] {
            assert_eq!(claims(text.as_bytes()), None, "{text:.20}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(claims(&bytes));
        }
    }

    fn token(payload: &str) -> Vec<u8> {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", part(r#"{"alg":"none"}"#), part(payload)).into_bytes()
    }
}
