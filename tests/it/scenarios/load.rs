//! Who uses the scripted apiservers, and what their dumps tell of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vedette::model::flow_control::{NoDump, PriorityLevel, PriorityLevels, RequestKey, RequestLoad, SeatUse};
use vedette::model::observation::Reading;
use vedette::model::phase::{Cause, Phase, Phases, Unseen};
use vedette::model::probe::ProbeKind;
use vedette::model::subject::Subject;

use super::world::{Doing, seconds};

/// A sender: user, resource that it lists, level, seats that it waits for.
pub(super) type Sending = (&'static str, &'static str, &'static str, u64);

/// The user that vedette is there.
pub(super) const US: &str = "vedette";

/// What the dumps tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
    pub(super) senders: Vec<Sending>,
    /// Requests that wait in a level, beside those of the senders, at one instance or at all.
    pub(super) waiting: BTreeMap<(Option<Subject>, &'static str), u32>,
    /// What comes instead of dumps.
    pub(super) instead: Option<NoDump>,
    /// vedette's requests have seats of their own, so that they do not wait with the others.
    pub(super) has_seats_of_our_own: bool,
}

impl Load {
    pub(super) fn answer(
        &self,
        subject: &Subject,
        kind: ProbeKind,
        doing: &Doing,
    ) -> (Duration, Phases, Result<Reading, Unseen>) {
        let quick = Duration::from_millis(5);
        let phases = |total: Duration| Phases { first_byte: Some(total), ..Phases::default() };
        let fail = |after, phase, cause| (after, Phases::default(), Err(Unseen { phase, cause }));
        let mut instead = self.instead;
        if *doing == Doing::Refusing {
            return fail(Duration::from_millis(1), Phase::Dial, Cause::Refused);
        }
        if matches!(doing, Doing::Frozen | Doing::Resetting) {
            return fail(seconds(2), Phase::Tls, Cause::Timeout);
        }
        if *doing == Doing::Dark {
            return fail(seconds(1), Phase::Dial, Cause::Timeout);
        }
        if *doing == Doing::Queueing && !self.has_seats_of_our_own {
            return fail(seconds(5), Phase::FirstByte, Cause::Timeout);
        }
        if let (Doing::TurningAway(secs), false) = (doing, self.has_seats_of_our_own) {
            instead = Some(NoDump::Shed { retry_after_secs: Some(*secs) });
        }
        let reading = match (kind, instead) {
            (ProbeKind::PriorityLevels, None) => Reading::PriorityLevels(Ok(Arc::new(self.levels(subject)))),
            (ProbeKind::PriorityLevels, Some(instead)) => Reading::PriorityLevels(Err(instead)),
            (_, None) => Reading::RequestDump(Ok(Arc::new(self.requests()))),
            (_, Some(instead)) => Reading::RequestDump(Err(instead)),
        };
        (quick, phases(quick), Ok(reading))
    }

    fn levels(&self, subject: &Subject) -> PriorityLevels {
        let stock = ["catch-all", "exempt", "global-default", "leader-election", "node-high", "system", "workload-low"];
        let mut levels: BTreeMap<String, PriorityLevel> =
            stock.map(|name| (name.to_owned(), PriorityLevel { dispatched: 1_000, ..PriorityLevel::default() })).into();
        let of_senders = self.senders.iter().map(|(_, _, level, seats)| (*level, u32::try_from(*seats).unwrap()));
        let others = self.waiting.iter().filter(|((at, _), _)| at.as_ref().is_none_or(|at| at == subject));
        for (level, waiting) in of_senders.chain(others.map(|((_, level), waiting)| (*level, *waiting))) {
            // A level has a hundred seats before anybody waits.
            levels.entry(level.to_owned()).or_default().waiting += waiting.saturating_sub(100);
        }
        PriorityLevels { levels, ..PriorityLevels::default() }
    }

    fn requests(&self) -> RequestLoad {
        let mut load = RequestLoad::default();
        let key = |user: &str, verb: &str, what: &str, level: &str| RequestKey {
            level: level.into(),
            flow_schema: "service-accounts".into(),
            user: user.into(),
            verb: verb.into(),
            what: what.into(),
            namespace: String::new(),
        };
        let ours = key(US, "get", "/debug/api_priority_and_fairness/dump_requests", "global-default");
        load.add(ours, SeatUse { executing: 1, seats: 1, ..SeatUse::default() });
        for (user, what, level, seats) in &self.senders {
            let waiting = u32::try_from(*seats).unwrap();
            let uses = SeatUse { waiting, seats_wanted: *seats, ..SeatUse::default() };
            load.add(key(user, "list", what, level), uses);
        }
        load
    }
}
