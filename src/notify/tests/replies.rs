//! Claims about replies: the code decides, the text is for people.

use super::relay::{Act, At, Relay};
use super::{AMPLE, check, deliver, delivery, email, failed, only_at, overall};
use crate::config::settings::{Login, MailTls, Source};
use crate::model::delivery::{DeliveryResult, FailureClass};
use crate::model::reason::MessageReason;

/// Yes to every step, in the letters of other countries, without any, over several lines, and with noise around it.
const YES: [(At, &[&[u8]]); 6] = [
    (
        At::Greeting,
        &[b"220 erfreut, Sie zu h\xf6ren\r\n", b"220 \xbb\xb6\xd3\xad smtp\r\n", b"220\r\n", b"220-\r\n220 x\r\n"],
    ),
    (
        At::Ehlo,
        &[
            b"250-relay.test sch\xf6n\r\n250 8BITMIME\r\n",
            b"250\r\n",
            b"250-relay.test\r\n250-SIZE 9\r\n250\r\n",
            b"250 \xff\r\n",
        ],
    ),
    (At::Mail, &[b"250 \xc4bsender\r\n", b"250\r\n", b"250-\r\n250\r\n"]),
    (At::Rcpt, &[b"250 \xa4\xa4\xa4\xe5\r\n", b"250\r\n", b"251 will forward\r\n", b"252\r\n"]),
    (At::Data, &[b"354 los gr\xfc\xdf\r\n", b"354\r\n", b"354-go\r\n354 on\r\n"]),
    (
        At::Content,
        &[
            b"250 2.0.0 Nachricht angenommen, viele Gr\xfc\xdfe\r\n",
            b"250 \xd3\xca\xbc\xfe\xd2\xd1\xbd\xd3\xca\xd5\r\n",
            b"250\r\n",
            b"250-2.0.0 Ok\r\n250-queued\r\n250 id 4F2A\r\n",
            b"queue: debug\r\n250 taken\r\n",
            b"250\n",
        ],
    ),
];

#[tokio::test]
async fn a_relay_that_says_yes_is_believed_whatever_its_words_are() {
    for (at, answers) in YES {
        for bytes in answers {
            let relay = Relay::start(MailTls::Plain, only_at(at, Act::ByteQueue(bytes))).await;

            assert_eq!(deliver(&relay.settings()).await, DeliveryResult::Accepted, "{at:?}: {bytes:?}");
            assert_eq!(relay.only().to.len(), 2);
        }
    }
}

#[tokio::test]
async fn a_relay_that_says_no_is_believed_and_its_code_told() {
    for (at, bytes, class, for_good, told) in [
        (At::Rcpt, &b"550 \xd3\xc3\xbb\xa7\xb2\xbb\xb4\xe6\xd4\xda\r\n"[..], FailureClass::Refused, true, "550"),
        (At::Mail, b"553\r\n", FailureClass::Refused, true, "553"),
        (At::Content, b"451 sp\xe4ter\r\n", FailureClass::Deferred, false, "451"),
        (At::Content, b"250-looks good\r\n554 no\r\n", FailureClass::Refused, true, "554"),
        (At::Content, b"354 go on\r\n", FailureClass::Broken, false, "354"),
        (At::Data, b"250 fine\r\n", FailureClass::Broken, false, "250 fine"),
    ] {
        let relay = Relay::start(MailTls::Plain, only_at(at, Act::ByteQueue(bytes))).await;

        let (failure, is_for_good) = failed(deliver(&relay.settings()).await);

        assert_eq!((failure.class, is_for_good), (class, for_good), "{}", failure.text);
        assert!(failure.text.contains(told), "{}", failure.text);
    }
}

#[tokio::test]
#[expect(clippy::wildcard_enum_match_arm, reason = "every other step of the talk goes as usual")]
async fn the_order_of_the_login_questions_counts_and_not_their_words() {
    for question in
        [&b"334 VXNlciBOYW1lOiA=\r\n"[..], b"334 UGFzc3dvcnQ6\r\n", b"334 \r\n", b"334\r\n", b"334 \xff not base64\r\n"]
    {
        let relay = Relay::start(MailTls::Implicit, move |at, _| match at {
            At::Ehlo => Act::Reply("250-relay.test\r\n250-auth=login cram-md5\r\n250 8BITMIME"),
            At::Question => Act::ByteQueue(question),
            _ => Act::AsUsual,
        })
        .await;
        let mut settings = relay.settings();
        settings.login = Some(Login { username: "ops".into(), password: Source::File(relay.file("word", "secret")) });

        assert_eq!(deliver(&settings).await, DeliveryResult::Accepted, "{question:?}");
        assert_eq!(relay.only().login.as_deref(), Some("ops secret"));
    }
}

#[tokio::test]
#[expect(clippy::wildcard_enum_match_arm, reason = "every other step of the talk goes as usual")]
async fn a_relay_that_asks_on_after_a_complete_login_gets_it_once_more() {
    // The fake takes the second try, which has no verb, for the end of the session.
    let relay = Relay::start(MailTls::Implicit, |at, given| match at {
        At::Auth => Act::ByteQueue(b"334\r\n"),
        At::Quit if given == "AG9wcwBzZWNyZXQ=" => Act::Reply("535 5.7.8 no"),
        _ => Act::AsUsual,
    })
    .await;
    let mut settings = relay.settings();
    settings.login = Some(Login { username: "ops".into(), password: Source::File(relay.file("word", "secret")) });

    let (failure, _) = failed(deliver(&settings).await);

    assert_eq!(
        (failure.class, failure.text.as_str()),
        (FailureClass::CredentialRefused, "logging in: 535 login rejected")
    );
}

#[tokio::test]
async fn a_password_that_comes_back_as_noise_is_not_shown() {
    let noise: &'static [u8] = b"ops secret? AG9wcwBzZWNyZXQ=\r\n".repeat(40).leak();
    let relay = Relay::start(MailTls::Implicit, only_at(At::Auth, Act::ByteQueue(noise))).await;
    let mut settings = relay.settings();
    settings.login = Some(Login { username: "ops".into(), password: Source::File(relay.file("word", "secret")) });

    let (failure, _) = failed(deliver(&settings).await);

    assert!(failure.text.contains("no SMTP reply"), "{}", failure.text);
    assert!(!failure.text.contains("secret") && !failure.text.contains("AG9w"), "{}", failure.text);
}

#[tokio::test]
async fn a_login_that_nobody_offers_is_told_as_such() {
    let ehlo = Act::Reply("250-relay.test\r\n250 AUTH GSSAPI");
    let relay = Relay::start(MailTls::Implicit, only_at(At::Ehlo, ehlo)).await;
    let mut settings = relay.settings();
    settings.login = Some(Login { username: "ops".into(), password: Source::File(relay.file("word", "secret")) });

    let (failure, is_for_good) = failed(deliver(&settings).await);

    assert_eq!((failure.class, is_for_good), (FailureClass::CredentialRefused, false));
    assert!(failure.text.contains("offers no login"), "{}", failure.text);
}

#[tokio::test]
#[expect(clippy::wildcard_enum_match_arm, reason = "every other step of the talk goes as usual")]
async fn an_answer_that_came_before_its_question_is_none() {
    let relay = Relay::start(MailTls::Plain, |at, _| match at {
        At::Rcpt => Act::ByteQueue(b"250 fine\r\n250 and once more\r\n"),
        At::Data => Act::ByteQueue(b"354 go ahead\r\n250 taken before it came\r\n"),
        At::Content => Act::Reply("451 disk full"),
        _ => Act::AsUsual,
    })
    .await;

    let (failure, _) = failed(overall(email(&relay.settings()).deliver(&delivery(MessageReason::First), AMPLE).await));

    assert_eq!(failure.text, "handing over the message: 451 disk full");
}

#[tokio::test]
async fn what_somebody_says_before_tls_is_not_heard_behind_it() {
    let injected = Act::ByteQueue(b"220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n");

    let text = check(MailTls::StartTls, only_at(At::StartTls, injected), FailureClass::Untrusted, false).await;

    assert!(text.contains("before TLS"), "{text}");
}

#[tokio::test]
async fn another_server_in_the_relays_place_is_told_by_its_words() {
    let greeting = Act::ByteQueue(b"SSH-2.0-OpenSSH_9.2p1\r\n");

    let text = check(MailTls::Plain, only_at(At::Greeting, greeting), FailureClass::Broken, false).await;

    assert!(text.contains("no SMTP server"), "{text}");
    assert!(text.contains("SSH-2.0-OpenSSH_9.2p1"), "{text}");
}
