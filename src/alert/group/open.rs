//! One open incident: its parts, its clocks, and which of its changes are to be mailed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::index::Index;
use crate::alert::relations::{Near, Relations, RuleScope};
use crate::alert::route::is_told;
use crate::model::incident::{Ending, Incident, Part, Said};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::rule::Level;
use crate::model::time::{Mono, UnixTime};
use crate::model::verdict::{Finding, FindingKey};

use super::timers::{Timer, Timers};
use super::{Notification, withheld};

/// An open incident with its clocks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) incident: Arc<Incident>,
    #[serde(skip)]
    relations: Relations,
    /// What it waits for.
    pub(super) timers: Timers,
    /// Parts that may have become worse than what was mailed about them.
    worse: BTreeSet<FindingKey>,
    /// The index of each part in the incident.
    at: BTreeMap<FindingKey, usize>,
    /// Parts by rule.
    scope: Index<RuleScope, FindingKey>,
    /// Those that are ongoing.
    ongoing: Index<RuleScope, FindingKey>,
    stands: usize,
    /// Its keys in the index.
    pub(super) filed: super::Keys,
}

impl Open {
    pub(super) fn new(incident: Incident, relations: Relations) -> Self {
        let mut open = Self {
            incident: Arc::new(incident),
            relations,
            timers: Timers::default(),
            worse: BTreeSet::new(),
            at: BTreeMap::new(),
            scope: Index::default(),
            ongoing: Index::default(),
            stands: 0,
            filed: super::Keys::default(),
        };
        let incident = Arc::clone(&open.incident);
        for (position, part) in incident.parts.iter().enumerate() {
            open.note(position, part);
        }
        open
    }

    pub(super) const fn relate(&mut self, relations: Relations) {
        self.relations = relations;
    }

    /// An incident from before a restart. What an older release wrote has no record of what was mailed about each part:
    /// what was mailed about one ongoing part counts for all.
    pub(super) fn restored(incident: Incident, relations: Relations, policy: &Policy, now: Mono) -> Self {
        let mut open = Self::new(incident, relations);
        let told = open.incident.told;
        if told.level.is_some() && open.incident.parts.iter().all(|part| part.said.level.is_none()) {
            let incident = Arc::make_mut(&mut open.incident);
            for part in &mut incident.parts {
                let level = told.level.map(|level| level.min(part.finding.level));
                let band = told.band.min(part.finding.band());
                part.said = Said { level, band, names_culprit: part.finding.evidence.names_culprit() };
            }
            let follows: Vec<bool> = open.incident.parts.iter().map(|part| open.follows(&part.finding)).collect();
            for (part, follows) in Arc::make_mut(&mut open.incident).parts.iter_mut().zip(follows) {
                part.follows = follows;
            }
        }
        if open.is_told() {
            open.timers.set(Timer::Repeat, now.plus(policy.repeat_interval));
            // The minute begins anew; if it ended before the restart, what remained was made the cause already.
            if open.has_outlived_a_cause() {
                open.timers.set(Timer::Remains, now.plus(policy.ongoing_after));
            }
            open.worse = open.incident.ongoing().map(Finding::key).filter(|key| open.is_worse(key)).collect();
            // What a silence withholds is mailed when it ends.
            if !open.worse.is_empty() && withheld::of(&open.incident).is_none() {
                open.timers.set(Timer::News, now.plus(policy.part_wait));
            }
        } else if withheld::of(&open.incident).is_none() {
            // What a silence withholds waits for its end, not for other findings.
            open.timers.set(Timer::Settle, now.plus(policy.settle));
        }
        open
    }

    pub(super) fn say(&self, reason: MessageReason) -> Notification {
        Notification { incident: self.incident.id.clone(), reason }
    }

    pub(super) fn is_told(&self) -> bool {
        self.incident.is_told()
    }

    /// An ongoing part.
    pub(super) fn part(&self, key: &FindingKey) -> Option<&Part> {
        self.at.get(key).and_then(|position| self.incident.parts.get(*position)).filter(|part| part.over.is_none())
    }

    pub(super) fn add(&mut self, finding: &Finding, now: Mono) {
        let key = finding.key();
        let follows = self.follows(finding);
        let incident = Arc::make_mut(&mut self.incident);
        match self.at.get(&key).copied() {
            Some(position) => {
                let part = &mut incident.parts[position];
                let was_over = part.over.take().is_some();
                part.finding = finding.clone();
                part.follows |= follows;
                if was_over {
                    self.ongoing.insert(&RuleScope::of(&key), &key);
                    self.stands += 1;
                }
            }
            None => {
                let part = Part { follows, ..Part::of(finding.clone()) };
                incident.parts.push(part.clone());
                let position = incident.parts.len() - 1;
                self.note(position, &part);
            }
        }
        let incident = Arc::make_mut(&mut self.incident);
        incident.level = incident.level.max(finding.level);
        incident.opened = incident.opened.min(finding.since);
        self.mark_effects(finding);
        if self.is_untold() && self.names_better(finding) {
            Arc::make_mut(&mut self.incident).headline = finding.clone();
        }
        self.wake(now);
    }

    /// The mail about its cause covers a part; its threshold counts as mailed.
    pub(super) fn cover(&mut self, key: &FindingKey) {
        if let Some(position) = self.at.get(key).copied()
            && self.is_told()
        {
            let part = &mut Arc::make_mut(&mut self.incident).parts[position];
            part.said.band = part.said.band.max(part.finding.band());
        }
    }

    pub(super) fn refresh(&mut self, finding: &Finding) {
        let key = finding.key();
        let Some(position) = self.at.get(&key).copied() else { return };
        let incident = Arc::make_mut(&mut self.incident);
        incident.parts[position].finding = finding.clone();
        if incident.headline.key() == key {
            incident.headline = finding.clone();
        }
        if incident.cause.as_ref().is_some_and(|cause| cause.key() == key) {
            incident.cause = Some(finding.clone());
        }
        incident.level = incident.level.max(finding.level);
    }

    /// Notes that the severity of a part rose, or that it passed a later threshold. A severity above all that was
    /// mailed is mailed at once; anything else waits for more, since certificates of one day end within seconds of each
    /// other.
    pub(super) fn worsen(&mut self, finding: &Finding, policy: &Policy, now: Mono) {
        self.refresh(finding);
        self.wake(now);
        let key = finding.key();
        if !self.is_told() || !self.is_worse(&key) {
            return;
        }
        let is_held_back = withheld::of(&self.incident).is_some_and(|reason| reason != MessageReason::Repeated);
        if is_held_back {
            return;
        }
        let is_loudest = Some(finding.level) > self.incident.told.level;
        let at = if is_loudest || self.names_culprit_first(&key) { now } else { now.plus(policy.part_wait) };
        self.timers.hasten(Timer::News, at);
        self.worse.insert(key);
    }

    /// A finding has recovered. Returns whether the incident is over.
    pub(super) fn recover(
        &mut self,
        key: &FindingKey,
        at: UnixTime,
        withdrawn: bool,
        policy: &Policy,
        now: Mono,
    ) -> bool {
        let Some(position) = self.at.get(key).copied().filter(|_| self.part(key).is_some()) else { return false };
        let incident = Arc::make_mut(&mut self.incident);
        incident.parts[position].over = Some(at);
        let ended = incident.parts[position].finding.clone();
        self.ongoing.remove(&RuleScope::of(key), key);
        self.stands -= 1;
        self.worse.remove(key);
        if self.stands == 0 {
            let incident = Arc::make_mut(&mut self.incident);
            let at = incident.parts.iter().filter_map(|part| part.over).max().unwrap_or(at);
            incident.over = Some(Ending { at, withdrawn });
            return true;
        }
        if self.has_outlived_its_cause() || self.leaves_mute(&ended) {
            self.timers.start(Timer::Remains, now.plus(policy.ongoing_after));
        }
        false
    }

    /// Mails that are due at `now` because of time alone.
    pub(super) fn due(&mut self, policy: &Policy, now: Mono, eases: impl Fn(&FindingKey) -> bool) -> Vec<Notification> {
        let mut said = Vec::new();
        for timer in self.timers.take_ended(now) {
            let reason = match timer {
                Timer::Settle => self.first(policy, now, &eases),
                Timer::Remains => self.remains(),
                Timer::News => self.news().filter(|_| said.is_empty()),
                Timer::Repeat => self.repeated(policy, now).filter(|_| said.is_empty()),
            };
            said.extend(reason.map(|reason| self.say(reason)));
        }
        said
    }

    /// It has settled. A warning that is recovering is not mailed.
    fn first(&mut self, policy: &Policy, now: Mono, eases: impl Fn(&FindingKey) -> bool) -> Option<MessageReason> {
        let is_easing =
            self.incident.level < Level::Critical && self.incident.ongoing().all(|finding| eases(&finding.key()));
        if !is_told(self.incident.level) || is_easing {
            return None;
        }
        self.entitle();
        self.timers.set(Timer::Repeat, now.plus(policy.repeat_interval));
        Some(MessageReason::First)
    }

    /// What its cause has left has lasted for long enough.
    fn remains(&mut self) -> Option<MessageReason> {
        if self.has_outlived_its_cause() {
            self.promote_remaining();
        }
        self.is_told().then_some(MessageReason::Remains)
    }

    /// What became worse has waited for more of it.
    fn news(&mut self) -> Option<MessageReason> {
        let worse = std::mem::take(&mut self.worse);
        if worse.iter().any(|key| self.is_graver(key)) {
            return Some(MessageReason::Escalated);
        }
        worse.iter().any(|key| self.names_culprit_first(key)).then_some(MessageReason::CulpritFound)
    }

    /// Its mail is as old as its repetition wants.
    fn repeated(&mut self, policy: &Policy, now: Mono) -> Option<MessageReason> {
        self.timers.set(Timer::Repeat, now.plus(policy.repeat_interval));
        (self.incident.level == Level::Critical && self.is_told()).then_some(MessageReason::Repeated)
    }

    /// When the next mail is due because of time alone.
    pub(super) fn next(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// A finding that was only listed so far is to be mailed.
    pub(super) fn wake(&mut self, now: Mono) {
        let is_quiet = !self.timers.runs(Timer::Settle) && withheld::of(&self.incident).is_none();
        if !self.is_told() && is_quiet && is_told(self.incident.level) {
            self.timers.set(Timer::Settle, now);
        }
    }

    /// A root cause of what was mailed.
    pub(super) fn deepen(&mut self, cause: &Finding) -> Option<Notification> {
        Arc::make_mut(&mut self.incident).cause = Some(cause.clone());
        self.timers.stop(Timer::Remains);
        self.is_told().then(|| self.say(MessageReason::CauseFound))
    }

    /// Names the thread, before the first mail, after the most severe finding that follows from no other.
    pub(super) fn entitle(&mut self) {
        let roots = self.incident.parts.iter().filter(|part| part.over.is_none() && !self.is_explained(&part.finding));
        let gravest = roots.max_by_key(|part| self.weight(&part.finding));
        let gravest = gravest.map(|part| part.finding.clone()).or_else(|| loudest(&self.incident));
        let incident = Arc::make_mut(&mut self.incident);
        incident.cause = None;
        if let Some(gravest) = gravest {
            incident.headline = gravest;
        }
    }

    /// Whether a part says what the mails about it did not: it is graver, or names who does it.
    pub(super) fn is_worse(&self, key: &FindingKey) -> bool {
        self.is_graver(key) || self.names_culprit_first(key)
    }

    /// Whether a part that was mailed says who does it, and no mail did.
    fn names_culprit_first(&self, key: &FindingKey) -> bool {
        let part = self.part(key).filter(|part| is_told(part.finding.level));
        part.is_some_and(|part| {
            part.said.level.is_some() && part.finding.evidence.names_culprit() && !part.said.names_culprit
        })
    }

    /// Whether a part is ongoing, is of a severity that is mailed, and is worse than what was mailed about it. A part
    /// that an ongoing cause explains must exceed every severity mailed, because the mail about its cause covers it.
    fn is_graver(&self, key: &FindingKey) -> bool {
        let Some(part) = self.part(key).filter(|part| is_told(part.finding.level)) else { return false };
        if part.finding.band() > part.said.band {
            return true;
        }
        match part.said.level {
            Some(level) if !self.is_explained(&part.finding) => part.finding.level > level,
            Some(_) | None => Some(part.finding.level) > self.incident.told.level,
        }
    }

    /// The cause is over and another finding is ongoing.
    pub(super) fn has_outlived_its_cause(&self) -> bool {
        self.stands > 0
            && self.part(&self.incident.root().key()).is_none()
            && self.part(&self.incident.headline.key()).is_none()
    }

    /// Whether `finding` began while a part of this incident was ongoing that explains it and is over.
    pub(super) fn is_aftermath(&self, finding: &Finding) -> bool {
        let explains = |part: &Part| {
            part.over.is_some_and(|over| finding.since <= over) && (self.relations.explains)(&part.finding, finding)
        };
        (self.relations.causes)(&finding.key()).iter().any(|near| match near {
            Near::At(key) => self.at.get(key).is_some_and(|position| explains(&self.incident.parts[*position])),
            // Such causes are few: rules of which there is one finding for a cluster.
            Near::In(scope) => self.of_scope(scope).any(explains),
        })
    }

    fn is_untold(&self) -> bool {
        !self.is_told()
            && (self.timers.runs(Timer::Settle) || withheld::of(&self.incident) == Some(MessageReason::First))
    }

    /// Whether the thread is better named after `finding`, as far as is known before it settles.
    fn names_better(&self, finding: &Finding) -> bool {
        let headline = &self.incident.headline;
        let explains = self.relations.explains;
        explains(finding, headline) || finding.level > headline.level && !explains(headline, finding)
    }

    /// Whether an ongoing part explains `finding`.
    fn is_explained(&self, finding: &Finding) -> bool {
        let explains =
            |key: &FindingKey| self.part(key).is_some_and(|part| (self.relations.explains)(&part.finding, finding));
        (self.relations.causes)(&finding.key()).iter().any(|near| match near {
            Near::At(key) => explains(key),
            Near::In(scope) => self.ongoing.of(scope).any(explains),
        })
    }

    /// Whether anything here, over or not, explains `finding`.
    fn follows(&self, finding: &Finding) -> bool {
        let explains = |part: &Part| (self.relations.explains)(&part.finding, finding);
        (self.relations.causes)(&finding.key()).iter().any(|near| match near {
            Near::At(key) => self.at.get(key).is_some_and(|position| explains(&self.incident.parts[*position])),
            Near::In(scope) => self.of_scope(scope).any(explains),
        })
    }

    /// Marks every part that `cause` explains as one that follows from another.
    fn mark_effects(&mut self, cause: &Finding) {
        if !(self.relations.is_cause)(cause) {
            return;
        }
        for key in self.effects(cause) {
            if let Some(position) = self.at.get(&key).copied() {
                Arc::make_mut(&mut self.incident).parts[position].follows = true;
            }
        }
    }

    /// Ongoing parts that `cause` explains.
    fn effects(&self, cause: &Finding) -> Vec<FindingKey> {
        let mut effects = Vec::new();
        for near in (self.relations.effects)(&cause.key()) {
            match near {
                Near::At(key) => effects.extend(self.part(&key).map(|_| key.clone())),
                Near::In(scope) => effects.extend(self.ongoing.of(&scope).cloned()),
            }
        }
        effects.retain(|key| self.part(key).is_some_and(|part| (self.relations.explains)(cause, &part.finding)));
        effects
    }

    /// Whether the end of `cause` leaves an ongoing part that was not mailed and that nothing else explains.
    fn leaves_mute(&self, cause: &Finding) -> bool {
        (self.relations.is_cause)(cause)
            && self.effects(cause).iter().filter_map(|key| self.part(key)).any(|part| self.is_mute(part))
    }

    fn is_mute(&self, part: &Part) -> bool {
        part.said.level.is_none() && is_told(part.finding.level) && !self.is_explained(&part.finding)
    }

    fn has_outlived_a_cause(&self) -> bool {
        let is_mute = |part: &Part| part.over.is_none() && self.is_mute(part);
        self.has_outlived_its_cause() || self.incident.parts.iter().any(is_mute)
    }

    /// How well a finding names a thread: the most severe first, of those one that explains others, then the earliest.
    fn weight(&self, finding: &Finding) -> (Level, bool, Reverse<UnixTime>, Reverse<FindingKey>) {
        let explains = (self.relations.is_cause)(finding) && !self.effects(finding).is_empty();
        (finding.level, explains, Reverse(finding.since), Reverse(finding.key()))
    }

    /// The cause is over and another finding is ongoing: that is now the cause.
    fn promote_remaining(&mut self) {
        let incident = Arc::make_mut(&mut self.incident);
        incident.cause = loudest(incident).or_else(|| incident.cause.clone());
    }

    fn note(&mut self, position: usize, part: &Part) {
        let key = part.finding.key();
        if part.over.is_none() {
            self.ongoing.insert(&RuleScope::of(&key), &key);
            self.stands += 1;
        }
        self.scope.insert(&RuleScope::of(&key), &key);
        self.at.insert(key, position);
    }

    /// Parts of one rule, over or not.
    fn of_scope<'a>(&'a self, scope: &RuleScope) -> impl Iterator<Item = &'a Part> {
        self.scope.of(scope).filter_map(|key| self.incident.parts.get(*self.at.get(key)?))
    }
}

fn loudest(incident: &Incident) -> Option<Finding> {
    incident.ongoing().max_by_key(|finding| finding.level).cloned()
}
