//! Who holds an apiserver's seats and who waits for them: shares of users, and what is usual for each of them.
//!
//! What a client asks for is the seats that it holds and those that it waits for: in a storm most of it waits. The
//! exempt level takes no seats from anybody and is left out. Usual shares come from dumps at times when nothing was
//! wrong; a controller that always lists is told from one that began to by them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::flow_control::{RequestKey, RequestLoad, SeatUse, Sender, Share};
use crate::model::time::Mono;

/// The level whose requests take no seats from others.
const EXEMPT: &str = "exempt";

/// A share is usual when it was seen in this time.
const USUAL_WITHIN: Duration = Duration::from_secs(3600);

/// From then on what is usual is known: dumps are a minute apart, so the first of an hour may be younger than that.
const KNOWN_AFTER: Duration = Duration::from_secs(3480);

/// Senders whose shares are remembered; a storm has few of them, a quiet hour some dozens.
const REMEMBERED: usize = 256;

/// The shares of all senders in the dumps of one moment, the largest first.
#[must_use]
pub fn shares<'a>(loads: impl IntoIterator<Item = &'a RequestLoad>) -> Vec<Share> {
    let mut total = 0;
    let mut senders: BTreeMap<Sender, (SeatUse, BTreeMap<&RequestKey, u64>)> = BTreeMap::new();
    for load in loads {
        total += demand(&load.others);
        for (key, uses) in load.groups.iter().filter(|(key, _)| key.level != EXEMPT) {
            total += demand(uses);
            let (sum, parts) = senders.entry(sender(key)).or_default();
            sum.add(*uses);
            *parts.entry(key).or_default() += demand(uses);
        }
    }
    let mut shares: Vec<Share> = senders
        .into_iter()
        .filter_map(|(sender, (uses, parts))| {
            let (largest, _) = parts.into_iter().max_by_key(|(_, seats)| *seats)?;
            Some(Share {
                share: ratio(demand(&uses), total),
                sender,
                uses,
                flow_schema: (largest.flow_schema.clone(), largest.level.clone()),
                namespace: largest.namespace.clone(),
            })
        })
        .collect();
    shares.sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.sender.cmp(&other.sender)));
    shares
}

/// What is usual for whom. Holds an hour.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UsualShares {
    /// When dumps were read.
    read: VecDeque<Mono>,
    /// The shares in them, by sender.
    seen: BTreeMap<Sender, VecDeque<(Mono, f64)>>,
}

impl UsualShares {
    /// Notes the shares of a moment when nothing was wrong.
    pub fn note(&mut self, shares: &[Share], at: Mono) {
        self.forget_before(at.minus(USUAL_WITHIN));
        self.read.push_back(at);
        for share in shares {
            if self.seen.len() >= REMEMBERED && !self.seen.contains_key(&share.sender) {
                continue;
            }
            self.seen.entry(share.sender.clone()).or_default().push_back((at, share.share));
        }
    }

    /// Takes back what was noted from `since` on: an overload grows before anybody notices it, and what made it must not
    /// become usual.
    pub fn retract(&mut self, since: Mono) {
        while self.read.back().is_some_and(|at| *at >= since) {
            self.read.pop_back();
        }
        self.seen.retain(|_, shares| {
            while shares.back().is_some_and(|(at, _)| *at >= since) {
                shares.pop_back();
            }
            !shares.is_empty()
        });
    }

    /// When shares were last noted.
    #[must_use]
    pub fn latest(&self) -> Option<Mono> {
        self.read.back().copied()
    }

    /// Whether an hour of them is known.
    #[must_use]
    pub fn are_known(&self, now: Mono) -> bool {
        self.read.front().is_some_and(|first| now.since(*first) >= KNOWN_AFTER)
    }

    /// The largest share that `sender` had in the last hour; `None` until an hour was seen. A sender that was not seen in
    /// it has none.
    #[must_use]
    pub fn usual(&self, sender: &Sender, now: Mono) -> Option<f64> {
        if !self.are_known(now) {
            return None;
        }
        let shares = self.seen.get(sender).into_iter().flatten().map(|(_, share)| *share);
        Some(shares.fold(0.0, f64::max))
    }

    fn forget_before(&mut self, before: Mono) {
        while self.read.front().is_some_and(|at| *at < before) {
            self.read.pop_front();
        }
        self.seen.retain(|_, shares| {
            while shares.front().is_some_and(|(at, _)| *at < before) {
                shares.pop_front();
            }
            !shares.is_empty()
        });
    }
}

fn sender(key: &RequestKey) -> Sender {
    Sender { user: key.user.clone(), verb: key.verb.clone(), what: key.what.clone() }
}

const fn demand(uses: &SeatUse) -> u64 {
    uses.seats.saturating_add(uses.seats_wanted)
}

#[expect(clippy::cast_precision_loss, reason = "seats of one cluster are some thousands")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rows: &[(&str, &str, &str, &str, u64, u64)]) -> RequestLoad {
        let mut load = RequestLoad::default();
        for (level, user, verb, what, seats, seats_wanted) in rows {
            let key = RequestKey {
                level: (*level).into(),
                flow_schema: format!("{level}-schema"),
                user: (*user).into(),
                verb: (*verb).into(),
                what: (*what).into(),
                namespace: String::new(),
            };
            load.add(key, SeatUse { seats: *seats, seats_wanted: *seats_wanted, ..SeatUse::default() });
        }
        load
    }

    fn at(minutes: u64) -> Mono {
        Mono::ORIGIN.plus(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn a_share_is_of_seats_held_and_wanted_over_all_instances_without_the_exempt_ones() {
        let one = load(&[("low", "agent", "list", "pods", 10, 70), ("exempt", "admin", "get", "/readyz", 900, 0)]);
        let other = load(&[("low", "agent", "list", "pods", 0, 10), ("high", "kcm", "update", "leases", 10, 0)]);
        let shares = shares([&one, &other]);

        let told: Vec<(&str, f64)> = shares.iter().map(|share| (share.sender.user.as_str(), share.share)).collect();
        assert_eq!(told, [("agent", 0.9), ("kcm", 0.1)]);
        assert_eq!(shares[0].flow_schema, ("low-schema".to_owned(), "low".to_owned()));
        assert_eq!((shares[0].uses.seats, shares[0].uses.seats_wanted), (10, 80));
    }

    #[test]
    fn nobody_has_a_share_of_nothing() {
        assert!(shares([&RequestLoad::default()]).is_empty());
        assert_eq!(shares([&load(&[("low", "agent", "get", "pods", 0, 0)])])[0].share.to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn what_is_usual_is_unknown_for_an_hour_and_then_the_most_that_was_seen_in_it() {
        let mut usual = UsualShares::default();
        let lister = shares([&load(&[("low", "lister", "list", "pods", 3, 0), ("low", "kcm", "get", "leases", 1, 0)])]);
        let quiet = shares([&load(&[("low", "kcm", "get", "leases", 1, 0)])]);
        let sender = lister[0].sender.clone();
        let stranger = Sender { user: "stranger".into(), ..sender.clone() };
        for minute in 0..58 {
            assert_eq!(usual.usual(&sender, at(minute)), None);
            usual.note(if minute == 30 { &lister } else { &quiet }, at(minute));
        }
        (58..60).for_each(|minute| usual.note(&quiet, at(minute)));
        assert_eq!(usual.usual(&sender, at(60)), Some(0.75));
        assert_eq!(usual.usual(&stranger, at(60)), Some(0.0));

        for minute in 60..120 {
            usual.note(&quiet, at(minute));
        }
        assert_eq!(usual.usual(&sender, at(120)), Some(0.0), "more than an hour ago");
    }

    #[test]
    fn senders_are_remembered_within_a_bound() {
        let mut usual = UsualShares::default();
        for n in 0..2 * REMEMBERED {
            let user = format!("user-{n}");
            usual.note(&shares([&load(&[("low", &user, "list", "pods", 1, 0)])]), at(1));
        }
        assert_eq!(usual.seen.len(), REMEMBERED);
    }
}
