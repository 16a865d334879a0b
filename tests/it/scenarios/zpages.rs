//! What the scripted apiservers tell of themselves on their z-pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vedette::model::observation::Reading;
use vedette::model::phase::{Cause, Phase, Phases, Unseen};
use vedette::model::probe::ProbeKind;
use vedette::model::subject::Subject;
use vedette::model::time::UnixTime;
use vedette::model::zpages::{Flagz, NoZpage, Statusz};

use super::world::{Doing, seconds};

/// What each instance tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Zpages {
    /// When its process started, in seconds after the others' start.
    pub(super) started: BTreeMap<Subject, u64>,
    /// Flags that are not those of all.
    pub(super) flags: BTreeMap<Subject, BTreeMap<&'static str, &'static str>>,
    /// The version of its program, where that is not 1.37.2, and the one it behaves like.
    pub(super) binary: BTreeMap<Subject, &'static str>,
    pub(super) emulated: BTreeMap<Subject, &'static str>,
    /// What comes instead of all pages.
    pub(super) instead: Option<NoZpage>,
}

impl Zpages {
    pub(super) fn answer(
        &self,
        subject: &Subject,
        kind: ProbeKind,
        doing: &Doing,
    ) -> (Duration, Phases, Result<Reading, Unseen>) {
        let quick = Duration::from_millis(5);
        let fail = |after, phase, cause| (after, Phases::default(), Err(Unseen { phase, cause }));
        if *doing == Doing::Refusing {
            return fail(Duration::from_millis(1), Phase::Dial, Cause::Refused);
        }
        if matches!(doing, Doing::Frozen | Doing::Resetting) {
            return fail(seconds(2), Phase::Tls, Cause::Timeout);
        }
        if *doing == Doing::Dark {
            return fail(seconds(1), Phase::Dial, Cause::Timeout);
        }
        let reading = match (kind, self.instead) {
            (ProbeKind::Statusz, None) => Reading::Statusz(Ok(Arc::new(self.status(subject)))),
            (ProbeKind::Statusz, Some(instead)) => Reading::Statusz(Err(instead)),
            (_, None) => Reading::Flagz(Ok(Arc::new(self.flags_of(subject)))),
            (_, Some(instead)) => Reading::Flagz(Err(instead)),
        };
        (quick, Phases { first_byte: Some(quick), ..Phases::default() }, Ok(reading))
    }

    fn status(&self, subject: &Subject) -> Statusz {
        let after = self.started.get(subject).copied().unwrap_or(0);
        Statusz {
            started: Some(UnixTime::from_secs(1_789_000_000).plus(seconds(after))),
            binary_version: Some(self.binary.get(subject).copied().unwrap_or("1.37.2").into()),
            emulation_version: Some(self.emulated.get(subject).copied().unwrap_or("1.37").into()),
        }
    }

    fn flags_of(&self, subject: &Subject) -> Flagz {
        let all = [
            ("advertise-address", subject.short()),
            ("anonymous-auth", "true"),
            ("etcd-servers", "[https://10.0.0.21:2379,https://10.0.0.22:2379,https://10.0.0.23:2379]"),
            ("goaway-chance", "0"),
            ("shutdown-delay-duration", "0s"),
        ];
        let own = self.flags.get(subject).into_iter().flatten().map(|(name, value)| (*name, *value));
        let flags: BTreeMap<&str, &str> = all.into_iter().chain(own).collect();
        Flagz::new(flags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())), 0)
    }
}
