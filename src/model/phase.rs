//! The phases of a probe: how long each took, and in which it ended and why.
//!
//! A probe that failed is data, not an error: bounded enums, used verbatim as metric labels and in mails.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why nothing was seen: how far the probe came, and what ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unseen {
    /// The phase that failed.
    pub phase: Phase,
    /// What ended it.
    pub cause: Cause,
}

/// The disjoint phases of one probe, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Name to address. Absent for literal addresses and pinned names.
    Resolve,
    /// TCP connection, a proxy's tunnel included.
    Dial,
    /// TLS handshake.
    Tls,
    /// Request sent, waiting for the first byte of the answer.
    FirstByte,
    /// The rest of the answer.
    Body,
    /// Nothing was under way: the kept connection was idle.
    Idle,
}

/// What ended a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The phase's deadline passed.
    Timeout,
    /// The peer's kernel refused the connection (RST to SYN).
    Refused,
    /// The connection was reset.
    Reset,
    /// The peer closed where more was due.
    Closed,
    /// The network reported that there is no route (host or network unreachable).
    Unreachable,
    /// The name does not exist.
    NoSuchName,
    /// The resolver failed or did not answer.
    ResolverFailed,
    /// The peer does not use TLS, or violated its protocol.
    TlsBroken,
    /// The peer ended the handshake by an alert.
    TlsAlert,
    /// The peer refused our client certificate, or asked for one we do not have.
    #[serde(alias = "client_certificate_refused")]
    ClientCertificateRejected,
    /// The answer broke the protocol's rules.
    ProtocolBroken,
    /// The answer was larger than we read.
    TooLarge,
    /// 401, 403, Unauthenticated or PermissionDenied: the server works, but refuses our credential.
    #[serde(alias = "credential_refused")]
    CredentialRejected,
    /// gRPC Unavailable: the server says that it cannot serve now.
    Unavailable,
    /// The server ended the call by an error of its own.
    ServerError,
    /// Something else answers there: this is not what the expected program sends.
    Foreign,
    /// The server wants a credential, and our token or password was not sent, because its chain is not trusted.
    TokenWithheld,
    /// The server wants a credential, and none is configured.
    NoCredential,
    /// Our own credential could not be read or used.
    OwnCredential,
    /// Our own side failed: no socket, no memory, no thread.
    OwnFault,
    /// The proxy on the path does not allow this target (403 and the like).
    #[serde(alias = "proxy_refused")]
    ProxyDenied,
    /// The proxy on the path refuses our login (407).
    ProxyLogin,
    /// The proxy's machine answers, but not as a proxy: nothing listens, it closes, its TLS or its protocol is broken.
    ProxyDown,
    /// The proxy cannot be reached or its name not be resolved.
    ProxyUnreachable,
    /// The proxy accepted the connection and then did not answer whether it reaches the target.
    ProxySilent,
    /// The proxy reports that it cannot reach the target (502, 503, 504).
    ProxyTarget,
    /// The peer answers, but without TLS, where TLS is configured.
    WithoutTls,
    /// The peer answers with TLS, where plain HTTP is configured.
    WithTls,
}

/// Where the time of one probe went: disjoint, absent when not reached, and their sum is the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Name to address.
    pub resolve: Option<Duration>,
    /// TCP connection.
    pub dial: Option<Duration>,
    /// TLS handshake.
    pub tls: Option<Duration>,
    /// From the request to the first byte.
    pub first_byte: Option<Duration>,
    /// From the first byte to the end.
    pub body: Option<Duration>,
}

impl Phases {
    /// The phases that were reached, in order.
    pub fn reached(&self) -> impl Iterator<Item = (Phase, Duration)> {
        [
            (Phase::Resolve, self.resolve),
            (Phase::Dial, self.dial),
            (Phase::Tls, self.tls),
            (Phase::FirstByte, self.first_byte),
            (Phase::Body, self.body),
        ]
        .into_iter()
        .filter_map(|(phase, spent)| spent.map(|spent| (phase, spent)))
    }

    /// Sum of the phases.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.reached().map(|(_, spent)| spent).sum()
    }

    /// The phase that took longest.
    #[must_use]
    pub fn dominating(&self) -> Option<Phase> {
        self.reached().max_by_key(|(_, spent)| *spent).map(|(phase, _)| phase)
    }

    /// Records how long `phase` took; a time spent idle belongs to no phase.
    pub const fn record(&mut self, phase: Phase, spent: Duration) {
        match phase {
            Phase::Resolve => self.resolve = Some(spent),
            Phase::Dial => self.dial = Some(spent),
            Phase::Tls => self.tls = Some(spent),
            Phase::FirstByte => self.first_byte = Some(spent),
            Phase::Body => self.body = Some(spent),
            Phase::Idle => {}
        }
    }
}

impl Phase {
    /// Bounded label value, in the words of blackbox_exporter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Dial => "connect",
            Self::Tls => "tls",
            Self::FirstByte => "processing",
            Self::Body => "transfer",
            Self::Idle => "idle",
        }
    }
}

impl Cause {
    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
            Self::NoSuchName => "no_such_name",
            Self::ResolverFailed => "resolver_failed",
            Self::TlsBroken => "tls_broken",
            Self::TlsAlert => "tls_alert",
            Self::ClientCertificateRejected => "client_certificate_rejected",
            Self::ProtocolBroken => "protocol_broken",
            Self::TooLarge => "too_large",
            Self::CredentialRejected => "credential_rejected",
            Self::Unavailable => "unavailable",
            Self::ServerError => "server_error",
            Self::Foreign => "foreign",
            Self::TokenWithheld => "token_withheld",
            Self::NoCredential => "no_credential",
            Self::OwnCredential => "own_credential",
            Self::OwnFault => "own_fault",
            Self::ProxyDenied => "proxy_denied",
            Self::ProxyLogin => "proxy_login",
            Self::ProxyDown => "proxy_down",
            Self::ProxyUnreachable => "proxy_unreachable",
            Self::ProxySilent => "proxy_silent",
            Self::ProxyTarget => "proxy_target",
            Self::WithoutTls => "without_tls",
            Self::WithTls => "with_tls",
        }
    }

    /// Whether the peer works, but uses TLS where none is configured, or none where it is.
    #[must_use]
    pub const fn is_tls_mismatch(self) -> bool {
        matches!(self, Self::WithoutTls | Self::WithTls)
    }

    /// Whether the fault is that of a proxy on the path: it shows nothing about the target behind.
    #[must_use]
    pub const fn is_of_proxy(self) -> bool {
        matches!(
            self,
            Self::ProxyDenied | Self::ProxyLogin | Self::ProxyDown | Self::ProxyUnreachable | Self::ProxySilent
        )
    }

    /// Whether the fault is about our own credential: the server may be fine.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::CredentialRejected
                | Self::ClientCertificateRejected
                | Self::TokenWithheld
                | Self::NoCredential
                | Self::OwnCredential
        )
    }
}

impl Unseen {
    /// Whether our own machine found no address for the name, so that no probe was sent: it shows nothing about the
    /// server of that name.
    #[must_use]
    pub const fn is_unresolved(self) -> bool {
        matches!(self.phase, Phase::Resolve)
    }

    /// Whether nothing came back at all: no answer, and no refusal.
    #[must_use]
    pub const fn is_silence(self) -> bool {
        matches!(self.cause, Cause::Timeout | Cause::Unreachable)
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Resolve => "resolve",
            Phase::Dial => "connect",
            Phase::Tls => "TLS handshake",
            Phase::FirstByte => "processing",
            Phase::Body => "transfer",
            Phase::Idle => "kept connection",
        };
        let cause = match self.cause {
            Cause::Timeout => "timed out, no answer",
            Cause::Refused => "connection refused",
            Cause::Reset => "reset by the peer",
            Cause::Closed => "closed by the peer",
            Cause::Unreachable => "no route to host",
            Cause::NoSuchName => "no such name",
            Cause::ResolverFailed => "the DNS server failed",
            Cause::TlsBroken => "no valid TLS",
            Cause::TlsAlert => "ended by a TLS alert",
            Cause::ClientCertificateRejected => "the client certificate of vedette was rejected",
            Cause::ProtocolBroken => "answer breaks the protocol",
            Cause::TooLarge => "answer too large",
            Cause::CredentialRejected => "the credential of vedette was rejected",
            Cause::Unavailable => "the server says that it is unavailable",
            Cause::ServerError => "server error",
            Cause::Foreign => "something else answers there",
            Cause::TokenWithheld => {
                "the server asks for a login, and none is sent because its certificate is not trusted"
            }
            Cause::NoCredential => "the server asks for a client certificate or token, and none is configured",
            Cause::OwnCredential => "the credential of vedette cannot be used",
            Cause::OwnFault => "vedette itself failed",
            Cause::ProxyDenied => "the proxy denies access",
            Cause::ProxyLogin => "the proxy rejects the login",
            Cause::ProxyDown => "the proxy is down",
            Cause::ProxyUnreachable => "the proxy cannot be reached",
            Cause::ProxySilent => "the proxy does not respond",
            Cause::ProxyTarget => "the proxy cannot reach it",
            Cause::WithoutTls => "the peer answers without TLS",
            Cause::WithTls => "the peer answers with TLS, and plain HTTP is configured",
        };
        write!(f, "{phase}: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_sum_to_the_total_and_skip_what_was_not_reached() {
        let mut phases = Phases::default();
        phases.record(Phase::Dial, Duration::from_millis(3));
        phases.record(Phase::Tls, Duration::from_millis(5));
        phases.record(Phase::Idle, Duration::from_secs(9));

        assert_eq!(phases.total(), Duration::from_millis(8));
        assert_eq!(phases.dominating(), Some(Phase::Tls));
        assert_eq!(phases.reached().count(), 2);
    }

    #[test]
    fn causes_that_an_older_version_stored_are_read() {
        for (old, cause) in [
            ("credential_refused", Cause::CredentialRejected),
            ("client_certificate_refused", Cause::ClientCertificateRejected),
            ("proxy_refused", Cause::ProxyDenied),
        ] {
            assert_eq!(serde_json::from_value::<Cause>(old.into()).unwrap(), cause);
            assert_eq!(serde_json::from_value::<Cause>(cause.as_str().into()).unwrap(), cause);
        }
    }
}
