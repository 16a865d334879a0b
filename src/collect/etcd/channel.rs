//! An open HTTP/2 connection as tonic wants it, with stamps where the request leaves and the answer begins.
//!
//! One exchange per channel; the connection underneath is shared. No retries, no queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tonic::body::Body;
use tower_service::Service;

use super::super::ask;
use super::Attempt;
use crate::model::observation::Phase;
use crate::model::time::Clock;

/// One exchange over a connection.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) sender: SendRequest<Body>,
    pub(super) clock: Clock,
    pub(super) attempt: Arc<Attempt>,
    pub(super) failed: Arc<AtomicBool>,
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        let polled = self.sender.poll_ready(cx);
        if let Poll::Ready(Err(_)) = polled {
            self.failed.store(true, Ordering::Release);
        }
        polled
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(ask::USER_AGENT));
        self.attempt.sends(self.clock.now().mono);
        let sent = self.sender.send_request(request);
        let (attempt, failed) = (Arc::clone(&self.attempt), Arc::clone(&self.failed));
        Box::pin(async move {
            let response = sent.await;
            match &response {
                Ok(_) => attempt.journey.enter(Phase::Body),
                Err(_) => failed.store(true, Ordering::Release),
            }
            response
        })
    }
}
