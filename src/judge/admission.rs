//! F21: an admission webhook fails or is slow, so that objects cannot be created or wait.
//!
//! Seen by dry runs of a ConfigMap and of a Pod, which every matching webhook takes part in. That policy or quota rejects
//! one is an answer. Health checks and reads pass no webhook, and stay green.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::WebhookCounts;
use crate::model::canary::{Canary, CanaryResult, WebhookFault};
use crate::model::finding::{Evidence, Kind};
use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{Finding, Verdict};
use crate::observe::aspect::Aspect;
use crate::observe::canaries::Sign;

use super::canary_state::{Asked, Bad, is_brisk, longest};
use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, pages, phrases};

/// F21: an admission webhook fails or is slow.
pub struct Admission;

/// Slow answers must last this long: a webhook that starts takes seconds for its first requests. Source: the scalability
/// objectives of Kubernetes, which want single objects changed within 1 s, measured over 5 min.
const SLOW_FOR: Duration = Duration::from_secs(300);

/// A webhook whose calls take as long on average is slow: the same second that a dry run has.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// Webhooks of the pages of metrics that a mail names.
const NAMED: usize = 3;

/// What stops working, whatever was seen.
const IMPACT: &str = "Objects that the webhook takes part in cannot be created or changed, or wait for it: deploys, \
    scaling, replacement of failed pods. Reads work, and running pods keep running.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "The pods behind an admission webhook are down, overloaded, or cannot be reached from the \
    apiservers, or its certificate does not match the caBundle.";

/// What is created, as dry runs.
const KINDS: &[ProbeKind] = &[ProbeKind::CreateConfigMap, ProbeKind::CreatePod];

/// Dry runs that fail or are slow because of admission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionFails {
    /// The webhooks that cannot be called, with how that fails and what the apiserver said.
    pub webhooks: Vec<(String, WebhookFault, String)>,
    /// Whether dry runs were not completed in the 4 s that they have.
    pub times_out: bool,
    /// Webhooks that the pages of metrics show failing or slow meanwhile.
    #[serde(default)]
    pub counted: Vec<WebhookCounted>,
    /// What cannot be created, or is slow: `ConfigMap`, `Pod`.
    pub what: Vec<String>,
    /// Where, and how long the server took for the latest.
    pub parts: Vec<(Subject, Duration)>,
    /// Number of instances in the cluster.
    pub of: usize,
}

/// What the pages of metrics say of one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookCounted {
    /// Its name.
    pub name: String,
    /// What was counted at all instances whose pages tell.
    pub counts: WebhookCounts,
    /// Between pages that were asked for at these times.
    pub between: (UnixTime, UnixTime),
}

impl WebhookCounted {
    /// What the page shows, as a sentence without its full stop. It knows no failurePolicy, but a request that failed
    /// because the webhook could not be called had Fail, and one that passed all the same had Ignore.
    fn words(&self) -> String {
        let Self { name, counts, between: (from, until) } = self;
        let mut said = format!(
            "by the metrics of the apiservers {name} was called {} from {from} to {until}, {} each on average",
            times(counts.calls),
            phrases::lasting(counts.mean())
        );
        if counts.not_called > 0 {
            let count = times(counts.not_called);
            said += &format!("; {count} the call failed and the request with it (its failurePolicy is Fail)");
        }
        if counts.failed_open > 0 {
            let count = times(counts.failed_open);
            said += &format!("; {count} the call failed and the request passed (its failurePolicy is Ignore)");
        }
        said
    }
}

/// `once`, or `7 times`.
fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

impl Kind for AdmissionFails {
    const TAG: &'static str = "admission_fails";
}

impl AdmissionFails {
    fn is_slow_alone(&self) -> bool {
        self.webhooks.is_empty() && !self.times_out
    }

    /// The webhook that probably does it, where no answer names one.
    fn probable(&self) -> Option<&str> {
        self.counted.first().filter(|_| self.webhooks.is_empty()).map(|webhook| webhook.name.as_str())
    }

    /// Which webhook it is, as the end of a sentence.
    fn which(&self) -> String {
        match self.probable() {
            Some(name) => format!("the apiserver does not say at which webhook; by its metrics it is probably {name}"),
            None => "which webhook it is the apiserver does not say".into(),
        }
    }

    fn instance<'a>(&'a self, finding: &'a Finding) -> &'a Subject {
        self.parts.first().map_or(&finding.subject, |(instance, _)| instance)
    }

    fn where_it_is(&self, addresses: &Addresses) -> String {
        let places: Vec<String> = self.parts.iter().map(|(instance, _)| phrases::place(instance, addresses)).collect();
        format!("at {} of {} apiservers ({})", self.parts.len(), self.of, phrases::list(&places))
    }

    fn longest(&self) -> Duration {
        self.parts.iter().map(|(_, took)| *took).max().unwrap_or_default()
    }
}

impl Evidence for AdmissionFails {
    fn headline(&self, _: &Finding) -> String {
        match self.webhooks.first() {
            Some((name, _, _)) => format!("webhook fails: {}", phrases::fit(name, 24)),
            // The same whether or not the metrics name it: another subject would be another thread for many mail programs.
            None if self.times_out => "creating objects hangs in admission".into(),
            None => "creating objects is slow in admission".into(),
        }
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let (what, place) = (phrases::list(&self.what), self.where_it_is(addresses));
        let named: Vec<String> =
            self.webhooks.iter().map(|(name, fault, _)| format!("{name} ({})", fault.as_str())).collect();
        if !named.is_empty() {
            let webhooks = if named.len() == 1 { "webhook" } else { "webhooks" };
            return format!(
                "The dry run of creating {what} fails {place}, because the apiserver cannot call the admission \
                 {webhooks} {}. The failurePolicy is Fail, or it would have passed.",
                phrases::list(&named)
            );
        }
        if self.times_out {
            return format!(
                "The dry run of creating {what} was not completed within 4 s {place}. /readyz, etcd and /version \
                 answer quickly there, so it hangs in admission; {}.",
                self.which()
            );
        }
        let took = phrases::lasting(self.longest());
        format!(
            "The dry run of creating {what} took {took} {place}. /readyz, etcd and /version answer quickly there, so \
             the time goes by in admission; {}.",
            self.which()
        )
    }

    fn listed(&self, finding: &Finding, addresses: &Addresses) -> Option<(String, Vec<String>)> {
        let answers = self.webhooks.iter().map(|(_, _, said)| format!("it says: {said}"));
        let said: Vec<String> = answers.chain(self.counted.iter().map(WebhookCounted::words)).collect();
        (!said.is_empty()).then(|| (self.what(finding, addresses), said))
    }

    fn impact(&self, _: &Finding) -> String {
        if self.is_slow_alone() {
            "Every object that the webhook takes part in is created that much later: deploys, scaling, replacement of \
             failed pods. Reads are not affected, and running pods keep running."
                .into()
        } else {
            IMPACT.into()
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let text = match self.webhooks.first().map(|(_, fault, _)| fault) {
            Some(WebhookFault::Timeout) => {
                "The pods behind it hang or are overloaded, or packets from the control-plane hosts to them are \
                 dropped (a NetworkPolicy, a firewall, a security group)."
            }
            Some(WebhookFault::Certificate) => {
                "Its serving certificate was renewed or has expired, and the caBundle in its configuration was not \
                 renewed with it (cert-manager's cainjector, or the operator that installs it)."
            }
            Some(WebhookFault::Unreachable) => {
                "Its pods are down or not ready, or it was uninstalled and its configuration left behind."
            }
            Some(WebhookFault::Error) => "Its pods answer with an error: their log says why.",
            None => {
                "A webhook that waits for something else, with a long timeoutSeconds (10 s unless set): the most likely \
                 ones are those that match both pods and configmaps."
            }
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = self.instance(finding);
        vec![commands.webhooks(instance), commands.dry_run(instance), commands.logs(instance, Program::Apiserver)]
    }

    fn steps(&self, _: &Finding) -> Vec<String> {
        [
            "Find the configuration with that webhook by the first command, and the Service or URL that it calls.",
            "Bring the pods behind it back, or its certificate and caBundle together again.",
            "If that takes longer than the cluster can wait: keep a copy of the configuration (kubectl get -o yaml), \
             and set its failurePolicy to Ignore or delete it. No webhook can stop that, because configurations of \
             webhooks pass none. What it enforces is not enforced until it is back.",
        ]
        .map(str::to_owned)
        .into()
    }

    fn names_culprit(&self) -> bool {
        !self.webhooks.is_empty() || self.probable().is_some()
    }

    fn concerned(&self) -> Vec<Subject> {
        self.parts.iter().map(|(instance, _)| instance.clone()).collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.parts.iter().map(|(instance, _)| instance).collect()
    }
}

impl Rule for Admission {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F21,
            name: "AdmissionWebhookFailing",
            in_short: "admission webhook",
            title: "an admission webhook fails or is slow",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<AdmissionFails>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some(asked) = Asked::of(context, Canary::Create, KINDS) else { return Vec::new() };
        let verdict = judge_creates(context, &asked);
        vec![(asked.whole, verdict)]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{OPENED, Sample, api, lines};

        let said = "Internal error occurred: failed calling webhook \"policy.kyverno.svc-fail\": failed to call \
                    webhook: Post \"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s\": no endpoints \
                    available for service \"kyverno-svc\"";
        let webhook = ("policy.kyverno.svc-fail".to_owned(), WebhookFault::Unreachable, said.to_owned());
        Sample::of(
            "prod-eu1",
            Level::Critical,
            Arc::new(AdmissionFails {
                webhooks: vec![webhook],
                times_out: false,
                counted: vec![WebhookCounted {
                    name: "policy.kyverno.svc-fail".into(),
                    counts: WebhookCounts { calls: 42, millis: 1_260, not_called: 9, failed_open: 0 },
                    between: [90, 30].map(|before| OPENED.minus(Duration::from_secs(before))).into(),
                }],
                what: vec!["ConfigMap".into(), "Pod".into()],
                parts: vec![(api("api-1"), Duration::from_millis(12)), (api("api-2"), Duration::from_millis(14))],
                of: 2,
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
    }
}

/// What fails before what is slow. What only takes long counts where nothing before admission does.
fn judge_creates(context: &RuleContext<'_>, asked: &Asked<'_>) -> Verdict {
    let is_behind = |bad: &Bad<'_>| is_brisk(context, bad.instance, &[Aspect::Answer, Aspect::Ordinary]);
    let failing: Vec<Bad<'_>> = asked.confirmed(&[Sign::Failed]);
    let hanging = || asked.confirmed(&[Sign::TimedOut]).into_iter().filter(is_behind).collect::<Vec<_>>();
    let slow = || asked.confirmed(&[Sign::Slow]).into_iter().filter(is_behind).collect::<Vec<_>>();
    let (level, bad) = if failing.is_empty() { (Level::Critical, hanging()) } else { (Level::Critical, failing) };
    let (level, bad) = if bad.is_empty() { (Level::Warning, slow()) } else { (level, bad) };
    let Some(since) = bad.iter().map(|bad| bad.run.first).min_by_key(|first| first.mono) else { return asked.good() };
    let raised = context.raised_of(RuleId::F21, &asked.whole).and_then(Finding::seen::<AdmissionFails>);
    let counted = counted(context, since);
    // Pages come minutes apart, and may stop.
    let before = raised.filter(|_| counted.is_empty()).map(|raised| raised.counted.clone());
    let hold = if level == Level::Critical { context.policy().redundancy_loss_for } else { SLOW_FOR };
    Verdict::Bad(Finding {
        rule: RuleId::F21,
        subject: asked.whole.clone(),
        level,
        since: since.wall,
        hold,
        path_unproven: false,
        evidence: Arc::new(evidence(&bad, before.unwrap_or(counted), asked.instances.len())),
    })
}

/// The webhooks that could not be called or took long, by the pages that were asked for after `since`.
fn counted(context: &RuleContext<'_>, since: Now) -> Vec<WebhookCounted> {
    let mut found: BTreeMap<&str, WebhookCounted> = BTreeMap::new();
    let known: Vec<_> = pages::instances(context);
    let changes = known.iter().filter_map(|(_, known)| known.as_ref().ok()?.change());
    for change in changes.filter(|change| change.until.mono >= since.mono) {
        let is_bad = |counts: &WebhookCounts| counts.failures() > 0 || counts.mean() >= SLOW_CALL;
        for (name, counts) in change.webhooks.iter().filter(|(_, counts)| is_bad(counts)) {
            let between = (change.from.wall, change.until.wall);
            let one = found.entry(name).or_insert_with(|| WebhookCounted {
                name: name.clone(),
                counts: WebhookCounts::default(),
                between,
            });
            one.counts = one.counts.plus(*counts);
            one.between = (one.between.0.min(between.0), one.between.1.max(between.1));
        }
    }
    let mut found: Vec<WebhookCounted> = found.into_values().collect();
    found.sort_by_key(|one| Reverse((one.counts.mean(), one.counts.failures())));
    found.truncate(NAMED);
    found
}

fn evidence(bad: &[Bad<'_>], counted: Vec<WebhookCounted>, of: usize) -> AdmissionFails {
    let mut webhooks: BTreeMap<&str, (WebhookFault, &str)> = BTreeMap::new();
    let mut parts: BTreeMap<&Subject, Duration> = BTreeMap::new();
    for one in bad {
        let answer = one.track.answer();
        if let Some(CanaryResult::Webhook { name, fault }) = answer.map(|answer| &answer.result) {
            let said = answer.and_then(|answer| answer.said.as_deref()).unwrap_or_default();
            webhooks.entry(name).or_insert((*fault, said));
        }
        let took = parts.entry(one.instance).or_default();
        *took = (*took).max(one.track.took());
    }
    let name = |kind: &ProbeKind| if *kind == ProbeKind::CreatePod { "Pod" } else { "ConfigMap" };
    let is_in = |kind: &&ProbeKind| bad.iter().any(|bad| bad.kind == **kind);
    debug_assert!(parts.values().all(|took| *took <= longest(bad)));
    AdmissionFails {
        webhooks: webhooks.into_iter().map(|(name, (fault, said))| (name.to_owned(), fault, said.to_owned())).collect(),
        times_out: bad.iter().any(|bad| bad.track.sign() == Some(Sign::TimedOut)),
        counted,
        what: KINDS.iter().filter(is_in).map(|kind| name(kind).to_owned()).collect(),
        parts: parts.into_iter().map(|(instance, took)| (instance.clone(), took)).collect(),
        of,
    }
}
