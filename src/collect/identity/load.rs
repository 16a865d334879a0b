//! Files and a plugin's answer to credentials ready for use.
//!
//! Blocks on the file system, so it runs on threads that may block. A certificate without its key changes nothing.

use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretSlice};
use zeroize::Zeroizing;

use super::ready::{Print, ReadyCredentials};
use crate::collect::exec::{self, Issued};
use crate::collect::handshake::Tls;
use crate::collect::verification::Strict;
use crate::config::settings::{Credentials, Source};
use crate::model::certificate::Fingerprint;
use crate::model::error_chain::chain;
use crate::parse::pem::{self, Scan};
use crate::parse::x509;

/// Everything one load reads, so that it can run on a thread that may block.
pub(super) struct Load {
    pub(super) credentials: Credentials,
    pub(super) tls: Tls,
    pub(super) issued: Option<Issued>,
    pub(super) diagnostic: Option<exec::Failed>,
    pub(super) before: Option<Arc<ReadyCredentials>>,
}

impl Load {
    /// Of what cannot be parsed, the last valid one is kept.
    pub(super) fn run(self) -> (ReadyCredentials, Vec<String>) {
        let mut complaints = Vec::new();
        let mut remarks = Vec::new();
        let before = self.before.clone();
        let before = before.as_deref();
        let strict = self.credentials.anchors.as_ref().map(|source| self.verifier(source, &mut remarks));
        let (strict, anchors) = match strict {
            Some(Ok((strict, print))) => (Some(strict), print),
            Some(Err(complaint)) => {
                complaints.push(complaint);
                before.map(|known| (known.strict.clone(), known.print.anchors.clone())).unwrap_or_default()
            }
            None => (None, Vec::new()),
        };
        let (client, chain) = match self.client() {
            Some(Ok(certified)) => {
                let print = certified.cert.iter().map(|der| x509::fingerprint(der)).collect();
                (Some(certified), print)
            }
            Some(Err(complaint)) => {
                complaints.push(complaint);
                before.map(|known| (known.client.clone(), known.print.client.clone())).unwrap_or_default()
            }
            None => (None, Vec::new()),
        };
        let token = match self.token() {
            Some(Ok(token)) => Some(token),
            Some(Err(complaint)) => {
                complaints.push(complaint);
                before.and_then(|known| known.token.clone())
            }
            None => None,
        };
        // A failed renewal counts as a fault only once the credential issued before has expired.
        if let Some(failed) = self.diagnostic.as_ref().filter(|_| self.issued.is_none()) {
            complaints.push(failed.to_string());
        } else if self.credentials.exec.is_some() && self.issued.is_none() {
            complaints.push("the exec plugin's credential has ended".to_owned());
        }
        let is_flawed = !complaints.is_empty();
        let diagnostic = is_flawed.then(|| complaints.join("; ").into());
        complaints.append(&mut remarks);
        let print = Print { anchors, client: chain };
        let generation = before.map_or(0, |known| known.generation + u64::from(known.print != print));
        (ReadyCredentials { generation, strict, client, token, is_flawed, diagnostic, print }, complaints)
    }

    fn client(&self) -> Option<Result<Arc<CertifiedKey>, String>> {
        let pair = match (&self.credentials.client, self.issued.as_ref().and_then(|issued| issued.client.as_ref())) {
            (Some(pair), _) => read(&pair.certificate).and_then(|chain| Ok((chain, read(&pair.key)?))),
            (None, Some((chain, key))) => Ok((chain.to_vec().into(), key.to_vec().into())),
            (None, None) => return None,
        };
        Some(pair.and_then(|(chain, key)| self.certified(chain.expose_secret(), key.expose_secret())))
    }

    fn token(&self) -> Option<Result<HeaderValue, String>> {
        match (&self.credentials.token, self.issued.as_ref().and_then(|issued| issued.token.as_ref())) {
            (Some(source), _) => Some(read(source).and_then(|bytes| bearer(bytes.expose_secret()))),
            (None, Some(token)) => Some(bearer(token.as_bytes())),
            (None, None) => None,
        }
    }

    fn verifier(&self, source: &Source, remarks: &mut Vec<String>) -> Result<(Arc<Strict>, Vec<Fingerprint>), String> {
        let found = pem::scan(read(source)?.expose_secret());
        let anchors: Vec<_> = certificates(&found).collect();
        let (strict, refused) =
            Strict::new(&anchors, self.tls.provider()).map_err(|why| format!("{source:?}: {why}"))?;
        if refused + found.faults.len() > 0 {
            remarks.push(format!("{source:?}: {} of its certificates are left out", refused + found.faults.len()));
        }
        Ok((Arc::new(strict), anchors.iter().map(|der| x509::fingerprint(der)).collect()))
    }

    fn certified(&self, chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, String> {
        let chain: Vec<_> = certificates(&pem::scan(chain)).collect();
        if chain.is_empty() {
            return Err("the client certificate's source holds no certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the client key's source holds no private key that is not encrypted".to_owned())?;
        CertifiedKey::from_der(chain, key, self.tls.provider())
            .map(Arc::new)
            // rustls' text names the kind of fault and holds nothing of the key.
            .map_err(|error| format!("client certificate and key: {error}"))
    }
}

fn certificates(found: &Scan) -> impl Iterator<Item = CertificateDer<'static>> + '_ {
    found.certificates.iter().map(|certificate| CertificateDer::from(certificate.der.clone()))
}

fn bearer(token: &[u8]) -> Result<HeaderValue, String> {
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err("the token is empty".to_owned());
    }
    let value = Zeroizing::new([b"Bearer ", token].concat());
    let mut value =
        HeaderValue::from_bytes(&value).map_err(|_| "the token holds characters that no token has".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(source: &Source) -> Result<SecretSlice<u8>, String> {
    source.read().map_err(|error| chain(&error))
}
