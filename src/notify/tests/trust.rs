//! Claims about certificates that are pinned by themselves.

use super::heartbeat::{heartbeat, receiver};
use super::relay::{Act, Relay, self_signed};
use super::{deliver, failed};
use crate::config::settings::{MailTls, Source};
use crate::model::delivery::{DeliveryResult, FailureClass};

#[tokio::test]
async fn a_relay_that_shows_the_pinned_certificate_itself_is_trusted() {
    for tls in [MailTls::StartTls, MailTls::Implicit] {
        // Set up as `relay`, dialled by address: the certificate is known, whatever name it has.
        for name in ["127.0.0.1", "relay.example"] {
            let relay = Relay::start_as(tls, self_signed(name), |_, _| Act::AsUsual).await;

            assert_eq!(deliver(&relay.settings()).await, DeliveryResult::Accepted, "{tls:?} {name}");
            assert!(relay.only().is_encrypted);
        }
    }
}

#[tokio::test]
async fn another_certificate_of_the_same_making_is_not() {
    for tls in [MailTls::StartTls, MailTls::Implicit] {
        let relay = Relay::start_as(tls, self_signed("127.0.0.1"), |_, _| Act::AsUsual).await;
        let mut settings = relay.settings();
        settings.ca = Some(Source::File(relay.file("other.pem", &self_signed("127.0.0.1").0)));

        let (failure, _) = failed(deliver(&settings).await);

        assert_eq!(failure.class, FailureClass::Untrusted, "{}", failure.text);
        assert!(failure.text.contains("certificate"), "{}", failure.text);
    }
}

#[tokio::test]
async fn a_heartbeat_goes_to_whoever_shows_the_pinned_certificate_itself() {
    crate::notify::install_provider();
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    let (pin, acceptor) = self_signed("127.0.0.1");
    let (address, _) = receiver(Some(acceptor), |_, _| Some("200 OK".into())).await;
    let url = format!("https://{address}/");

    std::fs::write(&ca, pin).unwrap();
    assert_eq!(heartbeat(&url, Some(Source::File(ca.clone()))).beat().await, Ok(()));

    std::fs::write(&ca, self_signed("127.0.0.1").0).unwrap();
    let refused = heartbeat(&url, Some(Source::File(ca.clone()))).beat().await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Untrusted, "{}", refused.text);

    std::fs::write(&ca, "no certificate at all").unwrap();
    let empty = heartbeat(&url, Some(Source::File(ca))).beat().await.unwrap_err();
    assert!(empty.text.contains("holds no certificate"), "{}", empty.text);
}
