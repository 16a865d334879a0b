//! F52: the monitor's own credential is refused. The server works, but this part of it cannot be seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::certificate::Trust;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::{Cause, Unseen};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::{ProbeRuns, Run};

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F52: the monitor's own credential is refused.
pub struct Refused;

/// What stops working, whatever was seen.
const IMPACT: &str = "For users: nothing. This part of the cluster is not monitored until it is fixed, so a fault \
    there would not be noticed.";

/// Our own credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCredential {
    /// How it was refused.
    pub unseen: Unseen,
    /// Why it cannot be used, where that is our own fault and known. Holds no secret.
    #[serde(default)]
    pub own_flaw: Option<String>,
    /// What was refused, and has not been answered since; nothing in what was written down before this was kept.
    #[serde(default)]
    pub by: Vec<(Subject, Asked)>,
    /// The result of verification of the server, where the credential was withheld because of it.
    #[serde(default)]
    pub trust: Option<Trust>,
}

impl Kind for RefusedCredential {
    const TAG: &'static str = "refused";
}

impl RefusedCredential {
    /// Whether it is the credential of the canaries that is refused, and not the one that vedette reads with.
    fn is_of_canaries(&self) -> bool {
        !self.by.is_empty() && self.by.iter().all(|(_, asked)| *asked == Asked::Canary)
    }

    fn is_withheld(&self) -> bool {
        self.unseen.cause == Cause::TokenWithheld
    }
}

impl Evidence for RefusedCredential {
    fn headline(&self, finding: &Finding) -> String {
        let who = phrases::fit(&who(finding), 20);
        if self.is_withheld() {
            return format!("vedette's login is withheld from {}", phrases::fit(&who, 17));
        }
        format!("{who}: vedette is not authorized")
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Self { unseen, own_flaw, trust, .. } = self;
        match (unseen.cause, own_flaw) {
            (Cause::OwnCredential, Some(diagnostic)) => {
                format!("vedette has no credential for {place} that it could use: {diagnostic} ({unseen}).")
            }
            (Cause::OwnCredential, None) => {
                format!("vedette's own credential for {place} cannot be read or used ({unseen}).")
            }
            (Cause::TokenWithheld, _) => {
                format!("{place} asks for a login. The token or password is not sent because {}.", because(*trust))
            }
            _ if self.is_of_canaries() => format!(
                "{place} responds, but rejects the credential of vedette's canaries, the writer's ({unseen}). What \
                 vedette reads with its other credential is seen."
            ),
            _ => format!("{place} responds, but rejects vedette's credential ({unseen})."),
        }
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let text = match (self.unseen.cause, self.trust) {
            (Cause::TokenWithheld, Some(Trust::Unverified)) => {
                "No CA is configured there (credentials.ca, or certificate-authority of the kubeconfig), so nothing \
                 proves who would receive it."
            }
            (Cause::TokenWithheld, _) => {
                "A login sent to a server that is not trusted could be read by anybody. Another alert says what is \
                 wrong with its certificate."
            }
            (Cause::OwnCredential, _) if self.own_flaw.is_some() => {
                "As above. Run a plugin that it names by hand, as the user and with the environment that vedette has: \
                 what it does not find there or asks of a person, it does not get."
            }
            (Cause::OwnCredential, _) => {
                "The file with the certificate, key or token is missing, unreadable or broken."
            }
            (Cause::ClientCertificateRejected, _) => {
                "vedette's client certificate has expired, or the server trusts another CA than the one that signed \
                 it."
            }
            _ => "The token or certificate has expired or was revoked, or the RBAC rules of vedette were removed.",
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        if self.is_withheld() {
            return vec![commands.server_against_ca(&finding.subject), commands.check()];
        }
        if self.is_of_canaries() {
            return vec![commands.check(), commands.probe()];
        }
        let mut next = vec![commands.check(), commands.own_certificate(&finding.subject)];
        if finding.subject.is_of_etcd() {
            next.push(commands.etcd_as_vedette(&finding.subject));
        } else {
            next.extend([commands.who_am_i(&finding.subject), commands.may_read()]);
        }
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        self.by.iter().map(|(place, _)| place.clone()).collect()
    }
}

/// Whether a finding is that our login was not sent, because the server is not trusted.
pub(super) fn is_withheld(finding: &Finding) -> bool {
    finding.seen().is_some_and(RefusedCredential::is_withheld)
}

/// The result of verification of the server that our login was withheld from.
pub(super) fn withheld_for(finding: &Finding) -> Option<Trust> {
    finding.seen::<RefusedCredential>().filter(|refused| refused.is_withheld())?.trust
}

const fn because(trust: Option<Trust>) -> &'static str {
    match trust {
        Some(Trust::UnknownAuthority) => "its chain is of an unknown CA",
        Some(Trust::WrongName) => "its certificate is for another name",
        Some(Trust::NotYetValid) => "its certificate is not valid yet",
        Some(Trust::Expired) => "its certificate chain has expired",
        Some(Trust::WrongPurpose) => "its certificate is not for servers",
        Some(Trust::Unverified) => "no CA is configured to verify its chain with",
        Some(Trust::Invalid | Trust::Unproven | Trust::Trusted) | None => "its chain is not trusted",
    }
}

fn who(finding: &Finding) -> String {
    match finding.subject.component() {
        "vip" => "API VIP".into(),
        _ => finding.subject.short().to_owned(),
    }
}

impl Rule for Refused {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F52,
            name: "Unauthorized",
            in_short: "unauthorized",
            title: "vedette is not authorized (401 or 403)",
            impact: IMPACT,
            likely_cause: "vedette's certificate or token has expired, or its permissions were removed.",
            shows: Shows::All,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<RefusedCredential>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    /// One finding for the apiservers of a cluster and one for each etcd cluster: each has one credential.
    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let mut verdicts = Vec::new();
        let instances = context.instances();
        if let Some(whole) = context.whole().filter(|_| !instances.is_empty()) {
            verdicts.push((whole.clone(), judge_credential(context, &whole, &instances)));
        }
        for etcd in context.etcds() {
            let members = context.members(&etcd);
            verdicts.push((etcd.clone(), judge_credential(context, &etcd, &members)));
        }
        verdicts
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::model::phase::Phase;
        use crate::samples::{Sample, lines};

        Sample::of(
            "prod-eu1/etcd/etcd/etcd-1",
            Level::Warning,
            Arc::new(RefusedCredential {
                unseen: Unseen { phase: Phase::Tls, cause: Cause::ClientCertificateRejected },
                own_flaw: None,
                by: Vec::new(),
                trust: None,
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 401")])
    }
}

/// Bad while anything is refused. What was refused is over when the very same is answered there: that others are
/// answered, or that it is not answered at all, shows nothing about our credential.
fn judge_credential(context: &RuleContext<'_>, subject: &Subject, endpoints: &[Subject]) -> Verdict {
    let track = |(endpoint, asked): &(Subject, Asked)| context.view.track(endpoint, aspect(*asked));
    let everything = endpoints
        .iter()
        .flat_map(|endpoint| [Asked::Health, Asked::Ordinary, Asked::Canary].map(|asked| (endpoint.clone(), asked)));
    let refused: Vec<(Subject, Asked)> = everything.filter(|one| track(one).is_some_and(refuses)).collect();
    let raised = context.raised_of(RuleId::F52, subject).and_then(Finding::seen::<RefusedCredential>);
    let known: &[(Subject, Asked)] = raised.map_or(&[], |raised| &raised.by);
    let subject_state: Vec<_> = known
        .iter()
        .filter(|(endpoint, _)| endpoints.contains(endpoint))
        .map(|one| (one, context.subject_state(&one.0, aspect(one.1))))
        .collect();

    let latest = refused.iter().filter_map(|one| track(one)?.refused().map(|(unseen, run)| (&one.0, unseen, run)));
    let Some((endpoint, unseen, run)) = latest.max_by_key(|(_, _, run)| run.probes) else {
        let runs: Option<Vec<Run>> = if subject_state.is_empty() {
            all_answered(context, endpoints)
        } else {
            subject_state.iter().map(|(_, subject_state)| subject_state.good().copied()).collect()
        };
        return runs.as_ref().and_then(all_good).unwrap_or(Verdict::Unknown(Why::Unclear));
    };
    if run.probes < context.policy().confirm_probes {
        return Verdict::Unknown(Why::Suspected { since: run.first });
    }
    let trust = context.view.served(endpoint).map(|seen| seen.served.trust);
    let mut by: BTreeSet<(Subject, Asked)> = refused.iter().cloned().collect();
    by.extend(
        subject_state.iter().filter(|(_, subject_state)| subject_state.good().is_none()).map(|(one, _)| (*one).clone()),
    );
    Verdict::Bad(Finding {
        rule: RuleId::F52,
        subject: subject.clone(),
        level: Level::Warning,
        since: run.first.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven: false,
        evidence: Arc::new(RefusedCredential {
            unseen,
            own_flaw: own_flaw(context, subject, endpoints),
            by: by.into_iter().collect(),
            trust: trust.filter(|_| unseen.cause == Cause::TokenWithheld),
        }),
    })
}

/// Whether the latest probe was refused. A server that asks for a login where none is configured is a gap, not a
/// refusal.
fn refuses(track: &ProbeRuns) -> bool {
    track.refused().is_some_and(|(unseen, _)| unseen.cause != Cause::NoCredential)
}

/// Why our credential cannot be used, as the latest probes of `whole` or of one of its endpoints show.
fn own_flaw(context: &RuleContext<'_>, whole: &Subject, endpoints: &[Subject]) -> Option<String> {
    let (name, _) = context.cluster?;
    let probes = &context.view.cluster_snapshot(name)?.observations;
    let concerns = |subject: &Subject| subject == whole || endpoints.contains(subject);
    let told = probes
        .iter()
        .filter(|(probe, _)| concerns(&probe.subject))
        .filter_map(|(_, observation)| Some((observation.scheduled.mono, observation.own_flaw.as_ref()?)));
    told.max_by_key(|(at, _)| *at).map(|(_, diagnostic)| diagnostic.to_string())
}

const fn aspect(asked: Asked) -> Aspect {
    match asked {
        Asked::Health => Aspect::Answer,
        Asked::Ordinary => Aspect::Ordinary,
        Asked::Canary => Aspect::Canary,
    }
}

/// The good runs of everything that is asked; `None` while one of them is missing.
fn all_answered(context: &RuleContext<'_>, endpoints: &[Subject]) -> Option<Vec<Run>> {
    let asked = endpoints.iter().flat_map(|endpoint| {
        let is_asked_more = context.view.track(endpoint, Aspect::Ordinary).is_some();
        let health = context.subject_state(endpoint, Aspect::Answer);
        [Some(health), is_asked_more.then(|| context.subject_state(endpoint, Aspect::Ordinary))].into_iter().flatten()
    });
    asked.map(|subject_state| subject_state.good().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::phase::{Phase, Unseen};
    use crate::samples;

    #[test]
    fn the_words_name_what_became_of_our_credential() {
        let plugin = "the exec plugin corp-login ended with exit code 1, and says: session has ended";
        for (own_flaw, what, why) in [
            (Some(plugin), plugin, "As above"),
            (None, "cannot be read or used", "The file with the certificate, key or token is missing"),
        ] {
            let mut finding = samples::finding(RuleId::F52);
            let unseen = Unseen { phase: Phase::FirstByte, cause: Cause::OwnCredential };
            let named = own_flaw.map(str::to_owned);
            finding.evidence = Arc::new(RefusedCredential { unseen, own_flaw: named, by: Vec::new(), trust: None });

            assert!(finding.what(&Addresses::new()).contains(what), "{own_flaw:?}");
            assert!(finding.likely_cause().starts_with(why), "{own_flaw:?}");
        }
    }
}

/// What an endpoint was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// How it is: exempt health, Status.
    Health,
    /// What everybody asks.
    Ordinary,
    /// What the canaries ask, with a credential of their own.
    Canary,
}
