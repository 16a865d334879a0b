//! Tests of probes, against servers on this machine that misbehave on purpose.

mod canaries;
pub(crate) mod closed_port;
mod dumps;
mod kept;
mod listeners;
mod named;
mod phases;
pub(crate) mod places;
mod rotation;
pub(crate) mod servers;
mod session;
pub(crate) mod tcp_udp_port;
mod trust;
mod zpages;

/// The machine's clocks: these tests talk to real sockets.
pub(crate) use crate::daemon::clock::system as test_clock;
