//! The hosts file, read by ourselves: for names whose lookup hangs while DNS is down, or waits behind such lookups.
//!
//! getaddrinfo reads it too and is always asked first, so this never contradicts an answer it gave. hosts(5).

use std::net::IpAddr;

/// Every address that the hosts file `text` gives `name`, in its order. A name that ends in a dot is the same name.
pub(super) fn of<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = IpAddr> + 't {
    let name = name.strip_suffix('.').unwrap_or(name);
    text.lines().filter_map(move |line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|alias| alias.strip_suffix('.').unwrap_or(alias).eq_ignore_ascii_case(name)).then_some(address)
    })
}
