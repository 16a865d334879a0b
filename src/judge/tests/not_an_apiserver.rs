//! Something else answers where an apiserver should: to its health checks (F22 to F24), or to all but those (F58).

use crate::judge::api_down::AllBad;
use crate::model::health::Foreign;
use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::{F22, F23, F24, F58};
use crate::model::verdict::Symptom;
use crate::samples::{change, finding};

use super::fixture::{
    Says, check, check_in, dead, each, foreign, foreign_version, inventory, mute, path_works, ready, together, version,
    version_status,
};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const VIP: &str = "prod/vip";
const THRICE: [u64; 3] = [0, 500, 1000];
const TURNS: [u64; 3] = [0, 10_000, 20_000];
const PAGE: Says = Says::Bad(Critical, 0);
const HELD: Says = Says::Bad(Warning, 30);

#[test]
fn a_page_of_something_else_is_no_health_whatever_its_status() {
    for (status, page) in [
        (200, Foreign::Html),
        (200, Foreign::Empty),
        (200, Foreign::Json),
        (200, Foreign::Text),
        (204, Foreign::Empty),
        (302, Foreign::Redirect),
    ] {
        let one = together(&[each(&THRICE, foreign(A1, status, page)), each(&THRICE, ready(A2))]);
        check(&one, &[(F22, A1, HELD), (F22, A2, Says::Good), (F24, "prod", Says::Good)]);

        let all = together(&[each(&THRICE, foreign(A1, status, page)), each(&THRICE, foreign(A2, status, page))]);
        check(&all, &[(F22, A1, HELD), (F22, A2, HELD), (F24, "prod", PAGE)]);

        let vip = together(&[each(&THRICE, foreign(VIP, status, page)), each(&THRICE, ready(A1))]);
        let vip = together(&[vip, each(&[1100], ready(A1))]);
        check(&vip, &[(F23, VIP, PAGE)]);

        let managed = each(&THRICE, foreign(VIP, status, page));
        check_in(inventory(0, 0), &managed, &[(F24, "prod", Says::Bad(Critical, 10))]);
    }
}

#[test]
fn one_page_is_no_finding() {
    let probes = together(&[each(&[0, 500], foreign(A1, 200, Foreign::Html)), each(&[500], ready(A2))]);

    check(&probes, &[(F22, A1, Says::Suspected), (F24, "prod", Says::Good)]);
}

#[test]
fn health_alone_is_not_enough() {
    let healthy = |subject| each(&[0, 10_000, 20_000], ready(subject));
    for (first, second, says) in [
        (version(A1), version(A2), Says::Good),
        (foreign_version(A1, 200, Foreign::Json), version(A2), HELD),
        (foreign_version(A1, 200, Foreign::Html), foreign_version(A2, 302, Foreign::Redirect), Says::Bad(Critical, 10)),
        (version_status(A1, 500), version(A2), HELD),
        (version_status(A1, 404), version_status(A2, 502), Says::Bad(Critical, 10)),
        // Other rules report shed load and refused logins.
        (version_status(A1, 429), version(A2), Says::Unclear),
        (version_status(A1, 403), version(A2), Says::Unclear),
    ] {
        let ordinary = together(&[each(&TURNS, first), each(&TURNS, second), each(&TURNS, version(VIP))]);
        let probes = together(&[healthy(A1), healthy(A2), ordinary]);
        if says == Says::Unclear {
            // Other rules have their say there.
            let view = super::fixture::view(inventory(2, 3), &probes);
            let verdicts = super::fixture::verdicts(&view, super::fixture::end(&probes));
            assert_eq!(super::fixture::said(&verdicts, F58, "prod"), says);
            continue;
        }
        check(&probes, &[(F58, "prod", says)]);
    }
}

#[test]
fn whoever_fails_its_health_checks_too_is_told_once() {
    let foreign_all = together(&[
        each(&TURNS, foreign(A1, 200, Foreign::Html)),
        each(&TURNS, foreign_version(A1, 200, Foreign::Html)),
        each(&TURNS, ready(A2)),
        each(&TURNS, version(A2)),
    ]);

    check(&foreign_all, &[(F22, A1, HELD), (F58, "prod", Says::Unclear)]);
}

#[test]
fn silence_is_not_something_else() {
    let probes = together(&[each(&[0, 1000, 3000], mute(A1)), each(&[100], path_works()), each(&[0], dead(A2))]);

    check(&probes, &[(F22, A1, HELD), (F58, "prod", Says::NeverSeen)]);
}

#[test]
fn the_words_say_who_answers_and_guess_at_no_difference() {
    for symptom in [
        Symptom::Foreign { status: 302, page: Foreign::Redirect },
        Symptom::Foreign { status: 200, page: Foreign::Html },
        Symptom::Status(503),
    ] {
        let mut found = finding(F24);
        change(&mut found, |all: &mut AllBad| all.parts.iter_mut().for_each(|(_, known)| *known = symptom.clone()));

        let cause = found.likely_cause();

        assert!(!cause.contains("different ways"), "{cause}");
        let (addresses, hosts) = (crate::samples::addresses(), crate::samples::hosts());
        let commands = found.next_commands(&crate::judge::commands::Commands::new(&addresses, &hosts));
        let commands: String = commands.into_iter().map(|command| command.line + "\n").collect();
        let is_foreign = matches!(symptom, Symptom::Foreign { .. });
        assert_eq!(found.what(&[].into()).contains("something else answers there"), is_foreign);
        assert_eq!(commands.contains("openssl s_client -connect 10.0.0.11:6443"), is_foreign, "{commands}");
    }
}
