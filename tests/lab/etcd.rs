//! The etcd cluster: three members, mutual TLS for clients and peers, a plain metrics listener.
//!
//! Flags are kubeadm's where they matter. Members also listen on their loopback, so that `etcdctl`
//! works inside a member's own namespace while the network is cut.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock;
use crate::http;
use crate::net::{Network, Place, Size};
use crate::pki::Pki;
use crate::process::Server;

/// Number of members where the control plane has its usual size.
pub(crate) const MEMBERS: u8 = Size::USUAL.members;

/// Quota of the lab's etcd: a fresh cluster uses less than 1 MiB of it, and `World::fill_etcd` reaches the
/// NOSPACE alarm in seconds. etcd's own default, 2 GiB, would take minutes and memory.
pub(crate) const QUOTA_BYTES: u64 = 64 << 20;

/// Member `n` of the version that kubeadm would take, not started.
pub(crate) fn member(n: u8, size: Size, program: &Path, pki: &Pki, data: &Path, logs: &Path) -> Server {
    // The last of two flags counts.
    let more = ["--watch-progress-notify-interval=5s".to_owned(), format!("--initial-cluster={}", peers(size))];
    member_with(n, program, pki, data, logs, QUOTA_BYTES, &more)
}

/// Member `n`, not started, with flags that every version since 3.4 knows, and `more`.
pub(crate) fn member_with(
    n: u8,
    program: &Path,
    pki: &Pki,
    data: &Path,
    logs: &Path,
    quota_bytes: u64,
    more: &[String],
) -> Server {
    let place = Place::Etcd(n);
    let (name, ip) = (place.name(), place.ip());
    let (server, peer) = (pki.leaf(&format!("{name}/server")), pki.leaf(&format!("{name}/peer")));
    let ca = pki.file("etcd/ca", "crt");
    let mut arguments = vec![
        format!("--name={name}"),
        format!("--data-dir={}", data.join(&name).display()),
        format!("--initial-cluster={}", peers(Size::USUAL)),
        "--initial-cluster-state=new".to_owned(),
        "--initial-cluster-token=vedette-lab".to_owned(),
        format!("--listen-client-urls=https://{ip}:2379,https://127.0.0.1:2379"),
        format!("--advertise-client-urls=https://{ip}:2379"),
        format!("--listen-peer-urls=https://{ip}:2380"),
        format!("--initial-advertise-peer-urls=https://{ip}:2380"),
        format!("--listen-metrics-urls=http://{ip}:2381"),
        "--client-cert-auth=true".to_owned(),
        format!("--trusted-ca-file={}", ca.display()),
        format!("--cert-file={}", server.cert.display()),
        format!("--key-file={}", server.key.display()),
        "--peer-client-cert-auth=true".to_owned(),
        format!("--peer-trusted-ca-file={}", ca.display()),
        format!("--peer-cert-file={}", peer.cert.display()),
        format!("--peer-key-file={}", peer.key.display()),
        format!("--quota-backend-bytes={quota_bytes}"),
        "--snapshot-count=10000".to_owned(),
    ];
    arguments.extend_from_slice(more);
    let log = logs.join(format!("{name}.log"));
    Server::new(&name, place, program, arguments, log)
}

/// The client URLs of all members, separated by commas.
pub(crate) fn endpoints(size: Size) -> String {
    let urls: Vec<String> = (1..=size.members).map(|n| format!("https://{}:2379", Place::Etcd(n).ip())).collect();
    urls.join(",")
}

/// All members with their peer URLs, as `--initial-cluster` takes them.
fn peers(size: Size) -> String {
    let peer = |n| format!("{}=https://{}:2380", Place::Etcd(n).name(), Place::Etcd(n).ip());
    (1..=size.members).map(peer).collect::<Vec<_>>().join(",")
}

/// Waits until every member answers its readiness check, as seen from the bastion.
pub(crate) fn wait_ready(network: &Network, size: Size, limit: Duration) -> Result<()> {
    for n in 1..=size.members {
        let place = Place::Etcd(n);
        let url = format!("http://{}:2381/readyz", place.ip());
        clock::wait_for(&format!("{} to be ready", place.name()), limit, || {
            let answer = network.inside(Place::Bastion, || http::get(&url, None))?;
            if answer.status != 200 {
                bail!("{} answers {}: {}", url, answer.status, answer.body);
            }
            Ok(Some(()))
        })?;
    }
    Ok(())
}
