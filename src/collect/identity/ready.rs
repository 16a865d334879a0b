//! Credentials as probes use them, and whose fault a refusal is.

use std::sync::Arc;

use http::HeaderValue;
use rustls::sign::CertifiedKey;

use crate::collect::verification::Strict;
use crate::model::certificate::Fingerprint;
use crate::model::phase::Cause;

/// Credentials ready for use.
#[derive(Clone)]
pub(crate) struct ReadyCredentials {
    /// Changes when the anchors or the client certificate change; kept connections of another generation are closed.
    pub(crate) generation: u64,
    /// Strict verification; `None` without anchors.
    pub(crate) strict: Option<Arc<Strict>>,
    /// Client certificate.
    pub(crate) client: Option<Arc<CertifiedKey>>,
    /// `Bearer …`, marked sensitive. Sent only to a trusted server.
    pub(crate) token: Option<HeaderValue>,
    /// Whether something that is configured could not be read or understood.
    pub(crate) is_flawed: bool,
    /// The reason, without secrets, where it is known.
    pub(crate) diagnostic: Option<Arc<str>>,
    /// What the generation stands for: the anchors and the client's chain.
    pub(super) print: Print,
}

/// A digest that shows whether anything that TLS uses has changed, without keeping a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) anchors: Vec<Fingerprint>,
    pub(super) client: Vec<Fingerprint>,
}

impl ReadyCredentials {
    /// No credentials, and trust in no CA.
    pub(super) fn nothing() -> Self {
        Self {
            generation: 0,
            strict: None,
            client: None,
            token: None,
            is_flawed: true,
            diagnostic: None,
            print: Print::default(),
        }
    }

    /// The cause to report when the server answered `cause`. A refusal is our own fault when a configured credential
    /// cannot be used; with none configured, it is reported as a missing credential.
    pub(crate) fn blame(&self, cause: Cause) -> Cause {
        if self.is_flawed && cause.is_refusal() {
            Cause::OwnCredential
        } else if cause == Cause::ClientCertificateRejected && self.client.is_none() && self.token.is_none() {
            Cause::NoCredential
        } else {
            cause
        }
    }

    /// The same for an answer to a request: only the caller knows whether the token was sent.
    pub(crate) fn blame_for_answer(&self, cause: Cause, token_was_sent: bool) -> Cause {
        let cause = self.blame(cause);
        match (&self.token, &self.client) {
            _ if cause != Cause::CredentialRejected => cause,
            (Some(_), _) if !token_was_sent => Cause::TokenWithheld,
            (None, None) => Cause::NoCredential,
            (Some(_), _) | (None, Some(_)) => cause,
        }
    }
}
