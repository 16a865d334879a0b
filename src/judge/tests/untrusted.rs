//! F27: chains that the configured CA does not verify, and what F52 makes of a login that is withheld for it.

use std::sync::Arc;

use crate::judge::context::RuleContext;
use crate::judge::credential_rejected::RefusedCredential;
use crate::judge::edges::explains;
use crate::judge::judge;
use crate::judge::untrusted::UntrustedChains;
use crate::model::certificate::{Certificate, Fingerprint, Served, Trust};
use crate::model::inventory::Inventory;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::Level::Warning;
use crate::model::rule::RuleId::{F26, F27, F52};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, FindingKey, Verdict};
use crate::observe::view::View;

use super::fixture::{Says, at, inventory, of, said, verdicts};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const VIP: &str = "prod/vip";
const M1: &str = "prod/etcd/main/etcd-1";
const UNKNOWN: &str = "prod/chain/unknown_authority";
const HELD: Says = Says::Bad(Warning, 30);

const EVERYBODY: [&str; 6] = [A1, A2, VIP, M1, "prod/etcd/main/etcd-2", "prod/etcd/main/etcd-3"];

#[test]
fn each_reason_is_a_finding_of_its_own_after_two_handshakes() {
    for (trust, subject) in [
        (Trust::UnknownAuthority, UNKNOWN),
        (Trust::WrongName, "prod/chain/wrong_name"),
        (Trust::NotYetValid, "prod/chain/not_yet_valid"),
        (Trust::WrongPurpose, "prod/chain/wrong_purpose"),
        (Trust::Invalid, "prod/chain/invalid"),
    ] {
        let mut world = World::new();
        world.all_trusted(0);
        world.shows(3000, A1, trust);
        assert_eq!(world.says(3000, subject), Says::Suspected);

        world.shows(6000, A1, trust);

        assert_eq!(world.says(6000, subject), HELD, "{subject}");
        let others = world.bad(6000).into_iter().filter(|finding| finding.subject != of(subject)).count();
        assert_eq!(others, 0, "{subject}");
    }
}

#[test]
fn what_has_ended_was_not_verified_or_was_cut_short_is_no_distrust() {
    for trust in [Trust::Trusted, Trust::Expired, Trust::Unproven, Trust::Unverified] {
        let mut world = World::new();
        for time in [0, 3000, 6000] {
            world.shows(time, A1, trust);
        }

        assert!(world.bad(6000).iter().all(|finding| finding.rule != F27), "{trust:?}");
    }
}

#[test]
fn one_finding_names_every_endpoint_of_the_apiservers_and_one_those_of_an_etcd() {
    let mut world = World::new();
    for time in [0, 3000] {
        for subject in EVERYBODY {
            world.shows(time, subject, Trust::UnknownAuthority);
        }
    }

    let places = |subject: &str| {
        let found = world.bad(3000).into_iter().find(|finding| finding.subject == of(subject)).unwrap();
        let UntrustedChains { parts, trusted } = found.seen().unwrap();
        assert_eq!(trusted[0].holder, "CN=trusted");
        assert_eq!((parts[0].expected.as_str(), parts[0].issuer.as_str()), ("server", "CN=kubernetes"));
        parts.iter().map(|part| part.place.to_string()).collect::<Vec<_>>()
    };

    assert_eq!(places(UNKNOWN), [A1, A2, VIP]);
    assert_eq!(places("prod/chain/unknown_authority/main"), EVERYBODY[3..]);
}

#[test]
fn an_address_that_is_refused_every_other_time_is_never_well() {
    let mut world = World::new();
    world.all_trusted(0);
    let mut heard = Vec::new();
    for turn in 1..=20 {
        let trust = if turn % 2 == 0 { Trust::Trusted } else { Trust::UnknownAuthority };
        world.shows(turn * 2000, VIP, trust);
        heard.push(world.says(turn * 2000, UNKNOWN));
    }

    assert!(heard[2..].iter().all(|says| [HELD, Says::Suspected].contains(says)), "{heard:?}");
    assert!(heard.contains(&HELD));
}

#[test]
fn only_handshakes_that_are_trusted_end_it() {
    let refused = || {
        let mut world = World::new();
        world.all_trusted(0);
        for time in [3000, 6000] {
            world.shows(time, A1, Trust::UnknownAuthority);
        }
        world
    };
    // Silence, a handshake that was cut short, and a certificate that has ended as well.
    assert_eq!(refused().says(600_000, UNKNOWN), HELD);
    for (trust, says) in [(Trust::Unproven, HELD), (Trust::Expired, Says::Suspected)] {
        let mut world = refused();
        for time in [9000, 12_000, 30_000] {
            world.shows(time, A1, trust);
        }
        assert_eq!(world.says(30_000, UNKNOWN), says, "{trust:?}");
    }
    let mut mended = refused();
    for (time, says) in [(9000, Says::Suspected), (15_000, Says::Suspected), (24_000, Says::Good)] {
        mended.shows(time, A1, Trust::Trusted);
        assert_eq!(mended.says(time, UNKNOWN), says, "{time}");
    }
}

#[test]
fn after_a_restart_all_must_have_been_seen_before_anything_is_well() {
    let mut world = World::new();
    world.shows(0, A1, Trust::Trusted);
    world.shows(0, VIP, Trust::Trusted);
    assert_eq!(world.says(0, UNKNOWN), Says::NeverSeen);

    world.shows(100, A2, Trust::Trusted);

    assert_eq!(world.says(100, UNKNOWN), Says::Good);
}

#[test]
fn what_was_raised_before_a_restart_ends_by_those_whom_it_is_about() {
    let mut before = World::new();
    for time in [0, 3000] {
        before.shows(time, A2, Trust::UnknownAuthority);
    }
    let raised: Vec<Finding> = before.bad(3000);
    let raised: Vec<&Finding> = raised.iter().collect();

    let mut world = World::new();
    for time in [6000, 9000] {
        world.shows(time, A1, Trust::Trusted);
        world.shows(time, VIP, Trust::Trusted);
    }
    assert_eq!(world.says_after(9000, UNKNOWN, &raised), Says::NeverSeen);
    // Another is refused meanwhile: the first is not forgotten.
    for time in [12_000, 15_000] {
        world.shows(time, VIP, Trust::UnknownAuthority);
    }
    assert_eq!(world.places(15_000, &raised), [of(VIP), of(A2)]);

    world.shows(18_000, A2, Trust::Trusted);

    assert_eq!(world.places(18_000, &raised), [of(VIP)]);
}

#[test]
fn where_no_ca_is_configured_there_is_nothing_to_judge() {
    let mut known = inventory(2, 3);
    known.clusters.values_mut().for_each(|cluster| {
        cluster.is_verified = false;
        cluster.etcds.values_mut().for_each(|etcd| etcd.is_verified = false);
    });
    let mut world = World::with(known);
    world.shows(0, A1, Trust::Unverified);

    assert_eq!(world.says(0, UNKNOWN), Says::Nothing);
}

#[test]
fn a_login_that_is_withheld_says_why_and_follows_from_its_reason_alone() {
    for (trust, cause, is_explained) in
        [(Trust::UnknownAuthority, F27, true), (Trust::Expired, F26, true), (Trust::UnknownAuthority, F26, false)]
    {
        let mut world = World::new();
        for time in [0, 3000, 6000] {
            world.shows(time, A1, trust);
            world.wants_login(time, A1, Cause::TokenWithheld);
        }
        let withheld = world.bad(6000).into_iter().find(|finding| finding.rule == F52).unwrap();
        assert!(matches!(withheld.seen(), Some(RefusedCredential { trust: Some(known), .. }) if *known == trust));
        let said = [withheld.headline(), withheld.what(&[].into()), withheld.likely_cause()].join(" ");
        assert!(said.contains("not sent because") && !said.contains("revoked") && !said.contains("refuses"), "{said}");

        let about = crate::samples::finding(cause);
        let about = Finding { subject: if cause == F27 { of(UNKNOWN) } else { of(A1) }, ..about };
        assert_eq!(explains(&about, &withheld), is_explained, "{cause}");
        let of_etcd = Finding { subject: of("prod/chain/unknown_authority/main"), ..about };
        assert!(cause != F27 || !explains(&of_etcd, &withheld), "the chains of etcd withhold nothing from apiservers");
    }
}

#[test]
fn a_refused_login_does_not_follow_from_a_chain() {
    let mut world = World::new();
    for time in [0, 3000, 6000] {
        world.shows(time, A1, Trust::UnknownAuthority);
        world.wants_login(time, A1, Cause::CredentialRejected);
    }
    let bad = world.bad(6000);
    let find = |rule| bad.iter().find(|finding| finding.rule == rule).unwrap();

    assert!(!explains(find(F27), find(F52)));
}

struct World {
    view: View,
}

impl World {
    fn new() -> Self {
        Self::with(inventory(2, 3))
    }

    fn with(inventory: Inventory) -> Self {
        Self { view: View::new(Arc::new(inventory), Policy::default()) }
    }

    fn all_trusted(&mut self, millis: u64) {
        EVERYBODY.iter().for_each(|subject| self.shows(millis, subject, Trust::Trusted));
    }

    /// A handshake at `millis` with what verification said of it.
    fn shows(&mut self, millis: u64, subject: &str, trust: Trust) {
        let certificate = |id, holder: &str| {
            Arc::new(Certificate {
                fingerprint: Fingerprint([id; 32]),
                subject: holder.into(),
                issuer: "CN=kubernetes".into(),
                serial: "1".into(),
                not_before: at(0).wall,
                not_after: at(90_000_000_000).wall,
                names: vec!["other".into()],
                is_ca: false,
                is_self_issued: false,
                key: None,
            })
        };
        let served = Served {
            chain: vec![certificate(1, "CN=kube-apiserver")],
            unreadable: 0,
            trust,
            client_authorities: 0,
            path: None,
            trusted: trust.distrust().map(|_| certificate(2, "CN=trusted")).into_iter().collect(),
        };
        self.see(millis, Probe::anew(of(subject), ProbeKind::Chain), Some(served), Ok(Reading::Chain));
    }

    fn wants_login(&mut self, millis: u64, subject: &str, cause: Cause) {
        let unseen = Unseen { phase: Phase::FirstByte, cause };
        self.see(millis, Probe::reused(of(subject), ProbeKind::Version), None, Err(unseen));
    }

    fn see(&mut self, millis: u64, probe: Probe, served: Option<Served>, outcome: Result<Reading, Unseen>) {
        let observation = Observation {
            request: None,
            probe,
            scheduled: at(millis),
            finished: at(millis),
            phases: Phases::default(),
            served: served.map(Arc::new),
            greeting: None,
            proves_path: true,
            outcome,
            own_flaw: None,
        };
        self.view.take(&Arc::new(observation), at(millis));
    }

    fn says(&self, millis: u64, subject: &str) -> Says {
        said(&verdicts(&self.view, at(millis)), F27, subject)
    }

    fn says_after(&self, millis: u64, subject: &str, raised: &[&Finding]) -> Says {
        said(&self.judged(millis, raised), F27, subject)
    }

    /// The endpoints that the finding of an unknown CA names.
    fn places(&self, millis: u64, raised: &[&Finding]) -> Vec<Subject> {
        let judged = self.judged(millis, raised).into_iter().find(|(key, _)| key.subject == of(UNKNOWN));
        let Some((_, Verdict::Bad(finding))) = judged else { return Vec::new() };
        let UntrustedChains { parts, .. } = finding.seen().unwrap();
        parts.iter().map(|part| part.place.clone()).collect()
    }

    fn judged(&self, millis: u64, raised: &[&Finding]) -> Vec<(FindingKey, Verdict)> {
        let cluster = self.view.inventory().clusters.iter().next();
        judge(&RuleContext { view: &self.view, cluster, now: at(millis), raised })
    }

    fn bad(&self, millis: u64) -> Vec<Finding> {
        let is_of_interest = |finding: &Finding| [F27, F52].contains(&finding.rule);
        let verdicts = verdicts(&self.view, at(millis)).into_iter();
        let bad = verdicts.filter_map(|(_, verdict)| match verdict {
            Verdict::Bad(finding) => Some(finding),
            Verdict::Good { .. } | Verdict::Unknown(_) => None,
        });
        bad.filter(is_of_interest).collect()
    }
}
