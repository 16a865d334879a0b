//! An open HTTP/2 connection as tonic wants it, with stamps where the request leaves and the answer begins.
//!
//! One exchange per channel; the connection underneath is shared. No retries, no queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http2::SendRequest;
use tonic::body::Body;
use tower_service::Service;

use super::MemberProgress;
use crate::model::phase::Phase;
use crate::model::time::Clock;

/// The header in which etcd expects a token.
const TOKEN: &str = "token";

/// One exchange over a connection.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) sender: SendRequest<Body>,
    pub(super) clock: Clock,
    pub(super) attempt: Arc<MemberProgress>,
    pub(super) failed: Arc<AtomicBool>,
    /// Whether the member itself sent the status of the call: tonic makes up the same status for an answer that broke
    /// off or that it cannot read.
    pub(super) told: Arc<AtomicBool>,
    pub(super) token: Option<HeaderValue>,
}

/// An answer's body that notes whether the call's status is in its trailers.
pub(super) struct Heard {
    body: Incoming,
    told: Arc<AtomicBool>,
}

/// Where gRPC says how a call ended.
const STATUS: &str = "grpc-status";

impl Service<Request<Body>> for Channel {
    type Response = Response<Heard>;
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
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(crate::collect::user_agent::USER_AGENT));
        if let Some(token) = self.token.take() {
            request.headers_mut().insert(TOKEN, token);
        }
        self.attempt.sends(self.clock.now().mono);
        let sent = self.sender.send_request(request);
        let (attempt, failed, told) = (Arc::clone(&self.attempt), Arc::clone(&self.failed), Arc::clone(&self.told));
        Box::pin(async move {
            let response = sent.await;
            match &response {
                Ok(response) => {
                    attempt.timer.enter(Phase::Body);
                    // Another HTTP status comes from a proxy in front of the member, and is reported as it is.
                    note(&told, response.headers().contains_key(STATUS) || response.status() != StatusCode::OK);
                }
                Err(_) => failed.store(true, Ordering::Release),
            }
            response.map(|response| response.map(|body| Heard { body, told }))
        })
    }
}

impl hyper::body::Body for Heard {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            note(&self.told, frame.trailers_ref().is_some_and(|trailers: &HeaderMap| trailers.contains_key(STATUS)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn note(told: &AtomicBool, is_told: bool) {
    if is_told {
        told.store(true, Ordering::Release);
    }
}
