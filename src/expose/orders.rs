//! What people on this machine may ask for: silences, and the lists of silences and incidents.
//!
//! An order is checked here, handed to the daemon's loop, and answered once the store has it or has failed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::model::silence::{LONGEST, LONGEST_REASON, Order, SHORTEST, Silence};
use crate::model::snapshot::Snapshot;
use crate::model::subject::Name;
use crate::model::time::Clock;
use crate::render::incident_report;
use crate::render::silence::{Answer, SilenceRequest, shown};

use super::Shared;

/// The store gets this long to confirm: more than twice what a message waits for it.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// The user number that stands for users whom a sandbox does not know.
const OVERFLOW: u32 = 65_534;

/// Characters of an author's name.
const NAME: usize = 40;

/// An order on its way to the loop.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub order: Order,
    /// Gets whether it is durable, or why not. It is in force either way.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// What orders are answered from.
#[derive(Debug)]
pub struct OrderIntake {
    /// What is known.
    pub snapshot: Shared,
    /// The time.
    pub clock: Clock,
    /// The channel to the loop.
    pub orders: mpsc::Sender<Request>,
}

/// The user at the other end of the socket, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaker(pub(super) Option<u32>);

/// The paths. Everything that changes anything begins with `/control/`.
pub(super) fn router(order_intake: Arc<OrderIntake>) -> Router {
    Router::new()
        .route("/control/silence", post(silence))
        .route("/control/silence/{cluster}", delete(end_silence))
        .route("/api/v1/silences", get(silences))
        .route("/api/v1/incidents", get(incidents))
        .with_state(order_intake)
}

async fn silence(
    State(order_intake): State<Arc<OrderIntake>>,
    Extension(speaker): Extension<Speaker>,
    body: Bytes,
) -> Response {
    let silence_request: SilenceRequest = match serde_json::from_slice(&body) {
        Ok(silence_request) => silence_request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the request cannot be read: {error}")),
    };
    let snapshot = order_intake.snapshot.load_full();
    let order = match order_intake.checked(&snapshot, &silence_request, speaker) {
        Ok(order) => order,
        Err((status, why)) => return refuse(status, &why),
    };
    let replaced = snapshot.silences.iter().find(|known| known.cluster == order.cluster).cloned();
    order_intake.submit(Order::Silence(order.clone()), order, replaced).await
}

async fn end_silence(State(order_intake): State<Arc<OrderIntake>>, Path(cluster): Path<String>) -> Response {
    let snapshot = order_intake.snapshot.load_full();
    let Some(known) = snapshot.silences.iter().find(|known| known.cluster.as_str() == cluster).cloned() else {
        let why = match known_cluster(&snapshot, &cluster) {
            Ok(cluster) => format!("{cluster} is not silenced"),
            Err(why) => why,
        };
        return refuse(StatusCode::NOT_FOUND, &why);
    };
    let until = order_intake.clock.now().wall;
    order_intake.submit(Order::EndSilence(known.cluster.clone()), Silence { until, ..known }, None).await
}

async fn silences(State(order_intake): State<Arc<OrderIntake>>) -> Response {
    let now = order_intake.clock.now().wall;
    json(&order_intake.snapshot.load().silences.iter().map(|silence| shown(silence, now)).collect::<Vec<_>>())
}

async fn incidents(State(order_intake): State<Arc<OrderIntake>>) -> Response {
    let (snapshot, now) = (order_intake.snapshot.load_full(), order_intake.clock.now().wall);
    let drawn = tokio::task::spawn_blocking(move || json(&incident_report::all(&snapshot, now)));
    drawn.await.unwrap_or_else(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

impl OrderIntake {
    /// The requested silence, or the error in the request.
    fn checked(
        &self,
        snapshot: &Snapshot,
        silence_request: &SilenceRequest,
        speaker: Speaker,
    ) -> Result<Silence, (StatusCode, String)> {
        let cluster = known_cluster(snapshot, &silence_request.cluster).map_err(|why| (StatusCode::NOT_FOUND, why))?;
        let lasting = Duration::from_secs(silence_request.duration_seconds);
        let comment = printable(&silence_request.comment, LONGEST_REASON);
        let wrong = |why: &str| Err((StatusCode::BAD_REQUEST, why.to_owned()));
        if !(SHORTEST..=LONGEST).contains(&lasting) {
            return wrong("a silence lasts from 1m to 24h");
        }
        if comment.is_empty() {
            return wrong("a silence needs a comment: others will wonder why nothing was mailed");
        }
        let since = self.clock.now().wall;
        Ok(Silence {
            cluster,
            since,
            until: since.plus(lasting),
            comment,
            author: who(speaker, silence_request.author.as_deref()),
            include_outages: silence_request.include_outages,
        })
    }

    /// Passes `order` to the loop and returns its result.
    async fn submit(&self, order: Order, silence: Silence, replaced: Option<Silence>) -> Response {
        let (answer, kept) = oneshot::channel();
        if self.orders.try_send(Request { order, answer }).is_err() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "vedette is stopping, or too busy to listen; try again");
        }
        let problem = match tokio::time::timeout(STORE_WAIT, kept).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(why))) => Some(why),
            Ok(Err(_)) => return refuse(StatusCode::SERVICE_UNAVAILABLE, "vedette stopped before it was done"),
            Err(_) => Some(format!("the store has not answered for {} s", STORE_WAIT.as_secs())),
        };
        let now = self.clock.now().wall;
        json(&Answer {
            silence: shown(&silence, now),
            replaced: replaced.map(|replaced| shown(&replaced, now)),
            problem,
        })
    }
}

/// The configured cluster of that name, or a sentence with those that are.
fn known_cluster(snapshot: &Snapshot, cluster: &str) -> Result<Name, String> {
    let clusters = &snapshot.inventory.clusters;
    if let Some(known) = clusters.keys().find(|known| known.as_str() == cluster) {
        return Ok(known.clone());
    }
    let names: Vec<&str> = clusters.keys().map(Name::as_str).take(20).collect();
    let more = if clusters.len() > names.len() { ", ..." } else { "" };
    Err(format!("there is no cluster '{}'; watched are {}{more}", printable(cluster, 63), names.join(", ")))
}

/// Who sent an order: the name they give, and the user id from the kernel.
fn who(Speaker(user): Speaker, claimed: Option<&str>) -> String {
    let user = user.filter(|user| *user != OVERFLOW);
    let claimed = claimed.map(|name| printable(name, NAME)).filter(|name| !name.is_empty());
    match (claimed, user) {
        (Some(name), Some(user)) => format!("{name} (uid {user})"),
        (Some(name), None) => name,
        (None, Some(user)) => format!("uid {user}"),
        (None, None) => "somebody on this machine".into(),
    }
}

/// At most `most` characters of one line.
fn printable(text: &str, most: usize) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    one_line.trim().chars().take(most).collect()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{why}\n")).into_response()
}
