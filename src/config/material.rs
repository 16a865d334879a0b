//! Whether what a source of credentials or certificates holds can do its job.
//!
//! Decodes certificates' PEM, never keys; whether a certificate is still valid is judged from what servers accept.
//! Called by the readers of sources and of kubeconfigs.

use std::path::Path;

use secrecy::ExposeSecret as _;

use super::read_context::ReadContext;
use super::settings::Source;
use super::source::{self, SourceError};
use crate::model::error_chain::chain;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::pem;
use crate::parse::yaml::Position;

/// What a source is for, and so what must be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// CA certificates.
    Authorities,
    /// A client certificate chain.
    Certificate,
    /// A private key.
    Key,
    /// A password.
    Password,
    /// A bearer token.
    Token,
}

/// Where a complaint about a source goes: the file and the place that name it.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    /// `None` for the configuration itself.
    pub(super) file: Option<&'a str>,
    pub(super) position: Position,
}

impl Use {
    const fn is_secret(self) -> bool {
        match self {
            Self::Authorities | Self::Certificate => false,
            Self::Key | Self::Password | Self::Token => true,
        }
    }
}

impl ReadContext<'_> {
    /// Complains when `source` cannot be read, is open to everyone, or does not hold what it is for.
    pub(super) fn examine(&self, source: &Source, purpose: Use, named: Named<'_>) {
        if !self.examines() {
            return;
        }
        let say = |diagnostic: Diagnostic| match named.file {
            Some(file) => self.complaints.add_in(file, diagnostic),
            None => self.complaints.add(diagnostic),
        };
        let bytes = match source {
            Source::File(path) => source::read_file(path).map(|contents| {
                if purpose.is_secret()
                    && let Some(diagnostic) = open_to_everyone(path, contents.mode, named.position)
                {
                    say(diagnostic);
                }
                contents.bytes
            }),
            Source::Credential(_) | Source::Env(_) | Source::Inline(_) => source.read(),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            // A person who checks the file by hand does not have the environment that the unit has.
            Err(error @ (SourceError::Unset { .. } | SourceError::NoCredentials { .. })) => {
                return say(
                    Diagnostic::warning(named.position, error.to_string()).hint("set it in the unit that runs vedette")
                );
            }
            Err(error) => return say(Diagnostic::error(named.position, chain(&error))),
        };
        let place = match source {
            Source::File(path) => path.display().to_string(),
            Source::Credential(name) => format!("credential '{name}'"),
            Source::Env(name) => format!("environment variable {name}"),
            Source::Inline(_) => "the embedded text".to_owned(),
        };
        for diagnostic in content_flaws(bytes.expose_secret(), purpose, &place, named.position) {
            say(diagnostic);
        }
    }
}

/// The diagnostic of a file with a secret in it that everyone on the machine may read or replace.
pub(super) fn open_to_everyone(path: &Path, mode: u32, position: Position) -> Option<Diagnostic> {
    (mode & 0o007 != 0).then(|| {
        let path = path.display();
        Diagnostic::error(position, format!("{path} is world-readable (mode {mode:04o})"))
            .hint(format!("chmod o-rwx {path}"))
    })
}

fn content_flaws(bytes: &[u8], purpose: Use, place: &str, position: Position) -> Vec<Diagnostic> {
    if matches!(purpose, Use::Password | Use::Token) {
        let text = std::str::from_utf8(bytes).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let is_line = !text.is_empty() && !text.contains(['\r', '\n', '\0']);
        return if is_line {
            vec![]
        } else {
            vec![Diagnostic::error(position, format!("{place} does not hold exactly one line of text"))]
        };
    }
    let scan = pem::scan(bytes);
    let damaged = scan.faults.iter().take(8).map(|fault| {
        Diagnostic::warning(position, format!("{place} is damaged at line {}: {}", fault.line, fault.kind))
    });
    let mut diagnostics: Vec<Diagnostic> = damaged.collect();
    let is_der = bytes.first() == Some(&0x30) && scan.markers == 0;
    let container = scan.containers.first().map(|_| "it holds PKCS7".to_owned());
    let other = container.or_else(|| scan.others.first().map(|other| format!("it holds {}", other.label)));
    let hint =
        if is_der { Some("it seems to be DER; convert it with openssl x509 -inform der".to_owned()) } else { other };
    let mut miss = |what: &str, hint: Option<String>| {
        diagnostics.push(Diagnostic { hint, ..Diagnostic::error(position, format!("{place} holds no {what}")) });
    };
    if purpose == Use::Key {
        match scan.keys.first() {
            None => miss("private key in PEM form", hint),
            Some(key) if key.is_encrypted => miss(
                "private key that can be used without a passphrase",
                Some("decrypt it with openssl pkey, and protect the file instead".to_owned()),
            ),
            Some(_) => {}
        }
    } else if scan.certificates.is_empty() {
        let hint = if scan.keys.is_empty() { hint } else { Some("it holds a private key".to_owned()) };
        miss("certificate in PEM form", hint);
    }
    diagnostics
}
