//! Everything that can be done to a world. Each control returns the instant at which it took effect.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustls::CertificateError;

use crate::clock;
use crate::etcd;
use crate::http;
use crate::net::{Place, Size, output};
use crate::pki::{Life, Pki};
use crate::world::World;

/// An apiserver reads a replaced certificate at once when it notices the file, within a minute else.
const RELOAD: Duration = Duration::from_secs(90);
/// Where the filling of etcd goes.
const JUNK: &str = "/vedette-lab-junk/";
/// Size of one piece of junk; etcd refuses requests above 1.5 MiB.
const PIECE_BYTES: usize = 1 << 20;

impl World {
    /// Ends a server with SIGKILL.
    pub(crate) fn kill9(&mut self, name: &str) -> Result<Instant> {
        self.server(name)?.kill9()
    }

    /// Ends a server with SIGTERM; returns when it was told, after it has ended.
    pub(crate) fn stop(&mut self, name: &str) -> Result<Instant> {
        self.server(name)?.stop()
    }

    /// Ends a server with SIGTERM and starts it again as soon as it has ended.
    pub(crate) fn restart(&mut self, name: &str) -> Result<Instant> {
        let at = self.stop(name)?;
        self.start(name)?;
        Ok(at)
    }

    /// Stops a server's execution: its connections stay, the kernel accepts for it, nothing answers.
    pub(crate) fn freeze(&mut self, name: &str) -> Result<Instant> {
        self.server(name)?.freeze()
    }

    /// Lets a frozen server run on.
    pub(crate) fn thaw(&mut self, name: &str) -> Result<Instant> {
        self.server(name)?.thaw()
    }

    /// Loses every packet of the lab for `length`; returns the beginning and the length it really had.
    pub(crate) fn packet_burst(&mut self, length: Duration) -> Result<(Instant, Duration)> {
        let start = self.network.drop_everything(true)?;
        clock::pass(length.saturating_sub(clock::since(start)));
        let end = self.network.drop_everything(false)?;
        Ok((start, end.saturating_duration_since(start)))
    }

    /// Writes to etcd until it raises the NOSPACE alarm.
    pub(crate) fn fill_etcd(&self) -> Result<Instant> {
        let junk = self.folder.join("junk");
        fs::write(&junk, vec![b'x'; PIECE_BYTES])?;
        let pieces = etcd::QUOTA_BYTES / PIECE_BYTES as u64 * 2;
        for n in 0..pieces {
            let mut put = self.etcdctl(&["put", &format!("{JUNK}{n}")])?;
            let done = put.stdin(Stdio::from(fs::File::open(&junk)?)).output()?;
            let refusal = String::from_utf8_lossy(&done.stderr);
            if refusal.contains("database space exceeded") {
                let at = clock::now();
                if !self.etcd_alarms()?.contains("NOSPACE") {
                    bail!("etcd refuses for want of space without an alarm");
                }
                return Ok(at);
            }
            if !done.status.success() {
                bail!("filling etcd: {refusal}");
            }
        }
        bail!("etcd took {pieces} MiB without an alarm")
    }

    /// Removes what filled etcd, gives the space back and disarms the alarm.
    pub(crate) fn free_etcd(&self) -> Result<Instant> {
        output(&mut self.etcdctl(&["del", "--prefix", JUNK])?)?;
        let status = output(&mut self.etcdctl(&["get", JUNK, "--write-out=json"])?)?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let revision = status["header"]["revision"].as_u64().ok_or_else(|| anyhow!("no revision in {status}"))?;
        output(&mut self.etcdctl(&["compact", "--physical", &revision.to_string()])?)?;
        output(&mut self.etcdctl(&["defrag"])?)?;
        output(&mut self.etcdctl(&["alarm", "disarm"])?)?;
        Ok(clock::now())
    }

    /// The alarms etcd lists, one a line.
    pub(crate) fn etcd_alarms(&self) -> Result<String> {
        output(&mut self.etcdctl(&["alarm", "list"])?)
    }

    /// The number of the member that leads.
    pub(crate) fn etcd_leader(&self) -> Result<u8> {
        let text = output(&mut self.etcdctl(&["endpoint", "status", "--write-out=json"])?)?;
        let members: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        let leads = |member: &&serde_json::Value| {
            let status = &member["Status"];
            !status["leader"].is_null() && status["leader"] == status["header"]["member_id"]
        };
        let leader = members.iter().find(leads).ok_or_else(|| anyhow!("no member leads: {text}"))?;
        let endpoint = leader["Endpoint"].as_str().unwrap_or_default();
        let is_at = |n: &u8| endpoint.contains(&format!("//{}:", Place::Etcd(*n).ip()));
        (1..=etcd::MEMBERS).find(is_at).ok_or_else(|| anyhow!("no member has the endpoint {endpoint}"))
    }

    /// An `etcdctl` on the bastion, with a credential of its own and all members as endpoints.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> Result<std::process::Command> {
        let mut command = self.network.command(Place::Bastion, self.tools.path("etcdctl")?);
        command.args(etcdctl_flags(&self.pki, self.size)).args(arguments);
        Ok(command)
    }

    /// Replaces the serving certificate of apiserver `n` by an expired one, or by a good one again,
    /// and waits until new connections are given it.
    pub(crate) fn replace_certificate(&self, n: u8, life: Life) -> Result<Instant> {
        self.pki.serve(n, life)?;
        clock::wait_until("the replaced certificate to be served", RELOAD, || {
            self.serves_expired(n).is_ok_and(|expired| expired == (life == Life::Expired))
        })
    }

    /// Whether apiserver `n` serves a certificate that a client calls expired.
    ///
    /// # Errors
    /// When a handshake fails for another reason, or there is none.
    pub(crate) fn serves_expired(&self, n: u8) -> Result<bool> {
        let url = format!("https://{}:6443/livez", Place::Api(n).ip());
        let credentials = self.credentials("vedette");
        let Err(error) = self.network.inside(Place::Bastion, || http::get(&url, Some(&credentials))) else {
            return Ok(false);
        };
        let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
        let tls = io.and_then(|io| io.get_ref()).and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => Ok(true),
            _ => Err(error).context("looking at a served certificate"),
        }
    }
}

/// The flags by which etcdctl reaches the lab's etcd.
pub(crate) fn etcdctl_flags(pki: &Pki, size: Size) -> Vec<String> {
    let leaf = pki.leaf("etcd/healthcheck-client");
    vec![
        format!("--endpoints={}", etcd::endpoints(size)),
        format!("--cacert={}", pki.file("etcd/ca", "crt").display()),
        format!("--cert={}", leaf.cert.display()),
        format!("--key={}", leaf.key.display()),
    ]
}
