//! What every probe needs: the clock, the numbers, the names, and where to report.
//!
//! Owns the background work of the collectors, so that a shutdown waits for the exchange of close_notify and for
//! nothing else.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection_end::{Ending, Watch};
use super::handshake::Tls;
use super::names::Names;
use super::phase_timer::{PhaseTimer, proves_path};
use crate::model::certificate::Served;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::policy::Policy;
use crate::model::probe::{Greeting, Probe, ProbeKind, ProbeRequest};
use crate::model::subject::Subject;
use crate::model::time::Clock;

/// Time to exchange close_notify: ours is sent and the peer's is read, so that neither side sees a reset.
const GRACEFUL_CLOSE: Duration = Duration::from_millis(500);

/// What must be known of a kept connection to report how it ended.
pub(crate) struct KeptConnection {
    pub(crate) subject: Subject,
    pub(crate) peer: IpAddr,
    pub(crate) watch: Arc<Watch>,
    /// Whether it has answered a probe.
    pub(crate) has_answered: Arc<AtomicBool>,
}

/// Spawns hyper's own tasks where shutting down waits for them.
#[derive(Debug, Clone)]
pub(crate) struct Tracked(TaskTracker);

/// Shared by all probes.
#[derive(Debug, Clone)]
pub(crate) struct ProbeContext {
    pub(crate) clock: Clock,
    pub(crate) policy: Arc<Policy>,
    pub(crate) names: Arc<Names>,
    pub(crate) tls: Tls,
    pub(crate) tasks: TaskTracker,
    observed: mpsc::Sender<Observation>,
}

/// The result of one probe, before it is dated.
#[derive(Debug)]
pub(crate) struct ProbeResult {
    pub(crate) phases: Phases,
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) greeting: Option<Greeting>,
    pub(crate) proves_path: bool,
    pub(crate) outcome: Result<Reading, Unseen>,
}

impl ProbeResult {
    /// A result with the phases of `timer`.
    pub(crate) fn of(timer: &PhaseTimer, served: Option<Arc<Served>>, outcome: Result<Reading, Unseen>) -> Self {
        let (greeting, proves_path) = (timer.greeting(), timer.proves_path());
        Self { phases: timer.phases(), served, greeting, proves_path, outcome }
    }

    /// A probe that could not even begin, by a fault of our own side.
    pub(crate) fn nothing() -> Self {
        let outcome = Err(Unseen { phase: Phase::Dial, cause: Cause::OwnFault });
        Self { phases: Phases::default(), served: None, greeting: None, proves_path: false, outcome }
    }
}

impl ProbeContext {
    pub(crate) fn new(clock: Clock, policy: Policy, observed: mpsc::Sender<Observation>) -> Self {
        let tasks = TaskTracker::new();
        let names = Arc::new(Names::new(clock.clone()));
        Self { clock, policy: Arc::new(policy), names, tls: Tls::new(), tasks, observed }
    }

    /// The same with other numbers.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self { policy: Arc::new(policy), ..self.clone() }
    }

    /// Dates the result of `request`.
    pub(crate) fn dated(&self, request: ProbeRequest, result: ProbeResult) -> Observation {
        Observation {
            request: Some(request.id),
            probe: request.probe,
            scheduled: request.scheduled,
            finished: self.clock.now(),
            phases: result.phases,
            served: result.served,
            own_flaw: None,
            greeting: result.greeting,
            proves_path: result.proves_path,
            outcome: result.outcome,
        }
    }

    /// Passes an observation on. When there is no receiver any more, the process is stopping.
    pub(crate) async fn report(&self, observation: Observation) {
        if self.observed.send(observation).await.is_err() {
            tracing::debug!("an observation came after the last listener had gone");
        }
    }

    /// Reports that the kept connection to `subject` broke without announcement.
    pub(crate) async fn trip(&self, subject: Subject, peer: IpAddr, cause: Cause) {
        let now = self.clock.now();
        self.report(Observation {
            request: None,
            probe: Probe::reused(subject, ProbeKind::Tripwire),
            scheduled: now,
            finished: now,
            phases: Phases::default(),
            served: None,
            own_flaw: None,
            greeting: None,
            proves_path: matches!(cause, Cause::Reset | Cause::Closed) && proves_path(peer),
            outcome: Err(Unseen { phase: Phase::Idle, cause }),
        })
        .await;
    }

    /// Exchanges close_notify on `stream` in the background: outside every measured time, and bounded even if the peer
    /// does not answer.
    pub(crate) fn close_gracefully<S>(&self, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.tasks.spawn(async move {
            let goodbye = async {
                stream.shutdown().await?;
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
                std::io::Result::Ok(())
            };
            // Whether the peer sends its close_notify shows nothing about its health.
            drop(tokio::time::timeout(GRACEFUL_CLOSE, goodbye).await);
        });
    }

    /// Lets a kept connection live until it ends or `end` is cancelled, and reports it when it broke.
    ///
    /// The end of a connection that has not answered once is not reported, because its probe fails as well.
    pub(crate) fn keep_alive(
        &self,
        kept: KeptConnection,
        driver: impl Future<Output: Send> + Send + 'static,
        end: CancellationToken,
    ) {
        let context = self.clone();
        self.tasks.spawn(async move {
            until(driver, end).await;
            if let Ending::Broken(cause) = kept.watch.ending()
                && kept.has_answered.load(Ordering::Acquire)
            {
                context.trip(kept.subject, kept.peer, cause).await;
            }
        });
    }

    /// Lets a connection that is not kept live until it ends, or until shortly after `end` is cancelled.
    pub(crate) fn drive(&self, driver: impl Future<Output: Send> + Send + 'static, end: CancellationToken) {
        self.tasks.spawn(until(driver, end));
    }

    /// Where hyper spawns tasks of its own.
    pub(crate) fn executor(&self) -> Tracked {
        Tracked(self.tasks.clone())
    }
}

/// Drives a connection until it ends by itself, for which it has a bounded time once `end` is cancelled.
async fn until(driver: impl Future<Output: Send>, end: CancellationToken) {
    let mut driver = std::pin::pin!(driver);
    tokio::select! {
        _ = &mut driver => {}
        () = end.cancelled() => drop(tokio::time::timeout(GRACEFUL_CLOSE, driver).await.map(drop)),
    }
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
