//! The section `tls_server_config`.

use rustls::NamedGroup;

use super::super::material::Use;
use super::super::settings::Source;
use super::super::yaml_tree::{Section, Wrong, nearest, shortened};
use super::numbers::Version;
use super::{Reader, numbers};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

pub(super) const KEYS: [&str; 13] = [
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// Names in `client_allowed_sans`: more than anybody has scrapers.
const MAX_SANS: usize = 256;

/// TLS as our listener offers it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: Source,
    /// Its private key, PEM.
    pub key: Source,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// CA of clients' certificates, PEM; there whenever they are verified.
    pub client_ca: Option<Source>,
    /// Names of which a client's certificate must bear one; any will do when empty.
    pub client_allowed_sans: Vec<String>,
    /// Oldest version.
    pub min_version: Version,
    /// Newest version.
    pub max_version: Version,
    /// Cipher suites of TLS 1.2, in order; all when empty. Those of TLS 1.3 cannot be chosen, as in Go.
    pub cipher_suites: Vec<rustls::CipherSuite>,
    /// Whether our order of cipher suites counts, and not the client's.
    pub prefers_own_order: bool,
    /// Key exchange groups, in order; the TLS stack's own choice when empty.
    pub groups: Vec<NamedGroup>,
}

/// What is asked of clients, by the names that Go has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: nothing.
    None,
    /// `RequestClientCert`: a certificate, which may be any or none.
    Request,
    /// `RequireAnyClientCert`: some certificate and its key, by whomever it is signed.
    RequireAny,
    /// `VerifyClientCertIfGiven`: none, or one that the client CA has signed.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`: one that the client CA has signed.
    RequireAndVerify,
}

impl ClientAuth {
    /// The values of `client_auth_type`. The last is an old name of the third that the toolkit keeps.
    const NAMES: [(&str, Self); 6] = [
        ("NoClientCert", Self::None),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerify),
        ("RequireClientCert", Self::RequireAny),
    ];

    /// Whether a certificate that is shown must come from the client CA.
    #[must_use]
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

impl Reader<'_> {
    /// TLS in `node`; `None` when the section is empty or wrong.
    pub(super) fn tls(&self, node: &Node) -> Option<Tls> {
        let complaints = self.context.complaints;
        let section = Section::open(node, &KEYS, complaints)?;
        if section.entries().is_empty() {
            return None;
        }
        let certificate = self.source(&section, "cert_file", "cert", Use::Certificate);
        let key = self.source(&section, "key_file", "key", Use::Key);
        for (file, inline) in [("cert_file", "cert"), ("key_file", "key")] {
            if !section.entries().iter().any(|entry| entry.key == file || entry.key == inline) {
                let diagnostic = Diagnostic::error(section.position, format!("'{file}' is missing"));
                complaints
                    .add(diagnostic.hint(format!("give '{file}' or '{inline}', or leave 'tls_server_config' out")));
            }
        }
        let client_ca = self.source(&section, "client_ca_file", "client_ca", Use::Authorities);
        let client_auth =
            section.find("client_auth_type").map_or(Some(ClientAuth::None), |node| section.scalar(node, client_auth));
        let client_allowed_sans = sans(&section);
        if let Some(client_auth) = client_auth {
            self.fit(&section, client_auth);
        }
        let min_version = section.read("min_version", |text| numbers::version(text, "min_version"));
        let max_version = section.read("max_version", |text| numbers::version(text, "max_version"));
        let (min_version, max_version) = (min_version.unwrap_or(Version::Tls12), max_version.unwrap_or(Version::Tls13));
        if min_version > max_version {
            let position = section.find("max_version").map_or(section.position, |node| node.position);
            let diagnostic =
                Diagnostic::error(position, "'max_version' is older than 'min_version': no version is left");
            complaints.add(diagnostic.hint("give 'min_version: TLS12' or leave 'max_version' out"));
        }
        let suites = section.list("cipher_suites").unwrap_or_default();
        let suites: Vec<_> = suites.iter().filter_map(|node| section.scalar(node, numbers::suite)).collect();
        let cipher_suites: Vec<_> = suites.iter().copied().filter(|suite| !numbers::is_of_tls13(*suite)).collect();
        let mut least = min_version;
        if let (Some(node), false, true) = (section.find("cipher_suites"), suites.is_empty(), cipher_suites.is_empty())
        {
            if max_version == Version::Tls12 {
                let diagnostic =
                    Diagnostic::error(node.position, "no cipher suite of TLS 1.2, and 'max_version' allows no other");
                complaints.add(diagnostic.hint("add TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and its RSA sister"));
            }
            least = Version::Tls13;
        }
        let groups = section.list("curve_preferences").unwrap_or_default();
        let groups = groups.iter().filter_map(|node| section.scalar(node, numbers::curve)).collect();
        let prefers_own_order =
            section.find("prefer_server_cipher_suites").is_none() || section.flag("prefer_server_cipher_suites");
        let tls = Tls {
            certificate: certificate?,
            key: key?,
            client_auth: client_auth?,
            client_ca,
            client_allowed_sans,
            min_version: least,
            max_version,
            cipher_suites,
            prefers_own_order,
            groups,
        };
        self.fits(&section, &tls);
        Some(tls)
    }

    /// Whether what is asked of clients, the client CA and the allowed names belong together.
    fn fit(&self, section: &Section<'_>, client_auth: ClientAuth) {
        let complaints = self.context.complaints;
        let ca = section.find("client_ca_file").or_else(|| section.find("client_ca"));
        let sans = section.find("client_allowed_sans");
        if let (Some(node), ClientAuth::None) = (ca, client_auth) {
            let diagnostic = Diagnostic::error(node.position, "a client CA, and no client is asked for a certificate");
            complaints.add(diagnostic.hint("add 'client_auth_type: RequireAndVerifyClientCert'"));
        }
        if let (Some(node), ClientAuth::None) = (sans, client_auth) {
            let diagnostic =
                Diagnostic::error(node.position, "allowed names, and no client is asked for a certificate");
            complaints.add(diagnostic.hint("add 'client_auth_type: RequireAndVerifyClientCert' and 'client_ca_file'"));
        }
        if let (None, true) = (ca, client_auth.verifies()) {
            let position = section.find("client_auth_type").map_or(section.position, |node| node.position);
            let diagnostic =
                Diagnostic::error(position, "clients' certificates are to be verified, and no client CA is given");
            complaints
                .add(diagnostic.hint("give 'client_ca_file'; the CAs that this machine trusts would let in anybody"));
        }
        if let (Some(node), ClientAuth::Request | ClientAuth::RequireAny) = (sans, client_auth) {
            let what = "allowed names in certificates that nobody verifies: anybody can write them into one";
            let diagnostic = Diagnostic::warning(node.position, what);
            complaints.add(diagnostic.hint("use 'client_auth_type: RequireAndVerifyClientCert'"));
        }
    }
}

fn client_auth(text: &str) -> Result<ClientAuth, Wrong> {
    let known = ClientAuth::NAMES.map(|(name, _)| name);
    ClientAuth::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, value)| value).ok_or_else(|| {
        let hint = match nearest(text, &known) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("one of {}", known[..5].join(", ")),
        };
        Wrong::new(format!("'{}' is not a valid client_auth_type", shortened(text)), hint)
    })
}

fn sans(section: &Section<'_>) -> Vec<String> {
    let Some(items) = section.list("client_allowed_sans") else { return Vec::new() };
    if let (Some(node), true) = (section.find("client_allowed_sans"), items.is_empty() || items.len() > MAX_SANS) {
        let diagnostic = if items.is_empty() {
            Diagnostic::error(node.position, "'client_allowed_sans' is empty: nobody could connect")
                .hint("leave it out")
        } else {
            Diagnostic::error(node.position, format!("more than {MAX_SANS} allowed names"))
                .hint("use a CA of their own instead")
        };
        section.complaints.add(diagnostic);
    }
    let san = |text: &str| {
        let hint = "a DNS name, an IP address, a mail address or a URI, exactly as it is in the certificate";
        if text.is_empty() { Err(Wrong::new("an empty name", hint)) } else { Ok(text.to_owned()) }
    };
    items.iter().take(MAX_SANS).filter_map(|node| section.scalar(node, san)).collect()
}
