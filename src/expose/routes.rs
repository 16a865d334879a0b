//! What each path answers, apart from the status page (`status.rs`).

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::Semaphore;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::model::snapshot::Snapshot;
use crate::model::time::Now;
use crate::render::metrics;
use crate::render::status::STANDSTILL;

use super::pages::{Pages, text};
use super::{negotiation, status};

const ROUTES: &str = "no such page; there are\n\
     /               the status page, as text for those that do not ask for HTML\n\
     /status.txt     the same as text\n\
     /api/v1/status  the same as JSON\n\
     /metrics        for Prometheus\n\
     /healthz        answers while the process lives\n\
     /readyz         whether everything was probed once and probing goes on\n";

/// All paths. Every answer forbids caches and guessing of types.
pub(super) fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(status::front))
        .route("/status.txt", get(status::plain))
        .route("/api/v1/status", get(status::json))
        .route("/healthz", get(async || text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(page))
        .fallback(async || text(StatusCode::NOT_FOUND, ROUTES))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(middleware::from_fn(refuse_bodies))
        .with_state(pages)
}

/// The metrics, rendered while they are read, so that no page of thousands of endpoints is held. A page that breaks off
/// has no end, so that it is not taken for a complete one.
async fn page(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    let (drawing, (snapshot, now), format) = (pages.drawing(), pages.read(), negotiation::format(&headers));
    let pieces =
        std::iter::once_with(move || pages.of_process(format)).chain(metrics::Pieces::of(snapshot, now, format));
    let text = stream::try_unfold((pieces, drawing), |(pieces, drawing)| piece(pieces, drawing));
    ([(header::CONTENT_TYPE, format.media_type())], Body::from_stream(text)).into_response()
}

/// The next of `pieces`. Drawn off the runtime's threads and one at a time: a page must delay no probe.
async fn piece<P>(mut pieces: P, drawing: Arc<Semaphore>) -> io::Result<Option<(Vec<u8>, (P, Arc<Semaphore>))>>
where
    P: Iterator<Item = prometheus::Result<Vec<u8>>> + Send + 'static,
{
    let turn = drawing.acquire().await.map_err(io::Error::other)?;
    let drawn = tokio::task::spawn_blocking(move || (pieces.next().transpose(), pieces)).await;
    drop(turn);
    let text = drawn.map_err(io::Error::other).and_then(|(text, pieces)| Ok((text.map_err(io::Error::other)?, pieces)));
    let (text, pieces) = text.inspect_err(|why| tracing::error!(%why, "rendering /metrics failed: {why}"))?;
    Ok(text.map(|text| (text, (pieces, drawing))))
}

async fn ready(State(pages): State<Pages>) -> Response {
    let (snapshot, now) = pages.read();
    let reasons = unready(&snapshot, now);
    if reasons.is_empty() {
        text(StatusCode::OK, "ok\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

/// Why vedette is not ready; empty when it is.
fn unready(snapshot: &Snapshot, now: Now) -> Vec<String> {
    let mut reasons = Vec::new();
    if !snapshot.is_first_round_done {
        reasons.push("first round: not everything has been probed once".to_owned());
    }
    let age = now.since(snapshot.at);
    if age >= STANDSTILL {
        reasons.push(format!("scheduler: the latest snapshot is {} s old", age.as_secs()));
    }
    reasons
}

async fn refuse_bodies(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    if hyper::body::Body::is_end_stream(&body) {
        let mut answer = next.run(Request::from_parts(head, body)).await;
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
        answer
    } else {
        text(StatusCode::PAYLOAD_TOO_LARGE, "requests here have no body\n")
    }
}
