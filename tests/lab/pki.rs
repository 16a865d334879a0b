//! The certificates of the lab, in the shape kubeadm gives them.
//!
//! Three cluster CAs (Kubernetes, etcd, front proxy) with ten years, leaves with one, ECDSA
//! P-256 throughout, one service-account key pair; beside them a CA of the mail server.
//! File names are kubeadm's, below one folder per server where kubeadm has one machine per server.
//! Keys are readable by their owner only.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::net::{Place, Size};

const YEAR: Duration = Duration::days(365);
/// Certificates start to be valid a little in the past, for clocks that disagree.
const START: Duration = Duration::minutes(-5);

/// Where in time a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// From now for one year.
    Year,
    /// A year that ends in three days.
    LastDays,
    /// A year that ends in a minute.
    LastMinute,
    /// A year that ended one hour ago.
    Expired,
}

/// Who signs a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// The CA that the server trusts.
    Own,
    /// One that it does not.
    Stranger,
}

/// A server whose certificate can be renewed beside the one it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// An apiserver.
    Api(u8),
    /// An etcd member's client port.
    Etcd(u8),
}

impl Served {
    /// The name its leaf was issued under.
    pub(crate) fn leaf(self) -> String {
        match self {
            Self::Api(n) => format!("{}/apiserver", Place::Api(n).name()),
            Self::Etcd(n) => format!("{}/server", Place::Etcd(n).name()),
        }
    }
}

/// What a leaf is for.
#[derive(Clone, Copy)]
enum Use {
    Server,
    Client,
    Both,
}

/// Files of one leaf.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// PEM certificate.
    pub(crate) cert: PathBuf,
    /// PEM key (PKCS #8).
    pub(crate) key: PathBuf,
}

/// All CAs, and the folder with everything they issued.
pub(crate) struct Pki {
    folder: PathBuf,
    cluster: CertifiedIssuer<'static, KeyPair>,
    etcd: CertifiedIssuer<'static, KeyPair>,
    mail: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes everything below `folder`.
    pub(crate) fn make(folder: &Path, size: Size) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let pki = Self {
            folder: folder.to_owned(),
            cluster: authority("kubernetes")?,
            etcd: authority("etcd-ca")?,
            mail: authority("mail-ca")?,
        };
        let front_proxy = authority("front-proxy-ca")?;
        for (name, issuer) in
            [("ca", &pki.cluster), ("etcd/ca", &pki.etcd), ("front-proxy-ca", &front_proxy), ("mail/ca", &pki.mail)]
        {
            write(&pki.file(name, "crt"), &issuer.pem(), 0o644)?;
            write(&pki.file(name, "key"), &issuer.key().serialize_pem(), 0o600)?;
        }
        let accounts = KeyPair::generate()?;
        write(&pki.file("sa", "key"), &accounts.serialize_pem(), 0o600)?;
        write(&pki.file("sa", "pub"), &accounts.public_key_pem(), 0o644)?;

        for n in 1..=size.instances {
            pki.serve(n, Life::Year)?;
        }
        for n in 1..=size.members {
            let place = Place::Etcd(n);
            for role in ["server", "peer"] {
                pki.issue(&format!("{}/{role}", place.name()), &member(n)?, &pki.etcd)?;
            }
        }
        let masters = Some("kubeadm:cluster-admins");
        for (name, common_name, group, issuer) in [
            ("apiserver-kubelet-client", "kube-apiserver-kubelet-client", masters, &pki.cluster),
            ("admin", "kubernetes-admin", Some("system:masters"), &pki.cluster),
            ("controller-manager", "system:kube-controller-manager", None, &pki.cluster),
            ("scheduler", "system:kube-scheduler", None, &pki.cluster),
            ("vedette", "vedette", None, &pki.cluster),
            ("vedette-writer", "vedette-writer", None, &pki.cluster),
            ("front-proxy-client", "front-proxy-client", None, &front_proxy),
            ("apiserver-etcd-client", "kube-apiserver-etcd-client", None, &pki.etcd),
            ("etcd/healthcheck-client", "kube-etcd-healthcheck-client", None, &pki.etcd),
            ("etcd/vedette", "vedette", None, &pki.etcd),
        ] {
            let params = leaf(common_name, group, Use::Client, &[], Life::Year)?;
            pki.issue(name, &params, issuer)?;
        }
        let names = sans(Place::Mail, &["mail.ops.test"]);
        let params = leaf("mail.ops.test", None, Use::Server, &names, Life::Year)?;
        pki.issue("mail/server", &params, &pki.mail)?;
        Ok(pki)
    }

    /// Issues the serving certificate of apiserver `n` anew, on the key it already has, if any.
    ///
    /// Keeping the key makes the replacement a single rename: the running server can never read a
    /// certificate that does not fit its key.
    pub(crate) fn serve(&self, n: u8, life: Life) -> Result<()> {
        self.issue(&Served::Api(n).leaf(), &serving(n, life)?, &self.cluster)
    }

    /// Issues the serving certificate of apiserver `n` anew by a CA that nobody in the cluster trusts.
    pub(crate) fn serve_by_stranger(&self, n: u8) -> Result<()> {
        self.issue(&Served::Api(n).leaf(), &serving(n, Life::Year)?, &self.mail)
    }

    /// Renews the certificate of `server` for another year, on the key it has, into the file `to` alone.
    pub(crate) fn renew(&self, server: Served, to: &Path) -> Result<()> {
        self.issue_to(server, Life::Year, to)
    }

    /// Issues the certificate of apiserver `n` as one that has expired, into the file `to` alone.
    pub(crate) fn expired(&self, n: u8, to: &Path) -> Result<()> {
        self.issue_to(Served::Api(n), Life::Expired, to)
    }

    fn issue_to(&self, server: Served, life: Life, to: &Path) -> Result<()> {
        let key = KeyPair::from_pem(&fs::read_to_string(self.leaf(&server.leaf()).key)?)?;
        let issued = match server {
            Served::Api(n) => serving(n, life)?.signed_by(&key, &self.cluster)?,
            Served::Etcd(n) => member(n)?.signed_by(&key, &self.etcd)?,
        };
        write(to, &issued.pem(), 0o644)
    }

    /// Issues what `server` serves on the host of apiserver `n`, a controller-manager or a scheduler.
    pub(crate) fn serve_beside(&self, n: u8, server: &str) -> Result<Leaf> {
        let place = Place::Api(n);
        let name = format!("{}/{server}", place.name());
        self.issue(&name, &leaf(server, None, Use::Server, &sans(place, &[]), Life::Year)?, &self.cluster)?;
        Ok(self.leaf(&name))
    }

    /// Issues the certificate anew by which vedette is known to etcd.
    pub(crate) fn own_etcd_client(&self, life: Life) -> Result<()> {
        self.issue("etcd/vedette", &leaf("vedette", None, Use::Client, &[], life)?, &self.etcd)
    }

    /// Issues the client certificate `vedette` or `etcd/vedette` anew, on the key it already has.
    pub(crate) fn client(&self, name: &str, issuer: Issuer) -> Result<()> {
        let own = if name.starts_with("etcd/") { &self.etcd } else { &self.cluster };
        let issuer = if issuer == Issuer::Own { own } else { &self.mail };
        self.issue(name, &leaf("vedette", None, Use::Client, &[], Life::Year)?, issuer)
    }

    /// Issues the client certificate `vedette` or `etcd/vedette` anew, on another key: the key first, and in the next
    /// step the certificate that fits it.
    pub(crate) fn rotate_client(&self, name: &str, life: Life) -> Result<()> {
        let issuer = if name.starts_with("etcd/") { &self.etcd } else { &self.cluster };
        write(&self.leaf(name).key, &KeyPair::generate()?.serialize_pem(), 0o600)?;
        self.issue(name, &leaf("vedette", None, Use::Client, &[], life)?, issuer)
    }

    /// The files of a leaf by the name it was issued under.
    pub(crate) fn leaf(&self, name: &str) -> Leaf {
        Leaf { cert: self.file(name, "crt"), key: self.file(name, "key") }
    }

    /// `NAME.EXTENSION` below the folder.
    pub(crate) fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{name}.{extension}"))
    }

    fn issue(&self, name: &str, params: &CertificateParams, issuer: &CertifiedIssuer<'static, KeyPair>) -> Result<()> {
        let files = self.leaf(name);
        let key = if files.key.exists() {
            KeyPair::from_pem(&fs::read_to_string(&files.key)?)?
        } else {
            let key = KeyPair::generate()?;
            write(&files.key, &key.serialize_pem(), 0o600)?;
            key
        };
        write(&files.cert, &params.signed_by(&key, issuer)?.pem(), 0o644)
    }
}

/// What apiserver `n` serves.
fn serving(n: u8, life: Life) -> Result<CertificateParams> {
    let names = sans(
        Place::Api(n),
        &["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "vip"],
    );
    let mut params = leaf("kube-apiserver", None, Use::Server, &names, life)?;
    for ip in [Ipv4Addr::new(10, 96, 0, 1), Place::Vip.ip()] {
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(ip)));
    }
    Ok(params)
}

/// What etcd member `n` serves and shows.
fn member(n: u8) -> Result<CertificateParams> {
    let place = Place::Etcd(n);
    leaf(&place.name(), None, Use::Both, &sans(place, &[]), Life::Year)
}

fn authority(common_name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
    params.not_before = OffsetDateTime::now_utc() + START;
    params.not_after = params.not_before + YEAR * 10;
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(common_name: &str, group: Option<&str>, role: Use, names: &[String], life: Life) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = match role {
        Use::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Use::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Use::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    params.not_before = OffsetDateTime::now_utc() + START;
    params.not_before -= match life {
        Life::Year => Duration::ZERO,
        Life::LastDays => YEAR - Duration::days(3),
        Life::LastMinute => YEAR + START - Duration::minutes(1),
        Life::Expired => YEAR + Duration::hours(1),
    };
    params.not_after = params.not_before + YEAR;
    Ok(params)
}

/// The names of a server: its own, what it is called besides, its address, and loopback.
fn sans(place: Place, more: &[&str]) -> Vec<String> {
    let mut names = vec![place.name(), "localhost".to_owned()];
    names.extend(more.iter().map(|&name| name.to_owned()));
    names.extend([place.ip().to_string(), Ipv4Addr::LOCALHOST.to_string()]);
    names
}

/// Writes a file in one step: readers see the old content or the new one.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
    Ok(fs::rename(&fresh, path)?)
}
