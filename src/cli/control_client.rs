//! Asking the running daemon over its control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::config::environment::{Environment, Sources};
use crate::config::settings::{Settings, Vantage};

/// Longer than the daemon waits for its store.
const DEADLINE: Duration = Duration::from_secs(12);

/// Bytes of an answer that are read.
const MOST: usize = 16 << 20;

/// Which vedette is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// The configuration of the running vedette, for its socket and store
    #[arg(long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,
    /// Its control socket, whatever the configuration says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The configuration turned it off.
    #[error("the control socket is off ('vantage.control: off'); name another with --socket")]
    Off,
    /// No process listens.
    #[error(
        "no vedette answers at {0} ({1}); start it with 'systemctl start vedette', or name the running one with --config \
         or --socket"
    )]
    NobodyThere(PathBuf, io::Error),
    /// A process listens, but refuses us.
    #[error("you may not open {0} ({1}); be root, or of the group that owns it, usually vedette")]
    NotAllowed(PathBuf, io::Error),
    /// It broke off, or was not done in time.
    #[error("asking the vedette at {0}: {1}")]
    Broken(PathBuf, String),
}

impl Whom {
    /// The configuration of the running vedette.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// The database file, for when the daemon does not answer.
    pub(super) fn store(&self) -> PathBuf {
        self.vantage().map_or_else(|| PathBuf::from(Vantage::STORE), |vantage| vantage.store)
    }

    /// Asks once.
    pub(super) fn ask(&self, method: Method, path: &str, body: String) -> Result<Answer, AskError> {
        let socket = self.socket()?;
        let broken = |why: String| AskError::Broken(socket.clone(), why);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broken(error.to_string()))?;
        let answer =
            runtime.block_on(async { tokio::time::timeout(DEADLINE, exchange(&socket, method, path, body)).await });
        answer.unwrap_or_else(|_| Err(broken(format!("no answer within {} s", DEADLINE.as_secs()))))
    }

    /// A configuration that is broken just now must not hide the daemon that runs by an older one.
    fn socket(&self) -> Result<PathBuf, AskError> {
        match (&self.socket, self.vantage()) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(vantage)) => vantage.control.ok_or(AskError::Off),
            (None, None) => Ok(PathBuf::from(Vantage::CONTROL)),
        }
    }

    fn vantage(&self) -> Option<Vantage> {
        let read = Settings::load_in(&self.config, &Environment::here(Sources::Untouched));
        read.ok().map(|(settings, _)| settings.vantage)
    }
}

async fn exchange(socket: &PathBuf, method: Method, path: &str, body: String) -> Result<Answer, AskError> {
    let broken = |error: &dyn std::fmt::Display| AskError::Broken(socket.clone(), error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            AskError::NotAllowed(socket.clone(), error)
        } else {
            AskError::NobodyThere(socket.clone(), error)
        }
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, "vedette");
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| broken(&error))?;
    let (head, body) = sender.send_request(request).await.map_err(|error| broken(&error))?.into_parts();
    let bytes = Limited::new(body, MOST).collect().await.map_err(|error| broken(&error))?.to_bytes();
    Ok(Answer { status: head.status, text: String::from_utf8_lossy(&bytes).into_owned() })
}
