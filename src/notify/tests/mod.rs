//! Claims about talks with relays and heartbeat receivers that do not always behave.

mod addresses;
mod heartbeat;
mod recipients;
pub(crate) mod relay;
mod replies;
mod trust;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mail_parser::{HeaderValue, MessageParser};

use self::relay::{Act, At, Relay};
use super::email::Email;
use crate::config::settings::{Login, Mail, MailTls, Source};
use crate::model::delivery::{Attempt, DeliveryFailure, DeliveryResult, FailureClass, Receipt};
use crate::model::reason::MessageReason;
use crate::model::rule::RuleId;
use crate::render::{mail, message};
use crate::samples;

const ALL_TLS: [MailTls; 3] = [MailTls::Plain, MailTls::StartTls, MailTls::Implicit];

/// Long enough for a session on a busy machine.
const AMPLE: Duration = Duration::from_secs(30);

/// Short enough to see deadlines pass.
const SHORT: Duration = Duration::from_millis(300);

fn delivery(reason: MessageReason) -> Attempt {
    samples::attempt(RuleId::F24, reason)
}

fn email(settings: &Mail) -> Email {
    Email::new(settings, "bastion-1.example").unwrap()
}

async fn deliver(settings: &Mail) -> DeliveryResult {
    tried(&email(settings), &delivery(MessageReason::First)).await
}

async fn tried(email: &Email, delivery: &Attempt) -> DeliveryResult {
    overall(email.deliver(delivery, AMPLE).await)
}

/// How an attempt ended: for the first recipient who did not get the message, if there is one.
fn overall(receipts: Vec<Receipt>) -> DeliveryResult {
    assert!(!receipts.is_empty());
    let mut results = receipts.into_iter().map(|receipt| receipt.result);
    results.find(|result| *result != DeliveryResult::Accepted).unwrap_or(DeliveryResult::Accepted)
}

/// How a delivery failed, and whether that is for good.
fn failed(result: DeliveryResult) -> (DeliveryFailure, bool) {
    match result {
        DeliveryResult::Accepted => panic!("accepted"),
        DeliveryResult::Failed(failure) => {
            let is_for_good = failure.class == FailureClass::Refused;
            (failure, is_for_good)
        }
        DeliveryResult::Rejected(text) => (DeliveryFailure { class: FailureClass::Refused, text }, true),
    }
}

/// Delivers to a relay that follows `script`, and checks how it fails.
async fn check(
    tls: MailTls,
    script: impl Fn(At, &str) -> Act + Send + Sync + 'static,
    class: FailureClass,
    for_good: bool,
) -> String {
    let relay = Relay::start(tls, script).await;

    let (failure, is_for_good) = failed(deliver(&relay.settings()).await);

    assert_eq!((failure.class, is_for_good), (class, for_good), "{}", failure.text);
    failure.text
}

fn only_at(wanted: At, act: Act) -> impl Fn(At, &str) -> Act + Send + Sync {
    move |at, _| if at == wanted { act } else { Act::AsUsual }
}

#[tokio::test]
async fn an_accepted_mail_is_complete_in_both_parts_over_every_protection() {
    for tls in ALL_TLS {
        let relay = Relay::start(tls, |_, _| Act::AsUsual).await;
        let delivery = delivery(MessageReason::First);

        let receipt = overall(email(&relay.settings()).deliver(&delivery, AMPLE).await);

        assert_eq!(receipt, DeliveryResult::Accepted);
        let taken = relay.only();
        assert_eq!(taken.is_encrypted, tls != MailTls::Plain);
        assert_eq!((taken.hello.as_str(), taken.from.as_str()), ("bastion-1.example", "vedette@bastion.example"));
        assert_eq!(taken.to, ["ops@example.org", "boss@example.org"]);
        let parts = mail::parts(&message::document(&delivery));
        let parsed = MessageParser::default().parse(&taken.content).unwrap();
        assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), parts.text.trim_end());
        assert_eq!(parsed.body_html(0).unwrap().replace("\r\n", "\n").trim_end(), parts.html.trim_end());
        assert!(taken.content.is_ascii());
        assert!(taken.content.split(|byte| *byte == b'\n').all(|line| line.len() <= 998));
    }
}

#[tokio::test]
async fn headers_let_machines_sort_and_programs_thread() {
    let relay = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;
    let email = email(&relay.settings());
    let (first, last) = (delivery(MessageReason::First), delivery(MessageReason::Resolved));

    for delivery in [&first, &last, &last] {
        assert_eq!(overall(email.deliver(delivery, AMPLE).await), DeliveryResult::Accepted);
    }

    let taken = relay.taken.lock().unwrap().clone();
    assert_eq!(taken[1].content, taken[2].content, "a repeat differs from the first try");
    let begin = MessageParser::default().parse(&taken[0].content).unwrap();
    let end = MessageParser::default().parse(&taken[1].content).unwrap();
    let root = format!("{}@bastion.example", first.message.id);
    assert_eq!(begin.message_id(), Some(root.as_str()));
    assert_eq!(begin.in_reply_to(), &HeaderValue::Empty);
    assert_eq!(end.message_id(), Some(format!("{}@bastion.example", last.message.id).as_str()));
    assert_eq!((end.in_reply_to().as_text(), end.references().as_text()), (Some(root.as_str()), Some(root.as_str())));
    assert_eq!(begin.date().unwrap().to_timestamp(), first.message.composed.as_secs());
    assert_eq!(begin.reply_to().unwrap().first().unwrap().address(), Some("team@example.org"));
    assert_eq!(begin.subject(), Some("[CRITICAL] prod-eu1: all apiservers are down"));
    assert_eq!(end.subject(), Some("[RESOLVED 14m] prod-eu1: all apiservers are down"));
    for (name, value) in [
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("List-Id", "<vedette.bastion.example>"),
        ("X-Vedette-Cluster", "prod-eu1"),
        ("X-Vedette-Rule", "F24"),
        ("X-Vedette-Level", "critical"),
        ("X-Vedette-Reason", "first"),
        ("X-Vedette-Incident", &first.message.incident.id.0),
    ] {
        assert_eq!(begin.header_raw(name).map(str::trim), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_password_is_read_anew_for_each_mail() {
    let relay = Relay::start(MailTls::StartTls, |_, _| Act::AsUsual).await;
    let mut settings = relay.settings();
    let password = Source::File(relay.file("password", "old\n"));
    settings.login = Some(Login { username: "vedette".into(), password });
    let email = email(&settings);

    email.deliver(&delivery(MessageReason::First), AMPLE).await;
    relay.file("password", "new");
    email.deliver(&delivery(MessageReason::Resolved), AMPLE).await;

    let taken = relay.taken.lock().unwrap();
    let logins: Vec<_> = taken.iter().map(|taken| taken.login.as_deref()).collect();
    assert_eq!(logins, [Some("vedette old"), Some("vedette new")]);
}

#[tokio::test]
async fn a_mail_goes_out_while_the_files_it_needs_cannot_be_read() {
    for hangs in [false, true] {
        let relay = Relay::start(MailTls::StartTls, |_, _| Act::AsUsual).await;
        let mut settings = relay.settings();
        let password = relay.file("password", "secret");
        settings.login = Some(Login { username: "vedette".into(), password: Source::File(password.clone()) });
        let email = email(&settings);
        email.prepare().await;

        std::fs::remove_file(password).unwrap();
        if let Some(Source::File(ca)) = &settings.ca {
            std::fs::remove_file(ca).unwrap();
        }
        let _hanging = hangs.then(|| email.with_a_hung_disk());
        let receipt = tried(&email, &delivery(MessageReason::First)).await;

        assert_eq!(receipt, DeliveryResult::Accepted, "hangs: {hangs}");
        assert_eq!(relay.only().login.as_deref(), Some("vedette secret"));
    }
}

#[tokio::test]
async fn a_stall_at_any_step_ends_at_its_deadline() {
    let every = [At::Greeting, At::Ehlo, At::Mail, At::Rcpt, At::Data, At::Content];
    let plain = every.map(|at| (MailTls::Plain, at));
    let encrypted = [
        (MailTls::StartTls, At::StartTls),
        (MailTls::StartTls, At::Handshake),
        (MailTls::StartTls, At::Auth),
        (MailTls::Implicit, At::Handshake),
        (MailTls::Implicit, At::Greeting),
    ];
    for (tls, at) in plain.into_iter().chain(encrypted) {
        let relay = Relay::start(tls, only_at(at, Act::Stall)).await;
        let mut settings = relay.settings();
        if at == At::Auth {
            let password = Source::File(relay.file("password", "secret"));
            settings.login = Some(Login { username: "vedette".into(), password });
        }
        let email = email(&settings).with_step(SHORT);
        let delivery = delivery(MessageReason::First);

        let receipt = tokio::time::timeout(AMPLE, tried(&email, &delivery)).await.unwrap();

        let (failure, is_for_good) = failed(receipt);
        let class = if at == At::Content { FailureClass::Uncertain } else { FailureClass::TimedOut };
        assert_eq!((failure.class, is_for_good), (class, false), "{at:?}: {}", failure.text);
        assert!(relay.taken.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_line_without_an_end_is_cut_off_over_every_protection() {
    for tls in ALL_TLS {
        let text = check(tls, only_at(At::Greeting, Act::Flood), FailureClass::Broken, false).await;

        assert!(text.ends_with("the peer sends more than any answer needs"), "{text}");
    }
}

#[tokio::test]
async fn the_whole_talk_has_a_deadline_of_its_own_and_it_is_known_whether_the_relay_may_have_it() {
    for (at, class) in [(At::Content, FailureClass::Uncertain), (At::Data, FailureClass::TimedOut)] {
        let relay = Relay::start(MailTls::Plain, only_at(at, Act::Stall)).await;

        let receipts = email(&relay.settings()).deliver(&delivery(MessageReason::First), SHORT).await;

        let (failure, _) = failed(overall(receipts));
        assert_eq!(failure.class, class, "{at:?}");
        assert_eq!(failure.text, "the whole talk with the relay: not done within 300ms");
    }
}

#[tokio::test]
async fn a_stall_after_acceptance_is_still_acceptance() {
    for act in [Act::Stall, Act::Cut] {
        let relay = Relay::start(MailTls::Plain, only_at(At::Quit, act)).await;

        assert_eq!(deliver(&relay.settings()).await, DeliveryResult::Accepted);
    }
}

#[tokio::test]
async fn refusals_for_now_are_tried_again_and_refusals_for_good_are_not() {
    use FailureClass::{Deferred, Refused, Untrusted};
    let plain = MailTls::Plain;
    let text = check(plain, only_at(At::Content, Act::Reply("451 4.7.1 try later")), Deferred, false).await;
    assert_eq!(text, "handing over the message: 451 4.7.1 try later");
    check(plain, only_at(At::Greeting, Act::Reply("421 too busy")), Deferred, false).await;
    check(plain, only_at(At::Greeting, Act::Reply("554 not you")), Refused, true).await;
    check(plain, only_at(At::Mail, Act::Reply("452 full")), Deferred, false).await;
    check(plain, only_at(At::Mail, Act::Reply("550 no")), Refused, true).await;
    check(plain, only_at(At::Mail, Act::Reply("530 5.7.0 login first")), Refused, true).await;
    check(plain, only_at(At::Data, Act::Reply("554 no")), Refused, true).await;
    let text = check(plain, only_at(At::Content, Act::Reply("550-spam\r\n550 really")), Refused, true).await;
    assert_eq!(text, "handing over the message: 550 spam really");
    check(plain, only_at(At::Rcpt, Act::Reply("550 5.1.1 no such user")), Refused, true).await;
    check(MailTls::StartTls, only_at(At::StartTls, Act::Reply("454 no TLS today")), Untrusted, false).await;
}

#[tokio::test]
async fn a_cut_before_the_final_word_is_tried_again() {
    for at in [At::Content, At::Data, At::Rcpt, At::Mail] {
        let class = if at == At::Content { FailureClass::Uncertain } else { FailureClass::Broken };
        let text = check(MailTls::Plain, only_at(at, Act::Cut), class, false).await;
        assert!(text.contains("hung up"), "{text}");
    }
}

#[tokio::test]
async fn tls_trouble_is_named_as_such() {
    for tls in [MailTls::StartTls, MailTls::Implicit] {
        let relay = Relay::start(tls, |_, _| Act::AsUsual).await;
        let mut settings = relay.settings();
        settings.ca = Some(Source::File(relay.file("other.pem", &relay::certificate().0)));

        let (failure, is_for_good) = failed(deliver(&settings).await);

        assert_eq!((failure.class, is_for_good), (FailureClass::Untrusted, false), "{}", failure.text);
        assert!(failure.text.contains("invalid peer certificate"), "{}", failure.text);
    }
    check(MailTls::StartTls, only_at(At::Handshake, Act::Cut), FailureClass::Untrusted, false).await;
    let relay = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;
    let mut settings = relay.settings();
    settings.tls = MailTls::StartTls;
    let (failure, _) = failed(deliver(&settings).await);
    assert_eq!(failure.class, FailureClass::Untrusted, "mail must not go out unprotected: {}", failure.text);
    assert!(relay.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_ca_or_password_is_an_answer() {
    let relay = Relay::start(MailTls::StartTls, |_, _| Act::AsUsual).await;
    let mut settings = relay.settings();
    settings.ca = Some(Source::File("/nowhere/ca.pem".into()));
    assert_eq!(failed(deliver(&settings).await).0.class, FailureClass::Untrusted);

    settings.ca = relay.settings().ca;
    settings.login = Some(Login { username: "vedette".into(), password: Source::Credential("absent".into()) });
    let (failure, is_for_good) = failed(deliver(&settings).await);
    assert_eq!((failure.class, is_for_good), (FailureClass::CredentialRefused, false));
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let mut settings = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await.settings();
    // Bound but not listening: it refuses, and no other process gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    settings.relay.port = closed.local_addr().unwrap().port();

    let (failure, is_for_good) = failed(deliver(&settings).await);

    assert_eq!((failure.class, is_for_good), (FailureClass::Unreachable, false));
    assert!(failure.text.contains("refused"), "{}", failure.text);
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let relay = Relay::start(MailTls::StartTls, |at, given| {
        let is_wrong = at == At::Auth && given == "vedette hunter2";
        if is_wrong { Act::Reply("535 5.7.8 bad: vedette hunter2") } else { Act::AsUsual }
    })
    .await;
    let mut settings = relay.settings();
    let password = Source::File(relay.file("password", "hunter2"));
    settings.login = Some(Login { username: "vedette".into(), password });

    let (failure, is_for_good) = failed(deliver(&settings).await);

    assert_eq!((failure.class, is_for_good), (FailureClass::CredentialRefused, false));
    assert!(!failure.text.contains("hunter2"), "{}", failure.text);
}

#[tokio::test]
async fn a_refused_password_is_not_shown_again_and_the_rotated_one_is_at_once() {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logins);
    let relay = Relay::start(MailTls::Implicit, move |at, given| {
        if at == At::Auth {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let is_wrong = at == At::Auth && given != "vedette new";
        if is_wrong { Act::Reply("535 5.7.8 no") } else { Act::AsUsual }
    })
    .await;
    let mut settings = relay.settings();
    let password = Source::File(relay.file("password", "old"));
    settings.login = Some(Login { username: "vedette".into(), password });
    let email = email(&settings);
    let delivery = delivery(MessageReason::First);

    for _ in 0..3 {
        let (failure, is_for_good) = failed(overall(email.deliver(&delivery, AMPLE).await));
        assert_eq!((failure.class, is_for_good), (FailureClass::CredentialRefused, false), "{}", failure.text);
    }
    assert_eq!(logins.load(Ordering::SeqCst), 1);
    relay.file("password", "new");

    assert_eq!(overall(email.deliver(&delivery, AMPLE).await), DeliveryResult::Accepted);
    assert_eq!(relay.only().login.as_deref(), Some("vedette new"));
}

#[tokio::test]
async fn plain_mail_does_not_leave_the_machine() {
    let mut settings = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await.settings();
    settings.relay.host = crate::config::settings::Host::Ip([192, 0, 2, 1].into());

    let (failure, _) = failed(deliver(&settings).await);

    assert!(failure.text.contains("only to loopback"), "{}", failure.text);
}

#[tokio::test]
async fn an_odd_vantage_name_does_not_break_the_greeting() {
    let relay = Relay::start(MailTls::Plain, |_, _| Act::AsUsual).await;

    let email = Email::new(&relay.settings(), "my bastion\r\nMAIL FROM:<x>").unwrap();

    assert_eq!(overall(email.deliver(&delivery(MessageReason::First), AMPLE).await), DeliveryResult::Accepted);
    assert_eq!(relay.only().hello, "[127.0.0.1]");
}

#[test]
fn addresses_that_are_none_are_refused_at_start() {
    let settings = Mail {
        relay: crate::config::settings::Address {
            host: crate::config::settings::Host::Name("relay.example".into()),
            port: 25,
        },
        tls: MailTls::StartTls,
        ca: None,
        login: None,
        from: "vedette@bastion.example".into(),
        to: vec!["nobody".into()],
        reply_to: None,
    };

    let error = Email::new(&settings, "bastion-1").err().unwrap();

    assert_eq!(error.to_string(), "'nobody' is no mail address");
}
