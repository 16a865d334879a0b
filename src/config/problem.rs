//! What is wrong with the configuration or a file it names, in one form: `file:line:col: error: what; hint: …`.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use crate::parse::diagnostic::{Diagnostic, Severity};
use crate::parse::invisible;

/// A diagnostic and the file it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the person named it.
    pub file: String,
    /// What is wrong and where.
    pub diagnostic: Diagnostic,
}

impl Problem {
    /// An error about `file` as a whole.
    #[must_use]
    pub fn about(file: &Path, what: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), diagnostic: Diagnostic::error(None, what) }
    }

    /// Whether the configuration cannot be used because of it.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.diagnostic.severity, Severity::Error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { position, severity, what, hint } = &self.diagnostic;
        write!(f, "{}:", self.file)?;
        if let Some(position) = position {
            write!(f, "{position}:")?;
        }
        // The quoted text is a person's, and may hold invisible characters.
        write!(f, " {}: {}", severity.as_str(), invisible::shown(what))?;
        if let Some(hint) = hint {
            write!(f, "; hint: {}", invisible::shown(hint))?;
        }
        Ok(())
    }
}

/// Problems as they are found, in any order. Shared by all readers of one configuration, hence the cell.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    file: String,
    problems: RefCell<Vec<Problem>>,
}

impl Complaints {
    /// None yet; those without a file of their own are about `file`.
    pub(super) fn about(file: impl Into<String>) -> Self {
        Self { file: file.into(), problems: RefCell::default() }
    }

    /// Adds a diagnostic of the configuration itself.
    pub(super) fn add(&self, diagnostic: Diagnostic) {
        self.add_in(&self.file, diagnostic);
    }

    /// Adds a diagnostic of a file that the configuration names.
    pub(super) fn add_in(&self, file: &str, diagnostic: Diagnostic) {
        self.problems.borrow_mut().push(Problem { file: file.to_owned(), diagnostic });
    }

    /// Whether any of them so far is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.borrow().iter().any(Problem::is_error)
    }

    /// All of them in the order a person reads: the configuration from top to bottom, then the other files. The same
    /// error from two readers is reported once.
    pub(super) fn sorted(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| {
            let order = |problem: &Problem| {
                (
                    problem.file != self.file,
                    problem.file.clone(),
                    problem.diagnostic.position,
                    problem.diagnostic.severity,
                )
            };
            order(a).cmp(&order(b))
        });
        problems.dedup();
        problems
    }
}
