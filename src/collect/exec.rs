//! Credentials from a kubeconfig's exec plugin: a foreign program, run under a deadline, its answer cached.
//!
//! Present only when the configuration allows it. The program gets no terminal and no standard input, and dies with
//! whoever waits for it. Called by `identity.rs`.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::config::settings::ExecPlugin;
use crate::model::time::UnixTime;

/// Deadline of one run: a login over the network takes one to three seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Octets read of the answer; a token has a few KiB.
const MAX_OCTETS: u64 = 256 * 1024;

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

/// Why there is no credential. Carries nothing that the program printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    #[error("the exec plugin cannot be started")]
    Start,
    #[error("the exec plugin did not end within 10 s")]
    Timeout,
    #[error("the exec plugin ended with an error")]
    Exit,
    #[error("the exec plugin printed more than 256 KiB")]
    TooLarge,
    #[error("the exec plugin printed no ExecCredential with a token or certificate")]
    NoCredential,
}

/// What a plugin may be told about the cluster it is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterHint {
    /// `https://host:port`.
    pub(crate) server: String,
    /// Authorities, PEM.
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
    let printed = tokio::time::timeout(DEADLINE, output(plugin, cluster)).await.map_err(|_| Failed::Timeout)??;
    read(&printed)
}

async fn output(plugin: &ExecPlugin, cluster: &ClusterHint) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut child = Command::new(&plugin.command)
        .args(&plugin.args)
        .envs(&plugin.env)
        .env("KUBERNETES_EXEC_INFO", request(plugin, cluster))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it prints there may hold secrets, and nobody reads it at 3 am.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| Failed::Start)?;
    let mut printed = Zeroizing::new(Vec::new());
    let stdout = child.stdout.take().ok_or(Failed::Start)?;
    stdout.take(MAX_OCTETS + 1).read_to_end(&mut printed).await.map_err(|_| Failed::Exit)?;
    if u64::try_from(printed.len()).unwrap_or(u64::MAX) > MAX_OCTETS {
        return Err(Failed::TooLarge);
    }
    let status = child.wait().await.map_err(|_| Failed::Exit)?;
    if status.success() { Ok(printed) } else { Err(Failed::Exit) }
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

fn read(printed: &[u8]) -> Result<Issued, Failed> {
    let credential: Credential = serde_json::from_slice(printed).map_err(|_| Failed::NoCredential)?;
    let status = credential.status.filter(|_| credential.kind == "ExecCredential").ok_or(Failed::NoCredential)?;
    let token = status.token.filter(|token| !token.is_empty()).map(Zeroizing::new);
    let client = status
        .client_certificate_data
        .zip(status.client_key_data)
        .map(|(chain, key)| (Zeroizing::new(chain.into_bytes()), Zeroizing::new(key.into_bytes())));
    if token.is_none() && client.is_none() {
        return Err(Failed::NoCredential);
    }
    let expires = status.expiration_timestamp.map(|at| UnixTime::from_millis(at.as_millisecond()));
    Ok(Issued { token, client, expires })
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
    async fn plugins_that_give_nothing_fail_by_name() {
        for (script, failed) in [
            ("exit 3", Failed::Exit),
            ("echo nonsense", Failed::NoCredential),
            ("echo '{\"kind\":\"ExecCredential\",\"status\":{}}'", Failed::NoCredential),
            ("echo '{\"kind\":\"Other\",\"status\":{\"token\":\"x\"}}'", Failed::NoCredential),
            ("yes", Failed::TooLarge),
        ] {
            assert_eq!(run(&shell(script), &ClusterHint::default()).await.err(), Some(failed), "{script}");
        }
        let absent = ExecPlugin { command: "/nonexistent".into(), ..shell("") };
        assert_eq!(run(&absent, &ClusterHint::default()).await.err(), Some(Failed::Start));
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
