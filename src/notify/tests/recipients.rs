//! Claims about what becomes of single recipients.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::relay::{Act, At, Relay};
use super::{AMPLE, delivery, email};
use crate::config::settings::MailTls;
use crate::model::delivery::{Attempt, DeliveryFailure, DeliveryResult, FailureClass};
use crate::model::reason::MessageReason;

const OPS: &str = "ops@example.org";
const BOSS: &str = "boss@example.org";

fn to(recipients: &[&str]) -> Attempt {
    let recipients = recipients.iter().copied().map(str::to_owned).collect();
    Attempt { recipients, ..delivery(MessageReason::First) }
}

/// What becomes of each recipient of `attempt` at `relay`.
async fn results(relay: &Relay, attempt: &Attempt) -> BTreeMap<String, DeliveryResult> {
    let receipts = email(&relay.settings()).deliver(attempt, AMPLE).await;
    assert!(receipts.iter().all(|receipt| receipt.delivery == attempt.delivery(&receipt.delivery.recipient)));
    receipts.into_iter().map(|receipt| (receipt.delivery.recipient, receipt.result)).collect()
}

fn rejected(text: &str) -> DeliveryResult {
    DeliveryResult::Rejected(text.into())
}

fn failed(class: FailureClass, text: &str) -> DeliveryResult {
    DeliveryResult::Failed(DeliveryFailure { class, text: text.into() })
}

#[tokio::test]
async fn a_recipient_who_is_gone_does_not_keep_the_mail_from_the_others_and_is_named() {
    let relay = Relay::start(MailTls::Plain, |at, line| {
        let is_gone = at == At::Rcpt && line.contains(BOSS);
        if is_gone { Act::ByteQueue(b"550 5.1.1 schon l\xe4nger nicht mehr hier\r\n") } else { Act::AsUsual }
    })
    .await;

    let results = results(&relay, &to(&[OPS, BOSS])).await;

    assert_eq!(relay.only().to, [OPS]);
    assert_eq!(results[OPS], DeliveryResult::Accepted);
    assert_eq!(results[BOSS], rejected("550 5.1.1 schon l\u{fffd}nger nicht mehr hier"));
}

#[tokio::test]
#[expect(clippy::wildcard_enum_match_arm, reason = "every other step of the talk goes as usual")]
async fn a_refused_recipient_is_named_whatever_becomes_of_the_others() {
    for (at, act, class) in [
        (At::Rcpt, Act::Reply("451 4.7.1 greylisted"), FailureClass::Deferred),
        (At::Content, Act::Reply("452 disk full"), FailureClass::Deferred),
        (At::Data, Act::Reply("451 later"), FailureClass::Deferred),
        (At::Content, Act::Cut, FailureClass::Uncertain),
    ] {
        let relay = Relay::start(MailTls::Plain, move |step, line| match step {
            At::Rcpt if line.contains(BOSS) => Act::Reply("550 5.1.1 gone"),
            step if step == at => act,
            _ => Act::AsUsual,
        })
        .await;

        let results = results(&relay, &to(&[OPS, BOSS])).await;

        assert_eq!(results[BOSS], rejected("550 5.1.1 gone"), "{at:?}");
        let DeliveryResult::Failed(failure) = &results[OPS] else { panic!("{results:?}") };
        assert_eq!(failure.class, class, "{at:?}");
    }
}

#[tokio::test]
async fn whoever_is_put_off_has_a_result_of_his_own_and_can_be_asked_alone() {
    let tries = AtomicUsize::new(0);
    let relay = Relay::start(MailTls::Plain, move |at, line| {
        let is_boss = at == At::Rcpt && line.contains(BOSS);
        if is_boss && tries.fetch_add(1, Ordering::SeqCst) == 0 {
            Act::Reply("451 4.7.1 greylisted")
        } else {
            Act::AsUsual
        }
    })
    .await;

    let first = results(&relay, &to(&[OPS, BOSS])).await;
    let second = results(&relay, &to(&[BOSS])).await;

    assert_eq!(first[OPS], DeliveryResult::Accepted);
    let text = "naming recipient boss@example.org: 451 4.7.1 greylisted";
    assert_eq!(first[BOSS], failed(FailureClass::Deferred, text));
    assert_eq!(second, BTreeMap::from([(BOSS.to_owned(), DeliveryResult::Accepted)]));
    let taken = relay.taken.lock().unwrap();
    let to: Vec<_> = taken.iter().map(|taken| taken.to.join(" ")).collect();
    assert_eq!(to, [OPS, BOSS]);
}

#[tokio::test]
async fn only_what_is_said_of_a_recipient_is_a_rejection() {
    let gone = "550 5.1.1 gone";
    for (at, act, expected) in [
        (At::Rcpt, Act::Reply(gone), rejected(gone)),
        (
            At::Rcpt,
            Act::Reply("451 later"),
            failed(FailureClass::Deferred, "naming recipient boss@example.org: 451 later"),
        ),
        (At::Content, Act::Reply("554 spam"), failed(FailureClass::Refused, "handing over the message: 554 spam")),
        (At::Mail, Act::Reply("550 no"), failed(FailureClass::Refused, "naming the sender: 550 no")),
    ] {
        let relay = Relay::start(MailTls::Plain, super::only_at(at, act)).await;

        let results = results(&relay, &to(&[BOSS])).await;

        assert_eq!(results, BTreeMap::from([(BOSS.to_owned(), expected)]), "{at:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_whom_the_configuration_does_not_name() {
    let relay = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;

    let results = results(&relay, &to(&["late@example.org"])).await;

    assert_eq!(results, BTreeMap::new());
    assert!(relay.taken.lock().unwrap().is_empty());
}
