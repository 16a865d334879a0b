//! Claims about looking, against servers on this machine that misbehave on purpose.

pub(crate) mod farm;
mod kept;
mod named;
pub(crate) mod paired;
mod phases;
pub(crate) mod places;
pub(crate) mod reserved;
mod rotation;
mod session;
mod trust;

/// The machine's clocks: these tests talk to real sockets.
pub(crate) use crate::daemon::clock::system as test_clock;
