//! The kube-apiservers: two, on the lab's etcd, with the flags a control plane cannot do without and
//! default settings beyond them.
//!
//! Nothing restarts an apiserver that died, as no kubelet is there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::audit;
use crate::clock;
use crate::etcd;
use crate::http::{self, Credentials};
use crate::net::{Network, Place, Size};
use crate::pki::Pki;
use crate::process::Server;

/// Instance `n`, not started.
pub(crate) fn instance(n: u8, size: Size, program: &Path, pki: &Pki, logs: &Path) -> Server {
    let place = Place::Api(n);
    let (name, ip) = (place.name(), place.ip());
    let pair = |flag: &str, suffixes: [&str; 2], leaf: &str| {
        let files = pki.leaf(leaf);
        [
            format!("--{flag}-{}={}", suffixes[0], files.cert.display()),
            format!("--{flag}-{}={}", suffixes[1], files.key.display()),
        ]
    };
    let mut arguments = vec![
        format!("--advertise-address={ip}"),
        format!("--bind-address={ip}"),
        "--secure-port=6443".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--etcd-servers={}", etcd::endpoints(size)),
        format!("--etcd-cafile={}", pki.file("etcd/ca", "crt").display()),
        format!("--client-ca-file={}", pki.file("ca", "crt").display()),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", pki.file("sa", "pub").display()),
        format!("--service-account-signing-key-file={}", pki.file("sa", "key").display()),
        format!("--requestheader-client-ca-file={}", pki.file("front-proxy-ca", "crt").display()),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
    ];
    arguments.extend(pair("etcd", ["certfile", "keyfile"], "apiserver-etcd-client"));
    arguments.extend(pair("tls", ["cert-file", "private-key-file"], &format!("{name}/apiserver")));
    arguments.extend(pair("proxy-client", ["cert-file", "key-file"], "front-proxy-client"));
    arguments.extend(pair("kubelet-client", ["certificate", "key"], "apiserver-kubelet-client"));
    arguments.extend(audit::flags(n, logs));
    let log = logs.join(format!("{name}.log"));
    Server::new(&name, place, program, arguments, log)
}

/// Waits until the apiserver or VIP at `place` answers `path` with 200, as seen from the bastion.
pub(crate) fn wait_answer(
    network: &Network,
    place: Place,
    path: &str,
    credentials: &Credentials,
    limit: Duration,
) -> Result<()> {
    let url = format!("https://{}:6443{path}", place.ip());
    clock::wait_for(&format!("{} to answer {path}", place.name()), limit, || {
        let answer = network.inside(Place::Bastion, || http::get(&url, Some(credentials)))?;
        if answer.status != 200 {
            bail!("{} answers {}: {}", url, answer.status, answer.body);
        }
        Ok(Some(()))
    })
}
