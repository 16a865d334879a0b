//! The checks before every page where there is a web configuration: the rate limit, then the login; and the headers
//! that every response gets.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::model::time::Clock;

use super::counters::{Counters, add};
use super::login::Outcome;
use super::pages::text;
use super::web::{Access, Web};

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) Option<IpAddr>);

/// What the guard needs.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) web: Arc<Web>,
    pub(super) clock: Clock,
}

/// Lets a request through, or says why not.
pub(super) async fn guard(
    State(guard): State<Guard>,
    Extension(Caller(peer)): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let access = guard.web.access();
    let mut response = match guard.admit(&access, request.headers(), peer).await {
        Ok(()) => next.run(request).await,
        Err(response) => response,
    };
    for (name, value) in &access.config.headers {
        // Several policies all hold, so that the page's own is not weakened.
        if *name == header::CONTENT_SECURITY_POLICY {
            response.headers_mut().append(name, value.clone());
        } else {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

impl Guard {
    async fn admit(&self, access: &Access, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), Response> {
        let counters = self.web.counters();
        if let Some(limit) = access.config.rate_limit
            && !self.web.bucket.take(limit, self.clock.now().mono)
        {
            counters.inspect(|counters| add(&counters.limited));
            return Err(again_later("more requests than rate_limit allows\n"));
        }
        if access.config.users.is_empty() {
            return Ok(());
        }
        let Some((user, password)) = credentials(headers) else { return Err(unauthorized()) };
        let mut attempt = LoginAttempt { counters, outcome: None };
        let outcome = self.web.logins.check(&access.config.users, &user, password, peer).await;
        attempt.outcome = Some(outcome);
        match outcome {
            Outcome::Accepted => Ok(()),
            Outcome::Wrong => Err(unauthorized()),
            Outcome::Busy => Err(again_later("too many logins are being checked\n")),
        }
    }
}

/// A login, counted however it ends: a client that guesses passwords may disconnect before the answer, and then this is
/// dropped.
struct LoginAttempt<'a> {
    counters: Option<&'a Counters>,
    outcome: Option<Outcome>,
}

impl Drop for LoginAttempt<'_> {
    fn drop(&mut self) {
        let Some(counters) = self.counters else { return };
        add(match self.outcome {
            Some(Outcome::Accepted) => &counters.logins_accepted,
            Some(Outcome::Wrong) => &counters.logins_wrong,
            Some(Outcome::Busy) => &counters.logins_busy,
            None => &counters.logins_abandoned,
        });
    }
}

/// User and password of a request (RFC 7617); `None` when there are none, or they cannot be read.
fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = std::str::from_utf8(&decoded[..colon]).ok()?.to_owned();
    Some((user, Zeroizing::new(decoded[colon + 1..].to_vec())))
}

fn unauthorized() -> Response {
    let mut response = text(StatusCode::UNAUTHORIZED, "user and password are needed\n");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn again_later(why: &'static str) -> Response {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
