//! TCP to an endpoint, straight or through the proxy that a kubeconfig names.
//!
//! Ends where TLS to the endpoint begins. A proxy's tunnel counts as connecting, and a failure of the proxy is reported
//! as the proxy's, not the endpoint's.

use std::net::IpAddr;
use std::sync::Arc;

use super::byte_stream::ByteStream;
use super::happy_eyeballs;
use super::names::Names;
use super::phase_timer::PhaseTimer;
use super::proxy::{blamed, tunnel};
use crate::config::proxy::Proxy;
use crate::config::settings::{Address, Host};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::policy::Policy;

/// A stream and the peer of its first hop.
pub(crate) struct Connected {
    pub(crate) wire: Box<dyn ByteStream>,
    pub(crate) peer: IpAddr,
}

/// Connects to `address`, through `proxy` if there is one.
///
/// Every address of a name is tried within the one deadline (`happy_eyeballs.rs`), so that an unreachable first address
/// does not hide a second one that works.
///
/// # Errors
///
/// In the resolve or dial phase.
pub(crate) async fn dial(
    names: &Arc<Names>,
    address: &Address,
    proxy: Option<&Proxy>,
    policy: &Policy,
    timer: &PhaseTimer,
) -> Result<Connected, Unseen> {
    let limit = policy.connect_timeout;
    let Some(proxy) = proxy else {
        let places = names.places(address, limit, timer).await?;
        let connecting = happy_eyeballs::connect(names, address, places, limit, timer);
        let (stream, peer) = timer.step(Phase::Dial, limit, connecting).await?;
        return Ok(Connected { wire: Box::new(stream), peer });
    };
    let blame = |unseen: Unseen| Unseen { cause: blamed(unseen.cause), ..unseen };
    let places = names.places(&proxy.address, limit, timer).await.map_err(blame)?;
    // An answer of the proxy proves nothing about the path beyond it, so it is not recorded as proof.
    let blocking = timer.blocking();
    let connecting = happy_eyeballs::connect(names, &proxy.address, places, limit, &blocking);
    let (stream, peer) = timer.step(Phase::Dial, limit, connecting).await.map_err(blame)?;
    // A proxy that cannot reach a target says so after a connection attempt of its own, which takes 3 s where a machine
    // is gone from its network (the kernel's three ARP requests): it has the time of an answer.
    let opening = timer.step(Phase::Dial, policy.response_timeout, tunnel(proxy, stream, address)).await;
    let is_mute = |unseen: &Unseen| unseen.cause == Cause::Timeout;
    let mute = |unseen: Unseen| Unseen { cause: Cause::ProxySilent, ..unseen };
    let wire = opening.map_err(|unseen| if is_mute(&unseen) { mute(unseen) } else { unseen })?;
    // Through the tunnel the target answers; which address its name has, only the proxy knows.
    let peer = match &address.host {
        Host::Ip(ip) => *ip,
        Host::Name(_) => peer,
    };
    timer.heard_from(peer);
    Ok(Connected { wire, peer })
}
