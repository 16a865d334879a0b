//! One TLS endpoint: where it is dialled, whom we expect there, what it served last.
//!
//! Opens connections; what is asked over them is the business of `apiserver.rs` and `etcd/`.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;

use super::chain::{ChainMemory, Expected};
use super::dial::{self, Wire};
use super::handshake::{self, Alpn, Record};
use super::identity::{Identity, Passport};
use super::journey::Journey;
use super::kit::{Kit, Sight};
use super::session::Session;
use super::smaller::Smaller;
use super::speech::{Place, Speech};
use super::watched::Watched;
use crate::config::proxy::Proxy;
use crate::config::settings::{Address, Endpoint, Host};
use crate::metered::{Meter, Metered};
use crate::model::certificate::{Served, Trust};
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Greeting, Hello};
use crate::model::subject::Subject;

/// TLS over whatever leads there, with a memory of its end.
pub(crate) type Secured = Watched<Session<Box<dyn Wire>>>;

/// A TLS endpoint.
pub(crate) struct Site {
    pub(crate) subject: Subject,
    pub(crate) identity: Arc<Identity>,
    /// The expected name as HTTP wants it: `name:port`.
    pub(crate) authority: http::Uri,
    pub(super) address: Address,
    pub(super) name: ServerName<'static>,
    pub(super) proxy: Option<Arc<Proxy>>,
    chain: ChainMemory,
    speech: Speech,
    smaller: Smaller,
}

/// The expected name is neither a DNS name nor an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadName;

/// What came of opening a connection: the chain is there also when the connection is not.
pub(crate) struct Opening {
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) result: Result<Opened, Unseen>,
}

/// An open connection.
pub(crate) struct Opened {
    pub(crate) stream: Secured,
    pub(crate) peer: IpAddr,
    /// Whether strict verification of this very handshake found nothing wrong.
    pub(crate) is_trusted: bool,
}

impl Site {
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
        let authority = dial::authority(&expected).ok_or(BadName)?;
        let address = endpoint.address.clone();
        Ok(Self {
            subject,
            identity,
            authority,
            address,
            name,
            proxy,
            chain: ChainMemory::default(),
            speech: Speech::default(),
            smaller: Smaller::default(),
        })
    }

    /// Whether this is `endpoint`, seen with `identity`: then what is known and kept of it still holds.
    pub(crate) fn is_of(&self, endpoint: &Endpoint, identity: &Arc<Identity>) -> bool {
        let expected = Address { host: endpoint.server_name.clone(), port: endpoint.address.port };
        self.address == endpoint.address
            && dial::authority(&expected).as_ref() == Some(&self.authority)
            && Arc::ptr_eq(&self.identity, identity)
    }

    /// Resolves, dials, shakes hands.
    ///
    /// On the heap and without its type: whoever opens a connection holds this within futures of many layers, and the
    /// compiler would look through all of them for each.
    pub(crate) fn open<'a>(
        &'a self,
        kit: &'a Kit,
        passport: &'a Passport,
        speaking: (Alpn, Hello),
        journey: &'a Journey,
    ) -> BoxFuture<'a, Opening> {
        Box::pin(self.open_now(kit, passport, speaking, journey))
    }

    async fn open_now(
        &self,
        kit: &Kit,
        passport: &Passport,
        (alpn, hello): (Alpn, Hello),
        journey: &Journey,
    ) -> Opening {
        let dialled = dial::dial(&kit.names, &self.address, self.proxy.as_deref(), &kit.policy, journey).await;
        let dialled = match dialled {
            Ok(dialled) => dialled,
            Err(unseen) => return Opening { served: None, result: Err(unseen) },
        };
        let recorder = kit.tls.recorder(passport.client.clone());
        let meter = Meter::of(handshake::OCTETS);
        let wire = Box::new(Metered::new(dialled.wire, Arc::clone(&meter)));
        let shaking = kit.tls.shake(&recorder, (alpn, hello), self.name.clone(), wire);
        // A server without TLS may wait in silence for the end of a line: whoever looks does not wait with it twice.
        let place = Place { address: &self.address, proxy: self.proxy.as_deref(), alpn };
        let mut handshake = self.speech.handshake();
        let is_doubtful = handshake.is_doubtful;
        let shake = async {
            if !is_doubtful {
                return shaking.await;
            }
            tokio::select! {
                biased;
                shaken = shaking => shaken,
                () = self.speech.turns_out_plain(kit, place) => Err(Cause::WithoutTls),
            }
        };
        let greeted = self.smaller.begun(hello);
        let shaken = journey.step(Phase::Tls, kit.policy.tls_deadline, Box::pin(shake)).await;
        let is_heard = meter.left() < handshake::OCTETS;
        let told = (is_heard || matches!(&shaken, Err(unseen) if is_cut(unseen.cause))).then_some(is_heard);
        if let Some(is_heard) = told {
            journey.greeted(Greeting { hello, is_heard });
        }
        if greeted.ended(told, kit.clock.now().mono) && self.is_of_etcd() {
            tracing::warn!(
                subject = %self.subject,
                "{}: large ClientHellos get no response and small ones do; probing with X25519 alone",
                self.subject
            );
        }
        let served = self.served(kit, passport, &recorder.take_record());
        if shaken.is_ok() || served.is_some() {
            handshake.is_tls();
        }
        if shaken.is_err() {
            self.doubt(kit);
        }
        let shaken = match shaken {
            // Nothing was shown: it may be alive and speak without TLS.
            Err(unseen) if served.is_none() && self.speech.is_plain(kit, place, unseen.cause).await => {
                Err(Unseen { cause: Cause::WithoutTls, ..unseen })
            }
            shaken => shaken,
        };
        let result = shaken
            .map(|stream| Opened {
                stream: Watched::new(stream, meter, alpn == Alpn::Http2),
                peer: dialled.peer,
                is_trusted: served.as_ref().is_some_and(|served| served.trust == Trust::Trusted),
            })
            .map_err(|unseen| Unseen { cause: passport.blame(unseen.cause), ..unseen });
        Opening { served, result }
    }

    /// Where the first connection on the way there goes.
    fn first_hop(&self) -> &Address {
        self.proxy.as_deref().map_or(&self.address, |proxy| &proxy.address)
    }

    /// Notes that whoever is there gave no good answer: the name may have moved.
    pub(crate) fn doubt(&self, kit: &Kit) {
        kit.names.doubt(self.first_hop());
    }

    /// Whether a connection to `peer` is still one that would be opened today.
    pub(crate) fn leads_to(&self, kit: &Kit, peer: IpAddr) -> bool {
        kit.names.leads_to(self.first_hop(), peer)
    }

    fn served(&self, kit: &Kit, passport: &Passport, record: &Record) -> Option<Arc<Served>> {
        let expected = Expected {
            strict: passport.strict.as_deref(),
            generation: passport.generation,
            name: &self.name,
            now: kit.clock.now().wall,
        };
        self.chain.served(record, expected)
    }

    /// How an etcd member is to be greeted next.
    pub(super) fn hello(&self, kit: &Kit) -> Hello {
        self.smaller.next(kit.clock.now().mono, kit.policy.hello_retest)
    }

    fn is_of_etcd(&self) -> bool {
        self.alpn() == Alpn::Http2
    }

    /// What is spoken there.
    pub(super) const fn alpn(&self) -> Alpn {
        match self.subject {
            Subject::EtcdMember(..) => Alpn::Http2,
            Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_)
            | Subject::Cluster(_)
            | Subject::Vip(_)
            | Subject::Apiserver(..)
            | Subject::Etcd(..)
            | Subject::Stored(..)
            | Subject::Chain(..) => Alpn::Http1,
        }
    }

    /// A handshake and nothing else. A server that shows its chain and then refuses us has been seen.
    pub(crate) async fn look_at_chain(&self, kit: &Kit, hello: Hello) -> Sight {
        let alpn = self.alpn();
        let passport = self.identity.current().await;
        let journey = Journey::new(&kit.clock);
        let opening = self.open(kit, &passport, (alpn, hello), &journey).await;
        let outcome = match opening.result {
            Ok(opened) => {
                // Under TLS 1.3 a refusal of our certificate arrives now; the farewell reads it, and it changes nothing.
                kit.farewell(opened.stream);
                Ok(Reading::Chain)
            }
            Err(unseen) if opening.served.is_some() && is_refusal(unseen.cause) => Ok(Reading::Chain),
            Err(unseen) => Err(unseen),
        };
        Sight::of(&journey, opening.served, outcome)
    }
}

/// Whether whoever ended the handshake so is there: it has shown its chain, or wants another certificate of us.
pub(super) fn is_refusal(cause: Cause) -> bool {
    cause.is_refusal() || cause == Cause::TlsAlert
}

/// What a middlebox does to a ClientHello that it does not like.
const fn is_cut(cause: Cause) -> bool {
    matches!(cause, Cause::Reset | Cause::Closed | Cause::Timeout)
}
