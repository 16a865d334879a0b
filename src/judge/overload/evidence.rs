//! What F18 finds, with the words for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::judge::commands::{Command, Commands};
use crate::judge::phrases;
use crate::judge::throttle::Throttle;
use crate::model::addresses::Addresses;
use crate::model::command::Object;
use crate::model::finding::{Evidence, Kind};
use crate::model::subject::Subject;
use crate::model::verdict::Finding;
use crate::observe::flow_control::BusyLevel;

use super::resources::Resources;
use super::who::{Culprit, Who};
use super::{IMPACT, LIKELY_CAUSE, steps};

/// Levels that one mail lists.
const LEVELS: usize = 4;

/// Users are hurt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overloaded {
    /// Instances whose ordinary requests are slow or turned away, with the time that the latest took.
    pub slow: Vec<(Subject, Duration)>,
    /// Those of them that turn requests away.
    pub shed: Vec<Subject>,
    /// Every instance.
    pub instances: Vec<Subject>,
    /// Levels in which requests wait or are turned away, those first on which the cluster itself depends.
    pub levels: Vec<BusyLevel>,
    /// Who does it.
    pub who: Who,
    /// Which resources it is about, by the pages of metrics.
    #[serde(default)]
    pub resources: Resources,
    /// The user that vedette is there, where that was seen.
    pub own_user: Option<String>,
}

/// A workload level lets requests wait, and nobody else is hurt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queueing {
    /// The levels.
    pub levels: Vec<BusyLevel>,
}

impl Kind for Overloaded {
    const TAG: &'static str = "overloaded";
}

impl Kind for Queueing {
    const TAG: &'static str = "queueing";
}

impl Overloaded {
    fn objects_of(&self) -> impl Iterator<Item = (&Culprit, Throttle)> {
        self.who.culprits().iter().map(|culprit| (culprit, culprit.throttle(self.own_user.as_deref())))
    }

    /// The instance that people turn to: one that is not slow, where there is one.
    fn way_in<'a>(&'a self, finding: &'a Finding) -> &'a Subject {
        let is_slow = |one: &&Subject| self.slow.iter().any(|(slow, _)| slow == *one);
        let fast = self.instances.iter().find(|one| !is_slow(one));
        fast.or_else(|| self.instances.first()).unwrap_or(&finding.subject)
    }

    fn symptom(&self, addresses: &Addresses) -> String {
        let (slow, of) = (self.slow.len(), self.instances.len());
        let each: Vec<String> = self
            .slow
            .iter()
            .map(|(one, took)| {
                let did = if self.shed.contains(one) {
                    "turns them away (429)".to_owned()
                } else {
                    format!("took {}", phrases::lasting(*took))
                };
                format!("{} {did}", phrases::place(one, addresses))
            })
            .collect();
        let protected: Vec<String> =
            self.levels.iter().filter(|level| level.is_protected()).map(|level| level.name.clone()).collect();
        let mut said = Vec::new();
        if slow > 0 {
            said.push(format!(
                "Ordinary requests wait or are turned away at {slow} of {of} apiservers: {}. /readyz does not wait \
                 with them.",
                phrases::list(&each)
            ));
        }
        if !protected.is_empty() {
            let levels = phrases::list(&protected);
            said.push(format!("Requests on which the cluster itself depends wait or are turned away: {levels}."));
        }
        said.join(" ")
    }
}

fn level(level: &BusyLevel) -> String {
    let BusyLevel { name, waiting, turned_away } = level;
    let turned_away = if *turned_away > 0 { format!(", {turned_away} turned away") } else { String::new() };
    format!("priority level {name}: {waiting} requests wait{turned_away}")
}

impl Evidence for Overloaded {
    fn headline(&self, _: &Finding) -> String {
        "the API is overloaded".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let who = match self.who.culprits() {
            [] => self.who.sentence(),
            culprits => {
                let named: Vec<String> = culprits.iter().map(Culprit::words).collect();
                format!("Who: {}.", named.join("; "))
            }
        };
        format!("{} {who}", self.symptom(addresses))
    }

    fn listed(&self, _: &Finding, addresses: &Addresses) -> Option<(String, Vec<String>)> {
        let mut items: Vec<String> = match &self.who {
            Who::Culprits(culprits) => culprits.iter().map(|culprit| format!("who: {}", culprit.words())).collect(),
            Who::Everybody(largest) => std::iter::once(self.who.sentence())
                .chain(largest.iter().map(|one| format!("among the largest: {}", one.words())))
                .collect(),
            Who::NotVisible | Who::Asked | Who::Unanswered | Who::Forbidden | Who::Missing | Who::Off => {
                vec![self.who.sentence()]
            }
        };
        items.extend(self.resources.items(&self.who, addresses));
        for (culprit, throttle) in self.objects_of() {
            if let Throttle::Never(reason) = throttle {
                items.push(format!("no object throttles {}: {}", culprit.sender.user, reason.instead()));
            }
        }
        items.extend(self.levels.iter().take(LEVELS).map(level));
        Some((self.symptom(addresses), items))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        match self.who.culprits() {
            [] => self.who.likely_cause().into(),
            [one] => format!("{} asks for far more than usual.", one.name()),
            several => {
                let names: Vec<String> = several.iter().map(Culprit::name).collect();
                format!("These ask for far more than usual: {}.", names.join("; "))
            }
        }
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = self.way_in(finding);
        let mut next = vec![commands.priority_levels(instance), commands.requests(instance)];
        if matches!(self.who, Who::NotVisible | Who::Everybody(_)) {
            next.push(commands.open_watches(instance));
        }
        if matches!(self.who, Who::Unanswered | Who::Forbidden) {
            next.push(commands.apply_rights(instance));
        }
        let objects = self.objects(finding);
        next.extend(objects.iter().map(|object| commands.apply_throttle(instance, &object.name)));
        next.extend(objects.iter().map(|object| commands.undo_throttle(instance, &object.name)));
        next
    }

    fn steps(&self, _: &Finding) -> Vec<String> {
        steps::steps(self.objects_of().any(|(_, throttle)| matches!(throttle, Throttle::Objects(_))))
    }

    fn objects(&self, _: &Finding) -> Vec<Object> {
        let object = |(culprit, throttle): (&Culprit, Throttle)| match throttle {
            Throttle::Objects(objects) => {
                let what = format!("Throttles {}, and nobody else", culprit.sender.user);
                Some(Object { name: objects.name, what, yaml: objects.yaml })
            }
            Throttle::Never(_) => None,
        };
        self.objects_of().filter_map(object).collect()
    }

    fn names_culprit(&self) -> bool {
        !self.who.culprits().is_empty()
    }

    fn concerned(&self) -> Vec<Subject> {
        self.slow.iter().map(|(one, _)| one.clone()).collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.instances.iter().collect()
    }
}

impl Evidence for Queueing {
    fn headline(&self, _: &Finding) -> String {
        "requests queue in a workload level".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let levels: Vec<String> = self.levels.iter().map(level).collect();
        let place = phrases::place(&finding.subject, addresses);
        format!("{place}: {}; no other client is hurt", phrases::list(&levels))
    }

    fn impact(&self, _: &Finding) -> String {
        "Clients of that level wait for each other. Nobody else is hurt.".into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "More work than the level has seats for, as with batch jobs.".into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.priority_levels(&finding.subject), commands.requests(&finding.subject)]
    }

    fn is_cause(&self) -> bool {
        false
    }
}

impl Who {
    /// Why nobody is named, as a sentence.
    pub(super) fn sentence(&self) -> String {
        let text = match self {
            Self::Culprits(_) => "Who it is was seen.",
            Self::Everybody(_) => "Who: nobody asks for unusually much; more comes from the usual clients.",
            Self::NotVisible => {
                "Who: user not visible. Hardly any seats are held or waited for, so the load is none of the requests \
                 that wait: open watches (verb watch; which resource shows in apiserver_longrunning_requests), or \
                 clients that are exempt."
            }
            Self::Asked => "Who: being asked; it follows in this thread.",
            Self::Unanswered => {
                "Who: not visible, our request waits too. config/rbac/vedette.yaml gives vedette seats of its own."
            }
            Self::Forbidden => {
                "Who: cannot be seen, because vedette's user may not read \
                 /debug/api_priority_and_fairness/dump_requests: grant it by config/rbac/vedette.yaml."
            }
            Self::Missing => "Who: cannot be seen, because these apiservers run without API Priority and Fairness.",
            Self::Off => "Who: not asked, because flow_control is off in the configuration or no credential is given.",
        };
        text.into()
    }

    pub(super) const fn likely_cause(&self) -> &'static str {
        match self {
            Self::Everybody(_) => {
                "More load from the usual clients, or servers that became slower: too little CPU or memory, or a slow \
                 etcd."
            }
            Self::NotVisible => {
                "Many open watches, or a client in system:masters, which is exempt; or the servers lack CPU or memory."
            }
            Self::Culprits(_) | Self::Asked | Self::Unanswered | Self::Forbidden | Self::Missing | Self::Off => {
                LIKELY_CAUSE
            }
        }
    }
}

#[cfg(test)]
pub(super) fn sample() -> crate::samples::Sample {
    use std::sync::Arc;

    use crate::judge::overload::Lists;
    use crate::model::apiserver_metrics::Listed;
    use crate::model::flow_control::Sender;
    use crate::model::rule::Level;
    use crate::samples::{OPENED, Sample, api, lines};

    let agent = Culprit {
        sender: Sender {
            user: "system:serviceaccount:telemetry:agent".into(),
            verb: "list".into(),
            what: "configmaps".into(),
        },
        namespace: String::new(),
        flow_schema: ("service-accounts".into(), "workload-low".into()),
        executing: 98,
        waiting: 402,
        percent: 93,
        usual_percent: Some(2),
    };
    let waits = |name: &str, waiting, turned_away| BusyLevel { name: name.into(), waiting, turned_away };
    let overloaded = Overloaded {
        slow: vec![(api("api-1"), Duration::from_millis(2340)), (api("api-2"), Duration::from_millis(1020))],
        shed: vec![api("api-2")],
        instances: vec![api("api-1"), api("api-2")],
        levels: vec![waits("node-high", 12, 3), waits("workload-low", 402, 1370)],
        who: Who::Culprits(vec![agent]),
        resources: Resources {
            lists: Some(Lists {
                instance: api("api-1"),
                between: [130, 10].map(|before| OPENED.minus(Duration::from_secs(before))).into(),
                resources: vec![
                    ("configmaps".into(), Listed { from_etcd: 0, from_cache: 1_240_000 }),
                    ("pods".into(), Listed { from_etcd: 2_000, from_cache: 18_000 }),
                ],
                of: 1_262_000,
            }),
            watches: None,
        },
        own_user: Some("vedette".into()),
    };
    Sample::of("prod-eu1", Level::Critical, Arc::new(overloaded))
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
}
