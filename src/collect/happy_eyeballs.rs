//! TCP to one of several addresses: each gets a head start before the next is tried beside it (RFC 8305).
//!
//! When all of them fail or stay silent, the name is resolved again and new addresses are tried too, so that a name
//! with a new address is followed within one probe. Reports only the address that answered; `addresses.rs` probes each
//! of them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use super::error_cause;
use super::names::Names;
use super::phase_timer::PhaseTimer;
use crate::config::settings::Address;
use crate::model::phase::Cause;

/// When an address has not answered by then, the next is tried beside it. Source: RFC 8305 section 8, Connection
/// Attempt Delay.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of `places` that answers, or of the addresses that `address` has by now; the last failure
/// gives the reason why none did. With so many places that they would not all be tried within `limit`, each gets a
/// shorter start.
///
/// Sets no deadline: the caller has one.
///
/// On the heap: callers hold this within futures of many layers, which the compiler would lay out again for each.
pub(super) fn connect<'a>(
    names: &'a Arc<Names>,
    address: &'a Address,
    places: Vec<SocketAddr>,
    limit: Duration,
    timer: &'a PhaseTimer,
) -> BoxFuture<'a, Result<(TcpStream, IpAddr), Cause>> {
    Box::pin(race(names, address, places, limit, timer))
}

async fn race(
    names: &Arc<Names>,
    address: &Address,
    places: Vec<SocketAddr>,
    limit: Duration,
    timer: &PhaseTimer,
) -> Result<(TcpStream, IpAddr), Cause> {
    let turns = u32::try_from(places.len()).unwrap_or(u32::MAX).saturating_add(1);
    let head_start = HEAD_START.min(limit / turns);
    let mut news = pin!(names.beyond(address, &places));
    let mut is_asked = false;
    let mut is_told = false;
    let mut waiting = alternating(&places);
    let mut attempts = FuturesUnordered::new();
    let mut head_start_over = pin!(tokio::time::sleep(Duration::ZERO));
    let mut cause = Cause::OwnFault;
    loop {
        if attempts.is_empty() || head_start_over.is_elapsed() {
            match waiting.pop_front() {
                Some(place) => attempts.push(attempt(place)),
                None if attempts.is_empty() && is_told => return Err(cause),
                None => is_asked = true,
            }
            head_start_over.set(tokio::time::sleep(head_start));
        }
        tokio::select! {
            Some((place, result)) = attempts.next() => match result {
                Ok(stream) => {
                    timer.heard_from(place.ip());
                    // Without it the second small write of an exchange waits for the peer's delayed acknowledgement.
                    stream.set_nodelay(true).map_err(|_| Cause::OwnFault)?;
                    return Ok((stream, place.ip()));
                }
                Err(error) => {
                    cause = error_cause::of_io(&error);
                    if matches!(cause, Cause::Refused | Cause::Reset) {
                        timer.heard_from(place.ip());
                    }
                    // With this attempt ended, the next one starts without its delay.
                    head_start_over.set(tokio::time::sleep(Duration::ZERO));
                }
            },
            found = &mut news, if is_asked && !is_told => {
                is_told = true;
                waiting.extend(alternating(&found));
                head_start_over.set(tokio::time::sleep(Duration::ZERO));
            }
            () = &mut head_start_over, if !(waiting.is_empty() && is_asked) => {}
        }
    }
}

async fn attempt(place: SocketAddr) -> (SocketAddr, std::io::Result<TcpStream>) {
    (place, TcpStream::connect(place).await)
}

/// The resolver's order, with the two families in turn: an unreachable IPv6 must not keep all of IPv4 waiting (RFC 8305
/// section 4).
fn alternating(places: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first_family = places.first().is_some_and(SocketAddr::is_ipv6);
    let of = |family: bool| places.iter().copied().filter(move |place| place.is_ipv6() == family);
    let (mut ones, mut others) = (of(first_family), of(!first_family));
    let mut order = VecDeque::with_capacity(places.len());
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return order,
            (one, other) => order.extend(one.into_iter().chain(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::super::names::tests::Dns;
    use super::super::tests::closed_port::Reserved;
    use super::super::tests::test_clock;
    use super::*;

    /// Far more than a head start, so that only an address that waits for another one's end is too late.
    const AMPLE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_dead_first_address_does_not_hide_a_living_second_one() {
        let (dead, living) = (Reserved::new().unwrap(), listener("127.0.0.1:0").await);
        let places = vec![dead.address, living.local_addr().unwrap()];

        assert_eq!(run("literal", places).await.unwrap(), living.local_addr().unwrap());
        assert_eq!(run("literal", vec![dead.address]).await, Err(Cause::Refused));
    }

    #[tokio::test]
    async fn a_silent_first_address_holds_the_second_one_up_no_longer_than_its_head_start() {
        let (silent, living) = (Silent::new().await, listener("127.0.0.1:0").await);
        let places = vec![silent.address, living.local_addr().unwrap()];

        let reached =
            tokio::time::timeout(AMPLE / 3, run("literal", places)).await.expect("no equal share of the limit");

        assert_eq!(reached, Ok(living.local_addr().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_moved_is_followed_within_the_probe() {
        let living = listener("127.0.0.2:0").await;
        let port = living.local_addr().unwrap().port();
        let dead = Reserved::at((std::net::Ipv4Addr::LOCALHOST, port).into()).unwrap();
        let silent = Silent::new().await;
        for old in [dead.address, silent.address] {
            let dns = Dns::new();
            dns.set("api.test", &["127.0.0.2"]);
            let address = Address { host: "api.test".parse().unwrap(), port };
            let timer = PhaseTimer::new(&test_clock());

            let (stream, _) = connect(&dns.names, &address, vec![old], AMPLE, &timer).await.unwrap();

            assert_eq!(stream.peer_addr().unwrap(), living.local_addr().unwrap());
            assert_eq!(dns.asked("api.test"), 1);
        }
    }

    #[tokio::test]
    async fn a_name_that_did_not_move_fails_as_its_address_does() {
        let dead = Reserved::new().unwrap();
        let dns = Dns::new();
        dns.set("api.test", &["127.0.0.1"]);
        let address = Address { host: "api.test".parse().unwrap(), port: dead.address.port() };
        let timer = PhaseTimer::new(&test_clock());

        let failed = connect(&dns.names, &address, vec![dead.address], AMPLE, &timer).await;

        assert_eq!(failed.err(), Some(Cause::Refused));
        assert_eq!(dns.asked("api.test"), 1);
    }

    #[test]
    fn the_families_take_turns_in_the_order_of_the_resolver() {
        let places: Vec<SocketAddr> =
            ["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"].map(|place| place.parse().unwrap()).into();

        let order: Vec<String> = alternating(&places).iter().map(ToString::to_string).collect();

        assert_eq!(order, ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
    }

    async fn run(name: &str, places: Vec<SocketAddr>) -> Result<SocketAddr, Cause> {
        let address = Address { host: name.parse().unwrap(), port: 1 };
        let timer = PhaseTimer::new(&test_clock());
        let (stream, _) = connect(&Dns::new().names, &address, places, AMPLE, &timer).await?;
        Ok(stream.peer_addr().unwrap())
    }

    async fn listener(at: &str) -> TcpListener {
        TcpListener::bind(at).await.unwrap()
    }

    /// An address whose queue of connections is full, so that the kernel drops further ones.
    struct Silent {
        address: SocketAddr,
        _listener: TcpListener,
        _queued: Vec<TcpStream>,
    }

    impl Silent {
        async fn new() -> Self {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let mut queued = Vec::new();
            while let Ok(stream) = tokio::time::timeout(HEAD_START, TcpStream::connect(address)).await {
                queued.push(stream.unwrap());
            }
            Self { address, _listener: listener, _queued: queued }
        }
    }
}
