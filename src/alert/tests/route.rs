//! Who hears of what.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::alert::route::{Recipients, Route, Routing, Subscribers, is_told, route};
use crate::model::incident::Incident;
use crate::model::outlet::Outlet;
use crate::model::reason::MessageReason;
use crate::model::rule::{Level, RuleId};
use crate::model::silence::Silence;
use crate::model::time::UnixTime;
use crate::model::verdict::Finding;
use crate::samples;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

const REASONS: [MessageReason; 8] = [
    MessageReason::First,
    MessageReason::Escalated,
    MessageReason::CauseFound,
    MessageReason::Repeated,
    MessageReason::Remains,
    MessageReason::Resolved,
    MessageReason::HappenedWhileMute,
    MessageReason::Drill,
];

fn people(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("{name}@example.org")).collect()
}

fn mail_to(names: &[&str]) -> Routing {
    Routing::with([(Outlet::Mail, Subscribers { least: Level::Warning, recipients: people(names) })])
}

fn incident(rule: RuleId, level: Level) -> Incident {
    let mut incident = samples::incident(rule);
    incident.level = level;
    incident
}

/// A silence of the cluster of `incident`, or of another one.
fn silence(incident: &Incident, same: bool, include_outages: bool, left: i64) -> Silence {
    let other = "another".parse().unwrap();
    let until = UnixTime::from_millis(NOW.as_millis() + left * 1000);
    Silence {
        cluster: incident.cluster.clone().filter(|_| same).unwrap_or(other),
        since: NOW.minus(Duration::from_secs(60)),
        until,
        comment: "etcd is defragmented".into(),
        author: "anna (uid 1000)".into(),
        include_outages,
    }
}

fn is_f24(finding: &Finding) -> bool {
    finding.rule == RuleId::F24
}

#[test]
fn whatever_is_past_its_hold_and_not_silenced_reaches_somebody() {
    let everybody = Recipients::from([(Outlet::Mail, people(&["ops", "boss"]))]);
    for (rule, level, reason) in RuleId::ALL
        .into_iter()
        .flat_map(|rule| [Level::Warning, Level::Critical].map(|level| (rule, level)))
        .flat_map(|(rule, level)| REASONS.map(|reason| (rule, level, reason)))
    {
        let incident = incident(rule, level);
        let others = [silence(&incident, false, true, 600), silence(&incident, true, true, 0)];
        for silence in [None].into_iter().chain(others.iter().map(Some)) {
            let route = route(&incident, reason, silence, is_f24, &mail_to(&["ops", "boss"]), NOW);

            assert_eq!(route, Route::To(everybody.clone()), "{rule} {level:?} {reason:?} {silence:?}");
        }
    }
}

#[test]
fn a_silence_withholds_neither_an_end_nor_an_outage_that_it_does_not_include() {
    for (rule, includes, reason, is_withheld) in [
        (RuleId::F22, false, MessageReason::First, true),
        (RuleId::F22, false, MessageReason::Repeated, true),
        (RuleId::F22, true, MessageReason::Remains, true),
        (RuleId::F22, true, MessageReason::Resolved, false),
        (RuleId::F22, true, MessageReason::HappenedWhileMute, false),
        (RuleId::F24, false, MessageReason::First, false),
        (RuleId::F24, true, MessageReason::First, true),
        (RuleId::F24, true, MessageReason::Resolved, false),
    ] {
        let incident = incident(rule, Level::Critical);
        let silence = silence(&incident, true, includes, 600);

        let route = route(&incident, reason, Some(&silence), is_f24, &mail_to(&["ops"]), NOW);

        assert_eq!(route == Route::Withheld, is_withheld, "{rule} {includes} {reason:?}: {route:?}");
    }
}

#[test]
fn what_is_only_listed_or_has_no_outlet_reaches_nobody() {
    let info = incident(RuleId::F51, Level::Info);
    let critical = incident(RuleId::F24, Level::Critical);
    for (incident, routing) in [(&info, mail_to(&["ops"])), (&critical, Routing::default()), (&critical, mail_to(&[]))]
    {
        let silence = silence(incident, true, true, 600);
        for silence in [None, Some(&silence)] {
            assert_eq!(route(incident, MessageReason::First, silence, is_f24, &routing, NOW), Route::Listed);
        }
    }
    assert!(!is_told(Level::Info) && is_told(Level::Warning) && is_told(Level::Critical));
}

proptest! {
    /// The decision depends on its arguments alone, never tells more people than are configured, and one more recipient
    /// takes it from nobody.
    #[test]
    fn the_same_inputs_reach_the_same_people_and_one_more_recipient_takes_it_from_nobody(
        rule in proptest::sample::select(RuleId::ALL.to_vec()),
        level in proptest::sample::select(vec![Level::Info, Level::Warning, Level::Critical]),
        reason in proptest::sample::select(REASONS.to_vec()),
        silenced in proptest::option::of((any::<bool>(), any::<bool>(), -100_i64..100)),
        names in proptest::collection::btree_set("[a-d]", 0..4),
    ) {
        let incident = incident(rule, level);
        let silence = silenced.map(|(same, outages, left)| silence(&incident, same, outages, left));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let decide = |names: &[&str]| route(&incident, reason, silence.as_ref(), is_f24, &mail_to(names), NOW);

        let decided = decide(&names);

        prop_assert_eq!(&decided, &decide(&names));
        let more: Vec<&str> = names.iter().copied().chain(["zoe"]).collect();
        if let Route::To(recipients) = decided {
            prop_assert_eq!(&recipients[&Outlet::Mail], &people(&names));
            let Route::To(wider) = decide(&more) else { panic!("one more recipient, and nobody hears of it") };
            prop_assert!(recipients[&Outlet::Mail].is_subset(&wider[&Outlet::Mail]));
        }
    }
}
