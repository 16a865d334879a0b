//! How a request names where it goes.

use std::net::IpAddr;

use http::Uri;

use crate::config::settings::{Address, Host};

/// `host:port` as a URI, brackets around IPv6.
pub(crate) fn authority(address: &Address) -> Option<Uri> {
    let host = match &address.host {
        Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        Host::Ip(IpAddr::V4(ip)) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    Uri::builder().scheme("https").authority(format!("{host}:{}", address.port)).path_and_query("/").build().ok()
}
