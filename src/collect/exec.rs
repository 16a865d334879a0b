//! Credentials from a kubeconfig's exec plugin: a foreign program, run under a deadline, its answer cached.
//!
//! Present only when the configuration allows it. The program gets no terminal and no standard input, and is killed
//! when its caller stops waiting. Called by `identity.rs`.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, Command};
use zeroize::Zeroizing;

use crate::config::settings::ExecPlugin;
use crate::model::time::UnixTime;
use crate::parse::error_output;
use crate::parse::text;
use crate::parse::yaml::{self, Node};

/// Deadline of one run: a login over the network takes one to three seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// The error output of a plugin that has ended may still arrive within this time.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Bytes read of the answer; a token has a few KiB.
const MAX_BYTES: u64 = 256 * 1024;

/// What the plugin gave.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) token: Option<Zeroizing<String>>,
    pub(crate) client: Option<Pair>,
    /// When it ends; `None` when the plugin sets no end.
    pub(crate) expires: Option<UnixTime>,
}

/// Certificate chain and key, PEM.
pub(crate) type Pair = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Why there is no credential. Carries nothing of the program's output, and of its complaints one line without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The program, without its folder.
    plugin: String,
    what: Fault,
    said: Option<String>,
}

/// What a plugin did instead of giving a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("cannot be started: {0}")]
    Start(String),
    #[error("did not end within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error("ended with exit code {0}")]
    Exit(i32),
    #[error("was ended by signal {0}")]
    Signal(i32),
    #[error("could not be waited for")]
    Lost,
    #[error("printed more than {} KiB", MAX_BYTES / 1024)]
    TooLarge,
    #[error("printed nothing")]
    Nothing,
    #[error("printed something else than an ExecCredential")]
    Noise,
    #[error("printed an ExecCredential without a token or a certificate and its key")]
    Empty,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the exec plugin {} {}", self.plugin, self.what)?;
        self.said.iter().try_for_each(|said| write!(f, ", and says: {said}"))
    }
}

impl Failed {
    /// The result of `plugin` is unknown.
    pub(crate) fn lost(plugin: &ExecPlugin) -> Self {
        Self { plugin: name(plugin), what: Fault::Lost, said: None }
    }
}

/// The name of the program, fit to be shown.
fn name(plugin: &ExecPlugin) -> String {
    let name = plugin.command.file_name().unwrap_or(plugin.command.as_os_str());
    error_output::shown(&name.to_string_lossy())
}

/// The cluster's data that a plugin may get.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterHint {
    /// `https://host:port`.
    pub(crate) server: String,
    /// CAs, PEM.
    pub(crate) anchors: Vec<u8>,
}

#[derive(Deserialize)]
struct Credential {
    kind: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<jiff::Timestamp>,
}

/// Runs the plugin once.
///
/// # Errors
///
/// After at most [`DEADLINE`].
pub(crate) async fn run(plugin: &ExecPlugin, cluster: &ClusterHint) -> Result<Issued, Failed> {
    // Kept outside of what the deadline ends: what a plugin printed before it was stopped may hold the reason.
    let mut complaints = Vec::new();
    let printed = tokio::time::timeout(DEADLINE, output(plugin, cluster, &mut complaints)).await;
    let issued = printed.unwrap_or(Err(Fault::Timeout)).and_then(|printed| read(&printed));
    issued.map_err(|what| Failed { plugin: name(plugin), what, said: error_output::first_line(&complaints) })
}

async fn output(
    plugin: &ExecPlugin,
    cluster: &ClusterHint,
    complaints: &mut Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut child = Command::new(&plugin.command)
        .args(&plugin.args)
        .envs(&plugin.env)
        .env("KUBERNETES_EXEC_INFO", request(plugin, cluster))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Fault::Start(error_output::shown(&error.to_string())))?;
    let mut printed = Zeroizing::new(Vec::new());
    let (stdout, stderr) = child.stdout.take().zip(child.stderr.take()).ok_or(Fault::Lost)?;
    let status = {
        let ending = async {
            let mut stdout = stdout.take(MAX_BYTES + 1);
            let read = stdout.read_to_end(&mut printed).await;
            // Closed here, so that a program that prints more does not delay its end.
            drop(stdout);
            read?;
            child.wait().await
        };
        let (mut ending, mut listening) = (std::pin::pin!(ending), std::pin::pin!(listen(stderr, complaints)));
        tokio::select! {
            status = &mut ending => {
                // What the plugin has left running may hold its error output open for ever.
                drop(tokio::time::timeout(LAST_WORDS, listening).await);
                status
            }
            () = &mut listening => ending.await,
        }
    };
    if u64::try_from(printed.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(Fault::TooLarge);
    }
    let status = status.map_err(|_| Fault::Lost)?;
    match (status.success(), status.code(), status.signal()) {
        (true, ..) => Ok(printed),
        (false, Some(code), _) => Err(Fault::Exit(code)),
        (false, None, Some(signal)) => Err(Fault::Signal(signal)),
        (false, None, None) => Err(Fault::Lost),
    }
}

/// Keeps the beginning of a plugin's error output; the rest is read as well, so that the plugin does not block.
async fn listen(mut stderr: ChildStderr, complaints: &mut Vec<u8>) {
    // If it cannot be read, only the reason is missing.
    drop((&mut stderr).take(error_output::BYTES).read_to_end(complaints).await);
    drop(tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await);
}

fn request(plugin: &ExecPlugin, cluster: &ClusterHint) -> String {
    use base64::Engine;
    let mut spec = serde_json::json!({ "interactive": false });
    if plugin.provides_cluster_info {
        let anchors = base64::engine::general_purpose::STANDARD.encode(&cluster.anchors);
        spec["cluster"] = serde_json::json!({ "server": cluster.server, "certificate-authority-data": anchors });
    }
    serde_json::json!({ "apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec }).to_string()
}

fn read(printed: &[u8]) -> Result<Issued, Fault> {
    let text = text::decode(printed).0;
    if text.trim().is_empty() {
        return Err(Fault::Nothing);
    }
    let credential = serde_json::from_str(&text).ok().or_else(|| in_yaml(&text)).ok_or(Fault::Noise)?;
    let Credential { kind, status } = credential;
    if kind != "ExecCredential" {
        return Err(Fault::Noise);
    }
    let status = status.ok_or(Fault::Empty)?;
    let token = status.token.filter(|token| !token.is_empty()).map(Zeroizing::new);
    let is_there = |data: &String| !data.is_empty();
    let client = status
        .client_certificate_data
        .filter(is_there)
        .zip(status.client_key_data.filter(is_there))
        .map(|(chain, key)| (Zeroizing::new(chain.into_bytes()), Zeroizing::new(key.into_bytes())));
    if token.is_none() && client.is_none() {
        return Err(Fault::Empty);
    }
    let expires = status.expiration_timestamp.map(|at| UnixTime::from_millis(at.as_millisecond()));
    Ok(Issued { token, client, expires })
}

/// kubectl's decoder accepts YAML as well.
fn in_yaml(text: &str) -> Option<Credential> {
    let documents = yaml::documents(text).ok()?;
    let [document] = documents.as_slice() else { return None };
    let owned = |node: &Node, key: &str| node.field(key).and_then(Node::scalar).map(str::to_owned);
    let status = |node: &Node| {
        let expires = match owned(node, "expirationTimestamp") {
            Some(at) => Some(at.parse().ok()?),
            None => None,
        };
        Some(Status {
            token: owned(node, "token"),
            client_certificate_data: owned(node, "clientCertificateData"),
            client_key_data: owned(node, "clientKeyData"),
            expiration_timestamp: expires,
        })
    };
    let status = match document.field("status") {
        Some(node) => Some(status(node)?),
        None => None,
    };
    Some(Credential { kind: owned(document, "kind")?, status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_plugin_is_told_what_it_is_asked_for_and_its_token_is_read() {
        let plugin = shell(
            r#"case "$KUBERNETES_EXEC_INFO" in *'"server":"https://a:1"'*) ;; *) exit 1 ;; esac
            echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
            "status":{"token":"'$EXTRA'","expirationTimestamp":"2026-01-02T03:04:05Z"}}'"#,
        );
        let cluster = ClusterHint { server: "https://a:1".into(), anchors: b"x".to_vec() };

        let issued = run(&plugin, &cluster).await.unwrap();

        assert_eq!(issued.token.as_deref().map(String::as_str), Some("t0k3n"));
        assert_eq!(issued.expires.unwrap().to_string(), "2026-01-02T03:04:05Z");
    }

    #[tokio::test]
    async fn plugins_that_give_nothing_are_named_with_what_they_did() {
        let good = r#"{"kind":"ExecCredential","status":{"token":"hush"}}"#;
        for (script, said) in [
            ("exit 3".to_owned(), "ended with exit code 3"),
            (format!("echo '{good}'; exit 1"), "ended with exit code 1"),
            ("kill -9 $$".to_owned(), "was ended by signal 9"),
            ("true".to_owned(), "printed nothing"),
            ("echo token=hush".to_owned(), "printed something else than an ExecCredential"),
            (format!("echo Logged in.; echo '{good}'"), "printed something else than an ExecCredential"),
            (
                "echo '{\"kind\":\"Other\",\"status\":{\"token\":\"hush\"}}'".to_owned(),
                "printed something else than an ExecCredential",
            ),
            (
                "echo '{\"kind\":\"ExecCredential\",\"status\":{}}'".to_owned(),
                "printed an ExecCredential without a token or a certificate and its key",
            ),
            ("yes hush".to_owned(), "printed more than 256 KiB"),
            (
                "echo >&2; echo '  session has ended ' >&2; echo more >&2; exit 1".to_owned(),
                "ended with exit code 1, and says: session has ended",
            ),
            (
                "echo 'error: token=hush rejected' >&2; exit 7".to_owned(),
                "ended with exit code 7, and says: error: token=*** rejected",
            ),
        ] {
            let failed = run(&shell(&script), &ClusterHint::default()).await.err().unwrap().to_string();

            assert_eq!(failed, format!("the exec plugin sh {said}"), "{script}");
        }
        let absent = ExecPlugin { command: "/nonexistent/corp-login".into(), ..shell("") };
        let failed = run(&absent, &ClusterHint::default()).await.err().unwrap().to_string();
        assert!(failed.starts_with("the exec plugin corp-login cannot be started: No such file"), "{failed}");
    }

    #[tokio::test]
    async fn an_answer_is_read_in_every_form_that_kubectl_reads_and_complaints_beside_it_do_no_harm() {
        let json = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t","expirationTimestamp":"2026-01-02T03:04:05Z"}}"#;
        let yaml = r"kind: ExecCredential\nstatus:\n  token: t\n  expirationTimestamp: 2026-01-02T03:04:05Z\n";
        for script in [
            format!("echo '{json}'"),
            format!("printf '\\357\\273\\277'; echo '{json}'"),
            format!("printf '{yaml}'"),
            format!("printf '\\357\\273\\277{yaml}'"),
            format!("echo WARN deprecated >&2; echo '{json}'"),
            format!("yes noise | head -c 300000 >&2; echo '{json}'"),
        ] {
            let issued = run(&shell(&script), &ClusterHint::default()).await.map_err(|failed| failed.to_string());

            let issued = issued.unwrap_or_else(|failed| panic!("{script}: {failed}"));
            assert_eq!(issued.token.as_deref().map(String::as_str), Some("t"), "{script}");
            assert_eq!(issued.expires.unwrap().to_string(), "2026-01-02T03:04:05Z", "{script}");
        }
    }

    fn shell(script: &str) -> ExecPlugin {
        ExecPlugin {
            api_version: "client.authentication.k8s.io/v1".into(),
            command: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: [("EXTRA".to_owned(), "t0k3n".to_owned())].into(),
            provides_cluster_info: true,
        }
    }
}
