//! Who explains whom, as one table; and that only related subjects count.

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::edges::{causes, explains};
use crate::judge::expiry::ServedExpiry;
use crate::model::rule::RuleId::{self, *};
use crate::model::subject::Subject;
use crate::model::verdict::{ExpiryThreshold, Finding};
use crate::samples;

/// What each rule explains when everything is about one cluster.
const TABLE: [(RuleId, &[RuleId]); 45] = [
    (F01, &[F02, F03, F05, F18, F21, F22, F24, F25, F37, F38, F49, F50, F58, F61]),
    (F02, &[F05]),
    (F03, &[F05, F22, F25, F49, F50, F58, F61]),
    (
        F04,
        &[
            F01, F02, F03, F05, F08, F09, F10, F16, F17, F18, F21, F22, F23, F24, F25, F26, F27, F28, F34, F35, F36,
            F37, F38, F39, F43, F45, F46, F49, F50, F51, F52, F53, F54, F56, F57, F58, F59, F60, F61, F62, F63, F64,
            F65,
        ],
    ),
    (F05, &[F25, F49, F50, F58]),
    (F08, &[]),
    (F09, &[F08]),
    (F10, &[F08, F09]),
    (F16, &[]),
    (F17, &[]),
    (F18, &[F21, F38, F49, F50]),
    (F21, &[]),
    (F22, &[F59]),
    (F23, &[F61]),
    (F24, &[F22, F23, F25, F37, F49, F50, F58, F59, F61]),
    (F25, &[F18, F21, F37, F38, F49, F50, F58]),
    (F26, &[]), // Explains only what is about the very endpoint that serves the certificate.
    (F27, &[]), // Explains only a login that was withheld because of it.
    (F28, &[]), // Explains only what our own credential has done once it has ended.
    (F34, &[F21, F49]),
    (F35, &[F22]),
    (F36, &[]),
    (F37, &[F61]), // And what the very instance suffers.
    (F38, &[]),
    (F39, &[]),
    (F43, &[]),
    (F45, &[]),
    (F46, &[]),
    (F49, &[]),
    (F50, &[]),
    (F51, &[]),
    (F52, &[]),
    (F53, &[]),
    (F54, &[F26]),
    (F55, &[]),
    (F56, &[]),
    (F57, &[F03, F05]),
    (F58, &[]),
    (F59, &[]),
    (F60, &[]),
    (F61, &[F22]),
    (F62, &[]),
    (F63, &[]),
    (F64, &[]),
    (F65, &[]),
];

#[test]
fn the_table_of_causes_is_this_one() {
    let found: BTreeMap<RuleId, BTreeSet<RuleId>> =
        RuleId::ALL.map(|cause| (cause, explained_by(&samples::finding(cause)))).into();

    let expected: BTreeMap<RuleId, BTreeSet<RuleId>> =
        TABLE.iter().map(|(cause, effects)| (*cause, effects.iter().copied().collect())).collect();
    assert_eq!(found, expected);
}

#[test]
fn nothing_is_explained_across_clusters_except_by_the_vantage() {
    for (cause, effects) in TABLE {
        for effect in effects.iter().map(|effect| elsewhere(samples::finding(*effect))) {
            assert_eq!(explains(&samples::finding(cause), &effect), cause == F04, "{cause} and {}", effect.rule);
        }
    }
}

#[test]
fn a_certificate_that_has_ended_explains_what_its_own_endpoint_suffers() {
    let with = |band| {
        let mut finding = samples::finding(F26);
        samples::change(&mut finding, |expiry: &mut ServedExpiry| expiry.band = band);
        finding
    };
    let there = |rule, subject| Finding { subject: samples::subject(subject), ..samples::finding(rule) };
    let own = there(F22, "prod-eu1/apiserver/api-1");

    assert!(explains(&with(ExpiryThreshold::Expired), &own));
    assert!(!explains(&with(ExpiryThreshold::Page), &own), "it still works");
    assert!(!explains(&with(ExpiryThreshold::Expired), &there(F22, "prod-eu1/apiserver/api-2")));
    assert!(!explains(&with(ExpiryThreshold::Expired), &samples::finding(F24)));
}

#[test]
fn no_finding_explains_itself() {
    for rule in RuleId::ALL {
        assert!(!explains(&samples::finding(rule), &samples::finding(rule)), "{rule}");
    }
}

#[test]
fn whatever_explains_a_finding_is_found_among_its_causes() {
    for (cause, effects) in TABLE {
        for effect in effects {
            assert!(causes(*effect).any(|(rule, _)| rule == cause), "{cause} and {effect}");
        }
    }
}

fn explained_by(cause: &Finding) -> BTreeSet<RuleId> {
    RuleId::ALL.into_iter().filter(|effect| explains(cause, &samples::finding(*effect))).collect()
}

fn elsewhere(finding: Finding) -> Finding {
    let moved = finding.subject.to_string().replace("prod-eu1", "test-eu1");
    Finding { subject: moved.parse::<Subject>().unwrap(), ..finding }
}
