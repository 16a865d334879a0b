//! Claims about documents, subjects and both parts of a mail.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use crate::judge::api_down::AllBad;
use crate::judge::certificate_files::item::StoredExpiry;
use crate::judge::corrupt::CorruptAlarm;
use crate::judge::credential_rejected::RefusedCredential;
use crate::judge::etcd_unreachable::EtcdChecks;
use crate::judge::expiry::ServedExpiry;
use crate::judge::nospace::NoSpaceAlarm;
use crate::judge::not_an_apiserver::Impostor;
use crate::judge::not_ready::OtherChecks;
use crate::judge::overload::{Overloaded, Who};
use crate::judge::quorum::Quorum;
use crate::judge::stored::Unreadable;
use crate::judge::untrusted::UntrustedChains;
use crate::model::delivery::{Attempt, DeliveryFailure, FailureClass};
use crate::model::incident::{Incident, IncidentId, Part};
use crate::model::message::{Caveat, ProbeLine};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::reason::MessageReason;
use crate::model::recipient::Rejection;
use crate::model::rule::{Level, RuleId};
use crate::model::silence::{Silence, SilenceEffect};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, ExpiryThreshold, Finding, Symptom};
use crate::samples::{MUTE, OPENED, REFUSED, addresses, attempt, change, finding, hosts, incident, subject};

use super::html::{self, html};
use super::incident_report::IncidentReport;
use super::mail::parts;
use super::message::document;
use super::text::text;
use super::{harmless, incident_report, silence, subject_line};

const REASONS: [MessageReason; 9] = [
    MessageReason::First,
    MessageReason::Escalated,
    MessageReason::CauseFound,
    MessageReason::CulpritFound,
    MessageReason::Repeated,
    MessageReason::Remains,
    MessageReason::Resolved,
    MessageReason::HappenedWhileMute,
    MessageReason::Drill,
];

/// What a mail program groups by: RFC 5256 section 2.1, the steps for leading blobs and reply prefixes.
fn base_subject(subject: &str) -> &str {
    let mut rest = subject.trim();
    loop {
        let before = rest;
        let lower = rest.to_ascii_lowercase();
        for prefix in ["re:", "fw:", "fwd:"] {
            if lower.starts_with(prefix) {
                rest = rest[prefix.len()..].trim_start();
            }
        }
        if let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'))
            && !after.trim().is_empty()
        {
            rest = after.trim_start();
        }
        if rest == before {
            return rest;
        }
    }
}

/// The version changes with every release; snapshots should not.
fn check(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"vedette \d+\.\d+\.\d+", "vedette VERSION");
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn every_rule_tells_its_beginning_and_its_end() {
    for rule in RuleId::ALL {
        for reason in [MessageReason::First, MessageReason::Resolved] {
            let document = document(&attempt(rule, reason));

            check(
                &format!("{rule}_{}", reason.as_str()),
                &format!("Subject: {}\n\n{}", document.subject, text(&document)),
            );
        }
    }
}

#[test]
fn html_of_an_outage_a_certificate_and_an_end() {
    for (rule, reason) in [
        (RuleId::F01, MessageReason::First),
        (RuleId::F26, MessageReason::First),
        (RuleId::F24, MessageReason::Resolved),
        (RuleId::F26, MessageReason::Resolved),
        (RuleId::F53, MessageReason::First),
    ] {
        check(&format!("html_{rule}_{}", reason.as_str()), &html(&document(&attempt(rule, reason))));
    }
}

#[test]
fn local_time_stands_beside_utc_in_both_parts_of_a_mail() {
    let mut delivery = attempt(RuleId::F26, MessageReason::Resolved);
    delivery.message.time_zone = Some("Europe/Berlin".parse().unwrap());

    let parts = parts(&document(&delivery));

    for part in [parts.text.split_whitespace().collect::<Vec<_>>().join(" "), parts.html] {
        for shown in [
            "good since 2026-03-01 03:28:05 UTC (04:28:05 CET)",
            "2027-03-01 03:14:00 UTC (04:14:00 CET) (in 364 d 23 h)",
            "expired at 2026-03-01 02:14:00 UTC (03:14:00 CET)",
        ] {
            assert!(part.contains(shown), "{shown}\n{part}");
        }
        assert!(!part.contains("2026-03-01T"), "{part}");
    }
}

#[test]
fn subjects_in_every_situation() {
    let mut lines = Vec::new();
    for reason in REASONS {
        let mut delivery = attempt(RuleId::F23, reason);
        if reason == MessageReason::CauseFound {
            delivery.message.incident.cause = Some(finding(RuleId::F24));
        }
        lines.push(document(&delivery).subject);
    }
    for rule in RuleId::ALL {
        lines.push(document(&attempt(rule, MessageReason::First)).subject);
    }
    check("subjects", &lines.join("\n"));
}

#[test]
fn a_mail_says_what_a_silence_has_to_do_with_it() {
    let mut lines = Vec::new();
    for (reason, ended) in [
        (MessageReason::First, true),
        (MessageReason::First, false),
        (MessageReason::Escalated, true),
        (MessageReason::Resolved, false),
        (MessageReason::Resolved, true),
    ] {
        let mut delivery = attempt(RuleId::F24, reason);
        let composed = delivery.message.composed;
        let until =
            if ended { composed.minus(Duration::from_secs(1)) } else { composed.plus(Duration::from_secs(3600)) };
        let silence = Silence {
            cluster: "prod-eu1".parse().unwrap(),
            since: composed.minus(Duration::from_secs(7200)),
            until,
            comment: "etcd is defragmented.".into(),
            author: "anna (uid 1000)".into(),
            include_outages: false,
        };
        delivery.message.incident.silenced = Some(SilenceEffect { silence, withheld: None });
        let told = text(&document(&delivery)).replace('\n', " ");
        let sentence = told.find("silenced").map(|at| &told[at.saturating_sub(60)..(at + 190).min(told.len())]);
        lines.push(format!("{} ended={ended}: {}", reason.as_str(), sentence.unwrap_or("nothing")));
    }
    check("silences", &lines.join("\n"));
}

#[test]
fn what_does_not_follow_is_told_as_there_at_the_same_time_in_subject_and_mail() {
    let mut delivery = attempt(RuleId::F24, MessageReason::First);
    let parts = &mut delivery.message.incident.parts;
    parts.push(Part { follows: true, ..Part::of(finding(RuleId::F22)) });
    let alone = subject_line::subject(&delivery.message);
    delivery.message.incident.parts.push(Part::of(finding(RuleId::F09)));
    let one = subject_line::subject(&delivery.message);
    delivery.message.incident.parts.push(Part::of(finding(RuleId::F02)));
    let two = subject_line::subject(&delivery.message);

    assert!(alone.starts_with("[CRITICAL] "), "{alone}");
    assert!(one.starts_with("[CRITICAL; also: etcd NOSPACE] "), "{one}");
    assert!(two.starts_with("[CRITICAL; also 2 others] "), "{two}");
    assert_eq!((base_subject(&one), base_subject(&two)), (base_subject(&alone), base_subject(&alone)));
    let said = text(&document(&delivery)).to_lowercase();
    let (_, said) = said.split_once("at the same time, unrelated").unwrap();
    let (beside, follows) = said.split_once("related, grouped here").unwrap();
    assert!(beside.contains("f09:") && beside.contains("f02:") && !beside.contains("f22:"), "{beside}");
    assert!(follows.contains("f22:") && !follows.contains("f09:"), "{follows}");

    delivery.message.reason = MessageReason::Resolved;
    assert!(!subject_line::subject(&delivery.message).contains("also"), "over is over");
}

#[test]
fn who_overloads_the_api_is_told_as_far_as_it_is_seen() {
    let told = |reason, who: Option<Who>| {
        let mut delivery = attempt(RuleId::F18, reason);
        let incident = &mut delivery.message.incident;
        if let Some(who) = who {
            change(&mut incident.headline, |overloaded: &mut Overloaded| overloaded.who = who);
            incident.parts[0].finding = incident.headline.clone();
        }
        text(&document(&delivery))
    };

    check("overload_unanswered", &told(MessageReason::First, Some(Who::Unanswered)));
    check("overload_not_visible", &told(MessageReason::First, Some(Who::NotVisible)));
    check("overload_culprit_found", &told(MessageReason::CulpritFound, None));
}

#[test]
fn the_text_part_says_when_it_is_late_and_what_it_lacks() {
    let mut delivery = attempt(RuleId::F24, MessageReason::CauseFound);
    delivery.message.incident.cause = Some(finding(RuleId::F01));
    delivery.message.incident.headline.path_unproven = true;
    delivery.message.incident.parts[0].finding.path_unproven = true;
    delivery.message.caveats = vec![Caveat::NotStored, Caveat::StartedEmpty];
    delivery.rejections =
        vec![Rejection { recipient: "boss@example.org".into(), text: "550 5.1.1 no such user".into() }];
    delivery.attempts = 3;
    delivery.last_failure = Some(DeliveryFailure {
        class: FailureClass::Unreachable,
        text: "connecting to the relay: connection refused".into(),
    });

    check("cause_found_late", &text(&document(&delivery)));
}

#[test]
fn headlines_fit_and_do_not_depend_on_how_many_or_how_much_was_seen() {
    let long = "n".repeat(63);
    for rule in RuleId::ALL {
        for of in [
            "vantage".to_owned(),
            "c".into(),
            "c/vip".into(),
            format!("c/apiserver/{long}"),
            format!("c/etcd/{long}"),
            format!("c/etcd/{long}/{long}"),
            format!("vantage/resolver/{long}"),
        ] {
            let finding = Finding { subject: subject(&of), ..finding(rule) };
            let mut written = serde_json::to_value(&finding).unwrap();
            count_on(&mut written["evidence"]);
            let later: Finding = serde_json::from_value(written).unwrap();

            let (before, after) = (finding.headline(), later.headline());

            assert!(later.seen::<Unreadable>().is_none(), "{rule}: {later:?}");
            assert_eq!(before, after, "{rule} {of}");
            assert!(before.len() <= 50, "{rule} {of}: {before}");
        }
    }
}

/// Every number one higher, and of every list of parts one less.
fn count_on(value: &mut Value) {
    match value {
        Value::Number(number) => *value = (number.as_i64().unwrap() + 1).into(),
        Value::Array(items) => {
            items.iter_mut().for_each(count_on);
            if items.len() > 1 && items.iter().all(|item| item.is_array() || item.is_object()) {
                items.pop();
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(count_on),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn a_certificate_that_ends_later_says_so_in_brackets_only() {
    let expired = document(&attempt(RuleId::F26, MessageReason::First)).subject;
    let mut early = attempt(RuleId::F26, MessageReason::First);
    early.message.level = Level::Warning;
    for finding in
        std::iter::once(&mut early.message.incident.headline).chain([&mut early.message.incident.parts[0].finding])
    {
        change(finding, |expiry: &mut ServedExpiry| {
            expiry.band = ExpiryThreshold::Warning;
            expiry.not_after = expiry.not_after.plus(Duration::from_secs(13 * 86_400 + 7200));
        });
    }

    let early = document(&early).subject;

    assert_eq!(early, "[WARNING: 13d left] prod-eu1: TLS certificate of api-1: expiry");
    assert_eq!(expired, "[CRITICAL: EXPIRED] prod-eu1: TLS certificate of api-1: expiry");
}

/// Plants `hostile` wherever a target or a person can put text.
fn poisoned(rule: RuleId, reason: MessageReason, hostile: &str) -> Attempt {
    let mut delivery = attempt(rule, reason);
    delivery.attempts = 1;
    delivery.rejections = vec![Rejection { recipient: hostile.into(), text: hostile.into() }; 11];
    delivery.last_failure = Some(DeliveryFailure { class: FailureClass::Broken, text: hostile.into() });
    let message = &mut delivery.message;
    message.vantage = hostile.into();
    message.addresses.values_mut().for_each(|address| *address = hostile.into());
    message.probes.iter_mut().for_each(|line| {
        line.address = hostile.into();
        line.outcome = Ok(hostile.into());
    });
    let incident = &mut message.incident;
    for finding in
        std::iter::once(&mut incident.headline).chain(incident.parts.iter_mut().map(|part| &mut part.finding))
    {
        poison(finding, hostile);
    }
    delivery
}

fn poison(finding: &mut Finding, hostile: &str) {
    fn each<K: Evidence + Clone>(finding: &mut Finding, poison: impl FnOnce(&mut K)) {
        if finding.seen::<K>().is_some() {
            change(finding, poison);
        }
    }
    let failing = || vec![hostile.to_owned(); 64];
    each(finding, |expiry: &mut ServedExpiry| {
        expiry.holder = hostile.into();
        expiry.issuer = format!("{hostile}x");
    });
    each(finding, |EtcdChecks(known)| known.parts.iter_mut().for_each(|(_, checks)| *checks = failing()));
    each(finding, |OtherChecks(known)| known.parts.iter_mut().for_each(|(_, checks)| *checks = failing()));
    each(finding, |all: &mut AllBad| {
        all.parts.iter_mut().for_each(|(_, symptom)| *symptom = Symptom::NotReady(failing()));
    });
    each(finding, |impostor: &mut Impostor| {
        impostor.parts.iter_mut().for_each(|(_, symptom)| *symptom = Symptom::NotReady(failing()));
    });
    each(finding, |NoSpaceAlarm(alarm)| alarm.raised_by = vec![hostile.into()]);
    each(finding, |CorruptAlarm(alarm)| alarm.raised_by = vec![hostile.into()]);
    each(finding, |refused: &mut RefusedCredential| refused.own_flaw = Some(hostile.into()));
    each(finding, |UntrustedChains { parts, trusted }| {
        for part in parts {
            (part.holder, part.issuer, part.expected) = (hostile.into(), hostile.into(), hostile.into());
            part.names = vec![hostile.into(); 8];
        }
        trusted.iter_mut().for_each(|known| known.holder = hostile.into());
    });
    each(finding, |expiry: &mut StoredExpiry| {
        (expiry.holder, expiry.issuer) = (hostile.into(), hostile.into());
        expiry.paths = vec![hostile.into()];
    });
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\nBcc: all@example.org\r\n\r\n".to_owned()),
        Just("<script>alert(1)</script>".to_owned()),
        Just("\" onmouseover='x' <img src=http://e/>".to_owned()),
        Just("\u{1b}[31m\u{1b}]0;x\u{7}".to_owned()),
        Just("\u{202e}\u{200b}\u{2028}\u{85}".to_owned()),
        Just("[RESOLVED] ".to_owned()),
        Just("=?utf-8?q?x?=".to_owned()),
        any::<String>(),
        "[a-z.:/ ]{0,900}",
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn hostile_texts_inject_nothing(rule in 0..12usize, reason in 0..8usize, hostile in hostile()) {
        let document = document(&poisoned(RuleId::ALL[rule], REASONS[reason], &hostile));
        let parts = parts(&document);

        let is_plain = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        prop_assert!(is_plain(&document.subject), "{:?}", document.subject);
        prop_assert!(document.subject.len() <= subject_line::LONGEST, "{}", document.subject);
        for (_, value) in &document.headers {
            prop_assert!(!value.chars().any(char::is_control), "{value:?}");
        }
        let is_calm = |c: char| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        prop_assert!(parts.text.chars().all(is_calm), "{:?}", parts.text);
        prop_assert!(parts.html.chars().all(is_calm));
        let calm = html(&super::message::document(&poisoned(RuleId::ALL[rule], REASONS[reason], "x")));
        if parts.html.contains("<table") {
            // An address with a `#` makes the rest of its command a comment, to us as to a shell: one block of ours
            // more. Words of a command are kept whole, so that more words are more of those marks.
            let notes = |html: &str| html.matches("margin:8px 0 3px").count();
            let unbroken = |html: &str| html.matches("<span style=\"white-space:nowrap\">").count();
            let breaks = |html: &str| html.matches("<wbr>").count();
            let tags = |html: &str| {
                html.matches('<').count() - 2 * notes(html) - 2 * unbroken(html) - breaks(html)
            };
            let quotes = |html: &str| html.matches('"').count() - 4 * notes(html) - 2 * unbroken(html);
            prop_assert!(tags(&parts.html) <= tags(&calm), "{}", parts.html);
            prop_assert!(quotes(&parts.html) <= quotes(&calm));
        }
        prop_assert!(parts.html.len() <= html::LARGEST);
    }

    #[test]
    fn the_base_subject_is_one_per_incident_and_differs_across_symptoms(
        cluster in "[a-z0-9][a-z0-9.-]{0,62}",
        name in "[a-z0-9][a-z0-9.-]{0,62}",
        other in "[a-z0-9][a-z0-9.-]{0,62}",
    ) {
        prop_assume!(name != other);
        let mut seen = std::collections::BTreeMap::new();
        for rule in RuleId::ALL {
            for instance in [&name, &other] {
                let mut bases = std::collections::BTreeSet::new();
                for reason in REASONS {
                    let mut delivery = attempt(rule, reason);
                    let incident = &mut delivery.message.incident;
                    let moved = move_to(&incident.headline.subject, &cluster, instance);
                    incident.headline.subject = moved;
                    incident.cluster = incident.headline.subject.cluster().cloned();
                    incident.cause = (reason == MessageReason::CauseFound).then(|| finding(RuleId::F24));

                    let subject = subject_line::subject(&delivery.message);

                    prop_assert!(subject.len() <= subject_line::LONGEST, "{subject}");
                    prop_assert!(
                        reason != MessageReason::CauseFound || rule == RuleId::F24 || subject.contains("cause: "),
                        "{subject}"
                    );
                    bases.insert(base_subject(&subject).to_owned());
                }
                prop_assert_eq!(bases.len(), 1, "{:?}", bases);
                let base = bases.pop_first().unwrap();
                let what = (rule, move_to(&finding(rule).subject, &cluster, instance));
                let before = seen.insert(base.clone(), what.clone());
                prop_assert!(before.is_none() || before == Some(what), "{base}");
            }
        }
    }

    #[test]
    fn escaped_text_is_inert(text in any::<String>()) {
        let escaped = harmless::html(&text);

        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
    }
}

/// `subject`'s kind in another cluster, under another name.
fn move_to(subject: &Subject, cluster: &str, name: &str) -> Subject {
    let (cluster, name) = (cluster.parse().unwrap(), name.parse().unwrap());
    match subject {
        Subject::Apiserver(..) => Subject::Apiserver(cluster, name),
        Subject::EtcdMember(_, etcd, _) => Subject::EtcdMember(cluster, etcd.clone(), name),
        Subject::Etcd(_, etcd) => Subject::Etcd(cluster, etcd.clone()),
        Subject::Vip(_) => Subject::Vip(cluster),
        Subject::Cluster(_) => Subject::Cluster(cluster),
        Subject::Proxy(_) => Subject::Proxy(name),
        Subject::Vantage | Subject::Reference(_) | Subject::Resolver(_) | Subject::Stored(..) | Subject::Chain(..) => {
            subject.clone()
        }
    }
}

#[test]
fn incidents_in_a_table_and_one_in_full() {
    let now = OPENED.plus(Duration::from_secs(7200));
    let mut open = incident(RuleId::F01);
    open.silenced = Some(SilenceEffect { silence: maintenance(), withheld: Some(MessageReason::First) });
    let over = attempt(RuleId::F26, MessageReason::Resolved).message.incident;
    let told = |incident: &Incident| {
        // The number in a sample's identity moves with every new rule.
        let id = IncidentId(format!("4f2a{}", incident.headline.rule));
        incident_report::of(&Incident { id, ..incident.clone() }, &addresses(), now)
    };

    check("incidents_table", &incident_report::table(&[told(&open), told(&over), told(&incident(RuleId::F04))]));
    let next = incident_report::next(&open, &addresses(), &hosts(), "bastion-1");
    assert!(incident_report::next(&over, &addresses(), &hosts(), "bastion-1").is_none(), "there is nothing left to do");
    check("incidents_story", &incident_report::text(&IncidentReport { next, ..told(&open) }));
    check("incidents_json", &serde_json::to_string_pretty(&told(&over)).unwrap());
    assert_eq!(incident_report::table(&[]), "No incidents.\n");
}

#[test]
fn silences_in_a_table_and_in_sentences() {
    let now = OPENED.plus(Duration::from_secs(60));
    let shown = silence::shown(&maintenance(), now);
    let replaced = silence::Shown { include_outages: true, ..shown.clone() };
    let answer = silence::Answer { silence: shown.clone(), replaced: Some(replaced.clone()), problem: None };
    let dead = silence::Answer { silence: replaced.clone(), replaced: None, problem: None };

    let said =
        [silence::begun(&answer), silence::begun(&dead), silence::ended(&answer), silence::table(&[shown, replaced])];
    check("silence_answers", &said.join("\n"));
}

fn maintenance() -> Silence {
    Silence {
        cluster: "prod-eu1".parse().unwrap(),
        since: OPENED,
        until: OPENED.plus(Duration::from_secs(5400)),
        comment: "etcd is defragmented".into(),
        author: "anna (uid 1000)".into(),
        include_outages: false,
    }
}

/// The message on F01 where the probes at these ended so.
fn of_probes(ended: &[(&str, ProbeKind, Result<&str, Unseen>)]) -> Attempt {
    let mut delivery = attempt(RuleId::F01, MessageReason::First);
    let silent = [1, 2, 3].map(|n| (subject(&format!("prod-eu1/etcd/etcd/etcd-{n}")), MUTE)).into();
    delivery.message.incident.headline.evidence =
        Arc::new(Quorum { needed: 2, answering: Vec::new(), silent, leaderless: false, unwatched: 0 });
    delivery.message.incident.parts[0].finding = delivery.message.incident.headline.clone();
    let line = |(of, kind, outcome): &(&str, ProbeKind, Result<&str, Unseen>)| ProbeLine {
        probe: Probe::anew(subject(of), *kind),
        address: addresses().get(&subject(of)).cloned().unwrap_or_default(),
        at: OPENED.plus(Duration::from_secs(2)),
        phases: Phases { dial: Some(Duration::from_secs(1)), ..Phases::default() },
        outcome: outcome.map(str::to_owned),
        good: outcome.is_ok_and(|saw| !saw.starts_with("HTTP 5")),
    };
    delivery.message.probes = ended.iter().map(line).collect();
    delivery
}

#[test]
fn a_site_of_which_nothing_answers_is_told_as_such() {
    let silent = [
        ("prod-eu1/vip", ProbeKind::Readyz, Err(MUTE)),
        ("prod-eu1/apiserver/api-1", ProbeKind::Readyz, Err(MUTE)),
        ("prod-eu1/apiserver/api-1", ProbeKind::Version, Err(MUTE)),
        ("prod-eu1/etcd/etcd/etcd-1", ProbeKind::EtcdStatus, Err(MUTE)),
    ];

    let document = document(&of_probes(&silent));
    check("text_of_a_silent_site", &text(&document));
    check("html_of_a_silent_site", &html(&document));
}

#[test]
fn a_certificate_means_what_it_means_on_a_silent_site_too() {
    let silent = ["prod-eu1/apiserver/api-1", "prod-eu1/etcd/etcd/etcd-1"].map(|of| match of.contains("etcd-1") {
        true => (of, ProbeKind::EtcdStatus, Err(MUTE)),
        false => (of, ProbeKind::Readyz, Err(MUTE)),
    });
    let probes = of_probes(&silent).message.probes;
    let mut delivery = attempt(RuleId::F26, MessageReason::First);
    delivery.message.probes = probes;

    assert!(!text(&document(&delivery)).contains("No endpoint of"));
}

#[test]
fn a_site_of_which_anything_answers_or_refuses_is_not_silent() {
    let api = |outcome| ("prod-eu1/apiserver/api-1", ProbeKind::Readyz, outcome);
    let etcd = |outcome| ("prod-eu1/etcd/etcd/etcd-1", ProbeKind::EtcdStatus, outcome);
    for probes in [
        vec![api(Err(MUTE)), etcd(Err(REFUSED))],
        vec![api(Ok("HTTP 500, failing checks: etcd")), etcd(Err(MUTE))],
        vec![api(Err(MUTE)), ("prod-eu1/apiserver/api-1", ProbeKind::Version, Ok("v1.36.3")), etcd(Err(MUTE))],
        vec![api(Err(REFUSED)), etcd(Err(MUTE))],
        vec![api(Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout })), etcd(Err(MUTE))],
        // A managed control plane shows no etcd, and an etcd alone no apiserver: one part is no site.
        vec![api(Err(MUTE))],
        vec![etcd(Err(MUTE))],
        vec![],
    ] {
        let shown = text(&document(&of_probes(&probes)));

        assert!(!shown.contains("No endpoint of prod-eu1 responds"), "{probes:?}\n{shown}");
        assert!(shown.contains("All writes fail"), "{probes:?}\n{shown}");
    }
}
