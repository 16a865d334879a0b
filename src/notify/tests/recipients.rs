//! Claims about what becomes of single recipients.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::relay::{Act, At, Relay};
use super::{AMPLE, delivery, email, failed};
use crate::config::settings::MailTls;
use crate::model::message::{Delivery, FailureClass, Receipt};
use crate::model::reason::MessageReason;
use crate::model::recipient::{Recipients, Rejection};

const OPS: &str = "ops@example.org";
const BOSS: &str = "boss@example.org";

fn refused(recipient: &str, text: &str) -> Vec<Rejection> {
    vec![Rejection { recipient: recipient.into(), text: text.into() }]
}

/// What the engine makes of an attempt, for the next one.
fn note(delivery: &mut Delivery, recipients: Recipients) {
    delivery.served.extend(recipients.served);
    delivery.refused.extend(recipients.refused.into_iter().map(|rejection| rejection.recipient));
}

#[tokio::test]
async fn a_recipient_who_is_gone_does_not_keep_the_mail_from_the_others_and_is_named() {
    let relay = Relay::start(MailTls::Plain, |at, line| {
        let is_gone = at == At::Rcpt && line.contains(BOSS);
        if is_gone { Act::ByteQueue(b"550 5.1.1 schon l\xe4nger nicht mehr hier\r\n") } else { Act::AsUsual }
    })
    .await;

    let (receipt, recipients) = email(&relay.settings()).deliver(&delivery(MessageReason::First), AMPLE).await;

    assert_eq!(receipt, Receipt::Accepted);
    assert_eq!(relay.only().to, [OPS]);
    assert_eq!(recipients.served, [OPS.to_owned()].into());
    assert_eq!(recipients.refused, refused(BOSS, "550 5.1.1 schon l\u{fffd}nger nicht mehr hier"));
}

#[tokio::test]
#[expect(clippy::wildcard_enum_match_arm, reason = "every other step of the talk goes as usual")]
async fn a_refused_recipient_is_named_whatever_becomes_of_the_others() {
    for (at, act, class) in [
        (At::Rcpt, Act::Reply("451 4.7.1 greylisted"), FailureClass::Temporary),
        (At::Content, Act::Reply("452 disk full"), FailureClass::Temporary),
        (At::Data, Act::Reply("451 later"), FailureClass::Temporary),
        (At::Content, Act::Cut, FailureClass::Other),
    ] {
        let relay = Relay::start(MailTls::Plain, move |step, line| match step {
            At::Rcpt if line.contains(BOSS) => Act::Reply("550 5.1.1 gone"),
            step if step == at => act,
            _ => Act::AsUsual,
        })
        .await;

        let (receipt, recipients) = email(&relay.settings()).deliver(&delivery(MessageReason::First), AMPLE).await;

        assert_eq!((failed(receipt).0.class, recipients.served.len()), (class, 0), "{at:?}");
        assert_eq!(recipients.refused, refused(BOSS, "550 5.1.1 gone"), "{at:?}");
    }
}

#[tokio::test]
async fn the_next_attempt_is_only_for_those_not_served_yet_even_by_a_new_process() {
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
    let mut delivery = delivery(MessageReason::First);

    let (receipt, recipients) = email(&relay.settings()).deliver(&delivery, AMPLE).await;
    let (failure, _) = failed(receipt);
    note(&mut delivery, recipients);
    let (second, recipients) = email(&relay.settings()).deliver(&delivery, AMPLE).await;

    assert_eq!(failure.class, FailureClass::Temporary);
    assert_eq!(failure.text, "taken for 1 recipients, not yet for 1: boss@example.org: 451 4.7.1 greylisted");
    assert_eq!((second, recipients.served), (Receipt::Accepted, [BOSS.to_owned()].into()));
    let taken = relay.taken.lock().unwrap();
    let to: Vec<_> = taken.iter().map(|taken| taken.to.join(" ")).collect();
    assert_eq!(to, [OPS, BOSS]);
}

#[tokio::test]
async fn whoever_is_refused_after_others_were_served_is_settled_and_named() {
    let gone = "550 5.1.1 gone";
    for (at, act, settled) in [
        (At::Rcpt, Act::Reply(gone), true),
        // No word about the recipient: it stays owed.
        (At::Rcpt, Act::Reply("451 4.7.1 later"), false),
        (At::Content, Act::Reply("554 5.7.1 spam"), false),
        (At::Mail, Act::Reply("550 5.7.1 no"), false),
        (At::Greeting, Act::Reply("554 5.7.1 not from your address"), false),
    ] {
        let relay = Relay::start(MailTls::Plain, super::only_at(at, act)).await;
        let mut delivery = delivery(MessageReason::First);
        delivery.served.insert(OPS.into());

        let (receipt, recipients) = email(&relay.settings()).deliver(&delivery, AMPLE).await;

        assert_eq!(receipt == Receipt::Accepted, settled, "{at:?}: {receipt:?}");
        assert_eq!(recipients.refused, if settled { refused(BOSS, gone) } else { Vec::new() }, "{at:?}");
    }
}

#[tokio::test]
async fn a_mail_that_everybody_has_got_who_is_left_is_done() {
    let relay = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;
    let mut delivery = delivery(MessageReason::First);
    delivery.served.extend([OPS, BOSS].map(str::to_owned));

    assert_eq!(email(&relay.settings()).deliver(&delivery, AMPLE).await.0, Receipt::Accepted);
    assert!(relay.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_recipient_is_asked_for_again_only_when_nobody_else_is_left() {
    let relay = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;
    let mut delivery = delivery(MessageReason::First);
    delivery.refused.insert(BOSS.into());

    email(&relay.settings()).deliver(&delivery, AMPLE).await;
    delivery.refused.insert(OPS.into());
    email(&relay.settings()).deliver(&delivery, AMPLE).await;

    let taken = relay.taken.lock().unwrap();
    let to: Vec<_> = taken.iter().map(|taken| taken.to.join(" ")).collect();
    assert_eq!(to, ["ops@example.org", "ops@example.org boss@example.org"]);
}
