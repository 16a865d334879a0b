//! What ended a probe: errors of the kernel, of TLS and of HTTP to the bounded causes of the model.
//!
//! Unwraps errors, because hyper and tonic wrap what tokio-rustls wraps. Where a connection's own record of its end
//! exists (`connection_end.rs`), callers ask that first.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustls::AlertDescription;

use crate::metered::Flooded;
use crate::model::error_chain::causes;
use crate::model::phase::Cause;

/// Cause of an error of a socket or of a TLS stream.
pub(crate) fn of_io(error: &io::Error) -> Cause {
    if let Some(inner) = error.get_ref() {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        if inner.is::<Flooded>() {
            return Cause::TooLarge;
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return of_io(io);
        }
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum that grows; the rest is our own side")]
    match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Cause::Reset,
        ErrorKind::UnexpectedEof | ErrorKind::WriteZero | ErrorKind::NotConnected => Cause::Closed,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Cause::Unreachable,
        ErrorKind::TimedOut => Cause::Timeout,
        ErrorKind::InvalidData => Cause::ProtocolBroken,
        _ => Cause::OwnFault,
    }
}

/// Cause of an error of TLS.
pub(crate) fn of_tls(error: &rustls::Error) -> Cause {
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum that grows; the rest is broken TLS")]
    match error {
        rustls::Error::AlertReceived(alert) if refuses_client(*alert) => Cause::ClientCertificateRejected,
        rustls::Error::AlertReceived(_) => Cause::TlsAlert,
        rustls::Error::FailedToGetCurrentTime | rustls::Error::FailedToGetRandomBytes => Cause::OwnFault,
        _ => Cause::TlsBroken,
    }
}

/// Alerts about the certificate we sent, or did not send (RFC 8446 section 6.2).
fn refuses_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// Cause of an error of hyper on a connection that did not end by itself.
pub(crate) fn of_http(error: &hyper::Error) -> Cause {
    if error.is_parse_too_large() {
        Cause::TooLarge
    } else if error.is_parse() {
        Cause::ProtocolBroken
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Cause::Closed
    } else {
        in_sources(error).unwrap_or(Cause::ProtocolBroken)
    }
}

/// The first error of a socket or of TLS among `error` and what is behind it.
pub(crate) fn in_sources(error: &(dyn Error + 'static)) -> Option<Cause> {
    causes(error).find_map(|error| {
        let of_socket = error.downcast_ref::<io::Error>().map(of_io);
        of_socket.or_else(|| error.downcast_ref::<rustls::Error>().map(of_tls))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_cause() {
        let tls = |error: rustls::Error| io::Error::new(ErrorKind::InvalidData, error);
        for (error, cause) in [
            (io::Error::from_raw_os_error(111), Cause::Refused),
            (io::Error::from_raw_os_error(104), Cause::Reset),
            (io::Error::from_raw_os_error(32), Cause::Reset),
            (io::Error::from_raw_os_error(113), Cause::Unreachable),
            (io::Error::from_raw_os_error(101), Cause::Unreachable),
            (io::Error::from_raw_os_error(110), Cause::Timeout),
            (io::Error::from_raw_os_error(24), Cause::OwnFault),
            (ErrorKind::UnexpectedEof.into(), Cause::Closed),
            (
                tls(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)),
                Cause::ClientCertificateRejected,
            ),
            (tls(rustls::Error::AlertReceived(AlertDescription::UnknownCA)), Cause::ClientCertificateRejected),
            (tls(rustls::Error::AlertReceived(AlertDescription::InternalError)), Cause::TlsAlert),
            (tls(rustls::Error::DecryptError), Cause::TlsBroken),
            (io::Error::new(ErrorKind::InvalidData, Flooded), Cause::TooLarge),
            (io::Error::other(io::Error::other(io::Error::from_raw_os_error(104))), Cause::Reset),
        ] {
            assert_eq!(of_io(&error), cause, "{error:?}");
        }
    }
}
