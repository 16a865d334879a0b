//! Endpoints behind names that move, or that have several addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::closed_port::Reserved;
use super::servers::{Fixture, Server, TRUSTED, answer, instance, request};
use super::test_clock;
use crate::collect::Collectors;
use crate::collect::names::tests::Dns;
use crate::collect::phase_timer::PhaseTimer;
use crate::config::settings::{Address, Host};
use crate::model::observation::{AddressAnswer, Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Probe, ProbeKind};

const NAME: &str = "api.test";
const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const REFUSED: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };

#[tokio::test]
async fn every_address_of_a_name_gets_a_handshake_of_its_own() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let _dead = Reserved::at((THERE, server.address.port()).into()).unwrap();
    let (dns, collectors) = named(server.address);

    dns.set(NAME, &["127.0.0.1"]);
    let alone = see(&collectors, ProbeKind::Addresses).await;
    let accepted_alone = server.accepted();
    dns.set(NAME, &["127.0.0.2", "127.0.0.1"]);
    dns.names.doubt(&address_of(server.address));
    dns.settled(NAME).await;
    let beside = see(&collectors, ProbeKind::Addresses).await;
    let whole = see(&collectors, ProbeKind::Readyz).await;

    assert_eq!((alone.outcome, accepted_alone), (Ok(Reading::Addresses(Vec::new())), 0), "others dial it");
    let dead = AddressAnswer { address: THERE.into(), answer: Err(REFUSED) };
    let alive = AddressAnswer { address: HERE.into(), answer: Ok(()) };
    assert_eq!(beside.outcome, Ok(Reading::Addresses(vec![dead, alive])));
    assert!(matches!(whole.outcome, Ok(Reading::Health(_))), "{whole:?}");
}

#[tokio::test]
async fn a_dead_address_that_has_left_the_name_is_nobodys_trouble() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let _dead = Reserved::at((THERE, server.address.port()).into()).unwrap();
    let (dns, collectors) = named(server.address);
    dns.set(NAME, &["127.0.0.1", "127.0.0.2"]);
    see(&collectors, ProbeKind::Readyz).await;
    dns.set(NAME, &["127.0.0.1"]);

    let seen = see(&collectors, ProbeKind::Addresses).await;

    let alive = AddressAnswer { address: HERE.into(), answer: Ok(()) };
    assert_eq!(seen.outcome, Ok(Reading::Addresses(vec![alive])));
}

#[tokio::test]
async fn a_probe_at_a_name_that_moved_reaches_the_new_address_at_once() {
    let old = Reserved::at((HERE, 0).into()).unwrap();
    let new = tokio::net::TcpListener::bind((THERE, old.address.port())).await.unwrap();
    let (dns, collectors) = named(old.address);
    dns.set(NAME, &["127.0.0.1"]);
    let timer = PhaseTimer::new(&test_clock());
    dns.names.places(&address_of(old.address), Duration::from_secs(20), &timer).await.unwrap();
    dns.set(NAME, &["127.0.0.2"]);

    let (chain, reached) = tokio::join!(see(&collectors, ProbeKind::Chain), async { new.accept().await.map(drop) });

    assert!(reached.is_ok());
    assert!(chain.outcome.is_err_and(|unseen| unseen.phase == Phase::Tls), "whoever is there speaks no TLS");
}

/// A bench whose only instance is connected to by [`NAME`], and who says what that means.
fn named(at: SocketAddr) -> (Dns, Collectors) {
    let mut fixture = Fixture::new().apiserver(at);
    fixture.settings.clusters[0].apiservers[0].1.address = address_of(at);
    let dns = Dns::new();
    let (mut collectors, _observations) = fixture.collectors();
    collectors.context.names = Arc::clone(&dns.names);
    (dns, collectors)
}

fn address_of(at: SocketAddr) -> Address {
    Address { host: Host::Name(NAME.to_owned()), port: at.port() }
}

async fn see(collectors: &Collectors, kind: ProbeKind) -> Observation {
    collectors.probe(request(Probe::anew(instance(), kind))).await
}
