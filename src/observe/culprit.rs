//! Who overloads an apiserver: the senders whose share of the seats is large, and larger than is usual for them.
//!
//! A controller that always lists has a large share on every quiet day, so a share alone blames nobody once an hour of
//! quiet dumps is known. Before that the largest shares are named, with the remark that what is usual is not known yet.

use super::seat_shares::UsualShares;
use crate::model::flow_control::{Share, Suspect, Suspicion};
use crate::model::time::Mono;

/// A sender below this part of all seats held and wanted overloads nobody alone: three such would have to act together,
/// and then all three are above it or none is the cause.
const LARGE: f64 = 0.25;

/// A share is unusual from twice what is usual, and from this much more: small shares double by chance.
const MORE: f64 = 0.15;

/// Seats held and wanted below which nothing is overloaded: a stock apiserver has 600, and the smallest level of it 13.
const BUSY: u64 = 10;

/// Culprits that are named at most: more than three large shares that are unusual do not fit into one.
const NAMED: usize = 3;

/// Reads `shares`, the largest first, against what is usual.
#[must_use]
pub fn suspicion(shares: &[Share], usual: &UsualShares, now: Mono) -> Suspicion {
    let demand: u64 = shares.iter().map(|share| share.uses.seats.saturating_add(share.uses.seats_wanted)).sum();
    if demand < BUSY {
        return Suspicion::NotVisible;
    }
    let suspects = shares.iter().map(|share| Suspect { usual: usual.usual(&share.sender, now), share: share.clone() });
    let suspects: Vec<Suspect> = suspects.collect();
    let culprits: Vec<Suspect> = suspects.iter().filter(|suspect| is_culprit(suspect)).take(NAMED).cloned().collect();
    if culprits.is_empty() {
        return Suspicion::Everybody(suspects.into_iter().take(NAMED).collect());
    }
    Suspicion::Culprits(culprits)
}

fn is_culprit(suspect: &Suspect) -> bool {
    let share = suspect.share.share;
    share >= LARGE && suspect.usual.is_none_or(|usual| share >= 2.0 * usual && share >= usual + MORE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::flow_control::{RequestKey, RequestLoad, SeatUse};
    use crate::observe::seat_shares::shares;

    fn dump(rows: &[(&str, u64)]) -> Vec<Share> {
        let mut load = RequestLoad::default();
        for (user, seats_wanted) in rows {
            let key = RequestKey {
                level: "workload-low".into(),
                flow_schema: "service-accounts".into(),
                user: (*user).into(),
                verb: "list".into(),
                what: "pods".into(),
                namespace: String::new(),
            };
            load.add(key, SeatUse { seats_wanted: *seats_wanted, ..SeatUse::default() });
        }
        shares([&load])
    }

    /// An hour of dumps like this one.
    fn used_to(rows: &[(&str, u64)]) -> (UsualShares, Mono) {
        let mut usual = UsualShares::default();
        let at = |minute: u64| Mono::ORIGIN.plus(Duration::from_secs(60 * minute));
        (0..60).for_each(|minute| usual.note(&dump(rows), at(minute)));
        (usual, at(60))
    }

    fn named(suspicion: &Suspicion) -> (&'static str, Vec<&str>) {
        let users = |suspects: &[Suspect]| -> Vec<String> {
            suspects.iter().map(|suspect| suspect.share.sender.user.clone()).collect()
        };
        let (kind, users) = match suspicion {
            Suspicion::Culprits(suspects) => ("culprits", users(suspects)),
            Suspicion::Everybody(suspects) => ("everybody", users(suspects)),
            Suspicion::NotVisible => ("not visible", Vec::new()),
        };
        (kind, users.into_iter().map(|user| &*user.leak()).collect())
    }

    #[test]
    fn who_asks_for_far_more_than_usual_is_the_culprit_and_who_always_asks_is_not() {
        let usually = [("lister", 40), ("kcm", 20), ("kubelets", 40)];
        for (now, expected) in [
            // One that was small before.
            (vec![("agent", 900), ("lister", 40), ("kcm", 20)], ("culprits", vec!["agent"])),
            // One that was not there before, while the usual lister goes on.
            (vec![("agent", 60), ("lister", 40)], ("culprits", vec!["agent"])),
            // Two at once.
            (vec![("agent", 500), ("exporter", 400), ("lister", 40)], ("culprits", vec!["agent", "exporter"])),
            // More of everything, from the usual senders in their usual shares.
            (vec![("lister", 400), ("kubelets", 400), ("kcm", 200)], ("everybody", vec!["kubelets", "lister", "kcm"])),
            // Many small ones.
            (vec![("a", 20), ("b", 20), ("c", 20), ("d", 20), ("e", 20)], ("everybody", vec!["a", "b", "c"])),
            // Next to nothing.
            (vec![("agent", 5)], ("not visible", vec![])),
        ] {
            let (usual, at) = used_to(&usually);
            assert_eq!(named(&suspicion(&dump(&now), &usual, at)), expected, "{now:?}");
        }
    }

    #[test]
    fn a_usual_big_user_that_doubles_is_a_culprit() {
        let (usual, at) = used_to(&[("lister", 40), ("others", 60)]);
        assert_eq!(named(&suspicion(&dump(&[("lister", 400), ("others", 60)]), &usual, at)).0, "culprits");
        assert_eq!(named(&suspicion(&dump(&[("lister", 60), ("others", 60)]), &usual, at)).0, "everybody");
    }

    #[test]
    fn before_an_hour_is_known_a_large_share_is_named_with_that_remark() {
        let found = suspicion(&dump(&[("lister", 90), ("kcm", 10)]), &UsualShares::default(), Mono::ORIGIN);
        let Suspicion::Culprits(culprits) = found else { panic!("{found:?}") };
        assert_eq!((culprits.len(), culprits[0].usual), (1, None));
    }
}
