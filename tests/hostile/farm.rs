//! Servers on loopback that misbehave on purpose, and two that do not.
//!
//! Each server does one thing to every connection, for as long as the connection lives. What that is stands in
//! `tls.rs`, `http1.rs` and `http2.rs`; who is to be there, and under what name it must be told, in `table.rs`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A connection after the handshake.
pub(crate) type Secured = tokio_rustls::server::TlsStream<TcpStream>;
/// What is done to one connection.
pub(crate) type Reply = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a server meets its connections.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// From the first byte on.
    Raw(fn(TcpStream) -> Reply),
    /// After a good handshake.
    Secured(fn(Secured) -> Reply),
    /// The same, with a chain of its own making in the handshake.
    Chain(fn(&TestCa) -> Vec<CertificateDer<'static>>, fn(Secured) -> Reply),
}

/// The CA that vedette is told to trust, and one key for all servers.
pub(crate) struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
}

/// Shows its chain to everybody, also one that no library would let it configure.
#[derive(Debug)]
struct Shameless(Arc<CertifiedKey>);

impl ResolvesServerCert for Shameless {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "farm");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, key: KeyPair::generate().unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A good certificate for loopback.
    pub(crate) fn leaf(&self) -> CertificateDer<'static> {
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.signed_by(&self.key, &self.issuer).unwrap().der().clone()
    }

    fn server(&self, chain: Vec<CertificateDer<'static>>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let key = provider.key_provider.load_private_key(key).unwrap();
        let shown = Shameless(Arc::new(CertifiedKey::new(chain, key)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Starts a server; it lives as long as the runtime.
    pub(crate) async fn start(&self, act: Act) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (chain, secured) = match act {
            Act::Raw(deed) => {
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(deed(stream));
                    }
                });
                return address;
            }
            Act::Secured(deed) => (vec![self.leaf()], deed),
            Act::Chain(chain, deed) => (chain(self), deed),
        };
        let acceptor = self.server(chain);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    if let Ok(stream) = acceptor.accept(stream).await {
                        secured(stream).await;
                    }
                });
            }
        });
        address
    }
}
