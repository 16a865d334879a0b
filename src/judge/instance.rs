//! What the texts about one bad apiserver and about all of them share.

use crate::model::phase::Cause;
use crate::model::subject::Subject;
use crate::model::verdict::Symptom;

use super::commands::{Command, Commands, Program};
use super::not_an_apiserver;

/// The likely cause of what one instance does.
pub(super) fn cause_of(symptom: &Symptom) -> &'static str {
    match symptom {
        Symptom::Silent(unseen) if unseen.cause == Cause::Refused => {
            "The host responds but nothing listens: the process ended and does not come back (crash loop, bad \
             manifest, expired certificate), or it is being restarted."
        }
        Symptom::Silent(unseen) if unseen.cause == Cause::Timeout => {
            "The host or its network is down, or the process hangs."
        }
        Symptom::Silent(unseen) if matches!(unseen.cause, Cause::TlsBroken | Cause::TlsAlert) => {
            "The TLS set-up of this instance: certificate, key, or a proxy in front."
        }
        Symptom::Silent(_) => "The process, or what is in front of it, drops connections.",
        Symptom::Status(_) => IN_FRONT,
        Symptom::Foreign { .. } => not_an_apiserver::CAUSE,
        Symptom::NotReady(_) => "The instance runs and reports itself what fails.",
    }
}

/// Something in front answers by a status of its own.
pub(super) const IN_FRONT: &str =
    "Something in front of the instance answers in its place: a load balancer or a proxy without a backend.";

/// Commands for instances that all do `symptom`.
pub(super) fn commands_for(symptom: &Symptom, instances: &[Subject], commands: &Commands<'_>) -> Vec<Command> {
    match (symptom, instances.first()) {
        (Symptom::Foreign { .. }, Some(first)) => not_an_apiserver::commands(first, commands),
        _ => instance_commands(instances, commands),
    }
}

/// Commands for the hosts of instances that are bad for what is probably one reason.
fn instance_commands(instances: &[Subject], commands: &Commands<'_>) -> Vec<Command> {
    let Some(first) = instances.first() else { return Vec::new() };
    let mut next = vec![
        commands.readyz_verbose(first),
        commands.containers_on(instances, Program::Apiserver),
        commands.logs_on(instances, Program::Apiserver),
        commands.kubelet_log(first),
    ];
    next.extend(commands.manifests(first));
    next
}
