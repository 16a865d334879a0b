//! What an endpoint serves, by a handshake and nothing else, at every address of its name: for `vedette certs`.
//!
//! No credential is shown and nothing is asked. A chain counts as soon as it was sent, whatever becomes of the handshake
//! behind it: servers that want a client certificate, and chains that no client would accept, are seen like others.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rustls::AlertDescription;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use super::byte_stream::ByteStream;
use super::clear_certificates;
use super::error_cause;
use super::handshake::{self, Alpn, Record, Tls};
use crate::config::settings::{Address, Host};
use crate::metered::{Meter, Metered};
use crate::model::certificate_list::{ListEntry, ListEvent, Unread};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::Hello;
use crate::parse::certificate_files::{self, What};
use crate::parse::tls_certificates::Served;

/// Time for each step. Longer than a probe of the daemon has: whoever waits here is a person, and asks once.
const RESOLVE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Addresses of one name.
const MAX_ADDRESSES: usize = 64;
/// Of them at the same time: many names are asked at once, and files that may be open are a thousand.
const AT_ONCE: usize = 4;

/// Shakes hands with endpoints.
pub struct ServedCertificates {
    tls: Tls,
}

impl Default for ServedCertificates {
    fn default() -> Self {
        Self { tls: Tls::new() }
    }
}

impl ServedCertificates {
    /// What `address` serves at each address of its name, and why not where it serves nothing.
    pub async fn list(&self, address: &Address) -> Vec<ListEvent> {
        let unread = |reason: String| vec![unread(&address.to_string().into(), "", &reason)];
        let (name, places) = match &address.host {
            Host::Ip(ip) => (ServerName::from(*ip), vec![SocketAddr::new(*ip, address.port)]),
            Host::Name(host) => {
                let Ok(name) = ServerName::try_from(host.trim_end_matches('.').to_owned()) else {
                    return unread("is no name that a certificate can have".to_owned());
                };
                match resolved(host, address.port).await {
                    Ok(places) => (name, places),
                    Err(reason) => return unread(reason),
                }
            }
        };
        let mut events = Vec::new();
        let left_out = places.len().saturating_sub(MAX_ADDRESSES);
        if left_out > 0 {
            events.extend(unread(format!("has {left_out} addresses more than are asked")));
        }
        let asked = places.into_iter().take(MAX_ADDRESSES).map(|place| self.at(address, &name, place));
        let answers: Vec<Vec<ListEvent>> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
        events.extend(answers.into_iter().flatten());
        events
    }

    async fn at(&self, address: &Address, name: &ServerName<'static>, place: SocketAddr) -> Vec<ListEvent> {
        let shown: Arc<str> = match &address.host {
            Host::Ip(_) => address.to_string().into(),
            Host::Name(_) => format!("{address} ({})", place.ip()).into(),
        };
        let mut seen = self.shake(name, place, Hello::Large).await;
        // Some middleboxes drop a ClientHello of two packets: what a smaller one shows is what there is.
        if seen.0.chain.is_empty() && seen.1.as_ref().is_err_and(Failure::may_be_of_the_path) {
            let again = self.shake(name, place, Hello::Small).await;
            if !again.0.chain.is_empty() {
                seen = again;
            }
        }
        let (mut record, ended) = seen;
        let mut events = Vec::new();
        if record.chain.is_empty()
            && ended.as_ref().is_err_and(Failure::may_be_of_old_tls)
            && let Some(found) = clear(name, place).await
        {
            record.sent = found.sent;
            record.chain = found.chain.into_iter().map(CertificateDer::from).collect();
            events.push(ListEvent::Note(format!(
                "{shown}: its certificates were read from a handshake that vedette cannot complete, because {}; nothing \
                 proves that it has their key",
                found.reason
            )));
        }
        let position = |at: usize| {
            if record.chain.len() > 1 { format!("certificate {}", at + 1).into() } else { Box::from("") }
        };
        for (at, der) in record.chain.iter().enumerate() {
            events.push(match certificate_files::served(der) {
                Ok(found) => match found.what {
                    What::Certificate { certificate, is_degraded } => ListEvent::Found(ListEntry {
                        is_degraded,
                        ..ListEntry::certificate(&shown, position(at), found.kind.as_str(), certificate)
                    }),
                    What::Token(_) | What::Reported(_) | What::NotKnowable(_) => continue,
                },
                Err(reason) => unread(&shown, &position(at), reason),
            });
        }
        if record.sent > record.chain.len() {
            let reason = format!("sends {} certificates, of which {} are read", record.sent, record.chain.len());
            events.push(unread(&shown, "", &reason));
        }
        if let (true, Err(failure)) = (record.chain.is_empty(), ended) {
            events.push(unread(&shown, "", &failure.words()));
        }
        events.push(ListEvent::Progress);
        events
    }

    async fn shake(
        &self,
        name: &ServerName<'static>,
        place: SocketAddr,
        hello: Hello,
    ) -> (Record, Result<(), Failure>) {
        let stream = match tokio::time::timeout(CONNECT, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return (Record::default(), Err(Failure::Connect(error_cause::of_io(&error)))),
            Err(_) => return (Record::default(), Err(Failure::Connect(Cause::Timeout))),
        };
        let wire: Box<dyn ByteStream> = Box::new(Metered::new(stream, Meter::of(handshake::BYTES)));
        let recorder = self.tls.recorder(None);
        let shaking = self.tls.shake_plainly(&recorder, (Alpn::Unsaid, hello), name.clone(), wire);
        let ended = match tokio::time::timeout(HANDSHAKE, shaking).await {
            // Under TLS 1.3 a refusal of our missing certificate would arrive now, and changes nothing.
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::Handshake(error)),
            Err(_) => Err(Failure::Silent),
        };
        (recorder.take_record(), ended)
    }
}

/// What is sent in clear text to a client that takes old versions and ciphers as well.
async fn clear(name: &ServerName<'static>, place: SocketAddr) -> Option<Served> {
    let name = if let ServerName::DnsName(name) = name { Some(name.as_ref()) } else { None };
    tokio::time::timeout(HANDSHAKE, clear_certificates::of(place, name)).await.ok()?.ok()?
}

/// The addresses of `host`, each once, in the resolver's order.
async fn resolved(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let answer = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let found: Vec<SocketAddr> = match answer {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(format!("cannot be resolved: {error}")),
        Err(_) => return Err("cannot be resolved: the resolver does not answer".to_owned()),
    };
    let mut known = BTreeSet::new();
    let places: Vec<SocketAddr> = found.into_iter().filter(|place| known.insert(*place)).collect();
    if places.is_empty() { Err("cannot be resolved: the name has no address".to_owned()) } else { Ok(places) }
}

fn unread(place: &Arc<str>, entry: &str, reason: &str) -> ListEvent {
    ListEvent::Unread(Unread { place: Arc::clone(place), entry: entry.into(), reason: reason.into() })
}

/// Why no certificate came.
#[derive(Debug)]
enum Failure {
    Connect(Cause),
    Handshake(io::Error),
    /// The handshake did not end in time.
    Silent,
}

impl Failure {
    /// Whether something on the way may have dropped our large ClientHello.
    fn may_be_of_the_path(&self) -> bool {
        match self {
            Self::Connect(_) => false,
            Self::Silent => true,
            Self::Handshake(error) => matches!(error_cause::of_io(error), Cause::Reset | Cause::Closed),
        }
    }

    /// Whether the server may be one that rustls has nothing in common with. Some of them end the connection without an
    /// alert.
    fn may_be_of_old_tls(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Silent => false,
            Self::Handshake(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(
                    rustls::Error::AlertReceived(_)
                    | rustls::Error::PeerIncompatible(_)
                    | rustls::Error::PeerMisbehaved(_),
                ) => true,
                Some(_) => false,
                None => self.may_be_of_the_path(),
            },
        }
    }

    fn words(&self) -> String {
        let unseen = |phase, cause| Unseen { phase, cause }.to_string();
        match self {
            Self::Connect(cause) => unseen(Phase::Dial, *cause),
            Self::Silent => unseen(Phase::Tls, Cause::Timeout),
            Self::Handshake(error) => {
                let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                let words = tls.map_or_else(|| unseen(Phase::Tls, error_cause::of_io(error)), of_tls);
                format!("no certificate was sent: {words}")
            }
        }
    }
}

/// Words for errors of TLS before a certificate came.
fn of_tls(error: &rustls::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum that grows; the rest has words of its own")]
    match error {
        rustls::Error::AlertReceived(alert) => {
            let meaning = match *alert {
                AlertDescription::InternalError => ", as a server without a certificate sends it",
                AlertDescription::HandshakeFailure => ": it accepts none of our ciphers or signatures",
                AlertDescription::ProtocolVersion => ": it speaks neither TLS 1.2 nor TLS 1.3",
                AlertDescription::UnrecognisedName => ": it has no certificate for this name",
                _ => "",
            };
            format!("the server ends the handshake by the TLS alert {alert:?} ({}){meaning}", u8::from(*alert))
        }
        rustls::Error::PeerIncompatible(_) => "it speaks neither TLS 1.2 nor TLS 1.3, or no cipher of ours".to_owned(),
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
