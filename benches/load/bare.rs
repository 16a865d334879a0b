//! The floor: one thread, one connection after the other, nothing but what a probe cannot do without.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::farm;
use crate::pki::{Pki, SERVER};
use crate::process;

/// The argument that makes a process of this bench the loop.
pub(crate) const ROLE: &str = "bare";

/// Probes of one measurement without pauses: seconds of CPU, so that the kernel's ticks of 10 ms do not show.
const PROBES: u32 = 4_000;

/// The least time a paced measurement takes.
const PACED: Duration = Duration::from_secs(8);

/// How the loop goes from one probe to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// At once: caches and the branch predictor stay warm, the processor never idles.
    Flat,
    /// One after each of these pauses, as a watcher has to: what a wake-up costs is in the figure.
    Every(Duration),
}

/// Milliseconds of CPU for one probe.
pub(crate) fn measure(pki: &Pki, port: u16, targets: u32, mutual: bool, pace: Pace) -> Result<f64> {
    let pause = match pace {
        Pace::Flat => Duration::ZERO,
        Pace::Every(pause) => pause,
    };
    let done = Command::new(std::env::current_exe()?)
        .args([ROLE, &pki.folder().display().to_string(), &port.to_string(), &targets.to_string(), &mutual.to_string()])
        .arg(pause.as_nanos().to_string())
        .output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    text.trim().parse().with_context(|| format!("the bare loop said: {text}{}", String::from_utf8_lossy(&done.stderr)))
}

/// The process: probes all targets in turn and prints milliseconds of CPU for a probe.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [folder, port, targets, mutual, pause] = arguments else {
        return Err(anyhow!("bare FOLDER PORT TARGETS MUTUAL PAUSE_NS"));
    };
    let pki = Pki::open(folder);
    let (port, targets, mutual): (u16, u32, bool) = (port.parse()?, targets.parse()?, mutual.parse()?);
    let pause = Duration::from_nanos(pause.parse()?);
    let probes = if pause.is_zero() { PROBES } else { (PACED.as_nanos() / pause.as_nanos()) as u32 };
    let config = Arc::new(client(&pki, mutual)?);
    let name = ServerName::try_from(SERVER)?;
    for n in 0..100 {
        probe(&config, &name, n % targets, port)?;
    }
    let before = process::cpu(std::process::id())?;
    let start = Instant::now();
    for n in 0..probes {
        std::thread::sleep((start + pause * n).saturating_duration_since(Instant::now()));
        probe(&config, &name, n % targets, port)?;
    }
    let spent = process::cpu(std::process::id())?.saturating_sub(before);
    println!("{}", spent.as_secs_f64() * 1e3 / f64::from(probes));
    Ok(())
}

fn client(pki: &Pki, mutual: bool) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.file("ca.crt"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = if mutual {
        let chain = vec![CertificateDer::from_pem_file(pki.file("client.crt"))?];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(pki.file("client.key"))?)?
    } else {
        builder.with_no_client_auth()
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn probe(config: &Arc<ClientConfig>, name: &ServerName<'static>, target: u32, port: u16) -> Result<()> {
    let tcp = TcpStream::connect((farm::address(target), port))?;
    tcp.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name.clone())?, tcp);
    stream.write_all(b"GET /readyz?verbose HTTP/1.1\r\nHost: farm.test\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::with_capacity(1024);
    stream.read_to_end(&mut answer)?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "an answer that is none: {}", answer.escape_ascii());
    Ok(())
}
