//! A handshake with each address of a name that has several: other looks are content with the first that answers, and
//! so never see a dead one beside it.
//!
//! Behind a proxy the addresses are the proxy's to know, and nothing is dialled here. Called by the looks at endpoints.

use std::net::SocketAddr;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::dial::Wire;
use super::fault;
use super::handshake;
use super::identity::Passport;
use super::journey::Journey;
use super::kit::{Kit, Sight};
use super::site::{Site, is_refusal};
use crate::metered::{Meter, Metered};
use crate::model::observation::{AddressAnswer, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::Hello;

impl Site {
    /// Shakes hands at every address of the name, at the same moment.
    pub(crate) async fn look_at_addresses(&self, kit: &Kit, hello: Hello) -> Sight {
        let journey = Journey::new(&kit.clock);
        if self.proxy.is_some() {
            return Sight::of(&journey, None, Ok(Reading::Addresses(Vec::new())));
        }
        let places = match kit.names.places(&self.address, kit.policy.dial_deadline, &journey).await {
            Ok(places) if places.len() > 1 => places,
            Ok(_) => return Sight::of(&journey, None, Ok(Reading::Addresses(Vec::new()))),
            Err(unseen) => return Sight::of(&journey, None, Err(unseen)),
        };
        let passport = self.identity.current().await;
        let told = join_all(places.iter().map(|place| self.knock(kit, &passport, *place, hello))).await;
        let (mut answers, proofs): (Vec<AddressAnswer>, Vec<bool>) = told.into_iter().unzip();
        if answers.iter().any(|told| told.answer.is_err()) {
            // An address that has left the name meanwhile is nobody's trouble.
            kit.names.beyond(&self.address, &places).await;
            answers.retain(|told| told.answer.is_ok() || kit.names.leads_to(&self.address, told.address));
        }
        let proves_path = proofs.contains(&true);
        Sight {
            phases: Phases::default(),
            served: None,
            greeting: None,
            proves_path,
            outcome: Ok(Reading::Addresses(answers)),
        }
    }

    /// One handshake, and whether it proves the path. The chain is not kept: the endpoint's memory is of whoever
    /// answers first.
    async fn knock(&self, kit: &Kit, passport: &Passport, place: SocketAddr, hello: Hello) -> (AddressAnswer, bool) {
        let journey = Journey::new(&kit.clock);
        let answer = match self.shake_at(kit, passport, (place, hello), &journey).await {
            Err(unseen) if is_refusal(unseen.cause) => Ok(()),
            answer => answer,
        };
        (AddressAnswer { address: place.ip(), answer }, journey.proves_path())
    }

    async fn shake_at(
        &self,
        kit: &Kit,
        passport: &Passport,
        (place, hello): (SocketAddr, Hello),
        journey: &Journey,
    ) -> Result<(), Unseen> {
        let connecting = async { TcpStream::connect(place).await.map_err(|error| fault::of_io(&error)) };
        let connected = journey.step(Phase::Dial, kit.policy.dial_deadline, connecting).await;
        if connected.is_ok() || matches!(connected, Err(Unseen { cause: Cause::Refused | Cause::Reset, .. })) {
            journey.heard_from(place.ip());
        }
        let stream: Box<dyn Wire> = Box::new(connected?);
        let recorder = kit.tls.recorder(passport.client.clone());
        let wire = Box::new(Metered::new(stream, Meter::of(handshake::OCTETS)));
        let shaking = kit.tls.shake(&recorder, (self.alpn(), hello), self.name.clone(), wire);
        let shaken = journey.step(Phase::Tls, kit.policy.tls_deadline, shaking).await?;
        // Under TLS 1.3 a refusal of our certificate arrives now; the farewell reads it, and it changes nothing.
        kit.farewell(shaken);
        Ok(())
    }
}
