//! What the apiservers of one cluster tell of themselves on their z-pages: the restarts of each, and the flags in which
//! they differ.
//!
//! A start time is the server's own and stays the same while the process lives, so that each change of it is a restart,
//! however short it was and whether or not a probe noticed. Restarts between two readings count once. Survives no restart
//! of ours.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::flag_differences::{FlagDifference, ZpageFacts, differences};
use crate::model::phase::Unseen;
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::zpages::{Flagz, NoZpage, Statusz, minor};

/// Start times so close are of one process: servers before 1.36 worked theirs out from the uptime of the host, whose
/// fraction of a second moves.
const SAME: Duration = Duration::from_secs(2);

/// Restarts kept: four are critical, and more make no difference.
const KEPT: usize = 32;

/// The z-pages of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Zpages {
    instances: BTreeMap<Subject, Instance>,
}

/// What one instance told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Instance {
    status: Option<(Now, Arc<Statusz>)>,
    flags: Option<(Now, Arc<Flagz>)>,
    /// Start of the process that told the flags.
    flags_of: Option<UnixTime>,
    /// Start of the process that was asked for them, and told them or refused.
    #[serde(default)]
    asked_of: Option<UnixTime>,
    /// How the latest question ended without a page, by what was asked.
    no_status: Option<NoAnswer>,
    no_flags: Option<NoAnswer>,
    /// When it first told the start of its process.
    told_since: Option<Mono>,
    restarts: VecDeque<Restart>,
}

/// A process that took the place of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Scheduled start of the first probe that saw it.
    pub seen: Now,
    /// Its start, by the server's clock.
    pub started: UnixTime,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoAnswer {
    /// Something else came.
    Instead(NoZpage),
    /// Nothing came.
    Unseen(Unseen),
}

impl Instance {
    /// The latest status.
    #[must_use]
    pub const fn status(&self) -> Option<&(Now, Arc<Statusz>)> {
        self.status.as_ref()
    }

    /// The latest flags.
    #[must_use]
    pub const fn flags(&self) -> Option<&(Now, Arc<Flagz>)> {
        self.flags.as_ref()
    }

    /// Whether a right to ask is missing.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        [self.no_status, self.no_flags].contains(&Some(NoAnswer::Instead(NoZpage::Forbidden)))
    }

    /// Whether it has no such page.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        [self.no_status, self.no_flags].contains(&Some(NoAnswer::Instead(NoZpage::Missing)))
    }

    /// Whether its flags are of a process that is not there any more.
    #[must_use]
    pub fn is_of_former_process(&self) -> bool {
        self.started().is_some_and(|started| self.flags_of.is_none_or(|flags_of| !is_same(flags_of, started)))
    }

    /// Whether it gives all its pages.
    #[must_use]
    pub const fn tells_all(&self) -> bool {
        self.status.is_some() && self.flags.is_some() && self.no_status.is_none() && self.no_flags.is_none()
    }

    /// Its restarts within `window` before `now`, oldest first.
    pub fn restarts(&self, now: Mono, window: Duration) -> impl Iterator<Item = &Restart> {
        self.restarts.iter().filter(move |restart| now.since(restart.seen.mono) <= window)
    }

    /// Whether the readings reach back over all of `window`, so that no restart is none and not unknown.
    #[must_use]
    pub fn covers(&self, now: Mono, window: Duration) -> bool {
        self.told_since.is_some_and(|since| now.since(since) >= window)
    }

    /// Takes what it told at `at`. Returns whether its flags are to be asked for: the process is another one than that
    /// which told them.
    fn take_status(&mut self, at: Now, status: &Arc<Statusz>) -> bool {
        self.no_status = None;
        if let Some(started) = status.started {
            if self.started().is_some_and(|before| !is_same(before, started)) {
                self.restarts.push_back(Restart { seen: at, started });
                if self.restarts.len() > KEPT {
                    self.restarts.pop_front();
                }
            }
            self.told_since.get_or_insert(at.mono);
        }
        self.status = Some((at, Arc::clone(status)));
        status.started.is_some_and(|started| self.asked_of.is_none_or(|asked_of| !is_same(asked_of, started)))
    }

    fn started(&self) -> Option<UnixTime> {
        self.status.as_ref().and_then(|(_, status)| status.started)
    }

    fn take_flags(&mut self, at: Now, flags: &Arc<Flagz>) {
        self.no_flags = None;
        self.flags = Some((at, Arc::clone(flags)));
        self.flags_of = self.started();
    }
}

fn is_same(one: UnixTime, other: UnixTime) -> bool {
    one.since(other).max(other.since(one)) <= SAME
}

impl Zpages {
    /// One instance; `None` before its first answer.
    #[must_use]
    pub fn instance(&self, instance: &Subject) -> Option<&Instance> {
        self.instances.get(instance)
    }

    /// What came of a question for the status of `instance`. Returns whether its flags are to be asked for.
    pub fn take_status(&mut self, instance: &Subject, at: Now, came: Result<&Arc<Statusz>, NoAnswer>) -> bool {
        let known = self.instances.entry(instance.clone()).or_default();
        if known.status.as_ref().is_some_and(|(latest, _)| latest.mono > at.mono) {
            return false;
        }
        match came {
            Ok(status) => known.take_status(at, status),
            Err(instead) => {
                known.no_status = Some(instead);
                false
            }
        }
    }

    /// What came of a question for the flags of `instance`.
    pub fn take_flags(&mut self, instance: &Subject, at: Now, came: Result<&Arc<Flagz>, NoAnswer>) {
        let known = self.instances.entry(instance.clone()).or_default();
        if known.flags.as_ref().is_some_and(|(latest, _)| latest.mono > at.mono) {
            return;
        }
        // A server that refuses them is not asked again before the plan does, or another process.
        if !matches!(came, Err(NoAnswer::Unseen(_))) {
            known.asked_of = known.started();
        }
        match came {
            Ok(flags) => known.take_flags(at, flags),
            Err(instead) => known.no_flags = Some(instead),
        }
    }

    /// In what `instances` differ, by the latest that each told.
    #[must_use]
    pub fn facts(&self, instances: &[Subject]) -> ZpageFacts {
        let known: Vec<(&Subject, &Instance, &Flagz)> = instances
            .iter()
            .filter_map(|instance| {
                let known = self.instances.get(instance)?;
                Some((instance, known, &*known.flags.as_ref()?.1))
            })
            .collect();
        let version = |known: &Instance| minor(known.status.as_ref()?.1.binary_version.as_deref()?);
        let mut versions = known.iter().map(|(_, known, _)| version(known));
        let first = versions.next().flatten();
        if first.is_none() || versions.any(|version| version != first) {
            return ZpageFacts::default();
        }
        let told: Vec<(&Subject, &Flagz)> = known.iter().map(|(instance, _, flags)| (*instance, *flags)).collect();
        let differences: Vec<FlagDifference> = differences(&told);
        ZpageFacts { differences, compared: told.into_iter().map(|(instance, _)| instance.clone()).collect() }
    }

    /// Forgets the instances of which `is_known` does not say so.
    pub fn retain(&mut self, is_known: impl Fn(&Subject) -> bool) {
        self.instances.retain(|instance, _| is_known(instance));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(900);

    fn after(seconds: u64) -> Now {
        let start = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono(Duration::from_secs(1_000)) };
        start.plus(Duration::from_secs(seconds))
    }

    fn api(n: u8) -> Subject {
        format!("prod/apiserver/api-{n}").parse().unwrap()
    }

    fn status(started: i64, version: &str) -> Arc<Statusz> {
        Arc::new(Statusz {
            started: Some(UnixTime::from_secs(started)),
            binary_version: Some(version.to_owned()),
            emulation_version: None,
        })
    }

    fn flags(value: &str) -> Arc<Flagz> {
        Arc::new(Flagz::new([("anonymous-auth".to_owned(), value.to_owned())], 0))
    }

    #[test]
    fn each_other_start_time_is_one_restart_and_is_forgotten_after_the_window() {
        let mut zpages = Zpages::default();
        for (at, started) in [(0, 7), (60, 8), (120, 130), (180, 130), (240, 230), (230, 7)] {
            zpages.take_status(&api(1), after(at), Ok(&status(started, "1.37.2")));
        }

        let known = zpages.instance(&api(1)).unwrap();
        let seen = |now| known.restarts(after(now).mono, WINDOW).map(|one| one.seen).collect::<Vec<_>>();
        assert_eq!(seen(240), [after(120), after(240)]);
        assert_eq!(seen(1_100), [after(240)]);
        assert!(!known.covers(after(899).mono, WINDOW) && known.covers(after(900).mono, WINDOW));
    }

    #[test]
    fn restarts_are_bounded() {
        let mut zpages = Zpages::default();
        for n in 0..200 {
            zpages.take_status(&api(1), after(n), Ok(&status(i64::try_from(10 * n).unwrap(), "1.37.2")));
        }

        assert_eq!(zpages.instance(&api(1)).unwrap().restarts(after(200).mono, WINDOW).count(), KEPT);
    }

    #[test]
    fn flags_are_asked_for_once_for_each_process() {
        let mut zpages = Zpages::default();
        assert!(zpages.take_status(&api(1), after(0), Ok(&status(7, "1.37.2"))));
        zpages.take_flags(&api(1), after(1), Ok(&flags("true")));
        assert!(!zpages.take_status(&api(1), after(60), Ok(&status(7, "1.37.2"))));
        assert!(!zpages.take_status(&api(1), after(120), Err(NoAnswer::Instead(NoZpage::Shed))));
        assert!(zpages.take_status(&api(1), after(180), Ok(&status(170, "1.37.2"))));
        assert!(zpages.take_status(&api(1), after(240), Ok(&status(170, "1.37.2"))), "nothing came");
        zpages.take_flags(&api(1), after(241), Err(NoAnswer::Instead(NoZpage::Forbidden)));
        assert!(!zpages.take_status(&api(1), after(300), Ok(&status(170, "1.37.2"))), "it refuses");
        assert!(zpages.instance(&api(1)).unwrap().is_of_former_process());
    }

    #[test]
    fn flags_of_several_minors_are_not_compared() {
        for (versions, differs, compared) in [
            (["1.37.2", "1.37.2"], true, 2),
            (["1.37.2", "1.37.0"], true, 2),
            (["1.37.2", "1.36.4"], false, 0),
            (["1.37.2", "soon"], false, 0),
            (["soon", "soon"], false, 0),
        ] {
            let mut zpages = Zpages::default();
            for (n, version, value) in [(1, versions[0], "true"), (2, versions[1], "false")] {
                zpages.take_status(&api(n), after(0), Ok(&status(7, version)));
                zpages.take_flags(&api(n), after(1), Ok(&flags(value)));
            }

            let facts = zpages.facts(&[api(1), api(2), api(3)]);

            assert_eq!((!facts.differences.is_empty(), facts.compared.len()), (differs, compared), "{versions:?}");
        }
    }

    #[test]
    fn a_right_that_is_missing_a_page_that_is_and_one_that_came_are_told_apart() {
        for (came, forbidden, missing) in
            [(NoZpage::Forbidden, true, false), (NoZpage::Missing, false, true), (NoZpage::Shed, false, false)]
        {
            let mut zpages = Zpages::default();
            zpages.take_status(&api(1), after(0), Ok(&status(7, "1.37.2")));
            zpages.take_flags(&api(1), after(1), Err(NoAnswer::Instead(came)));
            let known = zpages.instance(&api(1)).unwrap();
            assert_eq!((known.is_forbidden(), known.is_missing(), known.tells_all()), (forbidden, missing, false));

            zpages.take_flags(&api(1), after(2), Ok(&flags("true")));
            let known = zpages.instance(&api(1)).unwrap();
            assert_eq!((known.is_forbidden(), known.is_missing(), known.tells_all()), (false, false, true));
        }
    }
}
