//! Mail to people, and heartbeats to a service that raises an alarm when they stop.
//!
//! Decides neither what is sent nor when, keeps no queue and retries nothing: the engine hands over one attempt and
//! hears how it went. Every step has a deadline and every failure a class.

pub mod email;
pub mod heartbeat;

mod last_read;
mod log_once;
mod mime;
mod pinned_name;
mod refused_password;
mod reply;
mod smtp_connection;
mod smtp_session;
mod smtp_step;
#[cfg(test)]
pub(crate) mod tests;
mod transport;
mod trust;

/// Makes aws-lc-rs the process's TLS provider where nothing else was chosen: lettre and reqwest take it from there.
pub(crate) fn install_provider() {
    // An error says that one is installed already, which is as good.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// Whether a TLS fault stands anywhere below `error`. An `io::Error` hides what it wraps from `source`, so both ways
/// down are taken.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped)) || error.source().is_some_and(is_tls)
}
