//! The number of threads that probe.
//!
//! With several threads every event wakes one more of them, which finds nothing to do and goes back to sleep: at the
//! rates that most vantages have, that costs as much as half a probe. So there is one, until there is work for more.
//! The engine has the main thread for itself; disk, heartbeat and everything that may block have threads of their own.

use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

use crate::config::settings::Settings;
use crate::model::plan::Plan;

/// Requests a second for which one thread is enough: 0.5 to 0.7 ms of CPU each (`benches/load`), so that it idles at
/// least a third of the time.
const ENOUGH_FOR_ONE: f64 = 1_000.0;

/// The runtime for what `settings` plan. A reload does not change it.
///
/// # Errors
/// When the system refuses threads or file descriptors.
pub fn runtime(settings: &Settings) -> std::io::Result<Runtime> {
    let inventory = settings.inventory();
    let planned = Plan::new(&inventory, &settings.policy).rate_of(|_| true).requests;
    let processors = available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread().worker_threads(threads(planned, processors)).enable_all().build()
}

/// One for each thousand requests a second that is begun, as far as there are processors.
fn threads(planned_per_second: f64, processors: usize) -> usize {
    (1..processors).find(|threads| planned_per_second <= ENOUGH_FOR_ONE * float(*threads)).unwrap_or(processors).max(1)
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::threads;

    #[test]
    fn there_are_as_many_threads_as_the_plan_needs_and_the_machine_has() {
        assert_eq!([threads(0.0, 1), threads(50.0, 16), threads(1_000.0, 2)], [1, 1, 1]);
        assert_eq!([threads(1_001.0, 2), threads(5_500.0, 16), threads(1e9, 4)], [2, 6, 4]);
    }
}
