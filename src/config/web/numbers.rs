//! Versions, cipher suites and curves by the names that Go has for them, and what to take for those that our TLS stack
//! lacks: nothing older than TLS 1.2, no CBC, no key exchange by RSA, no P-521.

use rustls::{CipherSuite, NamedGroup};

use super::super::yaml_tree::{Wrong, nearest, shortened};

/// A version of TLS that the stack has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The suites of both Go and rustls. The first three are of TLS 1.3.
const SUITES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// What the toolkit knows, in the order of its names.
const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
    ("X25519", Some(NamedGroup::X25519)),
];

pub(super) fn version(text: &str, key: &str) -> Result<Version, Wrong> {
    match text {
        "TLS12" => Ok(Version::Tls12),
        "TLS13" => Ok(Version::Tls13),
        "TLS10" | "TLS11" => {
            let what = format!("'{text}' is not supported: the oldest version of TLS here is 1.2");
            Err(Wrong::new(what, format!("write '{key}: TLS12'")))
        }
        _ => Err(Wrong::new(format!("'{}' is not a valid TLS version", shortened(text)), "one of TLS12, TLS13")),
    }
}

pub(super) fn suite(text: &str) -> Result<CipherSuite, Wrong> {
    if let Some((_, suite)) = SUITES.iter().find(|(name, _)| *name == text) {
        return Ok(*suite);
    }
    let names = SUITES.map(|(name, _)| name);
    if let Some(instead) = instead(text) {
        return Err(Wrong::new(
            format!("the cipher suite '{}' is not supported", shortened(text)),
            format!("write {instead}, which every client of the last ten years has"),
        ));
    }
    let hint = match nearest(text, &names) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("one of {}", names.join(", ")),
    };
    Err(Wrong::new(format!("'{}' is not a valid cipher suite", shortened(text)), hint))
}

/// The suite to use for one of Go's that rustls lacks: the same signature and key length, with forward secrecy and GCM.
fn instead(text: &str) -> Option<String> {
    let (exchange, cipher) = text.strip_prefix("TLS_")?.split_once("_WITH_")?;
    let exchange = match exchange {
        "ECDHE_ECDSA" | "ECDHE_RSA" => exchange,
        "RSA" => "ECDHE_RSA",
        _ => return None,
    };
    let cipher = match cipher {
        "RC4_128_SHA" | "3DES_EDE_CBC_SHA" | "AES_128_CBC_SHA" | "AES_128_CBC_SHA256" | "AES_128_GCM_SHA256" => {
            "AES_128_GCM_SHA256"
        }
        "AES_256_CBC_SHA" | "AES_256_GCM_SHA384" => "AES_256_GCM_SHA384",
        _ => return None,
    };
    Some(format!("TLS_{exchange}_WITH_{cipher}"))
}

pub(super) fn is_of_tls13(suite: CipherSuite) -> bool {
    SUITES[..3].iter().any(|(_, known)| *known == suite)
}

pub(super) fn curve(text: &str) -> Result<NamedGroup, Wrong> {
    match CURVES.iter().find(|(name, _)| *name == text) {
        Some((_, Some(group))) => Ok(*group),
        Some((name, None)) => {
            Err(Wrong::new(format!("the curve '{name}' is not supported"), "write CurveP384, or X25519 for speed"))
        }
        None => {
            let names = CURVES.map(|(name, _)| name);
            let hint = match nearest(text, &names) {
                Some(near) => format!("did you mean '{near}'?"),
                None => "one of CurveP256, CurveP384, X25519".to_owned(),
            };
            Err(Wrong::new(format!("'{}' is not a valid curve", shortened(text)), hint))
        }
    }
}
