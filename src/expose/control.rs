//! The control socket: a Unix socket for people on this machine with every page of the HTTP listener, and the only
//! paths that change anything.
//!
//! Its mode and its folder decide who may open it, and everybody who may can set a silence; no request over TCP can.
//! The user of the other process is read from the kernel, and the author that it gives is recorded beside it. A request
//! names a configured cluster and nothing else. Bounded like the HTTP listener; bodies have at most [`BODY_BYTES`].

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Extension};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::orders::{self, OrderIntake};
use super::{BoundListener, Limits, Pages, routes};

/// Bytes of a body that are read: a reason and a few words around it.
const BODY_BYTES: usize = 4096;

/// Its owner and its group.
const MODE: u32 = 0o660;

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file that was made, so that another's is never removed.
    identity: (u64, u64),
}

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Something else has that name.
    #[error("{0} exists and is no socket")]
    NoSocket(PathBuf),
    /// Another vedette answers there.
    #[error("another vedette answers at {0}")]
    InUse(PathBuf),
    /// The folder is missing, closed to us, or the path is too long.
    #[error("making the socket {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Control {
    /// Makes the socket at `path`, for its owner and its group. One without a listener, left by a crash, is replaced.
    ///
    /// # Errors
    ///
    /// When another process answers there, when the name is taken by something else, or when the folder says no.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Io { path: path.into(), source };
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
        let made = fs::symlink_metadata(path).map_err(failed)?;
        Ok(Self { listener, path: path.into(), identity: (made.dev(), made.ino()) })
    }

    /// Answers until `stop` is cancelled, then removes the socket.
    pub async fn serve(self, pages: Pages, order_intake: OrderIntake, stop: CancellationToken) {
        let counters = pages.counters();
        let control = orders::router(Arc::new(order_intake)).layer(DefaultBodyLimit::max(BODY_BYTES));
        let router = routes::router(pages).merge(control);
        let listener = BoundListener::Unix(self.listener);
        super::answer(&listener, &router, &counters, Limits::default(), None, stop).await;
        let is_ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The layer that passes the user of the peer to the orders.
pub(super) const fn spoken_by(user: Option<u32>) -> Extension<orders::Speaker> {
    Extension(orders::Speaker(user))
}

/// Removes what a crash left at `path`.
fn clear(path: &Path) -> Result<(), ControlError> {
    let failed = |source| ControlError::Io { path: path.into(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(ControlError::NoSocket(path.into())),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(ControlError::InUse(path.into())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}
