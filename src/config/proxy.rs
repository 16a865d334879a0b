//! A proxy as a URL names it: `http`, `https` or `socks5`, where it is, and the login, percent-decoded.
//!
//! No text of an error repeats the URL, which may hold a password. Called by the readers of clusters and kubeconfigs;
//! `collect` opens tunnels through it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::address::{Address, BadAddress, Host};
use crate::model::digest::stable_hash;
use crate::model::inventory;
use crate::model::subject::Name;

/// A proxy every connection to the apiservers of a cluster goes through.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its protocol.
    pub scheme: Scheme,
    /// Where it is.
    pub address: Address,
    /// Who we are to it.
    pub login: Option<ProxyLogin>,
}

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// CONNECT (RFC 9110 section 9.3.6).
    Http,
    /// CONNECT inside TLS.
    Https,
    /// SOCKS version 5 (RFC 1928); the proxy resolves names.
    Socks,
}

/// Bytes, because a password need not be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    /// User.
    pub user: Zeroizing<Vec<u8>>,
    /// Password; may be empty.
    pub password: Zeroizing<Vec<u8>>,
}

/// Longest user and password of SOCKS (RFC 1929 section 2).
const SOCKS_LOGIN: usize = 255;

impl Scheme {
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks => 1080,
        }
    }

    /// As curl wants it: kubectl lets a SOCKS proxy resolve names, which curl calls `socks5h`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks => "socks5h",
        }
    }
}

impl Proxy {
    /// The engine's view of it: without the login, which is shown as two words to fill in.
    #[must_use]
    pub fn listed(&self) -> inventory::Proxy {
        let login = if self.login.is_some() { "USER:PASSWORD@" } else { "" };
        let place: String = self.address.to_string().chars().filter(|c| !matches!(c, '[' | ']')).collect();
        let name = place.parse().or_else(|_| format!("proxy-{:016x}", stable_hash(&[&place])).parse::<Name>());
        inventory::Proxy {
            name: name.expect("a word and digits are a name"),
            url: format!("{}://{login}{}", self.scheme.as_str(), self.address),
        }
    }
}

impl FromStr for Proxy {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        const FORM: &str = "write for example 'http://proxy.example.com:3128'";
        let wrong = |what: &str, hint: &str| BadAddress { what: what.to_owned(), hint: hint.to_owned() };
        let url = Url::parse(text.trim()).map_err(|_| wrong("not a valid http, https or socks5 URL", FORM))?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "socks5" | "socks5h" => Scheme::Socks,
            _ => return Err(wrong("not a valid http, https or socks5 URL", FORM)),
        };
        let host = match url.host() {
            // Of schemes it does not know, the parser takes any host for a name.
            Some(url::Host::Domain(name)) => name
                .parse::<Host>()
                .map_err(|bad| BadAddress { what: format!("the proxy's host is none: {}", bad.what), ..bad })?,
            Some(url::Host::Ipv4(ip)) => Host::Ip(ip.into()),
            Some(url::Host::Ipv6(ip)) => Host::Ip(ip.into()),
            None => return Err(wrong("the proxy's URL names no host", FORM)),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the proxy's URL has a path or a query", FORM));
        }
        let port = url.port().unwrap_or(scheme.port());
        if port == 0 {
            return Err(wrong("'0' is not a valid port", FORM));
        }
        let login = login(&url, scheme).map_err(|(what, hint)| wrong(what, hint))?;
        Ok(Self { scheme, address: Address { host, port }, login })
    }
}

fn login(url: &Url, scheme: Scheme) -> Result<Option<ProxyLogin>, (&'static str, &'static str)> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |part: &str| {
        let mut escapes = part.split('%').skip(1);
        let is_sound = escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
        let bytes = Zeroizing::new(percent_decode_str(part).collect::<Vec<u8>>());
        is_sound.then_some(bytes).ok_or((
            "the proxy's user or password has a '%' that does not begin an escape",
            "write '%25' for a percent sign, '%40' for '@', '%3A' for ':' and '%2F' for '/'",
        ))
    };
    let login = ProxyLogin { user: decoded(url.username())?, password: decoded(url.password().unwrap_or_default())? };
    let parts = [&login.user, &login.password];
    if scheme == Scheme::Socks {
        if login.user.is_empty() || parts.iter().any(|part| part.len() > SOCKS_LOGIN) {
            return Err(("SOCKS takes a user of 1 to 255 octets and a password of at most 255", "shorten it"));
        }
    } else if login.user.contains(&b':') {
        return Err(("a proxy's user with a colon cannot be sent", "HTTP ends the user there (RFC 7617 section 2)"));
    }
    if parts.iter().any(|part| part.iter().any(u8::is_ascii_control)) {
        return Err(("the proxy's user or password has control characters", "HTTP forbids them (RFC 7617 section 2)"));
    }
    Ok(Some(login))
}

/// Without the login.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("scheme", &self.scheme)
            .field("address", &self.address)
            .field("has_login", &self.login.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_percent_decoded() {
        for (written, user, password) in [
            ("ops:secret", "ops", "secret"),
            ("ops:p%40ss%21", "ops", "p@ss!"),
            ("ops:p@ss!", "ops", "p@ss!"),
            ("CORP%5Cops:secret", "CORP\\ops", "secret"),
            ("ops:a%25b", "ops", "a%b"),
            ("ops:a%2Fb%3ac", "ops", "a/b:c"),
            ("ops:%C3%BC", "ops", "ü"),
            ("ops", "ops", ""),
            (":secret", "", "secret"),
        ] {
            for scheme in ["http", "https", "socks5"] {
                let read = format!("{scheme}://{written}@proxy.example:3128").parse::<Proxy>();
                if user.is_empty() && scheme == "socks5" {
                    assert!(read.is_err());
                    continue;
                }
                let login = read.unwrap().login.unwrap();

                assert_eq!((&login.user[..], &login.password[..]), (user.as_bytes(), password.as_bytes()), "{written}");
            }
        }
        assert!("http://proxy.example".parse::<Proxy>().unwrap().login.is_none());
        let bytes = "http://ops:%FF@proxy.example".parse::<Proxy>().unwrap().login.unwrap();
        assert_eq!(bytes.password[..], [0xff]);
    }

    #[test]
    fn proxies_are_read_from_their_urls_and_shown_without_their_login() {
        for (url, shown, name) in [
            ("http://me:pw@proxy.example:3128", "http://USER:PASSWORD@proxy.example:3128", "proxy.example:3128"),
            ("https://[fd00::1]/", "https://[fd00::1]:443", "fd00::1:443"),
            ("socks5://10.0.0.1", "socks5h://10.0.0.1:1080", "10.0.0.1:1080"),
            ("socks5h://p:1081", "socks5h://p:1081", "p:1081"),
        ] {
            let proxy = url.parse::<Proxy>().unwrap();

            let listed = proxy.listed();
            assert_eq!((listed.url.as_str(), listed.name.as_str()), (shown, name));
            assert!(!format!("{proxy:?}{listed:?}").contains("pw"), "{proxy:?}");
        }
        // No subject has a name that begins with a colon.
        let local = "http://[::1]:3128".parse::<Proxy>().unwrap().listed();
        assert!(local.name.as_str().starts_with("proxy-"), "{local:?}");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        for (url, what) in [
            ("proxy.example.com:3128", "not a valid http, https or socks5 URL"),
            ("ftp://ops:hunter2@x", "not a valid http, https or socks5 URL"),
            ("socks4://ops:hunter2@x", "not a valid http, https or socks5 URL"),
            ("http://", "not a valid http, https or socks5 URL"),
            ("http://ops:hunter2@x:0", "'0' is not a valid port"),
            ("http://ops:hunter2@x:70000", "not a valid http, https or socks5 URL"),
            ("http://ops:hunter2@x/proxy.pac", "the proxy's URL has a path or a query"),
            ("http://ops:hunter2@x/?a=b", "the proxy's URL has a path or a query"),
            ("http://ops:hunter2%@x", "the proxy's user or password has a '%' that does not begin an escape"),
            ("http://ops:hunter2%zz@x", "the proxy's user or password has a '%' that does not begin an escape"),
            ("http://ops:hunter2%0A@x", "the proxy's user or password has control characters"),
            ("http://o%3Aps:hunter2@x", "a proxy's user with a colon cannot be sent"),
        ] {
            let bad = url.parse::<Proxy>().unwrap_err();

            assert_eq!(bad.what, what, "{url}");
            assert!(!format!("{bad:?}").contains("hunter2"), "{url}");
        }
        assert!("socks5:///x".parse::<Proxy>().is_err());
    }
}
