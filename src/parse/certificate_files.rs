//! The bytes of a file to the certificates and tokens in it, whatever kind of file it is.
//!
//! Recognises PEM, DER, PKCS#7, PKCS#12, Java key stores, kubeconfigs, talosconfigs, kubeadm's report of ends and bearer
//! tokens by content, never by name. Decodes no key: a key beside a certificate costs nothing and is not read. Opens
//! nothing; files that a kubeconfig names come back as names. Called by `collect/files`.

mod binary;
mod items;

use std::borrow::Cow;

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::kubeconfig::Material;
use super::kubeconfig::embedded::{self, PieceKind};
use super::pem::{self, FaultKind};
use super::text::{self, MAX_BYTES};
use super::{jwt, kubeadm, pkcs7, talosconfig, x509};
use crate::model::certificate::Certificate;
use crate::model::certificate_files::{FileFault, ItemKind};

/// What a file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Certificates, tokens and the like in the order of the text.
    pub found: Vec<Found>,
    /// Files that a kubeconfig names.
    pub named: Vec<NamedFile>,
    /// Blocks and entries that could not be read: which, and what is wrong with them.
    pub faults: Vec<(Entry, Cow<'static, str>)>,
    /// Whether the text ends inside a block, as while it is being written.
    pub is_cut_short: bool,
    /// Why nothing could be read at all.
    pub fault: Option<FileFault>,
    /// What is there instead of a certificate, where that is known.
    pub instead: Option<&'static str>,
    /// Whether the content promises a certificate, readable or not.
    pub is_promised: bool,
}

/// One thing that has an end, or may have one.
#[derive(Debug)]
pub struct Found {
    /// What was read of it.
    pub what: What,
    /// What it is.
    pub kind: ItemKind,
    /// Where in the file it is.
    pub entry: Entry,
}

/// What was read of a thing with an end.
#[derive(Debug)]
pub enum What {
    /// A certificate.
    Certificate {
        /// What it says.
        certificate: Certificate,
        /// Whether the full reader refused it, so that only part of it is known.
        is_degraded: bool,
    },
    /// A token that says when it ends, or that it does not.
    Token(jwt::Claims),
    /// A certificate of which kubeadm tells.
    Reported(kubeadm::Row),
    /// A credential that does not say when it ends; the text says what it is.
    NotKnowable(&'static str),
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// All of it.
    Whole,
    /// The block that begins in this line, from 1.
    Line(u64),
    /// The certificate of this number, from 1.
    Number(u32),
    /// An entry with a name, fit to be shown.
    Named(Box<str>),
}

/// A file that a kubeconfig names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// What it should hold.
    pub kind: PieceKind,
    /// Which entry names it.
    pub entry: Box<str>,
    /// Its path, relative to the kubeconfig's folder.
    pub path: String,
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Bytes of a text that are read.
    pub limit: usize,
    /// Passwords for PKCS#12 files.
    pub passwords: &'a [SecretString],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { limit: MAX_BYTES, passwords: &[] }
    }
}

/// Times that a text is decoded from base64: a value of a Kubernetes Secret, and one encoded twice by mistake.
const MAX_UNWRAPPED: u8 = 2;

/// Everything in `bytes` that has an end.
#[must_use]
pub fn contents(bytes: &[u8], options: Options<'_>) -> Contents {
    wrapped(bytes, options, MAX_UNWRAPPED)
}

fn wrapped(bytes: &[u8], options: Options<'_>, depth: u8) -> Contents {
    if bytes.trim_ascii().is_empty() {
        let instead = Some("nothing: it is empty");
        return Contents { is_cut_short: true, fault: Some(FileFault::HalfWritten), instead, ..Contents::default() };
    }
    if let Some(contents) = binary::contents(bytes, options) {
        return contents;
    }
    let scan = pem::scan_within(bytes, options.limit);
    if scan.markers > 0 {
        return of_pem(scan);
    }
    if bytes.starts_with(b"eyJ")
        && let Some(claims) = jwt::claims(bytes)
    {
        return Contents {
            found: vec![found(What::Token(claims), ItemKind::Token, Entry::Whole)],
            ..Contents::default()
        };
    }
    let text = text::decode(bytes).0;
    if kubeadm::is_meant(&text) {
        return of_report(&text);
    }
    if embedded::is_meant(bytes) {
        return of_kubeconfig(bytes);
    }
    if talosconfig::is_meant(bytes) {
        return of_talosconfig(bytes);
    }
    if let Some(bare) = depth.checked_sub(1).and_then(|depth| Some((unwrapped(&text)?, depth))) {
        let inner = wrapped(&bare.0, options, bare.1);
        if inner.is_promised {
            return inner;
        }
    }
    let fault = if binary::is_archive(bytes) { FileFault::Unsupported } else { FileFault::NothingInIt };
    Contents { fault: Some(fault), ..Contents::default() }
}

/// What a file holds that a kubeconfig names as its `kind`.
#[must_use]
pub fn piece(bytes: &[u8], kind: PieceKind) -> Contents {
    match kind {
        PieceKind::Token => {
            let what = jwt::claims(bytes).map_or(What::NotKnowable("opaque token"), What::Token);
            Contents { found: vec![found(what, ItemKind::KubeconfigToken, Entry::Whole)], ..Contents::default() }
        }
        PieceKind::Certificate | PieceKind::Authority => {
            let mut contents = of_pem(pem::scan(bytes));
            if kind == PieceKind::Certificate {
                contents.found.iter_mut().for_each(|found| found.kind = in_kubeconfig(found.kind));
            }
            contents
        }
    }
}

/// One certificate as a server sends it.
///
/// # Errors
/// What it is instead.
pub fn served(der: &[u8]) -> Result<Found, &'static str> {
    x509::read(der).map(|read| certificate(read, Entry::Whole)).ok_or_else(|| binary::unread(der))
}

fn found(what: What, kind: ItemKind, entry: Entry) -> Found {
    Found { what, kind, entry }
}

fn of_pem(mut scan: pem::Scan) -> Contents {
    let mut contents = Contents {
        found: Vec::with_capacity(scan.certificates.len()),
        is_promised: !scan.certificates.is_empty() || !scan.containers.is_empty(),
        ..Contents::default()
    };
    // Both kinds in the order of the text.
    let mut blocks = std::mem::take(&mut scan.certificates);
    if !scan.containers.is_empty() {
        blocks.append(&mut scan.containers);
        blocks.sort_by_key(|block| block.line);
    }
    for block in &blocks {
        contents.block(&block.der, || Entry::Line(block.line));
    }
    for fault in scan.faults.iter().filter(|fault| fault.is_certificate) {
        contents.is_promised = true;
        contents.faults.push((Entry::Line(fault.line), said(fault.kind).into()));
    }
    contents.is_cut_short = scan.is_truncated || scan.faults.last().is_some_and(|fault| fault.kind == FaultKind::NoEnd);
    if contents.found.is_empty() {
        let is_half = contents.is_cut_short && scan.keys.is_empty();
        contents.fault = Some(if is_half { FileFault::HalfWritten } else { FileFault::NothingInIt });
        contents.instead = scan
            .keys
            .first()
            .map(|_| "a private key")
            .or_else(|| scan.others.first().map(|other| instead_of(&other.label)));
    }
    contents
}

impl Contents {
    /// Takes a block that should hold a certificate: programs write containers under the label of certificates as well.
    fn block(&mut self, der: &[u8], entry: impl Fn() -> Entry) {
        if let Some(read) = x509::read(der) {
            return self.found.push(certificate(read, entry()));
        }
        match pkcs7::certificates(der) {
            Some(inner) if inner.is_empty() => self.faults.push((entry(), "the container holds no certificate".into())),
            Some(inner) => inner.into_iter().for_each(|der| match x509::read(der) {
                Some(read) => self.found.push(certificate(read, entry())),
                None => self.faults.push((entry(), binary::unread(der).into())),
            }),
            None => self.faults.push((entry(), binary::unread(der).into())),
        }
    }
}

const fn said(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::BadMarker => "the BEGIN line is cut short",
        FaultKind::NoEnd => "the block has no END line",
        FaultKind::Empty => "the block is empty",
        FaultKind::NotBase64 => "the block is not base64",
    }
}

/// What a PEM block of another label is.
fn instead_of(label: &str) -> &'static str {
    match label {
        _ if label.ends_with("CERTIFICATE REQUEST") => "a certificate request",
        _ if label.ends_with("CRL") => "a revocation list",
        _ if label.ends_with("PUBLIC KEY") => "a public key",
        _ => "PEM blocks of another kind",
    }
}

fn certificate(read: x509::Read, entry: Entry) -> Found {
    let kind = match (read.certificate.is_ca, read.is_for_clients) {
        (true, _) => ItemKind::Authority,
        (false, true) => ItemKind::Client,
        (false, false) => ItemKind::Leaf,
    };
    found(What::Certificate { certificate: read.certificate, is_degraded: read.is_degraded }, kind, entry)
}

fn of_kubeconfig(bytes: &[u8]) -> Contents {
    let mut contents = Contents { is_promised: true, ..Contents::default() };
    let held = match embedded::held(bytes) {
        Ok(held) => held,
        Err(what) => {
            contents.faults.push((Entry::Whole, format!("the kubeconfig is broken: {what}").into()));
            contents.fault = Some(FileFault::BrokenKubeconfig);
            return contents;
        }
    };
    for piece in held.pieces {
        match piece.material {
            Material::File(path) => {
                contents.named.push(NamedFile { kind: piece.kind, entry: piece.entry, path });
            }
            Material::Inline(bytes) => contents.entry(self::piece(bytes.expose_secret(), piece.kind), &piece.entry),
        }
    }
    for (entry, from) in held.elsewhere {
        contents.found.push(found(What::NotKnowable(from), ItemKind::KubeconfigToken, Entry::Named(entry)));
    }
    contents.faults.extend(held.faults.into_iter().map(|(entry, what)| (Entry::Named(entry), what.into())));
    contents
}

fn of_talosconfig(bytes: &[u8]) -> Contents {
    let mut contents = Contents { is_promised: true, ..Contents::default() };
    for piece in talosconfig::pieces(bytes) {
        let Some(pem) = piece.pem else {
            contents.faults.push((Entry::Named(piece.context.into()), "the certificate is not base64".into()));
            continue;
        };
        let mut inner = of_pem(pem::scan(&pem));
        if !piece.is_authority {
            inner.found.iter_mut().for_each(|found| found.kind = in_talosconfig(found.kind));
        }
        contents.entry(inner, &piece.context);
    }
    contents
}

impl Contents {
    /// Takes what the entry `name` of a configuration holds.
    fn entry(&mut self, inner: Self, name: &str) {
        let entry = || Entry::Named(name.into());
        if inner.found.is_empty() && inner.faults.is_empty() {
            self.faults.push((entry(), "the entry holds no certificate".into()));
        }
        self.found.extend(inner.found.into_iter().map(|found| Found { entry: entry(), ..found }));
        self.faults.extend(inner.faults.into_iter().map(|(_, what)| (entry(), what)));
    }
}

fn of_report(text: &str) -> Contents {
    let mut contents = Contents { is_promised: true, ..Contents::default() };
    let rows = match kubeadm::rows(text) {
        Ok(rows) => rows,
        Err(what) => {
            contents.faults.push((Entry::Whole, what.into()));
            contents.fault = Some(FileFault::HalfWritten);
            return contents;
        }
    };
    for row in rows {
        let entry = Entry::Named(row.name.as_str().into());
        if row.not_after.is_some() {
            let kind = if row.is_ca { ItemKind::Authority } else { ItemKind::Leaf };
            contents.found.push(found(What::Reported(row), kind, entry));
        } else {
            contents.faults.push((entry, "kubeadm reports that it is missing".into()));
        }
    }
    contents
}

/// The bytes in a text that is nothing but base64 of PEM or of DER, as values of a Kubernetes Secret are. They are
/// forgotten, since there may be a key among them; what is a key by its first bytes is not decoded.
fn unwrapped(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim();
    if !["LS0tLS1CRUdJTi", "MII", "MIA", "TFMwdExTMUNSVWRKVG"].iter().any(|start| text.starts_with(start)) {
        return None;
    }
    let head = text.get(..12).and_then(|head| pem::BASE64.decode(head).ok());
    if head.is_some_and(|head| matches!(head.as_slice(), [0x30, _, _, _, 0x02, 1, 0 | 1, ..])) {
        return None;
    }
    let compact: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
    pem::BASE64.decode(compact.as_bytes()).ok().map(Zeroizing::new)
}

const fn in_kubeconfig(kind: ItemKind) -> ItemKind {
    match kind {
        ItemKind::Leaf | ItemKind::Client => ItemKind::KubeconfigClient,
        ItemKind::Token => ItemKind::KubeconfigToken,
        ItemKind::Authority | ItemKind::KubeconfigClient | ItemKind::TalosClient | ItemKind::KubeconfigToken => kind,
    }
}

const fn in_talosconfig(kind: ItemKind) -> ItemKind {
    match kind {
        ItemKind::Leaf | ItemKind::Client => ItemKind::TalosClient,
        ItemKind::Authority
        | ItemKind::KubeconfigClient
        | ItemKind::TalosClient
        | ItemKind::KubeconfigToken
        | ItemKind::Token => kind,
    }
}

#[cfg(test)]
mod tests;
