//! Addresses between text and type: `host:port`, brackets around IPv6, no URL, no scope, no guessed port.
//!
//! Resolves nothing. Called by the readers of the configuration and by everybody who shows or dials an address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::model::certificate::Class;
use crate::model::inventory;
use crate::model::subject::Name;

/// A named place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAddress {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub address: Address,
}

/// A host, by name or by number, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// A host as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A literal address; never resolved.
    Ip(IpAddr),
    /// A name; resolved once, pinned, refreshed in the background.
    Name(String),
}

/// The address to connect to and the name expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Dialled address.
    pub address: Address,
    /// Expected name in the certificate; the address's host unless configured.
    pub server_name: Host,
    /// Who renews the certificates served there.
    pub certificates: Class,
}

/// Why a text is no address, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadAddress {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

fn bad(what: impl Into<String>, hint: impl Into<String>) -> BadAddress {
    BadAddress { what: what.into(), hint: hint.into() }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Some((_, rest)) = text.split_once("://") {
            let place = rest.split('/').next().unwrap_or_default();
            return Err(bad("an address is not a URL", format!("write '{}'", with_port(place))));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(bad("IPv6 without brackets", brackets(text)));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, behind) =
                    rest.split_once(']').ok_or_else(|| bad("no closing bracket", "write '[IPV6]:PORT'"))?;
                if inside.contains('%') {
                    return Err(bad("IPv6 with a scope is not supported", "use a global or unique local address"));
                }
                let ip = inside.parse::<Ipv6Addr>().map_err(|_| {
                    bad(format!("'{inside}' is not a valid IPv6 address"), "brackets are for IPv6 only")
                })?;
                (Host::Ip(ip.into()), behind.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                // `2001:db8::1:6443` could mean two things; the person has to say which.
                Some((host, _)) if host.contains(':') => {
                    return Err(bad("IPv6 without brackets", "write '[IPV6]:PORT'"));
                }
                Some((host, port)) => (host.parse()?, Some(port)),
                None => (text.parse()?, None),
            },
        };
        let port = port.ok_or_else(|| bad("no port", format!("write '{}'", with_port(text))))?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(port) if is_number && port > 0 => Ok(Self { host, port }),
            Ok(_) | Err(_) => Err(bad(format!("'{port}' is not a valid port"), "ports are numbers from 1 to 65535")),
        }
    }
}

/// How to write it with brackets. Where the last group could be a port, both readings.
fn brackets(text: &str) -> String {
    let parts = text.rsplit_once(':').filter(|(host, port)| host.parse::<Ipv6Addr>().is_ok() && is_port(port));
    match parts {
        Some((host, port)) => {
            format!("write '[{host}]:{port}', or '[{text}]:PORT' where all of it is the address")
        }
        None => format!("write '[{text}]:PORT'"),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn with_port(place: &str) -> String {
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { place.to_owned() } else { format!("{place}:PORT") }
}

impl FromStr for Host {
    type Err = BadAddress;

    /// Names are kept in lower case, since DNS and certificates do not tell cases apart, and with a dot at the end
    /// where one is written: such a name is absolute, and no search list is tried on it (resolv.conf(5)).
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits cannot be a domain; it is a mistyped IPv4 address.
        let looks_like_ip = name
            .rsplit('.')
            .next()
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
        if looks_like_ip {
            Err(bad(format!("'{text}' is not a valid IP address"), "IPv4 has four numbers from 0 to 255"))
        } else if name.len() <= 253 && name.split('.').all(is_label) {
            Ok(Self::Name(text.to_ascii_lowercase()))
        } else {
            Err(bad(format!("'{text}' is not a valid host"), "a host is a DNS name or an IP address"))
        }
    }
}

/// With brackets around IPv6.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(_)) | Host::Name(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Without brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Host {
    /// Whether it is on this machine whatever the network does. Only names that are loopback by definition count
    /// (RFC 6761 section 6.3); none is resolved.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.to_canonical().is_loopback(),
            Self::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// As certificates and TLS write it: without a dot at its end (RFC 6066 section 3).
    #[must_use]
    pub fn in_certificates(self) -> Self {
        match self {
            Self::Name(name) if name.ends_with('.') => Self::Name(name.trim_end_matches('.').to_owned()),
            Self::Name(_) | Self::Ip(_) => self,
        }
    }
}

impl Endpoint {
    /// An endpoint that is expected to bear the name it is connected to by, with certificates renewed by a person.
    #[must_use]
    pub fn new(address: Address, server_name: Option<Host>) -> Self {
        let server_name = server_name.unwrap_or_else(|| address.host.clone()).in_certificates();
        Self { address, server_name, certificates: Class::Manual }
    }

    /// The engine's view of it.
    #[must_use]
    pub fn listed(&self) -> inventory::Endpoint {
        inventory::Endpoint {
            address: self.address.to_string(),
            server_name: self.server_name.to_string(),
            is_loopback: self.address.host.is_loopback(),
            certificates: self.certificates,
        }
    }
}

impl NamedAddress {
    /// The engine's view of it.
    #[must_use]
    pub fn listed(&self) -> inventory::Reference {
        inventory::Reference {
            name: self.name.clone(),
            address: self.address.to_string(),
            is_loopback: self.address.host.is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_from_their_text() {
        for text in ["10.0.0.1:6443", "[2001:db8::2]:6443", "api.example.com:443", "a_b:1", "localhost:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("API.Example.com:443".parse::<Address>().unwrap().to_string(), "api.example.com:443");
    }

    #[test]
    fn a_dot_at_the_end_is_kept_for_the_resolver_and_not_for_certificates() {
        let address: Address = "api.example.com.:443".parse().unwrap();

        let endpoint = Endpoint::new(address.clone(), None);
        let named = Endpoint::new(address, Some("other.example.com.".parse().unwrap()));

        assert_eq!(endpoint.address.to_string(), "api.example.com.:443");
        assert_eq!(endpoint.server_name.to_string(), "api.example.com");
        assert_eq!(named.server_name.to_string(), "other.example.com");
    }

    #[test]
    fn what_is_no_address_is_refused_with_advice() {
        check("10.0.0.1", "no port; write '10.0.0.1:PORT'");
        check("api.example.com", "no port; write 'api.example.com:PORT'");
        check("[::1]", "no port; write '[::1]:PORT'");
        let both = "IPv6 without brackets; write '[2001:db8::1]:6443', or '[2001:db8::1:6443]:PORT' where all of it is the address";
        check("2001:db8::1:6443", both);
        check("2001:db8::1:beef", "IPv6 without brackets; write '[2001:db8::1:beef]:PORT'");
        check("10.0.0.1:0", "'0' is not a valid port; ports are numbers from 1 to 65535");
        check("10.0.0.1:65536", "'65536' is not a valid port; ports are numbers from 1 to 65535");
        check("10.0.0.1:+1", "'+1' is not a valid port; ports are numbers from 1 to 65535");
        check("10.0.0.1:", "'' is not a valid port; ports are numbers from 1 to 65535");
        check("2001:db8::2", "IPv6 without brackets; write '[2001:db8::2]:PORT'");
        check("2001:db8::2:65536", "IPv6 without brackets; write '[IPV6]:PORT'");
        check("[2001:db8::2:6443", "no closing bracket; write '[IPV6]:PORT'");
        check("[10.0.0.1]:6443", "'10.0.0.1' is not a valid IPv6 address; brackets are for IPv6 only");
        check("[fe80::1%eth0]:6443", "IPv6 with a scope is not supported; use a global or unique local address");
        check("https://10.0.0.1:6443/x", "an address is not a URL; write '10.0.0.1:6443'");
        check("https://api", "an address is not a URL; write 'api:PORT'");
        check("10.0.0.256:1", "'10.0.0.256' is not a valid IP address; IPv4 has four numbers from 0 to 255");
        check("10.0.1:1", "'10.0.1' is not a valid IP address; IPv4 has four numbers from 0 to 255");
        check("a..b:1", "'a..b' is not a valid host; a host is a DNS name or an IP address");
        check("a b:1", "'a b' is not a valid host; a host is a DNS name or an IP address");
        check(":443", "'' is not a valid host; a host is a DNS name or an IP address");
    }

    #[test]
    fn loopback_is_told_without_resolving() {
        for (host, expected) in [
            ("127.0.0.53", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("x.localhost", true),
            ("localhost.", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(host.parse::<Host>().unwrap().is_loopback(), expected, "{host}");
        }
    }

    fn check(text: &str, expected: &str) {
        let bad = text.parse::<Address>().unwrap_err();
        assert_eq!(format!("{bad}; {}", bad.hint), expected, "{text}");
    }
}
