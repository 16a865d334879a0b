//! The z-pages: read in whatever form they come, and no word on whether the server lives.

use super::servers::{Fixture, Server, TRUSTED, answer};
use crate::model::cost::body_limit;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Cause;
use crate::model::probe::ProbeKind;
use crate::model::zpages::NoZpage;

async fn page(kind: ProbeKind, reply: String) -> (Observation, String) {
    let (server, mut heads) = Server::answering(&TRUSTED.server(), reply).await;
    let seen = Fixture::new().apiserver(server.address).see(kind).await;
    (seen, heads.try_recv().unwrap().to_ascii_lowercase())
}

#[tokio::test]
async fn each_page_is_asked_for_as_json_of_either_version_and_else_as_text() {
    let status = r#"{"kind":"Statusz","startTime":"2026-11-30T20:00:00Z","binaryVersion":"1.37.2"}"#;
    let (seen, head) = page(ProbeKind::Statusz, answer("200 OK", status)).await;
    let Ok(Reading::Statusz(Ok(read))) = seen.outcome else { panic!("{:?}", seen.outcome) };
    assert_eq!(read.started.map(|at| at.to_string()).as_deref(), Some("2026-11-30T20:00:00Z"));
    assert!(head.starts_with("get /statusz?timeout=4s "), "{head}");
    for form in ["v=v1beta1;g=config.k8s.io;as=statusz", "v=v1alpha1;g=config.k8s.io;as=statusz", "text/plain"] {
        assert!(head.contains(form), "{head}");
    }

    let (seen, head) = page(ProbeKind::Flagz, answer("200 OK", "kube-apiserver flagz\n\nv=2\n")).await;
    let Ok(Reading::Flagz(Ok(read))) = seen.outcome else { panic!("{:?}", seen.outcome) };
    assert_eq!(read.get("v"), Some("2"));
    assert!(head.starts_with("get /flagz?timeout=4s ") && head.contains("as=flagz"), "{head}");
}

#[tokio::test]
async fn what_comes_instead_of_a_page_is_told_apart() {
    for (status, instead) in [
        ("403 Forbidden", NoZpage::Forbidden),
        ("401 Unauthorized", NoZpage::Forbidden),
        ("404 Not Found", NoZpage::Missing),
        ("429 Too Many Requests", NoZpage::Shed),
        ("406 Not Acceptable", NoZpage::Status(406)),
        ("200 OK", NoZpage::Foreign),
    ] {
        let (statusz, _) = page(ProbeKind::Statusz, answer(status, "no page")).await;
        let (flagz, _) = page(ProbeKind::Flagz, answer(status, "{}")).await;

        assert_eq!(statusz.outcome, Ok(Reading::Statusz(Err(instead))), "{status}");
        assert_eq!(flagz.outcome, Ok(Reading::Flagz(Err(instead))), "{status}");
    }
}

#[tokio::test]
async fn a_page_without_end_is_left_unread_at_its_bound() {
    for kind in [ProbeKind::Statusz, ProbeKind::Flagz] {
        let (seen, _) = page(kind, answer("200 OK", &"v=2\n".repeat(body_limit(kind)))).await;

        assert_eq!(seen.outcome.unwrap_err().cause, Cause::TooLarge, "{kind:?}");
    }
}
