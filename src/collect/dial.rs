//! TCP to an endpoint, straight or through the proxy that a kubeconfig names.
//!
//! Ends where TLS to the endpoint begins. A proxy's tunnel counts as dialling, and what a proxy does wrong is the
//! proxy's fault, not the endpoint's.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use super::journey::Journey;
use super::names::Names;
use super::race;
use crate::config::settings::{Address, Host};
use crate::model::phase::{Cause, Phase, Unseen};

/// A byte stream to an endpoint.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// A stream and who is at the other end of its first hop.
pub(crate) struct Dialled {
    pub(crate) wire: Box<dyn Wire>,
    pub(crate) peer: IpAddr,
}

/// Why a proxy's URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    /// Neither `http`, `https` nor `socks5`.
    #[error("the proxy's scheme '{0}' is not one of http, https, socks5")]
    Scheme(String),
    /// No host.
    #[error("the proxy's URL names no host")]
    Host,
}

/// A proxy every connection of a cluster goes through.
#[derive(Clone)]
pub(crate) struct Proxy {
    kind: Kind,
    address: Address,
    login: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// CONNECT.
    Http,
    /// CONNECT inside TLS.
    Https,
    /// SOCKS version 5, names resolved by the proxy.
    Socks,
}

/// Without the login.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("kind", &self.kind).field("address", &self.address).finish_non_exhaustive()
    }
}

impl Proxy {
    /// # Errors
    ///
    /// When `url` is of a scheme that is not spoken, or has no host.
    pub(crate) fn new(url: &Url) -> Result<Self, BadProxy> {
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" => (Kind::Socks, 1080),
            other => return Err(BadProxy::Scheme(other.to_owned())),
        };
        let host = match url.host().ok_or(BadProxy::Host)? {
            url::Host::Domain(name) => name.parse().map_or_else(|_| Host::Name(name.to_owned()), Host::Ip),
            url::Host::Ipv4(ip) => Host::Ip(ip.into()),
            url::Host::Ipv6(ip) => Host::Ip(ip.into()),
        };
        let login = (!url.username().is_empty())
            .then(|| (url.username().to_owned(), url.password().unwrap_or_default().to_owned()));
        Ok(Self { kind, address: Address { host, port: url.port().unwrap_or(port) }, login })
    }

    /// Where it is dialled.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    async fn tunnel(&self, first_hop: TcpStream, target: &Address) -> Result<Box<dyn Wire>, Cause> {
        let to = authority(target).ok_or(Cause::OwnFault)?;
        let wire: Box<dyn Wire> = match self.kind {
            Kind::Http | Kind::Socks => Box::new(first_hop),
            Kind::Https => Box::new(self.protect(first_hop).await?),
        };
        let connector = Already(Some(TokioIo::new(wire)));
        // The proxy's address was dialled already; the tunnel only needs some URI to hand to the connector.
        let proxy = Uri::from_static("http://proxy");
        let tunnelled = match self.kind {
            Kind::Http | Kind::Https => {
                let mut tunnel = Tunnel::new(proxy, connector);
                if let Some(authorization) = self.basic() {
                    tunnel = tunnel.with_auth(authorization);
                }
                tunnel.call(to).await.map_err(|_| Cause::ProxyRefused)?
            }
            Kind::Socks => {
                let mut socks = SocksV5::new(proxy, connector);
                if let Some((user, password)) = &self.login {
                    socks = socks.with_auth(user.clone(), password.clone());
                }
                socks.call(to).await.map_err(|_| Cause::ProxyRefused)?
            }
        };
        Ok(tunnelled.into_inner())
    }

    /// The system's authorities decide about the proxy: a kubeconfig names none for it.
    async fn protect(&self, first_hop: TcpStream) -> Result<impl Wire + use<>, Cause> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|_| Cause::OwnFault)?
            .with_no_client_auth();
        let name = match self.address.host.clone().in_certificates() {
            Host::Ip(ip) => ServerName::from(ip),
            Host::Name(name) => ServerName::try_from(name).map_err(|_| Cause::OwnFault)?,
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, first_hop).await.map_err(|_| Cause::ProxyRefused)
    }

    fn basic(&self) -> Option<HeaderValue> {
        use base64::Engine;
        let (user, password) = self.login.as_ref()?;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Connects to `address`, through `proxy` if there is one.
///
/// Every address of a name is tried within the one deadline (`race.rs`), so that a dead first address does not hide a
/// living second one.
///
/// # Errors
///
/// In the resolve or dial phase.
pub(crate) async fn dial(
    names: &Arc<Names>,
    address: &Address,
    proxy: Option<&Proxy>,
    limit: Duration,
    journey: &Journey,
) -> Result<Dialled, Unseen> {
    let first_hop = proxy.map_or(address, |proxy| &proxy.address);
    let places = names.places(first_hop, limit, journey).await?;
    let connect = async {
        let (stream, peer) =
            race::connect(names, first_hop, places, limit, journey).await.map_err(|cause| match (proxy, cause) {
                (Some(_), Cause::Refused | Cause::Reset | Cause::Closed) => Cause::ProxyRefused,
                (_, cause) => cause,
            })?;
        let wire = match proxy {
            Some(proxy) => proxy.tunnel(stream, address).await?,
            None => Box::new(stream),
        };
        Ok(Dialled { wire, peer })
    };
    journey.step(Phase::Dial, limit, connect).await
}

/// `host:port` as a URI, brackets around IPv6.
pub(crate) fn authority(address: &Address) -> Option<Uri> {
    let host = match &address.host {
        Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        Host::Ip(IpAddr::V4(ip)) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    Uri::builder().scheme("https").authority(format!("{host}:{}", address.port)).path_and_query("/").build().ok()
}

/// Hands out the one connection that exists already.
struct Already<S>(Option<S>);

impl<S> Service<Uri> for Already<S> {
    type Response = S;
    type Error = std::io::Error;
    type Future = Ready<Result<S, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| std::io::ErrorKind::NotConnected.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_from_their_urls() {
        let proxy = |url: &str| Proxy::new(&url.parse().unwrap());

        let plain = proxy("http://me:pw@proxy.example:3128").unwrap();
        assert_eq!((plain.kind, plain.address.port), (Kind::Http, 3128));
        assert_eq!(plain.basic().unwrap(), "Basic bWU6cHc=");
        assert!(!format!("{plain:?}").contains("pw"));
        assert_eq!(proxy("https://[::1]").unwrap().address.host, Host::Ip("::1".parse().unwrap()));
        assert_eq!(
            proxy("socks5://10.0.0.1").unwrap().address,
            Address { host: Host::Ip("10.0.0.1".parse().unwrap()), port: 1080 }
        );
        assert_eq!(proxy("ftp://x").unwrap_err(), BadProxy::Scheme("ftp".into()));
    }
}
