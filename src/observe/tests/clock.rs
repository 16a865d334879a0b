//! Our clock against the dates of servers, through the view.

use std::sync::Arc;
use std::time::Duration;

use super::{at, inventory, of};
use crate::model::health::Health;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Phases;
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::observe::view::View;

#[test]
fn an_answer_that_took_long_says_nothing_of_our_clock() {
    for (spent_millis, offset) in [(10, Some(505)), (1_000, Some(1_000)), (1_001, None), (4_000, None)] {
        let mut view = View::new(Arc::new(inventory(1, 0)), Policy::default());

        view.take(&Arc::new(answered_after(spent_millis)), at(spent_millis));

        assert_eq!(view.clock_offset_millis(at(spent_millis).mono), offset, "{spent_millis}");
    }
}

/// An answer that is dated when it is ready, by a clock that is right and cuts off nothing.
fn answered_after(spent_millis: u64) -> Observation {
    let finished = at(spent_millis);
    let health = Health {
        status: 500,
        failing: vec!["etcd".into()],
        listed: 40,
        server_date: Some(finished.wall),
        retry_after_secs: None,
        foreign: None,
    };
    Observation {
        request: None,
        probe: Probe::anew(of("prod/apiserver/api-1"), ProbeKind::Readyz),
        scheduled: at(0),
        finished,
        phases: Phases { first_byte: Some(Duration::from_millis(spent_millis)), ..Phases::default() },
        served: None,
        own_flaw: None,
        greeting: None,
        proves_path: true,
        outcome: Ok(Reading::Health(health)),
    }
}
