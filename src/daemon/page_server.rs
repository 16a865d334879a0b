//! The listener on a thread of its own, so that handshakes and pages never delay a probe.
//!
//! Clients decide how many handshakes there are. On the threads that probe, a thousand of them a second would delay
//! every answer that is timed there; with a thread apart the kernel shares the processors.

use std::io;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::expose::{Expose, Pages};

/// Serves `pages` until `stop` is cancelled; what is returned resolves when that has ended.
///
/// # Errors
/// When the system refuses a thread or file descriptors.
pub(super) fn serve(expose: Expose, pages: Pages, stop: CancellationToken) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (over, is_over) = oneshot::channel();
    thread::Builder::new().name("listener".to_owned()).spawn(move || {
        runtime.block_on(expose.serve(pages, stop));
        // The result of a page or a password check that still runs has no receiver.
        runtime.shutdown_background();
        over.send(()).ok();
    })?;
    Ok(is_over)
}
