//! Texts about what vedette itself uses of what lies in files.

use crate::judge::phrases;
use crate::model::inventory::{Own, OwnPart, Towards};

/// Whether a server would refuse us without it.
pub(super) fn proves_us(own: Option<&Own>) -> bool {
    own.is_some_and(|own| own.part != OwnPart::Authority)
}

/// What it is for, in at most `most` characters, as the rest of a headline.
pub(super) fn towards(own: &Own, most: usize) -> String {
    match &own.towards {
        Towards::Apiservers => String::new(),
        Towards::Canaries => " for canaries".to_owned(),
        Towards::Etcd(name) | Towards::Listeners(name) => {
            format!(" for {}", phrases::fit(&format!("etcd {name}"), most))
        }
        Towards::Relay => " for mail".to_owned(),
        Towards::Heartbeat => " for heartbeats".to_owned(),
    }
}

/// What happens to vedette itself.
pub(super) fn effect(own: &Own) -> String {
    match (own.part, &own.towards) {
        (OwnPart::Client | OwnPart::Token, Towards::Apiservers) => {
            "vedette can no longer authenticate to the apiservers; only unauthenticated health endpoints stay \
             visible. The cluster itself is not affected."
                .into()
        }
        (OwnPart::Client | OwnPart::Token, Towards::Canaries) => {
            "vedette's canaries can no longer authenticate: failing admission webhooks, slow authorization, stale caches \
             and Secrets that cannot be decrypted are no longer noticed. The cluster itself is not affected."
                .into()
        }
        (OwnPart::Client | OwnPart::Token, Towards::Etcd(name)) => {
            format!(
                "vedette can no longer probe etcd {name}, which serves nobody without a certificate. etcd itself \
                     is not affected."
            )
        }
        (OwnPart::Client | OwnPart::Token, Towards::Listeners(name)) => {
            format!(
                "vedette can no longer read the metrics listeners of etcd {name}, nor what only they report. etcd \
                 itself is not affected."
            )
        }
        (OwnPart::Authority, Towards::Apiservers | Towards::Canaries | Towards::Etcd(_) | Towards::Listeners(_)) => {
            "vedette can no longer verify what the servers serve, nor send them a token; nor can anybody else who \
             trusts this CA."
                .into()
        }
        (OwnPart::Authority, Towards::Relay) | (_, Towards::Relay) => {
            "vedette no longer accepts the mail relay's certificate, and its mails stay queued: nobody is \
             notified."
                .into()
        }
        (_, Towards::Heartbeat) => {
            "vedette can no longer send heartbeats, and whoever receives them raises the alarm.".into()
        }
    }
}
