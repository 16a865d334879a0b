//! A request as data, and what bounds its answer.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};
use http_body_util::Full;

use crate::collect::user_agent::USER_AGENT;

/// Bytes of headers, all together; an apiserver sends 1 KiB.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Whom it is for, as `name:port`.
    pub(crate) authority: Uri,
    /// Path and query.
    pub(crate) target: Cow<'static, str>,
    /// Beside those that every request has.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it announces that no other follows over its connection.
    pub(crate) is_last: bool,
    pub(crate) limits: Limits,
}

/// What bounds an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes read of the body; a longer one is an error.
    pub(crate) bytes: usize,
    /// Time until its head has come.
    pub(crate) head: Duration,
    /// Time until its last byte has come, counted from the same moment.
    pub(crate) whole: Duration,
}

impl Request {
    /// Asks for `target`, and for nothing after it.
    pub(crate) fn get(authority: &Uri, target: impl Into<Cow<'static, str>>, limits: Limits) -> Self {
        Self {
            method: Method::GET,
            authority: authority.clone(),
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            is_last: true,
            limits,
        }
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Bytes granted for the answer: head, body, and what chunks, frames and TLS records add to them.
    pub(super) const fn grant(&self) -> usize {
        MAX_HEAD + self.limits.bytes + self.limits.bytes / 16 + 16 * 1024
    }

    /// As it is sent by `version`; `None` for a target or an authority that no request can have.
    pub(super) fn sent_by(&self, version: Version) -> Option<http::Request<Full<Bytes>>> {
        let authority = self.authority.authority()?;
        let mut request = http::Request::builder().method(&self.method).body(Full::new(self.body.clone())).ok()?;
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        // HTTP/2 says the same by pseudo-headers, and knows no `connection`.
        if version == Version::HTTP_2 {
            let target = Uri::builder().scheme("https").authority(authority.clone());
            *request.uri_mut() = target.path_and_query(self.target.as_ref()).build().ok()?;
            return Some(request);
        }
        headers.insert(header::HOST, HeaderValue::from_str(authority.as_str()).ok()?);
        if self.is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        *request.uri_mut() = Uri::builder().path_and_query(self.target.as_ref()).build().ok()?;
        Some(request)
    }
}
