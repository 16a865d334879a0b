//! A refused credential: a matter of F52 alone.

use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::Level::Warning;
use crate::model::rule::RuleId::{F22, F23, F24, F25, F49, F50, F52};

use super::fixture::{Says, Seen, answered, check, each, mute, path_works, ready, together, unseen};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const VIP: &str = "prod/vip";
const REFUSED: Says = Says::Bad(Warning, 30);

fn refusals(subject: &str) -> [Option<Seen>; 5] {
    let refused = |phase, cause| unseen(subject, Unseen { phase, cause });
    [
        answered(subject, 401, &[]),
        answered(subject, 403, &[]),
        refused(Phase::FirstByte, Cause::CredentialRejected),
        refused(Phase::Tls, Cause::ClientCertificateRejected),
        refused(Phase::Dial, Cause::OwnCredential),
    ]
}

#[test]
fn probes_that_are_refused_for_our_credential_tell_no_other_rule_anything() {
    for ((first, second), vip) in refusals(A1).into_iter().zip(refusals(A2)).zip(refusals(VIP)) {
        let times = [0, 500, 1000];
        let probes = together(&[each(&times, first), each(&times, second), each(&times, vip)]);
        let others = [(F22, A1), (F23, VIP), (F24, "prod"), (F25, "prod"), (F49, "prod"), (F50, "prod")];
        let mut expected: Vec<_> = others.map(|(rule, subject)| (rule, subject, Says::Unclear)).into();
        expected.push((F52, "prod", REFUSED));

        check(&probes, &expected);
    }
}

#[test]
fn three_refusals_in_a_row_are_needed() {
    let refused = |times: &[u64]| each(times, answered(A1, 403, &[]));

    check(&refused(&[0, 3000]), &[(F52, "prod", Says::Suspected)]);
    check(&refused(&[0, 3000, 6000]), &[(F52, "prod", REFUSED)]);
    let interrupted = together(&[refused(&[0, 3000, 9000]), each(&[6000], ready(A1))]);
    check(&interrupted, &[(F52, "prod", Says::Suspected)]);
}

#[test]
fn the_all_clear_needs_a_fresh_welcome_of_every_instance() {
    let refused = each(&[0, 3000, 6000], answered(A1, 403, &[]));
    for (then, says) in [
        (vec![(9000, ready(A1)), (9000, ready(A2))], Says::Good),
        (vec![(9000, ready(A1)), (9000, ready(A2)), (90_000, None)], Says::Unclear),
        (vec![(9000, ready(A1))], Says::Unclear),
        // It went down instead.
        (vec![(9000, mute(A1)), (9000, ready(A2))], Says::Unclear),
    ] {
        check(&together(&[refused.clone(), then]), &[(F52, "prod", says)]);
    }
}

#[test]
fn silence_is_no_refusal_and_a_refusal_is_no_silence() {
    let probes = together(&[each(&[0, 1000, 3000], mute(A1)), each(&[100], path_works())]);

    check(&probes, &[(F22, A1, Says::Bad(Warning, 30)), (F52, "prod", Says::Unclear)]);
}
