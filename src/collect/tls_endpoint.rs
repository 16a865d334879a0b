//! One TLS endpoint: its address, the expected name, the chain it served last.
//!
//! Opens connections; `apiserver.rs` and `etcd/` send the requests.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;

use super::authority::authority;
use super::byte_stream::ByteStream;
use super::client_hello_fallback::ClientHelloFallback;
use super::connect;
use super::connection_end::Watched;
use super::context::{ProbeContext, ProbeResult};
use super::handshake::{self, Alpn, Record};
use super::identity::{Identity, ReadyCredentials};
use super::last_chain::{Expected, LastChain};
use super::phase_timer::PhaseTimer;
use super::session::Session;
use super::tls_detection::{Place, TlsDetection};
use crate::config::proxy::Proxy;
use crate::config::settings::{Address, Endpoint, Host};
use crate::metered::{Meter, Metered};
use crate::model::certificate::{Served, Trust};
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Greeting, Hello};
use crate::model::subject::Subject;

/// TLS over the connection to it, with a record of its end.
pub(crate) type Secured = Watched<Session<Box<dyn ByteStream>>>;

/// A TLS endpoint.
pub(crate) struct TlsEndpoint {
    pub(crate) subject: Subject,
    pub(crate) identity: Arc<Identity>,
    /// The expected name as HTTP wants it: `name:port`.
    pub(crate) authority: http::Uri,
    pub(super) address: Address,
    pub(super) name: ServerName<'static>,
    pub(super) proxy: Option<Arc<Proxy>>,
    chain: LastChain,
    tls_detection: TlsDetection,
    hello_fallback: ClientHelloFallback,
}

/// The expected name is neither a DNS name nor an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadName;

/// The result of opening a connection: the chain may be there without a connection.
pub(crate) struct Opening {
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) result: Result<Opened, Unseen>,
}

/// A kept connection.
pub(crate) struct Opened {
    pub(crate) stream: Secured,
    pub(crate) peer: IpAddr,
    /// Whether strict verification of this very handshake found nothing wrong.
    pub(crate) is_trusted: bool,
}

impl TlsEndpoint {
    pub(crate) fn new(
        subject: Subject,
        endpoint: &Endpoint,
        identity: Arc<Identity>,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<Self, BadName> {
        let name = match &endpoint.server_name {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| BadName)?,
        };
        let expected = Address { host: endpoint.server_name.clone(), port: endpoint.address.port };
        let authority = authority(&expected).ok_or(BadName)?;
        let address = endpoint.address.clone();
        Ok(Self {
            subject,
            identity,
            authority,
            address,
            name,
            proxy,
            chain: LastChain::default(),
            tls_detection: TlsDetection::default(),
            hello_fallback: ClientHelloFallback::default(),
        })
    }

    /// Whether this is `endpoint`, seen with `identity`: then what is known and kept of it still holds.
    pub(crate) fn is_of(&self, endpoint: &Endpoint, identity: &Arc<Identity>) -> bool {
        let expected = Address { host: endpoint.server_name.clone(), port: endpoint.address.port };
        self.address == endpoint.address
            && authority(&expected).as_ref() == Some(&self.authority)
            && Arc::ptr_eq(&self.identity, identity)
    }

    /// Resolves, dials, shakes hands.
    ///
    /// On the heap and without its type: callers hold this within futures of many layers, and the compiler would
    /// analyse all of them for each.
    pub(crate) fn open<'a>(
        &'a self,
        context: &'a ProbeContext,
        ready_credentials: &'a ReadyCredentials,
        speaking: (Alpn, Hello),
        timer: &'a PhaseTimer,
    ) -> BoxFuture<'a, Opening> {
        Box::pin(self.open_now(context, ready_credentials, speaking, timer))
    }

    async fn open_now(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        (alpn, hello): (Alpn, Hello),
        timer: &PhaseTimer,
    ) -> Opening {
        let connected =
            connect::dial(&context.names, &self.address, self.proxy.as_deref(), &context.policy, timer).await;
        let connected = match connected {
            Ok(connected) => connected,
            Err(unseen) => return Opening { served: None, result: Err(unseen) },
        };
        let recorder = context.tls.recorder(ready_credentials.client.clone());
        let meter = Meter::of(handshake::BYTES);
        let wire = Box::new(Metered::new(connected.wire, Arc::clone(&meter)));
        let shaking = context.tls.shake(&recorder, (alpn, hello), self.name.clone(), wire);
        // A server without TLS may wait silently for the end of a line. The probe waits for that once only.
        let place = Place { address: &self.address, proxy: self.proxy.as_deref(), alpn };
        let mut handshake = self.tls_detection.handshake();
        let is_doubtful = handshake.is_doubtful;
        let shake = async {
            if !is_doubtful {
                return shaking.await;
            }
            tokio::select! {
                biased;
                shaken = shaking => shaken,
                () = self.tls_detection.turns_out_plain(context, place) => Err(Cause::WithoutTls),
            }
        };
        let greeted = self.hello_fallback.begun(hello);
        let shaken = timer.step(Phase::Tls, context.policy.tls_timeout, Box::pin(shake)).await;
        let is_heard = meter.left() < handshake::BYTES;
        let told = (is_heard || matches!(&shaken, Err(unseen) if is_cut(unseen.cause))).then_some(is_heard);
        if let Some(is_heard) = told {
            timer.greeted(Greeting { hello, is_heard });
        }
        if greeted.ended(told, context.clock.now().mono) && self.is_of_etcd() {
            tracing::warn!(
                subject = %self.subject,
                "{}: large ClientHellos get no response and small ones do; probing with X25519 alone",
                self.subject
            );
        }
        let served = self.served(context, ready_credentials, &recorder.take_record());
        if shaken.is_ok() || served.is_some() {
            handshake.is_tls();
        }
        if shaken.is_err() {
            self.doubt(context);
        }
        let shaken = match shaken {
            // No certificate was served: the server may work, but without TLS.
            Err(unseen) if served.is_none() && self.tls_detection.is_plain(context, place, unseen.cause).await => {
                Err(Unseen { cause: Cause::WithoutTls, ..unseen })
            }
            shaken => shaken,
        };
        let result = shaken
            .map(|stream| Opened {
                stream: Watched::new(stream, meter, alpn == Alpn::Http2),
                peer: connected.peer,
                is_trusted: served.as_ref().is_some_and(|served| served.trust == Trust::Trusted),
            })
            .map_err(|unseen| Unseen { cause: ready_credentials.blame(unseen.cause), ..unseen });
        Opening { served, result }
    }

    /// Where the first connection on the way there goes.
    fn first_hop(&self) -> &Address {
        self.proxy.as_deref().map_or(&self.address, |proxy| &proxy.address)
    }

    /// Notes that the address gave no good answer: the name may have another one by now.
    pub(crate) fn doubt(&self, context: &ProbeContext) {
        context.names.doubt(self.first_hop());
    }

    /// Whether a connection to `peer` is still one that would be opened today.
    pub(crate) fn leads_to(&self, context: &ProbeContext, peer: IpAddr) -> bool {
        context.names.leads_to(self.first_hop(), peer)
    }

    fn served(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        record: &Record,
    ) -> Option<Arc<Served>> {
        let expected = Expected {
            strict: ready_credentials.strict.as_deref(),
            generation: ready_credentials.generation,
            name: &self.name,
            now: context.clock.now().wall,
        };
        self.chain.served(record, expected)
    }

    /// The ClientHello for the next handshake with an etcd member.
    pub(super) fn hello(&self, context: &ProbeContext) -> Hello {
        self.hello_fallback.next(context.clock.now().mono, context.policy.hello_retest)
    }

    fn is_of_etcd(&self) -> bool {
        self.alpn() == Alpn::Http2
    }

    /// The protocol that is used there.
    pub(super) const fn alpn(&self) -> Alpn {
        if self.subject.is_etcd_member() { Alpn::Http2 } else { Alpn::Http1 }
    }

    /// A handshake and nothing else. A server that serves its chain and then refuses us counts as seen.
    pub(crate) async fn probe_chain(&self, context: &ProbeContext, hello: Hello) -> ProbeResult {
        let alpn = self.alpn();
        let ready_credentials = self.identity.current().await;
        let timer = PhaseTimer::new(&context.clock);
        let opening = self.open(context, &ready_credentials, (alpn, hello), &timer).await;
        let outcome = match opening.result {
            Ok(opened) => {
                // Under TLS 1.3 a refusal of our certificate arrives now; the graceful close reads it, and it changes
                // nothing.
                context.close_gracefully(opened.stream);
                Ok(Reading::Chain)
            }
            Err(unseen) if opening.served.is_some() && is_refusal(unseen.cause) => Ok(Reading::Chain),
            Err(unseen) => Err(unseen),
        };
        ProbeResult::of(&timer, opening.served, outcome)
    }
}

/// Whether a server that ended the handshake so is there: it has served its chain, or wants another certificate of us.
pub(super) fn is_refusal(cause: Cause) -> bool {
    cause.is_refusal() || cause == Cause::TlsAlert
}

/// What a middlebox does to a ClientHello that it does not like.
const fn is_cut(cause: Cause) -> bool {
    matches!(cause, Cause::Reset | Cause::Closed | Cause::Timeout)
}
