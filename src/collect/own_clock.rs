//! The kernel's own view of its clock, by adjtimex(2) with no mode bits: it reads and needs no privilege.
//!
//! The call is made through a crate because this one forbids unsafe code, and neither rustix nor nix has it.

use std::time::Duration;

use rtime_clock::adjtime::{Timex, adjtimex};

use crate::model::phase::Cause;
use crate::model::vantage::OwnClock;

/// `STA_UNSYNC` of linux/timex.h.
const UNSYNCHRONISED: i32 = 0x0040;

/// # Errors
///
/// [`Cause::OwnFault`] where the call is forbidden, as some sandboxes do.
pub(crate) fn read() -> Result<OwnClock, Cause> {
    let mut state = Timex::default();
    adjtimex(&mut state).map_err(|_| Cause::OwnFault)?;
    let max_error = Duration::from_micros(u64::try_from(state.0.maxerror).unwrap_or(0));
    Ok(OwnClock { is_synchronised: state.0.status & UNSYNCHRONISED == 0, max_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_its_clock() {
        let clock = read().unwrap();

        // The kernel lets the error grow to 16 s and declares the clock unsynchronised there.
        assert!(clock.is_synchronised || clock.max_error >= Duration::from_secs(1), "{clock:?}");
    }
}
