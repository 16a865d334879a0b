//! Many clients that list one resource again and again, under a service account of their own: the telemetry agent on
//! every node that brought down control planes.
//!
//! The clients are bounded: in number, each with one request under way, in bytes by what is listed. They obey
//! Retry-After only as far as such agents do, by a pause of a second. They end when the storm is dropped.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::setpriority_process;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::http;
use crate::net::{Place, output};
use crate::world::World;

/// Namespace of the account and of what it lists.
const NAMESPACE: &str = "telemetry";
/// The account.
const ACCOUNT: &str = "agent";
/// What the API calls it.
pub(crate) const USER: &str = "system:serviceaccount:telemetry:agent";
/// Bound on each step of a request: longer than the apiserver lets one wait, and run.
const PATIENCE: Duration = Duration::from_secs(75);
/// What a refused client waits.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections over which objects are made.
const MAKERS: u32 = 8;

/// What the account may do.
const RIGHTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: { name: telemetry }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: agent, namespace: telemetry }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: telemetry-agent }
rules:
- { apiGroups: [\"\"], resources: [configmaps], verbs: [list] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: telemetry-agent }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: telemetry-agent }
subjects:
- { kind: ServiceAccount, name: agent, namespace: telemetry }
";

/// Makes the account and `objects` ConfigMaps, which is what it will list.
pub(crate) fn prepare(world: &World, objects: u32) -> Result<()> {
    let manifest = world.folder.join("telemetry.yaml");
    fs::write(&manifest, RIGHTS)?;
    output(world.kubectl()?.args(["apply", "-f"]).arg(&manifest))?;
    let admin = Arc::new(http::client_config(&world.credentials("admin"))?);
    world.network.inside(Place::Bastion, || {
        let made = thread::scope(|scope| {
            let makers: Vec<_> = (0..MAKERS)
                .map(|maker| {
                    let admin = admin.clone();
                    scope.spawn(move || make(admin, (maker..objects).step_by(MAKERS as usize)))
                })
                .collect();
            makers.into_iter().map(|maker| maker.join().expect("a maker panicked")).collect::<Result<Vec<()>>>()
        });
        made.map(drop)
    })
}

fn make(admin: Arc<ClientConfig>, numbers: impl Iterator<Item = u32>) -> Result<()> {
    let mut client = Client::connect(admin, Place::Api(1), None)?;
    for number in numbers {
        let body = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"object-{number}\"}},\
             \"data\":{{\"text\":\"{:0>64}\"}}}}",
            number
        );
        let status = client.ask("POST", &format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &body)?;
        ensure!(status == 201, "making ConfigMap {number}: HTTP {status}");
    }
    Ok(())
}

/// The connection of one client, while it has one.
type Socket = Arc<Mutex<Option<TcpStream>>>;

/// Clients that list until this is dropped.
pub(crate) struct Storm {
    ends: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clients: Vec<(JoinHandle<()>, Socket)>,
}

#[derive(Default)]
struct Counts {
    listed: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Storm {
    /// Lets `clients` of them list, half at each apiserver.
    pub(crate) fn begin(world: &World, clients: u16) -> Result<Self> {
        let token = output(world.kubectl()?.args(["create", "token", ACCOUNT, "-n", NAMESPACE]))?.trim().to_owned();
        let mut credentials = world.credentials("admin");
        credentials.client = None;
        let config = Arc::new(http::client_config(&credentials)?);
        let mut storm = Self { ends: Arc::default(), counts: Arc::default(), clients: Vec::new() };
        for number in 0..clients {
            let place = Place::Api(if number % 2 == 0 { 1 } else { 2 });
            let (config, token) = (config.clone(), token.clone());
            let (ends, counts) = (storm.ends.clone(), storm.counts.clone());
            let handle = world.network.handle(Place::Bastion);
            let socket = Arc::default();
            let listing = Listing { place, config, token, socket: Arc::clone(&socket) };
            let client =
                thread::Builder::new().stack_size(256 << 10).spawn(move || listing.repeat(&handle, &ends, &counts))?;
            storm.clients.push((client, socket));
        }
        Ok(storm)
    }

    /// `LISTED lists, REFUSED refused, FAILED failed`, up to now.
    pub(crate) fn counted(&self) -> String {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        format!(
            "{} lists, {} refused, {} failed",
            count(&self.counts.listed),
            count(&self.counts.refused),
            count(&self.counts.failed)
        )
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for (client, socket) in &self.clients {
            client.thread().unpark();
            if let Some(socket) = socket.lock().unwrap_or_else(PoisonError::into_inner).take() {
                drop(socket.shutdown(Shutdown::Both));
            }
        }
        // They hold the namespace, which the world cannot remove before.
        for (client, _) in self.clients.drain(..) {
            drop(client.join());
        }
    }
}

/// One client of the storm.
struct Listing {
    place: Place,
    config: Arc<ClientConfig>,
    token: String,
    /// What has to be shut so that it waits for nothing any more.
    socket: Socket,
}

impl Listing {
    fn repeat(&self, namespace: &Path, ends: &AtomicBool, counts: &Counts) {
        if enter(namespace).is_err() {
            counts.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Not these are measured; they have the processor when nobody else wants it.
        _ = setpriority_process(None, 10);
        let mut client = None;
        while !ends.load(Ordering::Relaxed) {
            match self.list(&mut client, ends) {
                Ok(200) => _ = counts.listed.fetch_add(1, Ordering::Relaxed),
                Ok(_) => {
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                    thread::park_timeout(PAUSE);
                }
                Err(_) => {
                    client = None;
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    thread::park_timeout(PAUSE);
                }
            }
        }
    }

    fn list(&self, client: &mut Option<Client>, ends: &AtomicBool) -> Result<u16> {
        if client.is_none() {
            let fresh = Client::connect(self.config.clone(), self.place, Some(self.token.clone()))?;
            let socket = fresh.stream.get_ref().sock.try_clone()?;
            *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
            // Whoever ends the storm has shut the sockets that he found.
            ensure!(!ends.load(Ordering::Relaxed), "the storm is over");
            *client = Some(fresh);
        }
        client.as_mut().context("no client")?.ask("GET", "/api/v1/configmaps", "")
    }
}

fn enter(namespace: &Path) -> Result<()> {
    let namespace = File::open(namespace)?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// One connection, HTTP/1.1, for one request after the other. Bodies are read and dropped.
struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    host: String,
    token: Option<String>,
}

impl Client {
    fn connect(config: Arc<ClientConfig>, place: Place, token: Option<String>) -> Result<Self> {
        let address = SocketAddr::from((place.ip(), 6443));
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let session = ClientConnection::new(config, ServerName::IpAddress(address.ip().into()))?;
        let stream = BufReader::with_capacity(64 << 10, StreamOwned::new(session, socket));
        Ok(Self { stream, host: address.to_string(), token })
    }

    /// The status of the answer, whose body has come whole.
    fn ask(&mut self, method: &str, path: &str, json: &str) -> Result<u16> {
        let bearer = self.token.as_ref().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: telemetry-agent\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\n{bearer}Content-Length: {}\r\n\r\n{json}",
            self.host,
            json.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let head = self.line()?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status in {head:?}"))?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<u64>()?);
            }
        }
        match length {
            Some(length) => self.skip(length)?,
            None => self.skip_chunks()?,
        }
        Ok(status)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection has ended");
        Ok(line.trim_end().to_owned())
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        let skipped = io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
        ensure!(skipped == length, "the body ends after {skipped} of {length} bytes");
        Ok(())
    }

    fn skip_chunks(&mut self) -> Result<()> {
        loop {
            let line = self.line()?;
            let length = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
            self.skip(length + 2)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}
