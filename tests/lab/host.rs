//! Hosts as kubeadm leaves them, for commands that people paste: files in their places, `ssh` and `crictl` on PATH.
//!
//! etcdctl, kubectl, curl and openssl are the real ones. `ssh` and `crictl` are stand-ins (`stand-in/`): the first enters
//! a namespace, the second is strict about its flags, since the lab has no container runtime.

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
        for name in ["ssh", "crictl"] {
            fs::copy(stand_ins.join(name), bin.join(name))?;
        }
        // A host sees a /root of its own, where a cache of tools would be hidden.
        for name in ["etcdctl", "kubectl"] {
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
        let pki = here.join("etc/kubernetes/pki");
        fs::create_dir_all(pki.join("etcd"))?;
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
        let copy = |from: &str, to: &str| -> Result<()> {
            let from = world.pki.file(from, to.rsplit('.').next().unwrap_or_default());
            fs::copy(&from, pki.join(to)).map(|_| ()).with_context(|| from.display().to_string())
        };
        for name in ["ca", "apiserver-etcd-client", "etcd/ca", "etcd/healthcheck-client"] {
            copy(name, &format!("{name}.crt"))?;
        }
        copy("etcd/healthcheck-client", "etcd/healthcheck-client.key")?;
        if server == "etcd" {
            copy(&format!("{name}/server"), "etcd/server.crt")?;
            copy(&format!("{name}/peer"), "etcd/peer.crt")?;
        } else {
            copy(&format!("{name}/apiserver"), "apiserver.crt")?;
        }
        fs::write(here.join("server"), server)?;
        fs::write(here.join("etc/kubernetes/manifests").join(format!("{server}.yaml")), "kind: Pod\n")?;
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
        const MARK: &str = "@@ lab ";
        let script: String = lines.iter().map(|line| format!("{line}\necho; echo '{MARK}'$?\n")).collect();
        let path = format!("{}:{}", self.folder.join("bin").display(), search_path());
        let done = world
            .network
            .command(Place::Bastion, "bash")
            .arg("-c")
            .arg(format!("exec 2>&1 </dev/null\n{script}"))
            .env("PATH", path)
            .env("LAB_HOSTS", &self.folder)
            .env("KUBECONFIG", rbac::admin(&world.folder))
            .env("KUBECACHEDIR", self.folder.join("kubectl-cache"))
            .output()?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut all = Vec::new();
        let mut rest = text.as_str();
        while let Some((said, behind)) = rest.split_once(MARK) {
            let (code, behind) = behind.split_once('\n').context("a mark without a code")?;
            all.push(Done { code: code.trim().parse()?, said: said.trim().to_owned() });
            rest = behind;
        }
        ensure!(all.len() == lines.len(), "{} of {} lines ran:\n{text}", all.len(), lines.len());
        Ok(all)
    }
}
