//! The dumps of priority and fairness: bounded readings whatever comes, and no word on whether the server lives.

use super::servers::{Fixture, Server, TRUSTED, answer};
use crate::model::cost::body_limit;
use crate::model::flow_control::NoDump;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;

const HEAD: &str = "PriorityLevelName, FlowSchemaName, RequestIndexInQueue, InitialSeats, UserName, Verb, Resource\n";

async fn dump(reply: String) -> Observation {
    let (server, _heads) = Server::answering(&TRUSTED.server(), reply).await;
    Fixture::new().apiserver(server.address).see(ProbeKind::RequestDump).await
}

#[tokio::test]
async fn a_dump_is_read_as_far_as_a_mebibyte_and_says_that_it_was_cut() {
    let row = "workload-low, service-accounts, 0, 1, agent, list, configmaps\n";
    let whole = dump(answer("200 OK", &format!("{HEAD}{row}{row}"))).await;
    let long =
        dump(answer("200 OK", &format!("{HEAD}{}", row.repeat(2 * body_limit(ProbeKind::RequestDump) / row.len()))))
            .await;

    let Ok(Reading::RequestDump(Ok(load))) = whole.outcome else { panic!("{:?}", whole.outcome) };
    assert_eq!((load.requests(), load.lacks.is_cut), (2, false));
    let Ok(Reading::RequestDump(Ok(load))) = long.outcome else { panic!("{:?}", long.outcome) };
    assert!(load.lacks.is_cut && load.requests() > 10_000, "{load:?}");
    assert!(load.requests() <= u64::try_from(body_limit(ProbeKind::RequestDump) / row.len()).unwrap());
}

#[tokio::test]
async fn what_comes_instead_of_a_dump_is_told_apart() {
    for (status, instead) in [
        ("403 Forbidden", NoDump::Forbidden),
        ("401 Unauthorized", NoDump::Forbidden),
        ("404 Not Found", NoDump::Missing),
        ("429 Too Many Requests", NoDump::Shed { retry_after_secs: None }),
        ("500 Internal Server Error", NoDump::Status(500)),
        ("200 OK", NoDump::Foreign),
    ] {
        let seen = dump(answer(status, "no dump")).await;

        assert_eq!(seen.outcome, Ok(Reading::RequestDump(Err(instead))), "{status}");
    }
}
