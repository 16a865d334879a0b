//! Where the programs are, and what is missing.
//!
//! etcd and Kubernetes come from `tools/build.sh`, which may build them first; the rest are Debian
//! packages on PATH. Asked before the lab isolates itself, because a build needs the network.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

use crate::drill::Skipped;

/// Programs the lab cannot do without, and their Debian packages.
const PACKAGES: [(&str, &str); 9] = [
    ("haproxy", "haproxy"),
    ("postfix", "postfix"),
    ("nft", "nftables"),
    ("tinyproxy", "tinyproxy-bin"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];

/// Paths of etcd, etcdctl, etcdutl, kube-apiserver and kubectl by name, and of each [`Extra`] that is wanted; other
/// versions are called `etcd-3.5` and so on.
#[derive(Clone, Debug)]
pub(crate) struct Tools(BTreeMap<String, PathBuf>);

/// What `tools/build.sh` calls the kube-apiserver of the minor version before.
pub(crate) const OLDER_APISERVER: &str = "kube-apiserver-1.36";

/// Programs that few drills need, and that are not built for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extra {
    /// etcd 3.4, 3.5 and 3.7.
    Etcds,
    /// kube-apiserver of the minor version before, under the name [`OLDER_APISERVER`].
    OlderKubernetes,
    /// kube-controller-manager and kube-scheduler.
    Controllers,
    /// prometheus and promtool.
    Prometheus,
    /// kubeadm, kubelet and crictl.
    Hosts,
    /// talosctl.
    Talos,
}

impl Extra {
    /// Every one of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Etcds, Self::OlderKubernetes, Self::Controllers, Self::Prometheus, Self::Hosts, Self::Talos];

    /// What `tools/build.sh` calls it, and a lane.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Etcds => "--etcds",
            Self::OlderKubernetes => "--older-kubernetes",
            Self::Controllers => "--controllers",
            Self::Prometheus => "--prometheus",
            Self::Hosts => "--hosts",
            Self::Talos => "--talos",
        }
    }
}

impl Tools {
    /// Finds what every world needs and these besides, building what has to be built.
    ///
    /// # Errors
    /// [`Skipped`] with the first thing that cannot be had.
    pub(crate) fn find(extras: &BTreeSet<Extra>) -> Result<Self> {
        let path = search_path();
        for (program, package) in PACKAGES {
            if !env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
                return Err(Skipped(format!(
                    "no {program}: package {package} is not installed; run tests/lab/setup.sh"
                ))
                .into());
            }
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/tools/build.sh");
        let done = Command::new(&script)
            .args(extras.iter().map(|extra| extra.option()))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("running {}", script.display()))?;
        let text = String::from_utf8(done.stdout)?;
        if let Some(why) = text.lines().find_map(|line| line.strip_prefix("skipped: ")) {
            return Err(Skipped(why.to_owned()).into());
        }
        if !done.status.success() {
            return Err(anyhow!("{} failed", script.display()));
        }
        Self::read(&text)
    }

    /// Notes the paths in a file, for the isolated process.
    pub(crate) fn save(&self, file: &Path) -> Result<()> {
        let lines: Vec<String> = self.0.iter().map(|(name, path)| format!("{name} {}", path.display())).collect();
        Ok(fs::write(file, lines.join("\n"))?)
    }

    /// Reads what [`Tools::save`] noted.
    pub(crate) fn load(file: &Path) -> Result<Self> {
        Self::read(&fs::read_to_string(file)?)
    }

    /// The path of one program.
    pub(crate) fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).ok_or_else(|| anyhow!("no {name} among the lab's tools"))
    }

    fn read(text: &str) -> Result<Self> {
        let pair = |line: &str| line.split_once(' ').map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        let tools: Option<BTreeMap<_, _>> = text.lines().map(pair).collect();
        tools.map(Self).ok_or_else(|| anyhow!("unreadable list of tools: {text}"))
    }
}

/// PATH with the system folders, which a user's PATH often lacks.
pub(crate) fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}
