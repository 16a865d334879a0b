//! What vedette calls itself to servers.

/// Name and version, as audit logs show it.
pub(crate) const USER_AGENT: &str = concat!("vedette/", env!("CARGO_PKG_VERSION"));
