//! F27: a served chain that the configured CA does not verify: unknown CA, other name, not valid yet, wrong purpose.
//!
//! One finding per cluster and reason, for the apiservers and for each etcd, because each has a CA of its own. What has
//! ended is reported by F26. Evaluated whether or not a credential is used, because clients that trust the same CA fail
//! either way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::certificate::Distrust;
use crate::model::certificate_evidence::CertificateEvidence;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::verdict::{Anchor, Finding, Untrusted, Verdict, Why};
use crate::observe::probe_runs::Run;
use crate::observe::view::ServedSeen;

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, credential_rejected, phrases};

/// F27: what is served cannot be verified.
pub struct ChainUntrusted;

/// Names of one certificate that are shown.
const MAX_NAMES: usize = 8;
/// Handshakes that must have been refused for the same reason.
const HANDSHAKES: u32 = 2;

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "The CA was rotated, and the one configured here (credentials.ca, or that of the \
    kubeconfig) is the old one; or something else answers at that address: another cluster, a proxy that opens TLS.";

/// Chains that the configured CAs do not verify, all for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntrustedChains {
    /// Each endpoint with what it serves.
    pub parts: Vec<Untrusted>,
    /// The CAs that are configured.
    pub trusted: Vec<Anchor>,
}

impl Kind for UntrustedChains {
    const TAG: &'static str = "untrusted";
}

impl Evidence for UntrustedChains {
    fn headline(&self, finding: &Finding) -> String {
        let etcd = finding.subject.etcd_name();
        let whose = etcd.map_or_else(String::new, |etcd| format!("etcd {}: ", phrases::fit(etcd.as_str(), 11)));
        let what = match reason(finding) {
            Distrust::UnknownAuthority => "TLS chain is of an unknown CA",
            Distrust::WrongName => "TLS certificate has another name",
            Distrust::NotYetValid => "TLS certificate is not valid yet",
            Distrust::WrongPurpose => "TLS certificate is for clients",
            Distrust::Invalid => "TLS chain cannot be verified",
        };
        format!("{whose}{what}")
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { parts, trusted, .. } = self;
        let each: Vec<String> = parts
            .iter()
            .map(|part| {
                let place = phrases::place(&part.place, addresses);
                let holder = &part.holder;
                match reason(finding) {
                    Distrust::UnknownAuthority => {
                        format!("{place} serves the certificate of {holder}, issued by {}", part.issuer)
                    }
                    Distrust::WrongName => format!(
                        "{place} is expected to be {}, and serves the certificate of {holder} for {}",
                        part.expected,
                        if part.names.is_empty() { "no name at all".to_owned() } else { phrases::list(&part.names) }
                    ),
                    Distrust::NotYetValid => {
                        format!(
                            "{place} serves the certificate of {holder}, which is valid only from {}",
                            part.not_before
                        )
                    }
                    Distrust::WrongPurpose => {
                        format!(
                            "{place} serves the certificate of {holder}, whose extended key usage is not for \
                                 servers"
                        )
                    }
                    Distrust::Invalid => {
                        format!(
                            "{place} serves the certificate of {holder}, issued by {}, with a key, signature or \
                             extension \
                             that is not accepted",
                            part.issuer
                        )
                    }
                }
            })
            .collect();
        let anchors: Vec<String> = trusted.iter().map(|known| format!("{} ({})", known.holder, short(known))).collect();
        let is_namesake = parts.iter().any(|part| trusted.iter().any(|known| known.holder == part.issuer));
        let rest = match reason(finding) {
            Distrust::UnknownAuthority if is_namesake => format!(
                " Trusted here is {}: a CA of that name with another key, which has not signed it.",
                phrases::list(&anchors)
            ),
            Distrust::UnknownAuthority => format!(" Trusted here is {}.", phrases::list(&anchors)),
            Distrust::WrongName | Distrust::NotYetValid | Distrust::WrongPurpose | Distrust::Invalid => String::new(),
        };
        phrases::capital(format!("{}.{rest}", each.join("; ")))
    }

    fn impact(&self, finding: &Finding) -> String {
        let who = if finding.subject.etcd_name().is_some() {
            "apiservers and members that trust the same CA reject it"
        } else {
            "kubectl, kubelets and controllers that trust the same CA reject it"
        };
        format!(
            "Clients that verify as vedette does fail with an x509 error: {who}. vedette keeps probing, but sends no \
             token or password to a server that is not trusted."
        )
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        match reason(finding) {
            Distrust::UnknownAuthority => LIKELY_CAUSE,
            Distrust::WrongName => {
                "The certificate was issued without this name or address (apiServer.certSANs of kubeadm), the address \
                 leads to another server, or tls_server_name is not set or wrong here."
            }
            Distrust::NotYetValid => {
                "It was issued by a host whose clock is ahead, or for a later date. vedette's own clock agrees with \
                 the servers' dates."
            }
            Distrust::WrongPurpose => "A client certificate is configured in the server's place.",
            Distrust::Invalid => {
                "An RSA key under 2048 bits, a SHA-1 signature, a version 1 certificate or a damaged chain. Other \
                 clients \
                 may be less strict."
            }
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { parts, .. } = self;
        let Some(first) = parts.first() else { return Vec::new() };
        let fields = "-subject -issuer -dates -ext subjectAltName,extendedKeyUsage";
        let mut next = vec![commands.served(&first.place, fields)];
        match reason(finding) {
            Distrust::UnknownAuthority => {
                next.push(commands.configured_ca(&first.place));
                next.extend(commands.ca_on_host(&first.place, finding.subject.etcd_name().is_some()));
            }
            Distrust::NotYetValid => next.push(commands.clocks(&first.place)),
            Distrust::WrongName | Distrust::WrongPurpose | Distrust::Invalid => {}
        }
        next.push(commands.check());
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        self.parts.iter().map(|part| part.place.clone()).collect()
    }

    fn certificates(&self) -> Option<CertificateEvidence<'_>> {
        Some(CertificateEvidence::Untrusted { parts: &self.parts, trusted: &self.trusted })
    }
}

fn reason(finding: &Finding) -> Distrust {
    finding.subject.distrust().unwrap_or(Distrust::UnknownAuthority)
}

fn short(known: &Anchor) -> String {
    format!("SHA-256 {}", known.fingerprint.short())
}

impl Rule for ChainUntrusted {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F27,
            name: "ServingCertificateNotTrusted",
            in_short: "not trusted",
            title: "served chain is not verified by the configured CA",
            impact: "Clients that verify as vedette does fail with an x509 error: kubectl, kubelets and controllers \
                that trust the same CA reject it. vedette keeps probing, but sends no token or password to a server \
                that is not trusted.",
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<UntrustedChains>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F52)];
        &EDGES
    }

    /// Only the login that was withheld from these servers.
    fn is_effect(&self, cause: &Subject, effect: &Finding) -> bool {
        // The login to the apiservers is a matter of the cluster, that to an etcd one of the etcd.
        let is_login = effect.subject.is_cluster() || effect.subject.is_etcd();
        is_login && effect.subject.etcd_name() == cause.etcd_name() && credential_rejected::is_withheld(effect)
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        // Computed once for all endpoints, because it uses the `Date` of every server of every cluster.
        let is_clock_trusted = context.view.is_wall_clock_trusted(context.now.mono);
        let mut scopes = Vec::new();
        if cluster.is_verified {
            let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
            scopes.push((None, cluster.apiserver_subjects(name).chain(vip).collect::<Vec<_>>()));
        }
        for (etcd, known) in cluster.etcds.iter().filter(|(_, known)| known.is_verified) {
            let shown = known.members.keys().filter(|member| known.shows_chain(member));
            let member = |member: &Name| Subject::EtcdMember(name.clone(), etcd.clone(), member.clone());
            scopes.push((Some(etcd.clone()), shown.map(member).collect()));
        }
        let mut verdicts = Vec::new();
        for (etcd, endpoints) in scopes.iter().filter(|(_, endpoints)| !endpoints.is_empty()) {
            for reason in Distrust::ALL {
                let subject = Subject::Chain(name.clone(), etcd.clone(), reason);
                let verdict = if reason == Distrust::NotYetValid && !is_clock_trusted {
                    Verdict::Unknown(Why::Vantage)
                } else {
                    judge_reason(context, &subject, reason, endpoints)
                };
                verdicts.push((subject, verdict));
            }
        }
        verdicts
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::model::certificate::Fingerprint;
        use crate::samples::{OPENED, Sample, api, lines, served};
        use std::time::Duration;

        Sample::of(
            "prod-eu1/chain/unknown_authority",
            Level::Warning,
            Arc::new(UntrustedChains {
                parts: ["api-1", "api-2"]
                    .map(|name| Untrusted {
                        place: api(name),
                        expected: "10.0.0.11".into(),
                        holder: "CN=kube-apiserver".into(),
                        issuer: "CN=kubernetes".into(),
                        names: vec!["kubernetes.default.svc".into(), "10.0.0.11".into()],
                        not_before: OPENED.minus(Duration::from_secs(3600)),
                        fingerprint: Fingerprint([0x5b; 32]),
                    })
                    .into(),
                trusted: vec![Anchor { holder: "CN=kubernetes".into(), fingerprint: Fingerprint([0x7d; 32]) }],
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
        .replaced(vec![served("apiserver/api-1", 0x5b, 0x6c), served("apiserver/api-2", 0x5b, 0x6d)])
    }
}

fn judge_reason(context: &RuleContext<'_>, subject: &Subject, reason: Distrust, endpoints: &[Subject]) -> Verdict {
    let seen: Vec<(&Subject, &ServedSeen)> =
        endpoints.iter().filter_map(|endpoint| Some((endpoint, context.view.served(endpoint)?))).collect();
    let refused: Vec<(&Subject, &ServedSeen, &Run, bool)> = seen
        .iter()
        .filter_map(|(endpoint, seen)| {
            let (run, is_latest) = seen.trusting.refused(reason)?;
            Some((*endpoint, *seen, run, is_latest))
        })
        .collect();
    let raised = context.raised_of(RuleId::F27, subject).and_then(Finding::seen::<UntrustedChains>);
    let known: &[Untrusted] = raised.map_or(&[], |raised| &raised.parts);
    let Some(since) = refused.iter().map(|(_, _, run, _)| run.first).min_by_key(|first| first.mono) else {
        return trusted(context, reason, endpoints, known);
    };
    let confirmed = || refused.iter().filter(|(_, _, run, is_latest)| *is_latest && run.probes >= HANDSHAKES);
    let mut parts: Vec<Untrusted> = confirmed().filter_map(|(place, seen, _, _)| part(context, place, seen)).collect();
    let Some((_, first, _, _)) = confirmed().next().filter(|_| !parts.is_empty()) else {
        return Verdict::Unknown(Why::Suspected { since });
    };
    // From before a restart, and not seen since.
    let is_unseen = |part: &&Untrusted| endpoints.contains(&part.place) && context.view.served(&part.place).is_none();
    parts.extend(known.iter().filter(is_unseen).cloned());
    Verdict::Bad(Finding {
        rule: RuleId::F27,
        subject: subject.clone(),
        level: Level::Warning,
        since: since.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven: false,
        evidence: Arc::new(UntrustedChains {
            parts,
            trusted: first
                .served
                .trusted
                .iter()
                .map(|known| Anchor { holder: known.subject.clone(), fingerprint: known.fingerprint })
                .collect(),
        }),
    })
}

/// Good by handshakes that were trusted: of all endpoints that were ever refused for this reason, in this process or in
/// what was raised before it, or of all that there are, where none is known to have been.
fn trusted(context: &RuleContext<'_>, reason: Distrust, endpoints: &[Subject], known: &[Untrusted]) -> Verdict {
    let was_refused = |endpoint: &&Subject| {
        let is_known = known.iter().any(|part| part.place == **endpoint);
        is_known || context.view.served(endpoint).is_some_and(|seen| seen.trusting.was(reason))
    };
    let refused: Vec<&Subject> = endpoints.iter().filter(was_refused).collect();
    let concerned = if refused.is_empty() { endpoints.iter().collect() } else { refused };
    let seen: Option<Vec<&ServedSeen>> = concerned.into_iter().map(|endpoint| context.view.served(endpoint)).collect();
    let Some(seen) = seen else { return Verdict::Unknown(Why::NeverSeen) };
    let runs: Option<Vec<&Run>> = seen.iter().map(|seen| seen.trusting.trusted()).collect();
    runs.and_then(all_good).unwrap_or(Verdict::Unknown(Why::Unclear))
}

fn part(context: &RuleContext<'_>, place: &Subject, seen: &ServedSeen) -> Option<Untrusted> {
    let leaf = seen.served.leaf()?;
    let expected = context.view.inventory().endpoint(place).map(|known| known.server_name.clone());
    Some(Untrusted {
        place: place.clone(),
        expected: expected.unwrap_or_default(),
        holder: leaf.subject.clone(),
        // The issuer that a client searches among the CAs it trusts.
        issuer: seen.served.chain.last().unwrap_or(leaf).issuer.clone(),
        names: leaf.names.iter().take(MAX_NAMES).cloned().collect(),
        not_before: leaf.not_before,
        fingerprint: leaf.fingerprint,
    })
}
