//! The z-pages: what an apiserver tells of its process and its flags.
//!
//! Their right is one that is rarely given, so that a page that is refused, missing or late says nothing about whether the
//! server lives or whether our credential is good: nothing is resolved or read again because of one.

use std::sync::Arc;

use super::{Answer, Apiserver, Page};
use crate::collect::context::{ProbeContext, ProbeResult};
use crate::collect::phase_timer::PhaseTimer;
use crate::model::certificate::Served;
use crate::model::observation::Reading;
use crate::model::phase::Unseen;
use crate::model::probe::{Connection, Hello};
use crate::model::zpages::NoZpage;
use crate::parse::zpages;

/// What is accepted: the newest form first. A server answers 406 to JSON without these parameters, and one that knows no
/// JSON here gives its text. Source: `apiserver/pkg/server/statusz` and `flagz`.
pub(super) const STATUSZ: &str = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz, \
                                  application/json;v=v1alpha1;g=config.k8s.io;as=Statusz, text/plain;q=0.5";

/// The same for the flags.
pub(super) const FLAGZ: &str = "application/json;v=v1beta1;g=config.k8s.io;as=Flagz, \
                                application/json;v=v1alpha1;g=config.k8s.io;as=Flagz, text/plain;q=0.5";

impl Apiserver {
    pub(super) async fn probe_statusz(
        &self,
        context: &ProbeContext,
        over: (Connection, Hello),
        timer: &PhaseTimer,
    ) -> ProbeResult {
        let (served, page) = self.ask_for_zpage(context, Page::Statusz, over, timer).await;
        let read = |body: Vec<u8>| zpages::statusz(&body).map(Arc::new).ok_or(NoZpage::Foreign);
        ProbeResult::of(timer, served, page.map(|came| Reading::Statusz(came.and_then(read))))
    }

    pub(super) async fn probe_flagz(
        &self,
        context: &ProbeContext,
        over: (Connection, Hello),
        timer: &PhaseTimer,
    ) -> ProbeResult {
        let (served, page) = self.ask_for_zpage(context, Page::Flagz, over, timer).await;
        let read = |body: Vec<u8>| zpages::flagz(&body).map(Arc::new).ok_or(NoZpage::Foreign);
        ProbeResult::of(timer, served, page.map(|came| Reading::Flagz(came.and_then(read))))
    }

    /// The body of `page`, or what came instead.
    async fn ask_for_zpage(
        &self,
        context: &ProbeContext,
        page: Page,
        over: (Connection, Hello),
        timer: &PhaseTimer,
    ) -> (Option<Arc<Served>>, Result<Result<Vec<u8>, NoZpage>, Unseen>) {
        let ready_credentials = self.tls_endpoint.identity.current().await;
        let mut body = Vec::new();
        let (served, _, answer) = self.ask(context, &ready_credentials, page, over, &mut body, timer).await;
        timer.end();
        (served, answer.map(|answer| instead(&answer).map_or(Ok(body), Err)))
    }
}

/// What came instead of a page; `None` where one may have come.
fn instead(answer: &Answer) -> Option<NoZpage> {
    match answer.status.as_u16() {
        200 => None,
        401 | 403 => Some(NoZpage::Forbidden),
        404 => Some(NoZpage::Missing),
        429 => Some(NoZpage::Shed),
        status => Some(NoZpage::Status(status)),
    }
}
