//! The canaries on a real apiserver, under the manifest that the repository ships: what they write and what they do not,
//! webhooks that fail in each way, and what is told when the canaries themselves lack something.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::clock;
use crate::controllers::{self, Controller};
use crate::drill::Drill;
use crate::mail::Mail;
use crate::net::{Place, output};
use crate::pki;
use crate::process::Server;
use crate::rbac;
use crate::tools::Extra;
use crate::vedette::{BINARY, LISTEN, Options};
use crate::world::World;

use super::watch::{self, CRITICAL, Fault, SETTLED};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("canaries_write_one_lease_and_store_nothing_else", under_the_manifest).tidy(),
    Drill::new("a_webhook_that_is_gone_is_named", gone_webhook).tidy(),
    Drill::new("a_webhook_of_an_unknown_ca_is_named", distrusted_webhook).tidy().when_full(),
    Drill::new("a_webhook_that_hangs_is_named_when_its_own_timeout_is_short", hanging_webhook).tidy().when_full(),
    Drill::new("a_webhook_that_hangs_for_longer_than_a_canary_waits_is_named_by_the_metrics", nameless_webhook)
        .tidy()
        .when_full(),
    Drill::new("a_deleted_namespace_of_the_canaries_is_a_gap_and_no_fault", deleted_namespace).tidy().when_full(),
    Drill::new("two_bastions_write_a_lease_each", two_bastions).tidy().when_full(),
    Drill::new("the_quota_stores_nothing_and_what_it_rejects_is_an_answer", quota)
        .with(&[Extra::Controllers])
        .when_full(),
];

/// A dry run at an instance every 10 s, two more at once, and the hold of 30 s.
const WITHIN: Duration = Duration::from_secs(75);

/// Bound on waits for what happens within an interval or two.
const SOON: Duration = Duration::from_secs(60);

/// The name of the webhook, which the mail must have.
const WEBHOOK: &str = "refuses.lab.test";

const fn failing(what: &'static str) -> Fault {
    Fault { what, symptom: "webhook fails: refuses.lab.test", level: CRITICAL, within: WITHIN }
}

/// Starts vedette with canaries at the shortest intervals, and waits until each of them was done once everywhere.
fn start(world: &mut World) -> Result<()> {
    rbac::grant_canaries(world, "bastion-1")?;
    let timing = [("lease_interval", "10s"), ("create_interval", "5s"), ("secret_interval", "5s")];
    let timing = timing.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    watch::start(world, &Options { canaries: true, timing, ..Options::default() })?;
    await_canaries(world)
}

fn await_canaries(world: &World) -> Result<()> {
    clock::wait_for("every canary to be answered at both instances", SOON, || {
        for instance in ["api-1", "api-2"] {
            for probe in ["lease_write", "lease_read", "create_configmap", "create_pod", "access_review", "secret_read"]
            {
                if done(world, instance, probe)? < 1.0 {
                    bail!("no {probe} at {instance}: {}", canary_lines(world)?);
                }
            }
        }
        Ok(Some(()))
    })
}

fn done(world: &World, instance: &str, probe: &str) -> Result<f64> {
    let page = world.page("/metrics")?;
    let is_it = |line: &&str| {
        line.starts_with("vedette_probes_total{")
            && [format!("\"{instance}\""), format!("probe=\"{probe}\""), "outcome=\"ok\"".to_owned()]
                .iter()
                .all(|part| line.contains(part))
    };
    let line = page.body.lines().find(is_it);
    Ok(line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0.0))
}

/// What the page says of canaries, for the report of a drill that failed.
fn canary_lines(world: &World) -> Result<String> {
    let page = world.page("/?cluster=lab")?;
    Ok(page.body.lines().skip_while(|line| !line.contains("canaries")).take(40).collect::<Vec<_>>().join("\n"))
}

fn kubectl(world: &World, arguments: &[&str]) -> Result<String> {
    output(world.kubectl()?.args(arguments)).map(|text| text.trim().to_owned())
}

fn under_the_manifest(world: &mut World) -> Result<()> {
    start(world)?;
    let holder = "jsonpath={.spec.holderIdentity} {.spec.renewTime}";
    let lease = |world: &World| kubectl(world, &["-n", "vedette", "get", "lease", "vedette-bastion-1", "-o", holder]);
    let first = lease(world)?;
    ensure!(first.starts_with("bastion-1 "), "the Lease says '{first}'");
    clock::wait_for("the Lease to be renewed", SOON, || Ok((lease(world)? != first).then_some(())))?;
    let stored = kubectl(world, &["-n", "vedette", "get", "pods,configmaps", "-o", "name"])?;
    ensure!(stored.is_empty(), "a dry run has left {stored}");
    world.quiet_for(SETTLED)
}

/// A quota counts as soon as a controller-manager has seen it. The credential of the writer can then store nothing, though
/// RBAC would let it, and the canaries are as well as without.
fn quota(world: &mut World) -> Result<()> {
    controllers::start_one(world, Controller::Manager, 1)?;
    rbac::grant_canaries(world, "bastion-1")?;
    clock::wait_for("the quota to be counted", SOON, || {
        let hard = ["-n", "vedette", "get", "resourcequota", "vedette", "-o", "jsonpath={.status.hard.pods}"];
        Ok((kubectl(world, &hard)? == "0").then_some(()))
    })?;
    let file = world.folder.join("pod.json");
    pki::write(&file, RESTRICTED, 0o600)?;
    let mut writer = world.kubectl()?;
    let made = output(writer.args(["--as", "vedette-writer", "create", "-f"]).arg(&file));
    let refusal = made.err().map(|error| format!("{error:#}")).context("the writer's user can store a Pod")?;
    ensure!(refusal.contains("exceeded quota"), "not for the quota: {refusal}");

    start(world)?;
    let page = canary_lines(world)?;
    ensure!(page.contains("rejected by policy, quota or validation"), "no dry run meets the quota:\n{page}");
    world.quiet_for(SETTLED)
}

/// A Pod that everything but the quota lets pass.
const RESTRICTED: &str = r#"{
  "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x", "namespace": "vedette" },
  "spec": {
    "serviceAccountName": "vedette-canary",
    "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
    "containers": [{ "name": "x", "image": "x.invalid/x", "securityContext": {
      "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }]
  }
}"#;

/// Registers a webhook for ConfigMaps of the canaries' namespace, at `url` and trusted by `ca`.
fn register(world: &World, url: &str, ca: &str, timeout_secs: u8) -> Result<Instant> {
    use base64::Engine as _;
    let bundle = base64::engine::general_purpose::STANDARD.encode(fs::read(world.pki.file(ca, "crt"))?);
    let text = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{ name: lab }}\n\
         webhooks:\n- name: {WEBHOOK}\n  admissionReviewVersions: [v1]\n  sideEffects: None\n  failurePolicy: Fail\n  \
         timeoutSeconds: {timeout_secs}\n  clientConfig: {{ url: \"{url}\", caBundle: {bundle} }}\n  namespaceSelector: \
         {{ matchLabels: {{ kubernetes.io/metadata.name: vedette }} }}\n  rules:\n  - {{ apiGroups: [\"\"], apiVersions: \
         [v1], operations: [CREATE], resources: [configmaps] }}\n"
    );
    let file = world.folder.join("webhook.yaml");
    pki::write(&file, &text, 0o600)?;
    output(world.kubectl()?.args(["apply", "-f"]).arg(&file))?;
    Ok(clock::now())
}

fn unregister(world: &mut World) -> Result<Instant> {
    kubectl(world, &["delete", "validatingwebhookconfiguration", "lab"])?;
    Ok(clock::now())
}

/// From the registration of a webhook to its mail, and from its end to the all-clear.
fn told_and_cleared(world: &mut World, fault: &Fault, at: Instant) -> Result<Mail> {
    let mail = watch::told(world, fault, at)?;
    let mended = unregister(world)?;
    watch::cleared(world, fault, mended)?;
    Ok(mail)
}

fn gone_webhook(world: &mut World) -> Result<()> {
    start(world)?;
    // Nothing listens on the discard port of the mail place.
    let at = register(world, &format!("https://{}:9/", Place::Mail.ip()), "ca", 10)?;
    let mail = told_and_cleared(world, &failing("webhook gone (30 s hold)"), at)?;
    ensure!(mail.text.contains("cannot be reached"), "how it fails is missing:\n{}", mail.text);
    Ok(())
}

fn distrusted_webhook(world: &mut World) -> Result<()> {
    start(world)?;
    // An etcd member serves a certificate of another CA than the one that the configuration trusts.
    let at = register(world, &format!("https://{}:2379/", Place::Etcd(1).ip()), "ca", 10)?;
    let mail = told_and_cleared(world, &failing("webhook of an unknown CA (30 s hold)"), at)?;
    ensure!(mail.text.contains("its certificate is not trusted"), "how it fails is missing:\n{}", mail.text);
    Ok(())
}

/// A port that accepts, as the kernel does it, and says nothing.
fn silent_port(world: &World) -> Result<(TcpListener, String)> {
    let listener = world.network.inside(Place::Mail, || Ok(TcpListener::bind((Place::Mail.ip(), 8443))?))?;
    Ok((listener, format!("https://{}:8443/", Place::Mail.ip())))
}

fn hanging_webhook(world: &mut World) -> Result<()> {
    start(world)?;
    let (_listener, url) = silent_port(world)?;
    let at = register(world, &url, "ca", 2)?;
    let mail = told_and_cleared(world, &failing("webhook hangs for 2 s (30 s hold)"), at)?;
    ensure!(mail.text.contains("no answer in time"), "how it fails is missing:\n{}", mail.text);
    Ok(())
}

fn nameless_webhook(world: &mut World) -> Result<()> {
    start(world)?;
    let (_listener, url) = silent_port(world)?;
    let at = register(world, &url, "ca", 10)?;
    let fault = Fault {
        what: "webhook hangs for 10 s (30 s hold)",
        symptom: "creating objects hangs in admission",
        level: CRITICAL,
        within: WITHIN,
    };
    let first = watch::said(world, 1, fault.within)?.swap_remove(0);
    ensure!(first.subject.contains(fault.symptom) && first.subject.contains(fault.level), "{}", first.subject);
    world.table.note_page(fault.what, at, first.arrived);
    let probable = format!("probably {WEBHOOK}");
    // In that mail or in its thread: pages are asked for once a minute, and the first after the hold may come later.
    let named = clock::wait_for("the webhook to be named", SOON * 4, || {
        Ok(world.mails().into_iter().find(|mail| mail.text.replace('\n', " ").contains(&probable)))
    })?;
    ensure!(named.text.contains("its failurePolicy is Fail"), "the policy is missing:\n{}", named.text);
    world.table.note("that webhook named by the metrics", at, named.arrived);
    ensure!(named.thread_root() == first.thread_root(), "'{}' and '{}'", first.subject, named.subject);
    unregister(world)?;
    clock::wait_for("the all-clear", SOON, || {
        Ok(world.mails().into_iter().find(|mail| mail.subject.starts_with("[RESOLVED")))
    })?;
    let subjects: Vec<String> = world.mails().into_iter().map(|mail| mail.subject).collect();
    ensure!(subjects.len() <= 3, "{subjects:?}");
    world.quiet_for(SETTLED)
}

fn deleted_namespace(world: &mut World) -> Result<()> {
    start(world)?;
    kubectl(world, &["delete", "namespace", "vedette", "--wait=false"])?;
    let gap = |world: &World| -> Result<bool> {
        Ok(world.page("/?cluster=lab")?.body.contains("the namespace of the canaries"))
    };
    clock::wait_for("the gap to be listed", SOON, || Ok(gap(world)?.then_some(())))
        .with_context(|| canary_lines(world).unwrap_or_default())?;
    world.quiet_for(SETTLED)?;
    // Nobody finishes the deletion without a controller-manager: the namespace's finalizer is taken away by hand.
    let emptied = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"vedette"},"spec":{"finalizers":[]}}"#;
    let file = world.folder.join("finalize.json");
    pki::write(&file, emptied, 0o600)?;
    let path = file.display().to_string();
    kubectl(world, &["replace", "--raw", "/api/v1/namespaces/vedette/finalize", "-f", &path])?;
    clock::wait_for("the manifest to be applied again", SOON, || Ok(rbac::grant_canaries(world, "bastion-1").ok()))?;
    clock::wait_for("the gap to end", SOON, || Ok((!gap(world)?).then_some(())))?;
    world.quiet_for(SETTLED)
}

fn two_bastions(world: &mut World) -> Result<()> {
    rbac::grant_canaries(world, "bastion-2")?;
    start(world)?;
    second_vedette(world)?;
    let of_both = |world: &World| -> Result<[String; 2]> {
        let version = |name: &str| {
            let path = "jsonpath={.spec.holderIdentity} {.metadata.resourceVersion}";
            kubectl(world, &["-n", "vedette", "get", "lease", &format!("vedette-{name}"), "-o", path])
        };
        Ok([version("bastion-1")?, version("bastion-2")?])
    };
    let first = of_both(world)?;
    clock::wait_for("both Leases to be renewed", SOON, || {
        let now = of_both(world)?;
        let is_renewed = |n: usize| now[n] != first[n] && now[n].starts_with(&format!("bastion-{} ", n + 1));
        Ok((is_renewed(0) && is_renewed(1)).then_some(()))
    })?;
    let page = world.page("/?cluster=lab")?.body;
    ensure!(!page.contains("somebody else writes the Lease"), "they fight:\n{page}");
    world.quiet_for(SETTLED)
}

/// The same configuration on another bastion, as far as one of this lab can be two.
fn second_vedette(world: &mut World) -> Result<()> {
    let here = world.folder.display().to_string();
    let text = fs::read_to_string(world.folder.join("vedette.yaml"))?;
    let text = text
        .replace("name: bastion-1", "name: bastion-2")
        .replace(LISTEN, "127.0.0.1:9877")
        .replace(&format!("{here}/vedette.db"), &format!("{here}/second/vedette.db"))
        .replace(&format!("{here}/control.sock"), &format!("{here}/second/control.sock"));
    fs::create_dir_all(world.folder.join("second"))?;
    let file = world.folder.join("second/vedette.yaml");
    pki::write(&file, &text, 0o600)?;
    let arguments = vec!["run".to_owned(), file.display().to_string()];
    world.add(Server::new("vedette-2", Place::Bastion, BINARY, arguments, world.folder.join("logs/vedette-2.log")));
    world.start("vedette-2").map(drop)
}
