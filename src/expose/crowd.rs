//! What newcomers and the connections that are open tell each other when all places are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many connections are idle, and their call to leave.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    idle: AtomicUsize,
    call: Notify,
}

/// One idle connection, for as long as it is.
#[derive(Debug)]
pub(super) struct Idle(Arc<Crowd>);

impl Crowd {
    /// A connection is idle from here on.
    pub(super) fn rest(self: &Arc<Self>) -> Idle {
        self.idle.fetch_add(1, Ordering::AcqRel);
        Idle(Arc::clone(self))
    }

    /// Calls the idle connections to leave; whether there is any.
    pub(super) fn call(&self) -> bool {
        self.call.notify_waiters();
        self.idle.load(Ordering::Acquire) > 0
    }

    /// Ends when the idle connections are called to leave.
    pub(super) async fn called(&self) {
        self.call.notified().await;
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.idle.fetch_sub(1, Ordering::AcqRel);
    }
}
