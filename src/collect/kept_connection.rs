//! A kept connection between two requests: held by a task of its own, which waits only for its end.
//!
//! Between requests only the TLS stream is kept, without the buffers of HTTP: a quarter of the memory of an idle HTTP
//! connection, and there are thousands. The next request takes the stream back. An end without announcement is reported
//! at once, as a bad probe.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::connection_end::{Ending, Watch};
use super::context::ProbeContext;
use super::tls_endpoint::Secured;
use crate::model::subject::Subject;

/// An idle connection. When dropped, it is closed with close_notify.
pub(crate) struct KeptConnection {
    watch: Arc<Watch>,
    call: oneshot::Sender<()>,
    stream: oneshot::Receiver<Box<Secured>>,
}

impl KeptConnection {
    /// Keeps the connection to `subject` at `peer` idle. It must have answered, because before that its end is not a
    /// bad sign.
    pub(crate) fn rest(context: &ProbeContext, subject: Subject, peer: IpAddr, stream: Secured) -> Self {
        let watch = stream.watch();
        let mut stream = Box::new(stream);
        let (call, called) = oneshot::channel();
        let (back, taken) = oneshot::channel();
        let (waiting, ending) = (context.clone(), Arc::clone(&watch));
        context.tasks.spawn(async move {
            let mut unasked = [0; 1];
            let read = tokio::select! {
                biased;
                asked = called => {
                    match asked {
                        // The caller is gone already: the stream comes back, and is closed like any other.
                        Ok(()) => drop(back.send(stream).map_err(|stream| waiting.close_gracefully(*stream))),
                        Err(_) => waiting.close_gracefully(*stream),
                    }
                    return;
                }
                read = stream.read(&mut unasked) => read,
            };
            if let Ending::Broken(cause) = ending.ending() {
                // Boxed: it happens at most once, and thousands of tasks would reserve its memory.
                Box::pin(waiting.trip(subject, peer, cause)).await;
            } else if read.is_ok() {
                // Data without a request, such as the error of a proxy that closes an idle connection: the close is
                // announced.
                ending.announce();
                waiting.close_gracefully(*stream);
            }
        });
        Self { watch, call, stream: taken }
    }

    /// Whether it could be asked, for all that is known.
    pub(crate) fn is_open(&self) -> bool {
        self.watch.ending() == Ending::Open && !self.watch.is_announced() && !self.call.is_closed()
    }

    /// The record of the connection.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// The stream, to ask over it; `None` when it has just ended.
    pub(crate) async fn wake(self) -> Option<Secured> {
        self.call.send(()).ok()?;
        self.stream.await.ok().map(|stream| *stream)
    }
}
