//! A handshake with each address of a name that has several: other probes use the first that answers, and so never
//! notice another one that does not.
//!
//! Behind a proxy only the proxy knows the addresses, and nothing is probed here. Called by the probes at endpoints.

use std::net::SocketAddr;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::byte_stream::ByteStream;
use super::context::{ProbeContext, ProbeResult};
use super::error_cause;
use super::handshake;
use super::identity::ReadyCredentials;
use super::phase_timer::PhaseTimer;
use super::tls_endpoint::{TlsEndpoint, is_refusal};
use crate::metered::{Meter, Metered};
use crate::model::observation::{AddressAnswer, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::Hello;

impl TlsEndpoint {
    /// Shakes hands at every address of the name, at the same moment.
    pub(crate) async fn probe_addresses(&self, context: &ProbeContext, hello: Hello) -> ProbeResult {
        let timer = PhaseTimer::new(&context.clock);
        if self.proxy.is_some() {
            return ProbeResult::of(&timer, None, Ok(Reading::Addresses(Vec::new())));
        }
        let places = match context.names.places(&self.address, context.policy.connect_timeout, &timer).await {
            Ok(places) if places.len() > 1 => places,
            Ok(_) => return ProbeResult::of(&timer, None, Ok(Reading::Addresses(Vec::new()))),
            Err(unseen) => return ProbeResult::of(&timer, None, Err(unseen)),
        };
        let ready_credentials = self.identity.current().await;
        let told = join_all(places.iter().map(|place| self.knock(context, &ready_credentials, *place, hello))).await;
        let (mut answers, proofs): (Vec<AddressAnswer>, Vec<bool>) = told.into_iter().unzip();
        if answers.iter().any(|told| told.answer.is_err()) {
            // An address that no longer belongs to the name is not reported: the name is resolved again to find out.
            context.names.beyond(&self.address, &places).await;
            answers.retain(|told| told.answer.is_ok() || context.names.leads_to(&self.address, told.address));
        }
        let proves_path = proofs.contains(&true);
        ProbeResult {
            phases: Phases::default(),
            served: None,
            greeting: None,
            proves_path,
            outcome: Ok(Reading::Addresses(answers)),
        }
    }

    /// One handshake, and whether it proves the path. The chain is not kept: that of the endpoint is from the address
    /// that answers first.
    async fn knock(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        place: SocketAddr,
        hello: Hello,
    ) -> (AddressAnswer, bool) {
        let timer = PhaseTimer::new(&context.clock);
        let answer = match self.shake_at(context, ready_credentials, (place, hello), &timer).await {
            Err(unseen) if is_refusal(unseen.cause) => Ok(()),
            answer => answer,
        };
        (AddressAnswer { address: place.ip(), answer }, timer.proves_path())
    }

    async fn shake_at(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        (place, hello): (SocketAddr, Hello),
        timer: &PhaseTimer,
    ) -> Result<(), Unseen> {
        let connecting = async { TcpStream::connect(place).await.map_err(|error| error_cause::of_io(&error)) };
        let connected = timer.step(Phase::Dial, context.policy.connect_timeout, connecting).await;
        if connected.is_ok() || matches!(connected, Err(Unseen { cause: Cause::Refused | Cause::Reset, .. })) {
            timer.heard_from(place.ip());
        }
        let stream: Box<dyn ByteStream> = Box::new(connected?);
        let recorder = context.tls.recorder(ready_credentials.client.clone());
        let wire = Box::new(Metered::new(stream, Meter::of(handshake::BYTES)));
        let shaking = context.tls.shake(&recorder, (self.alpn(), hello), self.name.clone(), wire);
        let shaken = timer.step(Phase::Tls, context.policy.tls_timeout, shaking).await?;
        // Under TLS 1.3 a refusal of our certificate arrives now; the graceful close reads it, and it changes nothing.
        context.close_gracefully(shaken);
        Ok(())
    }
}
