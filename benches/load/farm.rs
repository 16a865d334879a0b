//! The farm: one process that is a TLS server at every address it is asked at, and notes when.
//!
//! All of 127.0.0.0/8 is this machine, so ten thousand targets are ten thousand addresses and one listener. It is
//! told what to do on its standard input, a line each: `forget` and `ticks INTERVAL_MS`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::pki::Pki;

/// The argument that makes a process of this bench the farm.
pub(crate) const ROLE: &str = "farm";

/// A healthy kube-apiserver's own words are about 2.4 kB: forty checks, each a line.
const CHECKS: usize = 40;

/// The address of target `n`.
pub(crate) fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0000 + n)
}

/// The farm's process, seen from the one who measures.
pub(crate) struct Farm {
    child: Child,
    orders: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    port: u16,
}

/// How regularly targets were probed.
#[derive(Debug)]
pub(crate) struct Ticks {
    /// Probes served.
    pub(crate) served: u32,
    /// Probes that were due and did not come.
    pub(crate) missed: u32,
    pub(crate) late_p50: Duration,
    pub(crate) late_p99: Duration,
    pub(crate) late_max: Duration,
}

impl Farm {
    /// Starts it; with `mutual` it refuses clients without a certificate.
    pub(crate) fn start(pki: &Pki, mutual: bool) -> Result<Self> {
        raise_file_limit();
        let mut child = Command::new(std::env::current_exe()?)
            .args([ROLE, &pki.folder().display().to_string(), &mutual.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(anyhow!("no pipes to the farm"));
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("the farm said: {line}"))?;
        Ok(Self { child, orders: Mutex::new((stdin, stdout)), port })
    }

    /// Where it listens, at every address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Forgets what was served so far.
    pub(crate) fn forget(&self) -> Result<()> {
        self.order("forget").map(drop)
    }

    /// What was served since, of probes that were due every `interval` for `window`.
    pub(crate) fn ticks(&self, interval: Duration, window: Duration) -> Result<Ticks> {
        let line = self.order(&format!("ticks {} {}", interval.as_millis(), window.as_millis()))?;
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [served, missed, p50, p99, max] = numbers[..] else { return Err(anyhow!("the farm said: {line}")) };
        let micros = |n: u32| Duration::from_micros(u64::from(n));
        Ok(Ticks { served, missed, late_p50: micros(p50), late_p99: micros(p99), late_max: micros(max) })
    }

    fn order(&self, text: &str) -> Result<String> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(orders.0, "{text}")?;
        let mut line = String::new();
        orders.1.read_line(&mut line)?;
        Ok(line)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// When each target was probed over a new connection.
type Arrivals = Arc<Mutex<BTreeMap<Ipv4Addr, Vec<Instant>>>>;

/// The process.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [folder, mutual] = arguments else { return Err(anyhow!("farm FOLDER MUTUAL")) };
    raise_file_limit();
    let config = server(&Pki::open(folder), mutual.parse()?)?;
    let arrivals = Arrivals::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (port, listener) = runtime.block_on(async {
        let listener = tokio::net::TcpSocket::new_v4()?;
        listener.bind("0.0.0.0:0".parse()?)?;
        let listener = listener.listen(8192)?;
        anyhow::Ok((listener.local_addr()?.port(), listener))
    })?;
    println!("{port}");
    let heard = Arc::clone(&arrivals);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            println!("{}", answer(&line, &heard));
        }
        // Whoever started us is gone.
        std::process::abort();
    });
    runtime.block_on(accept(listener, TlsAcceptor::from(Arc::new(config)), arrivals))
}

fn server(pki: &Pki, mutual: bool) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.file("ca.crt"))?)?;
        builder
            .with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(pki.file("server.crt"))?];
    let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(pki.file("server.key"))?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, arrivals: Arrivals) -> Result<()> {
    let page: String = (0..CHECKS).map(|n| format!("[+]poststarthook/check-number-{n} ok\n")).collect();
    let page = Bytes::from(format!("{page}readyz check passed\n"));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, tls.clone(), Arc::clone(&arrivals), page.clone()));
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, arrivals: Arrivals, page: Bytes) {
    let target = stream.local_addr().ok();
    stream.set_nodelay(true).ok();
    let Ok(stream) = tls.accept(stream).await else { return };
    let answer = |request: Request<Incoming>| {
        let readyz = request.uri().path() == "/readyz";
        if let (true, Some(std::net::SocketAddr::V4(target))) = (readyz, target) {
            let mut known = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(*target.ip()).or_default().push(Instant::now());
        }
        let body = if readyz { page.clone() } else { Bytes::from_static(b"{\"gitVersion\":\"v1.36.3\"}") };
        async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(body))) }
    };
    // A client that goes away is none of the farm's business.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await.ok();
}

fn answer(order: &str, arrivals: &Arrivals) -> String {
    let mut known = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let words: Vec<&str> = order.split_whitespace().collect();
    let ["ticks", interval, window] = words[..] else {
        known.clear();
        return "forgotten".to_owned();
    };
    let millis = |text: &str| Duration::from_millis(text.parse().unwrap_or(1));
    let (interval, window) = (millis(interval), millis(window));
    let mut late: Vec<Duration> = Vec::new();
    let (mut served, mut missed) = (0_u64, 0_u64);
    let due = window.as_millis() / interval.as_millis();
    for times in known.values() {
        served += times.len() as u64;
        // At its ends a window may cut off one probe.
        missed += (due as u64).saturating_sub(1).saturating_sub(times.len() as u64);
        late.extend(times.windows(2).map(|pair| pair[1].duration_since(pair[0]).abs_diff(interval)));
    }
    late.sort_unstable();
    let at = |share: f64| late.get((late.len() as f64 * share) as usize).or(late.last()).map_or(0, Duration::as_micros);
    format!("{served} {missed} {} {} {}", at(0.5), at(0.99), late.last().map_or(0, Duration::as_micros))
}

/// Lets this process and those it starts open as many files as the machine allows: two for each target.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Without the right to do so the larger rows fail and say why.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}
