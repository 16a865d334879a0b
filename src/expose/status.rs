//! The status page: HTML, text and JSON of one model.
//!
//! A request may choose a page number or a cluster that is configured, and whether the page loads itself again; nothing
//! else of it is read, and nothing of it is shown. What it names wrongly is answered 404.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use crate::model::snapshot::Snapshot;
use crate::render::metrics::Page;
use crate::render::status::{self, Choice, NoSuchPage, POLICY, STANDSTILL, Status};

use super::pages::{Pages, broken, text};

/// Clusters named to who asked for one that is not configured.
const NAMED: usize = 200;

/// In which form the page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html { refreshes: bool },
    Text,
    Json,
}

/// What a request chooses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    page: Option<String>,
    cluster: Option<String>,
    holds_still: bool,
}

/// `/`: HTML for those that ask for it, text for `curl` and the like.
pub(super) async fn front(State(pages): State<Pages>, request: Request) -> Response {
    let wants_html = request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("text/html"));
    let query = Query::of(request.uri().query());
    let refreshes = !query.holds_still && !prefers_stillness(request.headers());
    let form = if wants_html { Form::Html { refreshes } } else { Form::Text };
    let mut answer = draw(pages, query, form, None).await;
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Sec-CH-Prefers-Reduced-Motion"));
    answer
}

/// `/status.txt`.
pub(super) async fn plain(State(pages): State<Pages>, request: Request) -> Response {
    draw(pages, Query::of(request.uri().query()), Form::Text, None).await
}

/// `/api/v1/status`. The tag depends on the snapshot and not on its ages: while it matches, nothing has changed.
pub(super) async fn json(State(pages): State<Pages>, request: Request) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    draw(pages, Query::of(request.uri().query()), Form::Json, known).await
}

/// Whether the reader asked the system for less movement, as browsers report when asked (`Accept-CH`).
fn prefers_stillness(headers: &HeaderMap) -> bool {
    headers
        .get("sec-ch-prefers-reduced-motion")
        .is_some_and(|value| value.as_bytes() == b"\"reduce\"" || value == "reduce")
}

impl Query {
    fn of(query: Option<&str>) -> Self {
        let mut chosen = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "page" => chosen.page = Some(value.into_owned()),
                "cluster" => chosen.cluster = Some(value.into_owned()),
                "refresh" => chosen.holds_still = value == "off",
                _ => {}
            }
        }
        chosen
    }

    fn choice(&self) -> Result<Choice, NoSuchPage> {
        match (&self.cluster, &self.page) {
            (Some(cluster), _) => cluster.parse().map(Choice::Only).map_err(|_| NoSuchPage::Cluster),
            (None, None) => Ok(Choice::Page(1)),
            // Zero is no page, and the model says how many there are.
            (None, Some(page)) => Ok(Choice::Page(page.parse().unwrap_or(0))),
        }
    }
}

/// Drawn off the runtime's threads and one at a time, as the metrics are.
async fn draw(pages: Pages, query: Query, form: Form, known: Option<HeaderValue>) -> Response {
    let drawing = pages.drawing();
    let Ok(_turn) = drawing.acquire().await else { return broken("the listener is closing") };
    let (snapshot, now) = pages.read();
    let tag = tag(&snapshot, now.since(snapshot.at) >= STANDSTILL, &query);
    if form == Form::Json && known.is_some_and(|known| known == tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let drawn = tokio::task::spawn_blocking(move || {
        let page = Page::new(&snapshot, now);
        let status = query.choice().and_then(|choice| Status::of(page, &choice));
        let status = status.map(|status| status.with_recordings(pages.recordings(), now));
        status.map(|status| rendered(&status, form)).map_err(|error| match error {
            NoSuchPage::Page(_) => format!("no such page: {error}\n"),
            NoSuchPage::Cluster => format!("{error}; there are\n{}", clusters(&snapshot)),
        })
    });
    match drawn.await {
        Ok(Ok(body)) => answer(body, form, tag),
        Ok(Err(missing)) => text(StatusCode::NOT_FOUND, missing),
        Err(error) => broken(&error.to_string()),
    }
}

fn rendered(status: &Status, form: Form) -> String {
    match form {
        Form::Html { refreshes } => status::html(status, refreshes),
        Form::Text => status::text(status),
        Form::Json => status.json(),
    }
}

fn answer(body: String, form: Form, tag: HeaderValue) -> Response {
    let typed = |media: &'static str| (header::CONTENT_TYPE, HeaderValue::from_static(media));
    match form {
        Form::Html { .. } => match HeaderValue::from_str(&POLICY) {
            Ok(policy) => (
                [
                    typed("text/html; charset=utf-8"),
                    (header::CONTENT_SECURITY_POLICY, policy),
                    (
                        header::HeaderName::from_static("accept-ch"),
                        HeaderValue::from_static("Sec-CH-Prefers-Reduced-Motion"),
                    ),
                ],
                body,
            )
                .into_response(),
            // Without its policy the page is not shown at all.
            Err(error) => broken(&error.to_string()),
        },
        Form::Text => ([typed("text/plain; charset=utf-8")], body).into_response(),
        Form::Json => ([typed("application/json"), (header::ETAG, tag)], body).into_response(),
    }
}

/// A weak tag of the response: process, snapshot, part of it, and whether it is stale.
fn tag(snapshot: &Snapshot, is_stale: bool, query: &Query) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    (snapshot.started.wall, snapshot.at.mono, is_stale, &query.cluster, &query.page).hash(&mut hasher);
    HeaderValue::from_str(&format!("W/\"{:016x}\"", hasher.finish())).unwrap_or(HeaderValue::from_static("W/\"\""))
}

fn clusters(snapshot: &Snapshot) -> String {
    let names: Vec<&str> = snapshot.inventory.clusters.keys().map(|name| name.as_str()).collect();
    let shown = names.len().min(NAMED);
    let more = if names.len() > shown { format!("and {} more\n", names.len() - shown) } else { String::new() };
    format!("{}\n{more}", names[..shown].join("\n"))
}
