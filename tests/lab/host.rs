//! Hosts as kubeadm leaves them, for commands that people paste: files in their places, `ssh` and `crictl` on PATH.
//!
//! etcdctl, kubectl, kubeadm, curl and openssl are the real ones. `ssh`, `crictl` and `pidof` are stand-ins (`stand-in/`):
//! the first enters a namespace, the second is strict about its flags, since the lab has no container runtime, and the
//! third leaves out what runs on other hosts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::net::{self, Place};
use crate::rbac;
use crate::tools::search_path;
use crate::world::World;

/// The hosts of a world, and the bastion's shell that knows them.
pub(crate) struct Hosts {
    folder: PathBuf,
}

/// What one command did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its exit code.
    pub(crate) code: i32,
    /// Its output and errors.
    pub(crate) said: String,
}

impl Hosts {
    /// Lays out every host of the control plane.
    pub(crate) fn lay(world: &World) -> Result<Self> {
        let hosts = Self { folder: world.folder.join("hosts") };
        let bin = hosts.folder.join("bin");
        fs::create_dir_all(&bin)?;
        let stand_ins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/stand-in");
        for name in ["ssh", "crictl", "pidof"] {
            fs::copy(stand_ins.join(name), bin.join(name))?;
        }
        // A host sees a /root of its own, where a cache of tools would be hidden.
        for name in ["etcdctl", "kubectl", "kubeadm"] {
            fs::copy(world.tools.path(name)?, bin.join(name))?;
        }
        for n in 1..=world.size.members {
            hosts.lay_one(world, Place::Etcd(n), "etcd")?;
        }
        for n in 1..=world.size.instances {
            hosts.lay_one(world, Place::Api(n), "kube-apiserver")?;
        }
        Ok(hosts)
    }

    fn lay_one(&self, world: &World, place: Place, server: &str) -> Result<()> {
        let (name, here) = (place.name(), self.of(place));
        fs::create_dir_all(here.join("etc/kubernetes/manifests"))?;
        fs::create_dir_all(here.join("root"))?;
        // Users and the linker's cache, which programs look up.
        for file in ["passwd", "group", "nsswitch.conf", "ld.so.cache", "hosts"] {
            let from = Path::new("/etc").join(file);
            if from.exists() {
                fs::copy(&from, here.join("etc").join(file))?;
            }
        }
        net::run(Command::new("cp").args(["-a", "/etc/ssl"]).arg(here.join("etc")))?;
        lay_certificates(world, place, &here.join("etc/kubernetes"))?;
        fs::write(here.join("server"), server)?;
        for server in ["etcd", "kube-apiserver"] {
            fs::write(here.join("etc/kubernetes/manifests").join(format!("{server}.yaml")), "kind: Pod\n")?;
        }
        let data = world.volatile.join(&name);
        fs::create_dir_all(&data)?;
        symlink(data, here.join("data"))?;
        symlink(world.network.handle(place), here.join("net"))?;
        symlink(world.folder.join("logs").join(format!("{name}.log")), here.join("log"))?;
        Ok(())
    }

    /// The folder that holds what is on the host of `place`.
    pub(crate) fn of(&self, place: Place) -> PathBuf {
        self.folder.join(place.ip().to_string())
    }

    /// Runs `lines` one after the other in one shell on the bastion, as somebody who pastes them.
    pub(crate) fn paste(&self, world: &World, lines: &[String]) -> Result<Vec<Done>> {
        let path = format!("{}:{}", self.folder.join("bin").display(), search_path());
        let done = world
            .network
            .command(Place::Bastion, "bash")
            .arg("-c")
            .arg(script(lines))
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("LAB_HOSTS", &self.folder)
            .env("KUBECONFIG", rbac::admin(&world.folder))
            .env("KUBECACHEDIR", self.folder.join("kubectl-cache"))
            .output()?;
        outcomes(&String::from_utf8_lossy(&done.stdout), lines.len())
    }
}

/// Stands before the code of each line in what a [`script`] prints.
const MARK: &str = "@@ lab ";

/// A script for bash that runs `lines` in one shell and says after each how it ended. Read by [`outcomes`].
pub(crate) fn script(lines: &[String]) -> String {
    let lines: String =
        lines.iter().map(|line| format!("{line}\nlab_code=$?; echo; echo '{MARK}'$lab_code\n")).collect();
    format!("exec 2>&1 </dev/null\n{lines}")
}

/// What each line of a [`script`] did.
pub(crate) fn outcomes(text: &str, lines: usize) -> Result<Vec<Done>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((said, behind)) = rest.split_once(MARK) {
        let (code, behind) = behind.split_once('\n').context("a mark without a code")?;
        all.push(Done { code: code.trim().parse()?, said: said.trim().to_owned() });
        rest = behind;
    }
    ensure!(all.len() == lines, "{} of {lines} lines ran:\n{text}", all.len());
    Ok(all)
}

/// Certificates and kubeconfigs as kubeadm lays them below `/etc/kubernetes` of a host that runs etcd and kube-apiserver:
/// of the server that is not on this host in the lab, those of its first.
fn lay_certificates(world: &World, place: Place, folder: &Path) -> Result<()> {
    let pki = folder.join("pki");
    fs::create_dir_all(pki.join("etcd"))?;
    let (member, instance) = match place {
        Place::Etcd(_) => (place, Place::Api(1)),
        Place::Bastion | Place::Api(_) | Place::Vip | Place::Mail => (Place::Etcd(1), place),
    };
    let mut files: Vec<(String, &str)> = ["ca", "etcd/ca", "front-proxy-ca", "front-proxy-client"]
        .into_iter()
        .chain(["apiserver-kubelet-client", "apiserver-etcd-client", "etcd/healthcheck-client"])
        .map(|name| (name.to_owned(), name))
        .collect();
    files.push((format!("{}/server", member.name()), "etcd/server"));
    files.push((format!("{}/peer", member.name()), "etcd/peer"));
    files.push((format!("{}/apiserver", instance.name()), "apiserver"));
    for (from, to) in files {
        for extension in ["crt", "key"] {
            let from = world.pki.file(&from, extension);
            let to = pki.join(format!("{to}.{extension}"));
            fs::copy(&from, to).with_context(|| from.display().to_string())?;
        }
    }
    for name in ["admin", "super-admin", "controller-manager", "scheduler"] {
        rbac::kubeconfig(&folder.join(format!("{name}.conf")), &world.pki, "admin")?;
    }
    Ok(())
}
