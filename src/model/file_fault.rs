//! Why a file, or everything that an entry of the configuration names, could not be read.

use serde::{Deserialize, Serialize};

/// Why a file or a source could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFault {
    /// There is nothing, or a link that leads nowhere.
    Missing,
    /// A pattern that matches nothing.
    NoMatch,
    /// A link that leads in a circle, or through too many others.
    LinkLoop,
    /// We may not read it.
    Forbidden,
    /// A FIFO, a socket, a device.
    NotRegular,
    /// More bytes than are read.
    TooLarge,
    /// It was replaced or written while it was read, each time.
    Unsteady,
    /// Truncated, as while it is being written.
    HalfWritten,
    /// Nothing in it is a certificate, a token or a kubeconfig.
    NothingInIt,
    /// A form that is not read: an archive.
    Unsupported,
    /// A PKCS#12 file whose password is not known.
    Locked,
    /// A file that is not a valid kubeconfig.
    BrokenKubeconfig,
    /// The file system did not answer in time.
    Timeout,
    /// Anything else that the operating system says.
    Failed,
}

impl FileFault {
    /// Every fault.
    pub const ALL: [Self; 14] = [
        Self::Missing,
        Self::NoMatch,
        Self::LinkLoop,
        Self::Forbidden,
        Self::NotRegular,
        Self::TooLarge,
        Self::Unsteady,
        Self::HalfWritten,
        Self::NothingInIt,
        Self::Unsupported,
        Self::Locked,
        Self::BrokenKubeconfig,
        Self::Timeout,
        Self::Failed,
    ];

    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NoMatch => "no_match",
            Self::LinkLoop => "link_loop",
            Self::Forbidden => "forbidden",
            Self::NotRegular => "not_regular",
            Self::TooLarge => "too_large",
            Self::Unsteady => "unsteady",
            Self::HalfWritten => "half_written",
            Self::NothingInIt => "nothing_in_it",
            Self::Unsupported => "unsupported",
            Self::Locked => "locked",
            Self::BrokenKubeconfig => "broken_kubeconfig",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }

    /// What people read behind the path.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Missing => "does not exist",
            Self::NoMatch => "matches no file",
            Self::LinkLoop => "is a link that leads in a circle",
            Self::Forbidden => "may not be read",
            Self::NotRegular => "is no regular file",
            Self::TooLarge => "is larger than any certificate file",
            Self::Unsteady => "changes while it is read",
            Self::HalfWritten => "is cut short",
            Self::NothingInIt => "holds no certificate and no token",
            Self::Unsupported => "has an unsupported form (compressed, or an archive)",
            Self::Locked => "is a locked PKCS#12 file, and its password is not known",
            Self::BrokenKubeconfig => "is a broken kubeconfig",
            Self::Timeout => "is on a file system that does not respond",
            Self::Failed => "cannot be read",
        }
    }
}
