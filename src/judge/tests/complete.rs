//! Whatever was seen, in whatever order: a rule has a verdict for everything that it could raise, and for all that it
//! has raised.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use crate::judge::context::RuleContext;
use crate::judge::{judge, unconfigured};
use crate::model::inventory::Inventory;
use crate::model::policy::Policy;
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, FindingKey, Verdict};
use crate::observe::view::View;

use super::fixture::Member::{Apart, Full, Gone, Hung, Learner, Unwelcoming, Up};
use super::fixture::{
    MUTE, Seen, answered, at, dead, inventory, mute, not_ready, path_works, reads, ready, round, took, version,
    version_status, view,
};

/// One of the probes that a world is made of.
fn observation(n: u8) -> Option<Seen> {
    let of = ["prod/apiserver/api-1", "prod/apiserver/api-2", "prod/vip"][usize::from(n % 3)];
    match n / 3 {
        0 => ready(of),
        1 => dead(of),
        2 => mute(of),
        3 => not_ready(of, &["etcd"]),
        4 => answered(of, 401, &[]),
        5 => took(1500, ready(of)),
        6 => version(of),
        7 => version_status(of, 403),
        8 => round(&[[Up, Up, Up], [Up, Gone, Gone], [Full, Up, Up]][usize::from(n % 3)]),
        9 => round(&[[Up, Up, Apart], [Hung, Up, Unwelcoming], [Up, Up, Learner]][usize::from(n % 3)]),
        10 => reads(&[Ok(()), Ok(()), if n.is_multiple_of(2) { Err(MUTE) } else { Ok(()) }]),
        11 => path_works(),
        12 => mute("vantage/reference/relay"),
        _ => None,
    }
}

fn scope(inventory: &Inventory) -> Vec<Option<(&crate::model::subject::Name, &crate::model::inventory::Cluster)>> {
    inventory.clusters.iter().map(Some).chain([None]).collect()
}

/// What is judged, and what of it is bad; `raised` stood before.
fn judged(view: &View, raised: &[Finding], now: Now) -> (BTreeSet<FindingKey>, Vec<Finding>) {
    let inventory = Arc::clone(view.inventory());
    let (mut keys, mut bad) = (BTreeSet::new(), Vec::new());
    for cluster in scope(&inventory) {
        let is_of_scope = |finding: &&Finding| finding.subject.cluster() == cluster.map(|(name, _)| name);
        let mut raised: Vec<&Finding> = raised.iter().filter(is_of_scope).collect();
        raised.sort_by_key(|finding| finding.key());
        for (key, verdict) in judge(&RuleContext { view, cluster, now, raised: &raised }) {
            if let Verdict::Bad(finding) = verdict {
                bad.push(finding);
            }
            assert!(keys.insert(key.clone()), "{key:?} is judged twice");
        }
    }
    (keys, bad)
}

fn worlds(usually: u32) -> ProptestConfig {
    let asked = std::env::var("VEDETTE_WORLDS").ok().and_then(|asked| asked.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usually), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(worlds(200))]

    #[test]
    fn what_is_judged_depends_on_the_configuration_and_on_nothing_that_was_seen(
        apiservers in 0_u8..3,
        members in 0_u8..4,
        probes in proptest::collection::vec((1_u64..6000, 0_u8..40), 1..60),
    ) {
        let inventory = inventory(apiservers, members);
        let unseen = View::new(Arc::new(inventory.clone()), Policy::default());
        let (configured, _) = judged(&unseen, &[], at(0));
        let watched = |seen: &Option<Seen>| {
            seen.as_ref().is_none_or(|seen| inventory.watches(seen.subject()) && (members == 3 || !seen.is_round()))
        };
        let mut now = 0;
        let mut timed = Vec::new();
        for (wait, n) in probes {
            now += wait;
            timed.push((now, observation(n).filter(|seen| watched(&Some(seen.clone())))));
        }
        let mut raised: Vec<Finding> = Vec::new();
        for end in 1..=timed.len() {
            let view = view(inventory.clone(), &timed[..end]);
            let (keys, bad) = judged(&view, &raised, at(timed[end - 1].0));

            prop_assert_eq!(&keys, &configured);
            raised.retain(|old| bad.iter().all(|new| new.key() != old.key()));
            raised.extend(bad);
        }
        // After a restart nothing of it was seen, and all of it is known.
        let (keys, bad) = judged(&unseen, &raised, at(now));
        prop_assert_eq!(keys, configured);
        prop_assert!(bad.iter().all(|finding| crate::judge::rule(finding.rule).is_listed_only()));
        for cluster in scope(&inventory) {
            let name = cluster.map(|(name, _)| name);
            let mut of_scope: Vec<&Finding> =
                raised.iter().filter(|finding| finding.subject.cluster() == name).collect();
            of_scope.sort_by_key(|finding| finding.key());
            prop_assert_eq!(unconfigured(&unseen, name, &of_scope, at(now)), Vec::new());
        }
    }
}

#[test]
fn what_a_configuration_does_not_name_any_more_is_unconfigured() {
    let all = inventory(2, 3);
    let probes = super::fixture::each(&[0, 500, 1000], dead("prod/apiserver/api-1"));
    let (_, raised) = judged(&view(all, &probes), &[], at(1000));
    let about = |text: &str| -> Subject { super::fixture::of(text) };
    let f22: Vec<&Finding> = raised.iter().filter(|finding| finding.subject == about("prod/apiserver/api-1")).collect();
    assert_eq!(f22.len(), 1, "{raised:?}");
    let name = super::fixture::name("prod");
    for (apiservers, is_gone) in [(2, false), (1, true), (0, true)] {
        let without = View::new(Arc::new(inventory(apiservers, 3)), Policy::default());
        assert_eq!(unconfigured(&without, Some(&name), &f22, at(1000)).len(), usize::from(is_gone), "{apiservers}");
    }
}
