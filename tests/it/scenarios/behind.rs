//! What a request meets behind the scripted apiservers: authorization, admission, storage and watch caches, as the
//! canaries see them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vedette::model::canary::{Canary, CanaryAnswer, CanaryResult, WebhookFault};
use vedette::model::observation::Reading;
use vedette::model::phase::{Cause, Phase, Phases, Unseen};
use vedette::model::probe::{Probe, ProbeKind};
use vedette::model::subject::Subject;

use super::world::{Doing, seconds};

/// What is behind them.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind {
    /// The webhook that cannot be called.
    pub(super) webhook: Option<(&'static str, WebhookFault)>,
    /// How long admission takes.
    pub(super) admission: Duration,
    /// Instances that cannot decrypt.
    pub(super) undecryptable: BTreeSet<Subject>,
    /// How late the cache of an instance is.
    pub(super) late_by: BTreeMap<Subject, Duration>,
    /// What the canaries get instead of anything.
    pub(super) instead: Option<CanaryResult>,
    /// The credential of the canaries is refused.
    pub(super) refuses_writer: bool,
}

/// Time that any request takes.
const QUICK: Duration = Duration::from_millis(5);

/// What the apiserver gives a request that asks for it.
const GIVES: Duration = seconds(4);

type Outcome = (Duration, Phases, Result<Reading, Unseen>);

impl Behind {
    /// The outcome of a canary sent at `at` to an instance that does this; `sent` is everything that was sent before.
    pub(super) fn answer(&self, probe: &Probe, doing: &Doing, at: Duration, sent: &[(Duration, Probe)]) -> Outcome {
        let fail = |after, phase, cause| (after, Phases::default(), Err(Unseen { phase, cause }));
        match doing {
            Doing::Refusing => return fail(Duration::from_millis(1), Phase::Dial, Cause::Refused),
            Doing::Frozen | Doing::Resetting => return fail(seconds(2), Phase::Tls, Cause::Timeout),
            Doing::Dark => return fail(seconds(1), Phase::Dial, Cause::Timeout),
            Doing::Queueing => return fail(seconds(5), Phase::FirstByte, Cause::Timeout),
            Doing::TurningAway(secs) => {
                return done(QUICK, CanaryResult::Shed { retry_after_secs: Some(*secs) });
            }
            Doing::Well
            | Doing::NotReady(_)
            | Doing::Slow(_)
            | Doing::Nameless
            | Doing::Unwelcoming
            | Doing::Wavering
            | Doing::Portal
            | Doing::HealthAlone
            | Doing::WantsLogin(_)
            | Doing::Crowded(_) => {}
        }
        if self.refuses_writer {
            return fail(QUICK, Phase::FirstByte, Cause::CredentialRejected);
        }
        if let Some(instead) = &self.instead {
            return done(QUICK, instead.clone());
        }
        let crowded = if let Doing::Crowded(by) = doing { *by } else { Duration::ZERO };
        let is_create = matches!(probe.kind, ProbeKind::CreateConfigMap | ProbeKind::CreatePod);
        let took = QUICK + crowded + if is_create { self.admission } else { Duration::ZERO };
        if took >= GIVES {
            return done(GIVES, CanaryResult::TimedOut);
        }
        done(took, self.result(probe, at, sent))
    }

    fn result(&self, probe: &Probe, at: Duration, sent: &[(Duration, Probe)]) -> CanaryResult {
        let written_until = |until: Duration| {
            let writes =
                sent.iter().filter(|(when, sent)| sent.kind == ProbeKind::LeaseWrite && *when + QUICK <= until);
            writes.map(|(when, _)| revision(*when)).max().unwrap_or(1)
        };
        match probe.kind.canary().expect("a canary") {
            Canary::Lease => CanaryResult::Done { revision: Some(revision(at)) },
            Canary::Propagation => {
                let late_by = self.late_by.get(&probe.subject).copied().unwrap_or_default();
                CanaryResult::Done { revision: Some(written_until(at.saturating_sub(late_by))) }
            }
            Canary::Create => match self.webhook {
                Some((name, fault)) => CanaryResult::Webhook { name: name.into(), fault },
                None => CanaryResult::Rejected,
            },
            Canary::Secret if self.undecryptable.contains(&probe.subject) => CanaryResult::Undecryptable,
            Canary::Secret | Canary::Authorization => CanaryResult::Done { revision: None },
        }
    }
}

/// etcd's revision counts up with every write.
fn revision(at: Duration) -> u64 {
    1_000 + u64::try_from(at.as_millis()).unwrap()
}

fn done(took: Duration, result: CanaryResult) -> Outcome {
    let said = (!result.is_answer()).then(|| format!("the server's words: {result}"));
    let phases = Phases { first_byte: Some(took), ..Phases::default() };
    (took, phases, Ok(Reading::Canary(CanaryAnswer { result, said })))
}
