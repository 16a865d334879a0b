//! What ends a finding, rule by rule: a good probe at the very thing, and nothing that is seen of others.
//!
//! What files hold and which certificate is served has its own tables in `stored`, F04 and F55 theirs in `vantage`, F27
//! in `untrusted`, F37, F62 and F63 in `instances_alike`, F16 in the stories of clocks, F59 in `address`, F18 in `overload`, F61 in `balancer`. F56 is decided in `observe`, whose tests say what ends it, and F60 ends in the
//! stories of proxies.

use std::collections::BTreeSet;

use crate::judge::context::RuleContext;
use crate::judge::judge;
use crate::model::health::Foreign;
use crate::model::inventory::Inventory;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::RuleId::{self, *};
use crate::model::verdict::{Finding, Verdict};

use super::fixture::Member::{Corrupt, Elsewhere, Full, Gone, Hung, Learner, Stray, Unwelcoming, Up};
use super::fixture::{
    Seen, answered, at, dead, each, foreign_version, inventory, mute, name, not_ready, of, path_works, reads, ready,
    round, round_with, together, took, verdicts, version, version_status, view,
};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const VIP: &str = "prod/vip";
const ETCD: &str = "prod/etcd/main";
const MUTE: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
const DENIED: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected };

type Probes = Vec<(u64, Option<Seen>)>;

/// Probes that raise a finding, and afterwards for several readings whether they are its end.
struct Case {
    rule: RuleId,
    subject: &'static str,
    inventory: Inventory,
    raise: Probes,
    then: Vec<(Probes, bool)>,
}

const BEFORE: [u64; 3] = [0, 3000, 6000];
const AFTER: [u64; 3] = [9000, 12_000, 15_000];

fn before(seen: Option<Seen>) -> Probes {
    each(&BEFORE, seen)
}

fn after(seen: &[Option<Seen>]) -> Probes {
    together(&seen.iter().map(|seen| each(&AFTER, seen.clone())).collect::<Vec<_>>())
}

fn case(rule: RuleId, subject: &'static str, raise: &[Probes], then: Vec<(Probes, bool)>) -> Case {
    let proof = each(&[100, 3100, 6000, 9100, 12_100, 15_000], path_works());
    Case { rule, subject, inventory: inventory(2, 3), raise: together(&[raise, &[proof]].concat()), then }
}

fn etcd_cases() -> Vec<Case> {
    let quorate = || round(&[Up, Up, Up]);
    let filled = |bytes: u64| {
        round_with(&[Up, Up, Up], move |status| {
            status.db_quota_bytes = Some(2 << 30);
            status.db_size_bytes = bytes;
        })
    };
    let unreadable = || before(reads(&[Ok(()), Ok(()), Err(MUTE)]));
    vec![
        case(
            F01,
            ETCD,
            &[before(round(&[Up, Gone, Gone]))],
            vec![
                (after(&[quorate()]), true),
                (after(&[round(&[Up, Up, Gone])]), true),
                (after(&[round(&[Up, Unwelcoming, Unwelcoming])]), false),
                (after(&[ready(A1), ready(A2), ready(VIP)]), false),
            ],
        ),
        case(
            F02,
            "prod/etcd/main/etcd-3",
            &[before(round(&[Up, Up, Gone]))],
            vec![
                (after(&[quorate()]), true),
                (after(&[round(&[Up, Up, Hung])]), false),
                (after(&[round(&[Up, Up, Unwelcoming])]), false),
            ],
        ),
        case(
            F03,
            ETCD,
            &[before(round(&[Up, Up, Elsewhere]))],
            vec![
                (after(&[quorate()]), true),
                (after(&[round(&[Up, Up, Gone])]), false),
                (after(&[round(&[Up, Up, Unwelcoming])]), false),
            ],
        ),
        case(
            F03,
            ETCD,
            &[before(quorate()), unreadable()],
            vec![
                (after(&[quorate(), reads(&[Ok(()), Ok(()), Ok(())])]), true),
                // The member's reads are not asked, refused, or fail still: that it follows is not enough.
                (after(&[quorate(), reads(&[Ok(()), Ok(()), Err(DENIED)])]), false),
                (after(&[quorate(), reads(&[Ok(()), Ok(()), Err(MUTE)])]), false),
            ],
        ),
        case(
            F08,
            ETCD,
            &[before(filled(1_900 << 20))],
            vec![
                (after(&[filled(400 << 20)]), true),
                (after(&[round(&[Up, Up, Gone])]), false),
                (after(&[ready(A1), ready(A2)]), false),
            ],
        ),
        case(
            F09,
            ETCD,
            &[before(round(&[Full, Up, Up]))],
            vec![
                (after(&[quorate()]), true),
                (after(&[round(&[Gone, Gone, Up])]), false),
                (after(&[round(&[Unwelcoming, Unwelcoming, Up])]), false),
            ],
        ),
        case(
            F10,
            ETCD,
            &[before(round(&[Corrupt, Up, Up]))],
            vec![
                (after(&[quorate()]), true),
                (after(&[round(&[Gone, Gone, Up])]), false),
                (after(&[round(&[Unwelcoming, Unwelcoming, Up])]), false),
                (after(&[ready(A1), ready(A2), ready(VIP)]), false),
            ],
        ),
        case(
            F57,
            ETCD,
            &[before(round(&[Up, Up, Stray]))],
            vec![
                (after(&[quorate()]), true),
                (after(&[round(&[Up, Up, Gone])]), false),
                (after(&[round(&[Up, Up, Unwelcoming])]), false),
            ],
        ),
        Case {
            rule: F51,
            inventory: inventory(2, 4),
            ..case(
                F51,
                "prod",
                &[before(round(&[Up, Up, Up, Up]))],
                vec![
                    (after(&[round(&[Up, Up, Up, Learner])]), true),
                    (after(&[round(&[Up, Up, Gone, Learner])]), false),
                    (after(&[ready(A1), ready(A2)]), false),
                ],
            )
        },
    ]
}

fn apiserver_cases() -> Vec<Case> {
    let both = |one: Option<Seen>, other: Option<Seen>| vec![one, other];
    let slow = |subject: &str| before(took(1500, ready(subject)));
    vec![
        case(
            F22,
            A1,
            &[before(dead(A1)), before(ready(A2))],
            vec![
                (after(&both(ready(A1), ready(A2))), true),
                (after(&both(mute(A1), ready(A2))), false),
                (after(&both(not_ready(A1, &["etcd"]), ready(A2))), false),
                (after(&both(answered(A1, 401, &[]), ready(A2))), false),
                (after(&[ready(A2), ready(VIP), version(A1)]), false),
            ],
        ),
        case(
            F23,
            VIP,
            &[before(mute(VIP)), before(ready(A1)), before(ready(A2))],
            vec![
                (after(&[ready(VIP)]), true),
                (after(&[ready(A1), ready(A2), version(VIP)]), false),
                (after(&[not_ready(VIP, &["etcd"])]), false),
                (after(&[mute(VIP), dead(A1), dead(A2)]), false),
            ],
        ),
        case(
            F24,
            "prod",
            &[before(dead(A1)), before(dead(A2))],
            vec![
                (after(&[ready(A1)]), true),
                (after(&[ready(VIP), version(A1)]), false),
                (after(&both(answered(A1, 401, &[]), answered(A2, 401, &[]))), false),
                (after(&both(not_ready(A1, &["etcd"]), not_ready(A2, &["etcd"]))), false),
            ],
        ),
        case(
            F25,
            "prod",
            &[before(not_ready(A1, &["etcd"])), before(ready(A2)), before(round(&[Up, Up, Up]))],
            vec![
                (after(&both(ready(A1), ready(A2))), true),
                (after(&both(dead(A1), ready(A2))), false),
                (after(&both(not_ready(A1, &["poststarthook/x"]), ready(A2))), false),
                (after(&[ready(A2), ready(VIP), round(&[Up, Up, Up])]), false),
            ],
        ),
        case(
            F50,
            "prod",
            &[before(not_ready(A1, &["poststarthook/x"])), before(ready(A2))],
            vec![
                (after(&both(ready(A1), ready(A2))), true),
                (after(&both(dead(A1), ready(A2))), false),
                (after(&both(answered(A1, 403, &[]), ready(A2))), false),
            ],
        ),
        case(
            F49,
            "prod",
            &[slow(A1), before(ready(A2))],
            vec![
                (after(&both(ready(A1), ready(A2))), true),
                // Its own endpoint is down, refuses us, or is not asked: that another is quick says nothing.
                (after(&both(dead(A1), ready(A2))), false),
                (after(&both(mute(A1), ready(A2))), false),
                (after(&both(answered(A1, 401, &[]), ready(A2))), false),
                (after(&[ready(A2), version(A2)]), false),
                // What never was slow may be down meanwhile.
                (after(&both(ready(A1), dead(A2))), true),
            ],
        ),
        case(
            F49,
            "prod",
            &[before(took(1500, version(A1))), before(ready(A1)), before(ready(A2))],
            vec![
                (after(&[ready(A1), ready(A2), version(A1)]), true),
                // It was ordinary traffic that was slow.
                (after(&[ready(A1), ready(A2), version_status(A1, 401)]), false),
            ],
        ),
        case(
            F52,
            "prod",
            &[before(answered(A1, 401, &[])), before(ready(A2))],
            vec![
                (after(&both(ready(A1), ready(A2))), true),
                (after(&both(ready(A1), dead(A2))), true),
                (after(&both(dead(A1), ready(A2))), false),
                (after(&[ready(A2), version(A1)]), false),
            ],
        ),
        case(
            F52,
            "prod",
            &[before(version_status(A1, 401)), before(ready(A1)), before(ready(A2))],
            vec![
                (after(&[ready(A1), ready(A2), version(A1)]), true),
                // It is not ordinary traffic that is answered.
                (after(&both(ready(A1), ready(A2))), false),
                (after(&[ready(A1), ready(A2), version_status(A1, 503)]), false),
            ],
        ),
        case(
            F58,
            "prod",
            &[before(foreign_version(A1, 200, Foreign::Html)), before(ready(A1)), before(ready(A2))],
            vec![
                (after(&[ready(A1), ready(A2), version(A1)]), true),
                (after(&[ready(A1), dead(A2), version(A1)]), true),
                (after(&[ready(A1), ready(A2), version(A2), version(VIP)]), false),
                (after(&[ready(A1), ready(A2), foreign_version(A1, 302, Foreign::Redirect)]), false),
                (after(&[ready(A1), ready(A2), version_status(A1, 401)]), false),
                (after(&both(dead(A1), ready(A2))), false),
            ],
        ),
        case(
            F53,
            "prod",
            &[before(round(&[Up, Up, Gone])), before(ready(A1)), before(ready(A2))],
            // The listener that is not configured stays a gap.
            vec![(after(&[ready(A1), ready(A2), ready(VIP), round(&[Up, Up, Up])]), false)],
        ),
    ]
}

#[test]
fn only_what_it_is_about_ends_a_finding() {
    for Case { rule, subject, inventory, raise, then } in etcd_cases().into_iter().chain(apiserver_cases()) {
        let raised = raised(&inventory, &raise, rule, subject);
        for (probes, is_end) in then {
            let all = together(&[raise.clone(), probes.clone()]);
            let view = view(inventory.clone(), &all);
            let raised: Vec<&Finding> = raised.iter().collect();
            let cluster = inventory.clusters.get_key_value(&name("prod"));
            let verdicts = judge(&RuleContext { view: &view, cluster, now: at(15_000), raised: &raised });

            let verdict = verdicts.iter().find(|(key, _)| key.rule == rule && key.subject == of(subject));
            let is_good = matches!(verdict, Some((_, Verdict::Good { .. })));
            assert_eq!(is_good, is_end, "{rule} of {subject} by {:?}: {verdict:?}", &probes[..probes.len() / 3]);
        }
    }
}

#[test]
fn every_rule_has_its_readings_in_a_table() {
    let mut tabled: BTreeSet<RuleId> = [
        F04, F05, F16, F17, F18, F21, F26, F27, F28, F34, F35, F36, F37, F38, F39, F43, F45, F46, F54, F55, F56, F59,
        F60, F61, F62, F63, F64, F65,
    ]
    .into();
    tabled.extend(etcd_cases().iter().chain(&apiserver_cases()).map(|case| case.rule));

    assert_eq!(tabled, RuleId::ALL.into());
}

/// Everything that these probes raise, the one in question among it.
fn raised(inventory: &Inventory, probes: &Probes, rule: RuleId, subject: &str) -> Vec<Finding> {
    let found = verdicts(&view(inventory.clone(), probes), at(6000));
    let bad = found.into_iter().filter_map(|(_, verdict)| match verdict {
        Verdict::Bad(finding) => Some(finding),
        Verdict::Good { .. } | Verdict::Unknown(_) => None,
    });
    let mut raised: Vec<Finding> = bad.filter(|finding| finding.subject.cluster().is_some()).collect();
    raised.sort_by_key(Finding::key);
    assert!(
        raised.iter().any(|finding| finding.rule == rule && finding.subject == of(subject)),
        "{rule} of {subject} is not raised: {raised:?}"
    );
    raised
}
