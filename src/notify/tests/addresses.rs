//! Claims about a relay's name with several addresses.

use super::relay::{Act, At, Relay, certificate};
use super::{AMPLE, SHORT, delivery, email, failed, only_at, overall};
use crate::config::settings::{MailTls, Source};
use crate::model::delivery::{DeliveryResult, FailureClass};
use crate::model::reason::MessageReason;

/// What the machine at the first address does, so that the next one is worth a try.
const LET_DOWN: [(MailTls, At, Act); 14] = [
    (MailTls::Plain, At::Greeting, Act::Reply("421 too busy")),
    (MailTls::Plain, At::Greeting, Act::Reply("554 5.7.1 not here")),
    (MailTls::Plain, At::Greeting, Act::Cut),
    (MailTls::Plain, At::Greeting, Act::Stall),
    (MailTls::Plain, At::Greeting, Act::ByteQueue(b"SSH-2.0-OpenSSH_9.2\r\n")),
    (MailTls::Plain, At::Ehlo, Act::Reply("502 what?")),
    (MailTls::Plain, At::Mail, Act::Reply("421 closing")),
    (MailTls::Plain, At::Rcpt, Act::Reply("421 closing")),
    (MailTls::Plain, At::Rcpt, Act::Cut),
    (MailTls::Plain, At::Data, Act::Stall),
    (MailTls::StartTls, At::Ehlo, Act::Reply("250 no TLS here")),
    (MailTls::StartTls, At::StartTls, Act::Reply("454 no TLS today")),
    (MailTls::StartTls, At::Handshake, Act::Cut),
    (MailTls::Implicit, At::Handshake, Act::Cut),
];

#[tokio::test]
async fn the_next_address_is_tried_when_the_machine_at_the_first_lets_us_down() {
    for (tls, at, act) in LET_DOWN {
        let identity = certificate();
        let first = Relay::start_as(tls, identity.clone(), only_at(at, act)).await;
        let second = Relay::start_as(tls, identity, |_, _| Act::AsUsual).await;
        let email = email(&second.settings()).at(vec![first.address, second.address]).with_step(SHORT);

        let receipt = overall(email.deliver(&delivery(MessageReason::First), AMPLE).await);

        assert_eq!(receipt, DeliveryResult::Accepted, "{tls:?} {at:?} {act:?}");
        assert_eq!(second.only().to.len(), 2);
        assert!(first.taken.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_shows_a_certificate_nobody_vouches_for() {
    for tls in [MailTls::StartTls, MailTls::Implicit] {
        let first = Relay::start(tls, |_, _| Act::AsUsual).await;
        let second = Relay::start(tls, |_, _| Act::AsUsual).await;
        let email = email(&second.settings()).at(vec![first.address, second.address]);

        assert_eq!(overall(email.deliver(&delivery(MessageReason::First), AMPLE).await), DeliveryResult::Accepted);
        assert_eq!(second.only().to.len(), 2);
    }
}

#[tokio::test]
async fn the_answer_of_a_relay_that_lets_us_in_is_its_answer() {
    for (at, act) in [
        (At::Mail, Act::Reply("550 not you")),
        (At::Rcpt, Act::Reply("550 5.1.1 nobody of that name")),
        (At::Rcpt, Act::Reply("451 4.7.1 greylisted")),
        (At::Data, Act::Reply("554 no")),
        // Here the message may have been accepted, so it is sent to no other address.
        (At::Content, Act::Cut),
        (At::Content, Act::Reply("421 closing")),
    ] {
        let first = Relay::start(MailTls::Plain, only_at(at, act)).await;
        let second = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;
        let email = email(&second.settings()).at(vec![first.address, second.address]);

        failed(overall(email.deliver(&delivery(MessageReason::First), AMPLE).await));

        assert!(second.taken.lock().unwrap().is_empty(), "{at:?} {act:?}");
    }
}

#[tokio::test]
async fn a_password_that_one_address_refuses_is_not_shown_to_the_next() {
    let refuses = |at, _: &str| if at == At::Auth { Act::Reply("535 no") } else { Act::AsUsual };
    let identity = certificate();
    let first = Relay::start_as(MailTls::Implicit, identity.clone(), refuses).await;
    let second = Relay::start_as(MailTls::Implicit, identity, |_, _| Act::AsUsual).await;
    let mut settings = second.settings();
    let password = Source::File(second.file("word", "secret"));
    settings.login = Some(crate::config::settings::Login { username: "ops".into(), password });
    let email = email(&settings).at(vec![first.address, second.address]);

    let (failure, _) = failed(overall(email.deliver(&delivery(MessageReason::First), AMPLE).await));

    assert_eq!(failure.class, FailureClass::CredentialRefused);
    assert!(second.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn refused_for_good_is_only_what_every_address_refuses_for_good() {
    for (second, for_good, class) in
        [("554 5.7.1 nor here", true, FailureClass::Refused), ("421 4.7.0 later", false, FailureClass::Deferred)]
    {
        let first = Relay::start(MailTls::Plain, only_at(At::Greeting, Act::Reply("554 5.7.1 not here"))).await;
        let second = Relay::start(MailTls::Plain, only_at(At::Greeting, Act::Reply(second))).await;
        let email = email(&second.settings()).at(vec![first.address, second.address]);

        let (failure, is_for_good) = failed(overall(email.deliver(&delivery(MessageReason::First), AMPLE).await));

        assert_eq!((failure.class, is_for_good), (class, for_good), "{}", failure.text);
        assert!(failure.text.contains("554 5.7.1 not here; connecting to the relay"), "{}", failure.text);
    }
}
