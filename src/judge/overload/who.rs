//! Who overloads the API, as far as it can be seen.

use serde::{Deserialize, Serialize};

use crate::judge::context::RuleContext;
use crate::judge::throttle::{Throttle, throttle};
use crate::model::flow_control::{Sender, Suspect, Suspicion};
use crate::model::inventory::Cluster;
use crate::model::subject::Subject;
use crate::observe::flow_control::{FlowControl, Senders};

/// Who sends the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// These ask for far more than usual.
    Culprits(Vec<Culprit>),
    /// Many ask, none of them for unusually much; the largest of them.
    Everybody(Vec<Culprit>),
    /// No user in the dumps asks for much.
    NotVisible,
    /// It is being asked.
    Asked,
    /// Our own question waits as well, or is turned away.
    Unanswered,
    /// The right to ask is missing.
    Forbidden,
    /// The servers do not tell.
    Missing,
    /// The configuration does not want it asked.
    Off,
}

/// A sender, and how much it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// User, verb and resource.
    pub sender: Sender,
    /// The namespace of most of it; empty for all of them.
    pub namespace: String,
    /// FlowSchema and priority level of most of it.
    pub flow_schema: (String, String),
    /// Requests under way.
    pub executing: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Percent of all seats held and waited for.
    pub percent: u32,
    /// The same as is usual for it; `None` while that is not known.
    pub usual_percent: Option<u32>,
}

impl Who {
    /// What the dumps say now.
    pub(super) fn of(
        context: &RuleContext<'_>,
        cluster: &Cluster,
        instances: &[Subject],
        flow_control: Option<&FlowControl>,
    ) -> Self {
        if !cluster.flow_control {
            return Self::Off;
        }
        let Some(flow_control) = flow_control else { return Self::Asked };
        let named = |suspects: Vec<Suspect>| suspects.into_iter().map(Culprit::of).collect();
        match flow_control.senders(instances, context.policy(), context.now.mono) {
            Senders::Known(Suspicion::Culprits(suspects)) => Self::Culprits(named(suspects)),
            Senders::Known(Suspicion::Everybody(suspects)) => Self::Everybody(named(suspects)),
            Senders::Known(Suspicion::NotVisible) => Self::NotVisible,
            Senders::Asked => Self::Asked,
            Senders::Unanswered => Self::Unanswered,
            Senders::Forbidden => Self::Forbidden,
            Senders::Missing => Self::Missing,
        }
    }

    /// This, after `before` was known: a culprit that was named stays named when it is throttled and its share falls,
    /// and what was known is not forgotten while it is asked again.
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        match (&self, before) {
            (Self::Culprits(_), _) | (_, None | Some(Self::Asked)) => self,
            (_, Some(named @ Self::Culprits(_))) => named.clone(),
            (Self::Asked | Self::Unanswered, Some(known)) => known.clone(),
            _ => self,
        }
    }

    /// Who is named.
    pub(super) fn culprits(&self) -> &[Culprit] {
        match self {
            Self::Culprits(culprits) => culprits,
            Self::Everybody(_)
            | Self::NotVisible
            | Self::Asked
            | Self::Unanswered
            | Self::Forbidden
            | Self::Missing
            | Self::Off => &[],
        }
    }
}

/// Whether anybody holds or waits for many seats of `instances`.
pub(super) fn is_crowded(context: &RuleContext<'_>, flow_control: &FlowControl, instances: &[Subject]) -> bool {
    let senders = flow_control.senders(instances, context.policy(), context.now.mono);
    matches!(senders, Senders::Known(Suspicion::Culprits(_) | Suspicion::Everybody(_)))
}

impl Culprit {
    /// A sender of the dumps.
    #[must_use]
    pub fn of(suspect: Suspect) -> Self {
        let Suspect { share, usual } = suspect;
        Self {
            percent: percent(share.share),
            usual_percent: usual.map(percent),
            sender: share.sender,
            namespace: share.namespace,
            flow_schema: share.flow_schema,
            executing: share.uses.executing,
            waiting: share.uses.waiting,
        }
    }

    /// What throttles it, or why nothing may.
    #[must_use]
    pub fn throttle(&self, own_user: Option<&str>) -> Throttle {
        throttle(&self.sender, &self.flow_schema.1, own_user)
    }

    /// Who does what, how much, and how much is usual, as one sentence without its full stop.
    pub(super) fn words(&self) -> String {
        let Self { executing, waiting, percent, flow_schema: (schema, level), .. } = self;
        let usual = match self.usual_percent {
            Some(usual) => format!("usually at most {usual} %"),
            None => "usual share unknown: less than an hour was seen".to_owned(),
        };
        format!(
            "{}: {percent} % of all seats held or waited for ({usual}), {executing} requests under way and {waiting} \
             waiting, in priority level {level} (FlowSchema {schema})",
            self.name()
        )
    }

    /// User, verb, resource and namespace.
    #[must_use]
    pub fn name(&self) -> String {
        let Sender { user, verb, what } = &self.sender;
        let user = if user.is_empty() { "user not visible" } else { user };
        let place = match self.namespace.as_str() {
            _ if what.starts_with('/') => String::new(),
            "" => " in all namespaces".to_owned(),
            namespace => format!(" in namespace {namespace}"),
        };
        format!("{user}, {verb} {what}{place}")
    }
}

/// Whole percent of a share from 0 to 1.
fn percent(share: f64) -> u32 {
    // Counted up, which needs no cast.
    (0..=100).rev().find(|percent| f64::from(*percent) <= share * 100.0 + 0.5).unwrap_or(0)
}
