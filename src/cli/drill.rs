//! `vedette drill mail`: sends a marked test mail by the relay that alerts take, so that a mistake in the set-up shows
//! before the first alert.
//!
//! Uses the configured relay, login and recipients exactly as the daemon does. Neither stored nor retried.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::{Address, Cluster, Host, Mail, Settings};
use crate::daemon::clock;
use crate::judge::api_down::AllBad;
use crate::model::delivery::{Attempt, DeliveryFailure, DeliveryResult};
use crate::model::digest::stable_hash;
use crate::model::host_access::Hosts;
use crate::model::incident::{Incident, IncidentId, Part, Told};
use crate::model::message::{Message, MessageId, ProbeLine};
use crate::model::outlet::Outlet;
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::reason::MessageReason;
use crate::model::recipient::Rejection;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::{Finding, Symptom};
use crate::notify::email::{BadAddress, Email, Outcome};

use super::missing_credentials;

/// How long before the mail the sample fault began: what a hard fault takes to be confirmed.
const CONFIRMED_AFTER: Duration = Duration::from_secs(3);

const REFUSED: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };

/// Test the alerting path
#[derive(Debug, clap::Args)]
pub(super) struct Drill {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Mail(MailDrill),
}

/// Send a marked test mail through the configured relay
#[derive(Debug, clap::Args)]
struct MailDrill {
    /// The configuration
    #[arg(default_value = super::DEFAULT_CONFIG)]
    file: PathBuf,

    /// Send to this address alone, instead of the configured recipients
    #[arg(long)]
    to: Option<String>,
}

impl Drill {
    /// Sends; 0 when the relay took it, 1 when not, 78 when the configuration cannot be used.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let What::Mail(drill) = self.what;
        let settings = match Settings::load(&drill.file) {
            Ok((settings, _)) => settings,
            Err(problems) => {
                let mut stderr = io::stderr().lock();
                for problem in problems {
                    writeln!(stderr, "{problem}")?;
                }
                return Ok(ExitCode::from(super::CONFIG));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(mail(&settings, drill.to.as_deref(), clock::system().now())) {
            Ok(answer) => {
                writeln!(io::stdout().lock(), "{answer}")?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let mut stderr = io::stderr().lock();
                writeln!(stderr, "vedette: {:#}", anyhow::Error::from(error))?;
                let wanted = settings.mail.as_ref().map(Mail::credentials).unwrap_or_default();
                let options: Vec<&str> = drill.to.iter().flat_map(|to| ["--to", to]).collect();
                if let Some(hint) = missing_credentials::hint(&wanted, &drill.file, "drill mail", &options) {
                    writeln!(stderr, "{hint}")?;
                }
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// Why the test mail did not go out.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// No mail is configured.
    #[error("the configuration has no mail section, so nothing can be sent")]
    NoMail,
    /// A configured or given address cannot be used.
    #[error("preparing the mail")]
    Address(#[from] BadAddress),
    /// The relay did not take it.
    #[error("{} ({})", .0.text, .0.class.as_str())]
    NotTaken(DeliveryFailure),
    /// The relay took it for others only.
    #[error("{}", refused(.0, .1))]
    Refused(Vec<Rejection>, String),
}

/// `the relay refuses boss@example.org for good (550 5.1.1 no such user); for ops@example.org it took the mail`.
fn refused(rejections: &[Rejection], others: &str) -> String {
    let each: Vec<String> =
        rejections.iter().map(|rejection| format!("{} ({})", rejection.recipient, rejection.text)).collect();
    format!("the relay rejects {} for good; {others}", each.join(", "))
}

/// Sends the test mail to `to`, or to all configured recipients, and returns one line with the relay's own answer.
///
/// # Errors
/// Why it did not go out; the text of [`DrillError::NotTaken`] is what the daemon would log.
pub async fn mail(settings: &Settings, to: Option<&str>, now: Now) -> Result<String, DrillError> {
    let mut mail = settings.mail.clone().ok_or(DrillError::NoMail)?;
    if let Some(to) = to {
        mail.to = vec![to.to_owned()];
    }
    let email = Email::new(&mail, &settings.vantage.name)?;
    let attempt = Attempt::first(sample(settings, now), Outlet::Mail, email.everybody());
    let Outcome { answer, results } = email.send(&attempt, settings.policy.delivery_deadline).await;
    let relay = written(&mail.relay);
    let rejection = |(recipient, result): (&String, &DeliveryResult)| match result {
        DeliveryResult::Rejected(text) => Some(Rejection { recipient: recipient.clone(), text: text.clone() }),
        DeliveryResult::Accepted | DeliveryResult::Failed(_) => None,
    };
    let rejections: Vec<Rejection> = results.iter().filter_map(rejection).collect();
    match answer {
        Ok(answer) if rejections.is_empty() => Ok(format!("accepted by {relay} for {}: {answer}", mail.to.join(", "))),
        Ok(answer) => {
            let accepted = results.iter().filter(|(_, result)| **result == DeliveryResult::Accepted);
            let accepted: Vec<&str> = accepted.map(|(recipient, _)| recipient.as_str()).collect();
            let others = format!("{relay} accepted the mail for {}: {answer}", accepted.join(", "));
            Err(DrillError::Refused(rejections, others))
        }
        Err(failure) if rejections.is_empty() => Err(DrillError::NotTaken(failure.into())),
        Err(failure) if failure.is_permanent => Err(DrillError::Refused(rejections, "nobody got the mail".into())),
        Err(failure) => Err(DrillError::Refused(rejections, failure.text)),
    }
}

/// A message such as the daemon would send if every apiserver of the first cluster were down.
fn sample(settings: &Settings, now: Now) -> Message {
    let composed = now.wall;
    let opened = composed.minus(CONFIRMED_AFTER);
    let (cluster, instances) = settings.clusters.first().map_or_else(example, instances);
    let parts = instances.keys().map(|instance| (instance.clone(), Symptom::Silent(REFUSED))).collect();
    let finding = Finding {
        rule: RuleId::F24,
        subject: Subject::Cluster(cluster.clone()),
        level: Level::Critical,
        since: opened,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(AllBad { parts }),
    };
    let hash = stable_hash(&["drill", &settings.vantage.name, &composed.as_millis().to_string()]);
    let incident = IncidentId(format!("drill-{hash:016x}"));
    let id = MessageId(format!("{incident}.1"));
    let probes = instances
        .iter()
        .map(|(instance, address)| ProbeLine {
            probe: Probe::anew(instance.clone(), ProbeKind::Readyz),
            address: address.clone(),
            at: composed.minus(Duration::from_secs(1)),
            phases: Phases { dial: Some(Duration::from_micros(400)), ..Phases::default() },
            outcome: Err(REFUSED),
            good: false,
        })
        .collect();
    Message {
        thread: id.clone(),
        id,
        reason: MessageReason::Drill,
        level: Level::Critical,
        composed,
        incident: Incident {
            id: incident,
            cluster: Some(cluster),
            opened,
            parts: vec![Part::of(finding.clone())],
            headline: finding,
            cause: None,
            level: Level::Critical,
            told: Told { messages: 1, ..Told::default() },
            silenced: None,
            over: None,
        },
        addresses: instances,
        hosts: Hosts::default(),
        links: settings.links.clone(),
        time_zone: settings.vantage.time_zone.clone(),
        probes,
        before: None,
        replacements: Vec::new(),
        vantage: settings.vantage.name.clone(),
        caveats: Vec::new(),
    }
}

/// The instances of `cluster`, or its shared address where none are configured.
fn instances(cluster: &Cluster) -> (Name, BTreeMap<Subject, String>) {
    let name = &cluster.name;
    let direct = cluster
        .apiservers
        .iter()
        .map(|(instance, endpoint)| (Subject::Apiserver(name.clone(), instance.clone()), written(&endpoint.address)));
    let mut instances: BTreeMap<Subject, String> = direct.collect();
    if instances.is_empty() {
        instances.extend(cluster.vip.iter().map(|vip| (Subject::Vip(name.clone()), written(&vip.address))));
    }
    (name.clone(), instances)
}

/// For a configuration without clusters: an address that RFC 5737 reserves for documentation.
fn example() -> (Name, BTreeMap<Subject, String>) {
    let name = |text: &str| text.parse::<Name>().expect("a literal of letters and digits is a name");
    let (cluster, instance) = (name("example"), name("api-1"));
    let subject = Subject::Apiserver(cluster.clone(), instance);
    (cluster, BTreeMap::from([(subject, "192.0.2.11:6443".to_owned())]))
}

/// `host:port`, with brackets around IPv6.
fn written(address: &Address) -> String {
    match &address.host {
        Host::Ip(ip) => std::net::SocketAddr::new(*ip, address.port).to_string(),
        Host::Name(name) => format!("{name}:{}", address.port),
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;
    use crate::config::settings::{Credentials, Endpoint, MailTls, Vantage};
    use crate::model::policy::Policy;
    use crate::model::time::{Mono, UnixTime};
    use crate::notify::tests::relay::{Act, At, Relay};

    const NOW: Now = Now { wall: UnixTime::from_secs(1_772_334_840), mono: Mono(Duration::from_secs(9)) };

    fn settings(mail: Option<Mail>) -> Settings {
        let address = Address { host: Host::Ip("fd00::11".parse().unwrap()), port: 6443 };
        let endpoint = Endpoint::new(address, None);
        Settings {
            vantage: Vantage {
                name: "bastion-1".into(),
                listen: "127.0.0.1:0".parse().unwrap(),
                web_config: None,
                recordings: None,
                control: None,
                store: "vedette.db".into(),
                resolvers: Vec::new(),
                references: Vec::new(),
                time_zone: None,
            },
            mail,
            links: Default::default(),
            heartbeat: None,
            clusters: vec![Cluster {
                name: "prod-eu1".parse().unwrap(),
                credentials: Credentials::default(),
                vip: None,
                vip_fails_over: false,
                apiservers: vec![("api-1".parse().unwrap(), endpoint)],
                etcds: Vec::new(),
                flow_control: false,
                apiserver_metrics: false,
                writer: None,
                canaries: None,
                zpages: false,
                files: Vec::new(),
                hosts: Default::default(),
                levels: BTreeMap::new(),
            }],
            files: Vec::new(),
            levels: BTreeMap::new(),
            policy: Policy::default(),
            kubeconfigs: Vec::new(),
            file: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_drill_is_marked_and_the_relays_answer_is_told() {
        let relay = Relay::start(MailTls::StartTls, |_, _| Act::AsUsual).await;

        let told = mail(&settings(Some(relay.settings())), Some("me@example.org"), NOW).await.unwrap();

        let expected = format!("accepted by {} for me@example.org: 250 2.0.0 Ok: queued as 4F2A", relay.address);
        assert_eq!(told, expected);
        let taken = relay.only();
        assert_eq!(taken.to, ["me@example.org"]);
        let parsed = MessageParser::default().parse(&taken.content).unwrap();
        assert_eq!(parsed.subject(), Some("[DRILL] prod-eu1: all apiservers are down"));
        let text = parsed.body_text(0).unwrap();
        assert!(text.contains("This is a test mail"), "{text}");
        assert!(text.contains("[fd00::11]:6443"), "{text}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_relays_words() {
        let script =
            |at, _: &str| if at == At::Content { Act::Reply("550 5.7.1 no drills here") } else { Act::AsUsual };
        let relay = Relay::start(MailTls::Plain, script).await;
        let mut settings = settings(Some(relay.settings()));
        settings.clusters.clear();

        let error = mail(&settings, None, NOW).await.unwrap_err();

        assert_eq!(error.to_string(), "handing over the message: 550 5.7.1 no drills here (permanent)");
    }

    #[tokio::test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other step of the talk goes as usual")]
    async fn a_recipient_who_is_refused_fails_the_drill_whatever_the_others_got() {
        for (ops, told) in [
            (Act::AsUsual, "accepted the mail for ops@example.org: 250 2.0.0 Ok: queued as 4F2A"),
            (Act::Reply("451 4.7.1 later"), "naming recipient ops@example.org: 451 4.7.1 later"),
            (Act::Reply("550 5.1.1 gone"), "nobody got the mail"),
        ] {
            let relay = Relay::start(MailTls::Plain, move |at, line: &str| match at {
                At::Rcpt if line.contains("boss@") => Act::Reply("550 5.1.1 no such user"),
                At::Rcpt => ops,
                _ => Act::AsUsual,
            })
            .await;

            let error = mail(&settings(Some(relay.settings())), None, NOW).await.unwrap_err().to_string();

            assert!(error.contains("boss@example.org (550 5.1.1 no such user)"), "{error}");
            assert!(error.ends_with(told), "{error}");
        }
    }

    #[tokio::test]
    async fn without_a_mail_section_nothing_can_be_sent() {
        assert!(matches!(mail(&settings(None), None, NOW).await, Err(DrillError::NoMail)));
    }
}
