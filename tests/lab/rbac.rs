//! Who may do what on the lab's cluster: kubeconfigs for an administrator and for vedette, and the
//! manifest users are given, applied as it is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::net::{Place, output};
use crate::pki::{self, Pki};
use crate::world::World;

/// The manifest of the repository.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rbac/vedette.yaml");

/// The manifest for the canaries: it names the Lease after a bastion, and so does the lab its own.
const CANARIES: &str = include_str!("../../config/rbac/canaries.yaml");

/// Writes a kubeconfig with embedded credentials, as kubeadm does: the VIP is the current context,
/// and each instance is one more.
pub(crate) fn kubeconfig(file: &Path, pki: &Pki, user: &str) -> Result<()> {
    kubeconfig_for(file, pki, user, Place::Vip)
}

/// The same with another current context.
pub(crate) fn kubeconfig_for(file: &Path, pki: &Pki, user: &str, current: Place) -> Result<()> {
    let leaf = pki.leaf(user);
    let embed = |path: &Path| fs::read(path).map(|bytes| STANDARD.encode(bytes));
    let ca = embed(&pki.file("ca", "crt"))?;
    let mut clusters = String::new();
    let mut contexts = String::new();
    for place in [Place::Vip, Place::Api(1), Place::Api(2)] {
        let name = place.name();
        writeln!(
            clusters,
            "- name: {name}\n  cluster:\n    server: https://{}:6443\n    certificate-authority-data: {ca}",
            place.ip()
        )?;
        writeln!(contexts, "- name: {name}\n  context: {{ cluster: {name}, user: {user} }}")?;
    }
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n{clusters}contexts:\n{contexts}current-context: {}\n\
         users:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        current.name(),
        embed(&leaf.cert)?,
        embed(&leaf.key)?,
    );
    pki::write(file, &text, 0o600)
}

/// Gives the user `vedette` the rights of the repository's manifest, by an administrator's kubectl.
pub(crate) fn grant(kubectl: &mut Command) -> Result<()> {
    output(kubectl.args(["apply", "-f", MANIFEST])).map(drop)
}

/// Makes what the canaries of the vedette on `bastion` need, as the manifest says that it is done.
pub(crate) fn grant_canaries(world: &World, bastion: &str) -> Result<()> {
    let file = world.folder.join(format!("canaries-{bastion}.yaml"));
    fs::write(&file, CANARIES.replace("bastion-1", bastion))?;
    output(world.kubectl()?.args(["apply", "-f"]).arg(&file)).map(drop)
}

/// The path of the administrator's kubeconfig below a world's folder.
pub(crate) fn admin(folder: &Path) -> PathBuf {
    folder.join("admin.kubeconfig")
}

/// The path of vedette's kubeconfig below a world's folder.
pub(crate) fn vedette(folder: &Path) -> PathBuf {
    folder.join("vedette.kubeconfig")
}
