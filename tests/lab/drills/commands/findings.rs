//! Findings of the rules, about the servers of the lab, as far as commands depend on them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::net::Place;
use vedette::judge::address::DeadAddresses;
use vedette::judge::admission::AdmissionFails;
use vedette::judge::api_down::AllBad;
use vedette::judge::balancer::LostConnections;
use vedette::judge::certificate_files::item::StoredExpiry;
use vedette::judge::certificate_files::unread::Unread;
use vedette::judge::client_hello::Hello;
use vedette::judge::corrupt::CorruptAlarm;
use vedette::judge::credential_rejected::RefusedCredential;
use vedette::judge::etcd_membership::Membership;
use vedette::judge::etcd_partition::Split;
use vedette::judge::etcd_unreachable::EtcdChecks;
use vedette::judge::expiry::ServedExpiry;
use vedette::judge::flags_differ::Differences;
use vedette::judge::isolated::Isolation;
use vedette::judge::leader_changes::Elections;
use vedette::judge::monitoring_gap::Coverage;
use vedette::judge::nospace::{NoSpaceAlarm, RaisedAlarm};
use vedette::judge::not_an_apiserver::Impostor;
use vedette::judge::not_ready::OtherChecks;
use vedette::judge::not_reloaded::Stale;
use vedette::judge::proxy::ProxyFailure;
use vedette::judge::quorum::Quorum;
use vedette::judge::readiness::FailingChecks;
use vedette::judge::reference_target::SilentReference;
use vedette::judge::slow::{Slowness, Traffic};
use vedette::judge::untrusted::UntrustedChains;
use vedette::judge::vip::Vip;
use vedette::model::canary::WebhookFault;
use vedette::model::certificate::{Class, Fingerprint, Trust};
use vedette::model::certificate_files::ItemKind;
use vedette::model::etcd::{Apart, Apartness, EtcdAlarmKind, Group, Mismatch};
use vedette::model::flag_differences::FlagDifference;
use vedette::model::gap::Gap;
use vedette::model::inventory::{Own, OwnPart, Towards};
use vedette::model::phase::{Cause, Phase, Unseen};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;
use vedette::model::time::UnixTime;
use vedette::model::verdict::{Evidence, ExpiryThreshold, Finding, Symptom, Untrusted};

/// What a server does that does not run.
pub(super) const REFUSED: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };

pub(super) fn subject(text: &str) -> Subject {
    text.parse().expect("the drill writes subjects as the inventory does")
}

pub(super) fn member(n: u8) -> Subject {
    subject(&format!("prod/etcd/main/etcd-{n}"))
}

pub(super) fn addresses() -> BTreeMap<Subject, String> {
    let api = |n: u8| (subject(&format!("prod/apiserver/api-{n}")), format!("{}:6443", Place::Api(n).ip()));
    let members = (1..=3).map(|n| (member(n), format!("{}:2379", Place::Etcd(n).ip())));
    let vip = (subject("prod/vip"), format!("{}:6443", Place::Vip.ip()));
    members.chain([api(1), api(2), vip]).collect()
}

pub(super) fn of(rule: RuleId, about: &str, evidence: Arc<dyn Evidence>) -> Finding {
    Finding {
        rule,
        subject: subject(about),
        level: Level::Critical,
        since: UnixTime::from_secs(0),
        hold: Duration::ZERO,
        path_unproven: false,
        evidence,
    }
}

pub(super) fn quorum_lost() -> Finding {
    let silent = vec![(member(2), REFUSED), (member(3), REFUSED)];
    let evidence = Arc::new(Quorum { needed: 2, answering: vec![member(1)], silent, leaderless: false, unwatched: 0 });
    of(RuleId::F01, "prod/etcd/main", evidence)
}

pub(super) fn apart() -> Finding {
    let apart = vec![Apart { member: member(3), how: Apartness::NoLeader { term: 7 } }];
    of(RuleId::F03, "prod/etcd/main", Arc::new(Split { leader: "etcd-1".into(), term: 8, following: 2, of: 3, apart }))
}

pub(super) fn mismatch(found: Mismatch) -> Finding {
    of(RuleId::F57, "prod/etcd/main", Arc::new(Membership { found: vec![found], of: 3 }))
}

pub(super) fn several_clusters() -> Finding {
    let group = |n: u8| Group { cluster_id: format!("{n}"), members: vec![member(n)], is_led: true };
    mismatch(Mismatch::SeveralClusters(vec![group(1), group(3)]))
}

pub(super) fn elections() -> Finding {
    let evidence = Arc::new(Elections { count: 3, window: Duration::from_secs(900), latest: Vec::new() });
    of(RuleId::F05, "prod/etcd/main", evidence)
}

/// Both apiservers are gone.
pub(super) fn all_down() -> Finding {
    let down = |name: &str| (subject(&format!("prod/apiserver/{name}")), Symptom::Silent(REFUSED));
    of(RuleId::F24, "prod", Arc::new(AllBad { parts: vec![down("api-1"), down("api-2")] }))
}

pub(super) fn alarm(rule: RuleId, kind: EtcdAlarmKind) -> Finding {
    let alarm = RaisedAlarm {
        kind,
        raised_by: vec!["etcd-2".into()],
        db_size_bytes: None,
        db_quota_bytes: None,
        beside: Vec::new(),
    };
    let evidence: Arc<dyn Evidence> =
        if rule == RuleId::F09 { Arc::new(NoSpaceAlarm(alarm)) } else { Arc::new(CorruptAlarm(alarm)) };
    of(rule, "prod/etcd/main", evidence)
}

pub(super) fn not_ready(rule: RuleId, part: &str) -> Finding {
    let parts = vec![(subject("prod/apiserver/api-1"), vec![part.to_owned()])];
    let checks = FailingChecks { parts, of: 2, etcd_agrees: Some(true) };
    let evidence: Arc<dyn Evidence> =
        if rule == RuleId::F25 { Arc::new(EtcdChecks(checks)) } else { Arc::new(OtherChecks(checks)) };
    of(rule, "prod", evidence)
}

pub(super) fn foreign() -> Finding {
    let parts = vec![(subject("prod/apiserver/api-1"), Symptom::Status(503))];
    of(RuleId::F58, "prod", Arc::new(Impostor { parts, bad: 1, of: 2 }))
}

pub(super) fn vip() -> Finding {
    let ready = vec![subject("prod/apiserver/api-1"), subject("prod/apiserver/api-2")];
    of(RuleId::F23, "prod/vip", Arc::new(Vip { symptom: Symptom::Silent(REFUSED), ready, reused_answers: false }))
}

/// The API VIP that loses some of the connections.
pub(super) fn lossy() -> Finding {
    let evidence = Arc::new(LostConnections { lost: 20, of: 100, last: Some(REFUSED), down: Vec::new() });
    of(RuleId::F61, "prod/vip", evidence)
}

/// An admission webhook that cannot be called.
pub(super) fn failing_webhook() -> Finding {
    let webhook = ("deny.example.org".to_owned(), WebhookFault::Unreachable, "no endpoints available".to_owned());
    let evidence = AdmissionFails {
        webhooks: vec![webhook],
        counted: Vec::new(),
        times_out: false,
        what: vec!["ConfigMap".to_owned()],
        parts: vec![(subject("prod/apiserver/api-1"), Duration::from_millis(30))],
        of: 2,
    };
    of(RuleId::F21, "prod", Arc::new(evidence))
}

/// A flag with another value on each instance.
pub(super) fn differing_flag() -> Finding {
    let value = |value: &str, n: u8| (Some(value.to_owned()), vec![subject(&format!("prod/apiserver/api-{n}"))]);
    let flag = FlagDifference {
        name: "anonymous-auth".into(),
        is_weighty: true,
        values: vec![value("true", 1), value("false", 2)],
    };
    of(RuleId::F62, "prod", Arc::new(Differences { flags: vec![flag] }))
}

pub(super) fn untrusted(reason: &str) -> Finding {
    let place = subject("prod/apiserver/api-1");
    let untrusted = Untrusted {
        place,
        expected: "api".into(),
        holder: "CN=api".into(),
        issuer: "CN=ca".into(),
        names: Vec::new(),
        not_before: UnixTime::from_secs(0),
        fingerprint: Fingerprint([1; 32]),
    };
    let evidence = Arc::new(UntrustedChains { parts: vec![untrusted], trusted: Vec::new() });
    of(RuleId::F27, &format!("prod/chain/{reason}"), evidence)
}

pub(super) fn slow() -> Finding {
    let evidence = Arc::new(Slowness {
        parts: vec![(subject("prod/apiserver/api-1"), Duration::from_secs(2))],
        total: Duration::from_secs(2),
        dominating: None,
        traffic: Traffic::All,
        probes: 3,
        awaited: Vec::new(),
        slow: 1,
        of: 2,
    });
    of(RuleId::F49, "prod", evidence)
}

pub(super) fn unread(path: &str) -> Finding {
    let faults = vec![(path.to_owned(), vedette::model::certificate_files::FileFault::Forbidden)];
    let evidence =
        Arc::new(Unread { path: path.to_owned(), faults, more: 0, own: None, first_end: None, last_read: None });
    of(RuleId::F28, "prod/stored/7c7c7c7c7c7c7c7c", evidence)
}

pub(super) fn refused(about: &str, cause: Cause) -> Finding {
    let unseen = Unseen { phase: Phase::FirstByte, cause };
    let evidence = Arc::new(RefusedCredential { unseen, own_flaw: None, by: Vec::new(), trust: None });
    of(RuleId::F52, about, evidence)
}

pub(super) fn stale(path: &str) -> Finding {
    let evidence = Arc::new(Stale {
        served: Fingerprint([1; 32]),
        stored: Fingerprint([2; 32]),
        path: path.to_owned(),
        source: None,
        served_ends: UnixTime::from_secs(0),
        stored_ends: UnixTime::from_secs(0),
    });
    of(RuleId::F54, "prod/apiserver/api-1", evidence)
}

pub(super) fn large_hellos_are_lost() -> Finding {
    of(RuleId::F56, "prod", Arc::new(Hello { endpoints: vec![subject("prod/vip")], of: 3, pairs: 3 }))
}

/// What an apiserver serves expires.
pub(super) fn expiry(class: Class) -> Finding {
    let place = subject("prod/apiserver/api-1");
    let evidence = Arc::new(ServedExpiry {
        fingerprint: Fingerprint([1; 32]),
        holder: "CN=kube-apiserver".into(),
        issuer: "CN=kubernetes".into(),
        not_after: UnixTime::from_secs(0),
        band: ExpiryThreshold::Expired,
        class,
        is_authority: false,
        trust: Trust::Expired,
        places: vec![place.clone()],
        stored: Vec::new(),
    });
    Finding { subject: place, ..of(RuleId::F26, "prod", evidence) }
}

/// What vedette shows the apiservers expires, in the file `path`.
pub(super) fn own_expires(kind: ItemKind, path: &str) -> Finding {
    let part = if kind == ItemKind::Token { OwnPart::Token } else { OwnPart::Client };
    let evidence = Arc::new(StoredExpiry {
        fingerprint: Fingerprint([1; 32]),
        holder: "CN=vedette".into(),
        issuer: "CN=kubernetes".into(),
        not_after: UnixTime::from_secs(0),
        band: ExpiryThreshold::Expired,
        class: Class::Manual,
        kind,
        own: Some(Box::new(Own { part, towards: Towards::Apiservers })),
        paths: vec![path.to_owned()],
        more: 0,
        sources: Vec::new(),
        last_read: None,
        is_spare: false,
    });
    of(RuleId::F28, "prod/stored/7c7c7c7c7c7c7c7c", evidence)
}

/// The name of the API VIP has `dead` beside one that works.
pub(super) fn dead_address(dead: IpAddr) -> Finding {
    of(RuleId::F59, "prod/vip", Arc::new(DeadAddresses { dead: vec![(dead, REFUSED)], of: 2 }))
}

/// A name has no address.
pub(super) fn without_address(about: &str) -> Finding {
    of(RuleId::F53, "prod", Arc::new(Coverage { gaps: vec![Gap::Unresolved(vec![subject(about)])] }))
}

pub(super) fn dead_proxy(url: &str) -> Finding {
    let lost = vec![("prod".parse().expect("a name"), REFUSED)];
    let about = format!("vantage/proxy/{}", url.trim_start_matches("http://"));
    of(RuleId::F60, &about, Arc::new(ProxyFailure { url: url.to_owned(), lost, of: 1 }))
}

pub(super) fn silent_reference(about: &str) -> Finding {
    let evidence =
        Arc::new(SilentReference { last: UnixTime::from_secs(0), unseen: Some(REFUSED), answered: None, left: 0 });
    of(RuleId::F55, about, evidence)
}

/// vedette's own host has lost its network.
pub(super) fn isolated() -> Finding {
    of(RuleId::F04, "vantage", Arc::new(Isolation { silent: 9, references: 2 }))
}
