//! Certificate, key and client CA of the listener: in files of their own or written into the file itself.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use secrecy::ExposeSecret as _;

use super::super::material::{Named, Use, open_to_everyone};
use super::super::settings::Source;
use super::super::yaml_tree::{Section, Wrong};
use super::Reader;
use super::tls::Tls;
use crate::model::error_chain::chain;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::pem;

impl Reader<'_> {
    /// The source under `file` or `inline`, examined; `None` when absent or unusable.
    pub(super) fn source(&self, section: &Section<'_>, file: &str, inline: &str, purpose: Use) -> Option<Source> {
        let complaints = self.context.complaints;
        if let (Some(_), Some(node)) = (section.find(file), section.find(inline)) {
            complaints.add(
                Diagnostic::error(node.position, format!("'{inline}' beside '{file}'")).hint("keep one of the two"),
            );
            return None;
        }
        for entry in section.entries().iter().filter(|entry| entry.key == file || entry.key == inline) {
            if section.find(&entry.key).is_none() {
                complaints.add(Diagnostic::error(entry.position, format!("'{}' is empty", entry.key)));
            }
        }
        let named = |key: &str| section.find(key).map(|node| Named { file: None, position: node.position });
        if let Some(named) = named(file) {
            let path = section.read(file, |text| {
                let is_path = !text.is_empty() && !text.contains('\0');
                let wrong =
                    || Wrong::new("not a valid path", "write a path; relative ones start at this file's folder");
                if is_path { Ok(self.context.folder.join(text)) } else { Err(wrong()) }
            })?;
            self.files.borrow_mut().push(path.clone());
            let source = Source::File(path);
            self.context.examine(&source, purpose, named);
            return Some(source);
        }
        let named = named(inline)?;
        let bytes = section.read(inline, |text| Ok(text.as_bytes().to_vec()))?;
        let source = Source::Inline(Arc::new(bytes.into()));
        if purpose == Use::Key
            && let Some(diagnostic) = open_to_everyone(self.path, self.mode, named.position)
        {
            complaints.add(diagnostic);
        }
        self.context.examine(&source, purpose, named);
        Some(source)
    }

    /// Reports an error where the files cannot be served, unless one was reported before.
    pub(super) fn fits(&self, section: &Section<'_>, tls: &Tls) {
        if self.context.complaints.has_errors() {
            return;
        }
        let position = |keys: [&str; 2]| {
            keys.iter().find_map(|key| section.find(key)).map_or(section.position, |node| node.position)
        };
        if let Err(what) = tls.certified_key() {
            let diagnostic = Diagnostic::error(position(["key_file", "key"]), what);
            self.context.complaints.add(diagnostic.hint("give the key that the certificate was issued for"));
        }
        if let Err(what) = tls.client_roots() {
            self.context.complaints.add(Diagnostic::error(position(["client_ca_file", "client_ca"]), what));
        }
    }
}

impl Tls {
    /// The certificate chain with its key, read anew.
    ///
    /// # Errors
    /// What is wrong with either, or that they do not belong together; never their content.
    pub fn certified_key(&self) -> Result<CertifiedKey, String> {
        let certificates = certificates(&self.certificate)?;
        let key = self.key.read().map_err(|error| chain(&error))?;
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret())
            .map_err(|_| "no private key in PEM form is there".to_owned())?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(certificates, key, &provider).map_err(|error| {
            if error == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
                "the key is not that of the certificate".to_owned()
            } else {
                format!("certificate and key cannot be used: {error}")
            }
        })
    }

    /// The CAs of clients' certificates, read anew; none when no client CA is given.
    ///
    /// # Errors
    /// That one of them cannot be read or used.
    pub fn client_roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let Some(source) = &self.client_ca else { return Ok(roots) };
        for certificate in certificates(source)? {
            roots.add(certificate).map_err(|error| format!("the client CA cannot be used: {error}"))?;
        }
        Ok(roots)
    }
}

fn certificates(source: &Source) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = source.read().map_err(|error| chain(&error))?;
    let found: Vec<CertificateDer<'static>> =
        pem::scan(bytes.expose_secret()).certificates.into_iter().map(|certificate| certificate.der.into()).collect();
    if found.is_empty() { Err("no certificate in PEM form is there".to_owned()) } else { Ok(found) }
}
