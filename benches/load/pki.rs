//! One CA, one server certificate and one client certificate, P-256 as kubeadm would by now issue them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// The name in the server's certificate.
pub(crate) const SERVER: &str = "farm.test";

/// A folder with `ca.crt`, `server.{crt,key}` and `client.{crt,key}`.
pub(crate) struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// Issues everything into `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "load-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let pki = Self { folder: folder.to_owned() };
        fs::write(pki.file("ca.crt"), authority.pem())?;
        for (name, usage) in
            [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
        {
            let mut params = CertificateParams::new(vec![SERVER.to_owned()])?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            fs::write(pki.file(&format!("{name}.crt")), params.signed_by(&key, &authority)?.pem())?;
            fs::write(pki.file(&format!("{name}.key")), key.serialize_pem())?;
            private(&pki.file(&format!("{name}.key")))?;
        }
        Ok(pki)
    }

    /// The pki that another process of this bench made.
    pub(crate) fn open(folder: &str) -> Self {
        Self { folder: folder.into() }
    }

    /// A file by name.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder, to hand to other processes.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}
