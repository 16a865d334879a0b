//! CAs, servers and settings for the tests of probes.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use secrecy::SecretSlice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::test_clock;
use crate::collect::Collectors;
use crate::config::settings::{
    Address, ClientPair, Cluster, Credentials, Endpoint, Etcd, Host, Settings, Source, Vantage,
};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Unseen;
use crate::model::policy::Policy;
use crate::model::probe::{Hello, Probe, ProbeId, ProbeKind, ProbeRequest};
use crate::model::subject::{Name, Subject};

/// The name in every good server certificate.
pub(crate) const SERVER: &str = "api.example";
/// Whom the good client certificate names.
const CLIENT: &str = "watcher";

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) chain_pem: String,
    pub(crate) key: Vec<u8>,
    pub(crate) key_pem: String,
}

/// A CA, and what it issued.
pub(crate) struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The CA that the tests' settings trust.
pub(crate) static TRUSTED: LazyLock<TestCa> = LazyLock::new(|| TestCa::new("trusted"));
/// One they do not.
pub(crate) static FOREIGN: LazyLock<TestCa> = LazyLock::new(|| TestCa::new("foreign"));

impl TestCa {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn issue(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new([SERVER.to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        params.distinguished_name.push(DnType::CommonName, CLIENT);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Pair {
            chain: vec![certificate.der().to_vec()],
            chain_pem: certificate.pem(),
            key: key.serialize_der(),
            key_pem: key.serialize_pem(),
        }
    }

    pub(crate) fn server(&self) -> Pair {
        self.issue(&KeyPair::generate().unwrap(), |_| {})
    }
}

/// TLS as a server of `pair` uses it; asks for client certificates of `clients`.
pub(crate) fn tls(pair: &Pair, clients: Option<&TestCa>, alpn: &[u8]) -> Arc<ServerConfig> {
    tls_of(pair, clients, alpn, &[&rustls::version::TLS12, &rustls::version::TLS13])
}

pub(crate) fn tls_of(
    pair: &Pair,
    clients: Option<&TestCa>,
    alpn: &[u8],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = pair.chain.iter().map(|der| der.clone().into()).collect();
    let mut config = builder.with_single_cert(chain, PrivateKeyDer::Pkcs8(pair.key.clone().into())).unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

/// A server that does as the test says; gone when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Every accepted connection goes to `serve`, in a task of its own.
    pub(crate) async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::raw_at([127, 0, 0, 1].into(), serve).await
    }

    async fn raw_at<F>(own: IpAddr, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((own, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                served.spawn(serve(stream));
            }
        });
        Self { address, accepted, task }
    }

    /// The same after a TLS handshake; connections whose handshake fails are dropped.
    pub(crate) async fn tls<F>(
        config: Arc<ServerConfig>,
        serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::tls_at([127, 0, 0, 1].into(), config, serve).await
    }

    async fn tls_at<F>(
        own: IpAddr,
        config: Arc<ServerConfig>,
        serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::raw_at(own, move |stream| {
            let (acceptor, serve) = (TlsAcceptor::from(Arc::clone(&config)), serve.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        })
        .await
    }

    /// A good server that answers every request with `answer`, over and over, and reports each request's head.
    pub(crate) async fn answering(pair: &Pair, answer: impl Into<Vec<u8>>) -> (Self, mpsc::UnboundedReceiver<String>) {
        Self::answering_at([127, 0, 0, 1].into(), pair, answer).await
    }

    /// The same, reachable at `own`, an address of this machine.
    pub(crate) async fn answering_at(
        own: IpAddr,
        pair: &Pair,
        answer: impl Into<Vec<u8>>,
    ) -> (Self, mpsc::UnboundedReceiver<String>) {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        let (heads, seen) = mpsc::unbounded_channel();
        let server = Self::tls_at(own, tls(pair, None, b"http/1.1"), move |mut stream| {
            let (answer, heads) = (Arc::clone(&answer), heads.clone());
            async move {
                while let Some(head) = head(&mut stream).await {
                    let closes = head.contains("connection: close");
                    heads.send(head).ok();
                    if stream.write_all(&answer).await.is_err() || closes {
                        break;
                    }
                }
                stream.shutdown().await.ok();
            }
        })
        .await;
        (server, seen)
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Reads one request's head; `None` at the end of the stream.
pub(crate) async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).to_lowercase())
}

/// An answer with a length.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n{body}", body.len())
}

/// A whole configuration around a few endpoints.
pub(crate) struct Fixture {
    pub(crate) settings: Settings,
}

impl Fixture {
    /// One cluster `c` that trusts [`TRUSTED`] and has no credential.
    pub(crate) fn new() -> Self {
        let credentials = Credentials { anchors: Some(inline(&TRUSTED.pem())), ..Credentials::default() };
        let cluster = Cluster {
            name: name("c"),
            credentials,
            vip: None,
            vip_fails_over: false,
            apiservers: Vec::new(),
            etcds: Vec::new(),
            flow_control: false,
            apiserver_metrics: false,
            writer: None,
            canaries: None,
            zpages: false,
            files: Vec::new(),
            hosts: Default::default(),
            levels: [].into(),
        };
        let vantage = Vantage {
            name: "bastion".into(),
            listen: ([127, 0, 0, 1], 0).into(),
            web_config: None,
            recordings: None,
            control: None,
            store: "/nonexistent".into(),
            resolvers: Vec::new(),
            references: Vec::new(),
            time_zone: None,
        };
        let settings = Settings {
            vantage,
            mail: None,
            links: Default::default(),
            heartbeat: None,
            clusters: vec![cluster],
            files: Vec::new(),
            levels: [].into(),
            policy: Policy::default(),
            kubeconfigs: Vec::new(),
            file: Default::default(),
        };
        Self { settings }
    }

    /// With instance `c/apiserver/a` at `address`, expected to be [`SERVER`].
    pub(crate) fn apiserver(mut self, address: SocketAddr) -> Self {
        self.settings.clusters[0].apiservers.push((name("a"), endpoint(address, SERVER)));
        self
    }

    /// With etcd `c/etcd/e`, its members `m0`, `m1`, ... at `addresses`.
    pub(crate) fn etcd(mut self, addresses: &[SocketAddr]) -> Self {
        let members = addresses.iter().enumerate().map(|(n, at)| (name(&format!("m{n}")), endpoint(*at, SERVER)));
        let credentials = self.settings.clusters[0].credentials.clone();
        self.settings.clusters[0].etcds.push(Etcd {
            name: name("e"),
            credentials,
            quota_bytes: None,
            login: None,
            members: members.collect(),
            listeners: Vec::new(),
            at_listeners: Credentials::default(),
            is_metrics_only: false,
        });
        self
    }

    pub(crate) fn credentials(mut self, change: impl FnOnce(&mut Credentials)) -> Self {
        change(&mut self.settings.clusters[0].credentials);
        self
    }

    pub(crate) fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.settings.policy);
        self
    }

    pub(crate) fn collectors(&self) -> (Collectors, mpsc::Receiver<Observation>) {
        let (observed, observations) = mpsc::channel(64);
        (Collectors::new(&self.settings, test_clock(), observed).unwrap(), observations)
    }

    /// Probes once over a new connection.
    pub(crate) async fn see(&self, kind: ProbeKind) -> Observation {
        let (collectors, _observations) = self.collectors();
        let observation = collectors.probe(request(Probe::anew(instance(), kind))).await;
        collectors.shutdown().await;
        observation
    }
}

pub(crate) fn inline(text: &str) -> Source {
    Source::Inline(Arc::new(SecretSlice::from(text.as_bytes().to_vec())))
}

/// The client certificate in `pair`.
pub(crate) fn client(pair: &Pair) -> ClientPair {
    ClientPair { certificate: inline(&pair.chain_pem), key: inline(&pair.key_pem) }
}

pub(crate) fn endpoint(address: SocketAddr, expected: &str) -> Endpoint {
    let server_name = expected.parse().map_or_else(|_| Host::Name(expected.to_owned()), Host::Ip);
    Endpoint::new(Address { host: Host::Ip(address.ip()), port: address.port() }, Some(server_name))
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn instance() -> Subject {
    Subject::Apiserver(name("c"), name("a"))
}

pub(crate) fn request(probe: Probe) -> ProbeRequest {
    ProbeRequest { id: ProbeId(7), probe, scheduled: test_clock().now(), hello: Hello::Large }
}

/// Shorthand for what an assertion compares.
pub(crate) fn unseen(observation: &Observation) -> Unseen {
    *observation.outcome.as_ref().unwrap_err()
}

pub(crate) fn health(observation: &Observation) -> &crate::model::health::Health {
    let Ok(Reading::Health(health)) = &observation.outcome else { panic!("{observation:?}") };
    health
}

/// The address this machine would use towards others. A datagram socket that is connected sends nothing.
pub(crate) async fn outward_address() -> Option<IpAddr> {
    let socket = tokio::net::UdpSocket::bind(("0.0.0.0", 0)).await.ok()?;
    socket.connect(("192.0.2.1", 9)).await.ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}
