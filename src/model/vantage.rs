//! What the vantage says about itself: its clock, its resolvers, its reference targets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kernel's view of its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnClock {
    /// Whether the clock is synchronised according to the kernel (no `STA_UNSYNC`).
    pub is_synchronised: bool,
    /// The kernel's own estimate of its error; large when unsynchronised.
    pub max_error: Duration,
}

/// A resolver's answer to one query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverAnswer {
    /// DNS response code: 0 is NOERROR, 2 SERVFAIL, 3 NXDOMAIN.
    pub rcode: u16,
    /// Number of addresses answered.
    pub addresses: usize,
}
