//! Who is asked next for its requests while an overload is suspected: each instance at once, and again at the policy's
//! interval until the suspicion ends.
//!
//! One dump of an instance is under way at a time: `APART` is longer than one may take. A suspicion that comes and goes
//! asks no more often than one that lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::policy::Policy;
use crate::model::subject::Subject;
use crate::model::time::Mono;

/// Least time between two dumps of one instance: longer than any probe takes, and the handler holds the lock of priority
/// and fairness while it writes.
const APART: Duration = Duration::from_secs(10);

/// When each instance under suspicion is asked next.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DumpRounds {
    due: BTreeSet<(Mono, Subject)>,
    open: BTreeMap<Subject, Mono>,
    /// When each instance was last asked, by whomever.
    asked: BTreeMap<Subject, Mono>,
}

impl DumpRounds {
    /// Asks `instance` from `now` on, but not before `until`; nothing changes where that is done already.
    pub fn open(&mut self, instance: Subject, until: Option<Mono>, now: Mono) {
        if self.open.contains_key(&instance) {
            return;
        }
        let apart = self.asked.get(&instance).map(|asked| asked.plus(APART));
        let at = now.max(apart.unwrap_or(now)).max(until.unwrap_or(now));
        self.set(instance, at);
    }

    /// Notes that `instance` is asked at `now`, by the plan or here.
    pub fn note_asked(&mut self, instance: &Subject, now: Mono) {
        self.asked.insert(instance.clone(), now);
    }

    /// When the next instance is to be asked.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the next instance that is to be asked at `now`, with the time it was due; one of which nothing is
    /// suspected any more, as `is_suspected` says, is left alone.
    pub fn pop(
        &mut self,
        is_suspected: impl Fn(&Subject) -> bool,
        policy: &Policy,
        now: Mono,
    ) -> Option<(Subject, Mono)> {
        loop {
            let (at, instance) = self.due.first().filter(|(at, _)| *at <= now).cloned()?;
            self.close(&instance);
            if is_suspected(&instance) {
                self.set(instance.clone(), now.plus(policy.request_dump_interval));
                return Some((instance, at));
            }
        }
    }

    /// Drops what `is_gone`.
    pub fn drop_probes(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        self.due.retain(|(_, instance)| !is_gone(instance));
        self.open.retain(|instance, _| !is_gone(instance));
        self.asked.retain(|instance, _| !is_gone(instance));
    }

    fn set(&mut self, instance: Subject, at: Mono) {
        self.due.insert((at, instance.clone()));
        self.open.insert(instance, at);
    }

    fn close(&mut self, instance: &Subject) {
        if let Some(at) = self.open.remove(instance) {
            self.due.remove(&(at, instance.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::ORIGIN.plus(Duration::from_secs(seconds))
    }

    fn asked(rounds: &mut DumpRounds, until: u64, is_suspected: bool) -> Vec<u64> {
        let mut times = Vec::new();
        for second in 0..=until {
            while let Some((instance, _)) = rounds.pop(|_| is_suspected, &Policy::default(), at(second)) {
                rounds.note_asked(&instance, at(second));
                times.push(second);
            }
        }
        times
    }

    #[test]
    fn an_instance_is_asked_at_once_and_every_half_minute_until_the_suspicion_ends() {
        let api: Subject = "prod/apiserver/api-1".parse().unwrap();
        let mut rounds = DumpRounds::default();
        rounds.open(api.clone(), None, at(0));
        rounds.open(api, None, at(1));

        assert_eq!(asked(&mut rounds, 70, true), [0, 30, 60]);
        assert_eq!(rounds.next(), Some(at(90)));
        assert_eq!(asked(&mut rounds, 200, false), [0; 0]);
        assert_eq!(rounds.next(), None);
    }

    #[test]
    fn no_dump_follows_another_within_ten_seconds_nor_while_the_server_wants_to_be_left_alone() {
        let api: Subject = "prod/apiserver/api-1".parse().unwrap();
        for (until, expected) in [(None, 14), (Some(at(20)), 20)] {
            let mut rounds = DumpRounds::default();
            rounds.note_asked(&api, at(4));
            rounds.open(api.clone(), until, at(6));

            assert_eq!(asked(&mut rounds, 25, true), [expected]);
        }
    }
}
