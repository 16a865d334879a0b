//! Who hears of what: from an incident, its cluster's silence, the time and what is configured to outlets with their
//! recipients.
//!
//! One pure function decides ([`route`]). Whether a message may be attempted now, while the vantage is isolated, is
//! decided where attempts are made.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::incident::Incident;
use crate::model::inventory::Inventory;
use crate::model::outlet::Outlet;
use crate::model::reason::MessageReason;
use crate::model::rule::Level;
use crate::model::silence::Silence;
use crate::model::time::UnixTime;
use crate::model::verdict::Finding;

/// Recipients by outlet.
pub type Recipients = BTreeMap<Outlet, BTreeSet<String>>;

/// The outlets that are configured, and what each is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routing {
    outlets: BTreeMap<Outlet, Subscribers>,
}

/// Who is reached through one outlet, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribers {
    /// The lowest severity that they are told of.
    pub least: Level,
    /// As the outlet addresses people.
    pub recipients: BTreeSet<String>,
}

/// Who hears of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Nobody: no outlet is configured for it. The status page shows it.
    Listed,
    /// Nobody for now: a silence withholds it.
    Withheld,
    /// These.
    To(Recipients),
}

impl Routing {
    /// The outlets of a configuration.
    #[must_use]
    pub fn of(inventory: &Inventory) -> Self {
        let mail = Subscribers { least: LEAST_MAILED, recipients: inventory.recipients.clone() };
        Self::with(inventory.mails.then_some((Outlet::Mail, mail)))
    }

    /// These outlets.
    #[must_use]
    pub fn with(outlets: impl IntoIterator<Item = (Outlet, Subscribers)>) -> Self {
        Self { outlets: outlets.into_iter().collect() }
    }

    /// Everybody who is told of anything.
    #[must_use]
    pub fn everybody(&self) -> Recipients {
        self.outlets.iter().map(|(outlet, known)| (outlet.clone(), known.recipients.clone())).collect()
    }

    /// Whom an outlet reaches.
    #[must_use]
    pub fn recipients(&self, outlet: &Outlet) -> BTreeSet<String> {
        self.outlets.get(outlet).map(|known| known.recipients.clone()).unwrap_or_default()
    }

    fn hearing_of(&self, level: Level) -> Recipients {
        let hearing = self.outlets.iter().filter(|(_, known)| level >= known.least && !known.recipients.is_empty());
        hearing.map(|(outlet, known)| (outlet.clone(), known.recipients.clone())).collect()
    }
}

/// The lowest severity that is mailed. What is below it is listed.
const LEAST_MAILED: Level = Level::Warning;

/// Whether findings of this severity are told to anybody, rather than listed only.
#[must_use]
pub fn is_told(level: Level) -> bool {
    level >= LEAST_MAILED
}

/// Who hears of `incident` for `reason` at `now`: by the highest severity that it has reached, and unless `silence`,
/// that of its cluster, withholds it.
///
/// A silence withholds neither the end of an incident that was told, because people wait for it, nor an incident that
/// has an ongoing outage by `is_outage`, unless the silence includes these.
#[must_use]
pub fn route(
    incident: &Incident,
    reason: MessageReason,
    silence: Option<&Silence>,
    is_outage: impl Fn(&Finding) -> bool,
    routing: &Routing,
    now: UnixTime,
) -> Route {
    let recipients = routing.hearing_of(incident.level);
    if recipients.is_empty() {
        return Route::Listed;
    }
    let silence = silence.filter(|silence| silence.until > now && incident.cluster.as_ref() == Some(&silence.cluster));
    match silence {
        Some(silence) if !is_end(reason) && !breaks(incident, silence, is_outage) => Route::Withheld,
        Some(_) | None => Route::To(recipients),
    }
}

/// Whether an incident is told in spite of a silence.
#[must_use]
pub fn breaks(incident: &Incident, silence: &Silence, is_outage: impl Fn(&Finding) -> bool) -> bool {
    !silence.include_outages && incident.ongoing().any(is_outage)
}

const fn is_end(reason: MessageReason) -> bool {
    match reason {
        MessageReason::Resolved | MessageReason::HappenedWhileMute | MessageReason::Drill => true,
        MessageReason::First
        | MessageReason::Escalated
        | MessageReason::CauseFound
        | MessageReason::CulpritFound
        | MessageReason::Repeated
        | MessageReason::Remains => false,
    }
}
