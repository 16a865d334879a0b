//! A tunnel through a proxy: CONNECT, CONNECT inside TLS, or SOCKS 5.
//!
//! A proxy is part of our own path. What it reports of the target (502, 503, 504; SOCKS "refused" or "unreachable") is
//! distinguished from what it reports of us or of itself. The answer is read by hyper, which ignores headers about a
//! body in a 2xx to a CONNECT (RFC 9110 section 9.3.6).

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::authority::authority;
use super::byte_stream::ByteStream;
use super::user_agent::USER_AGENT;
use crate::config::proxy::{Proxy, ProxyLogin, Scheme};
use crate::config::settings::{Address, Host};
use crate::model::phase::Cause;

/// Bytes of a proxy's answer to a CONNECT: Squid's longest error heads are far below 2 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// A tunnel to `target` over `first_hop`, a connection to the proxy. The caller sets the deadline.
///
/// # Errors
///
/// Causes at the proxy, or [`Cause::ProxyTarget`], [`Cause::Refused`] and [`Cause::Unreachable`], which it reports of
/// the target.
pub(crate) async fn tunnel(
    proxy: &Proxy,
    first_hop: TcpStream,
    target: &Address,
) -> Result<Box<dyn ByteStream>, Cause> {
    match proxy.scheme {
        Scheme::Http => connect(proxy, Box::new(first_hop), target).await,
        Scheme::Https => connect(proxy, protect(proxy, first_hop).await?, target).await,
        Scheme::Socks => socks(proxy, first_hop, target).await,
    }
}

/// The cause of a failure on the way to the proxy itself, seen from the endpoints behind it.
pub(crate) const fn blamed(cause: Cause) -> Cause {
    match cause {
        Cause::OwnFault => Cause::OwnFault,
        Cause::Timeout | Cause::Unreachable | Cause::NoSuchName | Cause::ResolverFailed => Cause::ProxyUnreachable,
        Cause::ProxyDenied
        | Cause::ProxyLogin
        | Cause::ProxyDown
        | Cause::ProxyUnreachable
        | Cause::ProxySilent
        | Cause::ProxyTarget => cause,
        Cause::Refused
        | Cause::Reset
        | Cause::Closed
        | Cause::TlsBroken
        | Cause::TlsAlert
        | Cause::ClientCertificateRejected
        | Cause::ProtocolBroken
        | Cause::TooLarge
        | Cause::CredentialRejected
        | Cause::Unavailable
        | Cause::ServerError
        | Cause::OwnCredential
        | Cause::TokenWithheld
        | Cause::NoCredential
        | Cause::WithoutTls
        | Cause::WithTls
        | Cause::Foreign => Cause::ProxyDown,
    }
}

async fn connect(proxy: &Proxy, wire: Box<dyn ByteStream>, target: &Address) -> Result<Box<dyn ByteStream>, Cause> {
    let authority = authority(target).and_then(|uri| uri.into_parts().authority).ok_or(Cause::OwnFault)?;
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(authority.as_str())
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, USER_AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Cause::OwnFault)?;
    if let Some(login) = &proxy.login {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, basic(login).ok_or(Cause::OwnFault)?);
    }
    let mut http = hyper::client::conn::http1::Builder::new();
    let begun = http.max_buf_size(MAX_HEAD).handshake(TokioIo::new(wire)).await;
    let (mut sender, driver) = begun.map_err(|_| Cause::ProxyDown)?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|_| Cause::ProxyDown)?;
        match response.status() {
            status if status.is_success() => hyper::upgrade::on(response).await.map_err(|_| Cause::ProxyDown),
            status => Err(refusal(status)),
        }
    };
    let mut asking = std::pin::pin!(asking);
    let mut driving = std::pin::pin!(driver.with_upgrades());
    let mut is_over = false;
    let opened = std::future::poll_fn(|cx| {
        is_over = is_over || driving.as_mut().poll(cx).is_ready();
        asking.as_mut().poll(cx)
    });
    Ok(Box::new(TokioIo::new(opened.await?)))
}

/// The cause behind the status of a proxy that does not open the tunnel. Squid answers 503 where the target refuses or
/// has no name and 504 where it does not answer; HAProxy, nginx and Envoy use 502 and 503 alike.
fn refusal(status: StatusCode) -> Cause {
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => Cause::ProxyLogin,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Cause::ProxyTarget,
        _ => Cause::ProxyDenied,
    }
}

fn basic(login: &ProxyLogin) -> Option<HeaderValue> {
    let joined = Zeroizing::new([&login.user[..], b":", &login.password[..]].concat());
    let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*joined));
    let mut value = HeaderValue::from_str(&Zeroizing::new(format!("Basic {}", *encoded))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The system's CAs decide about the proxy: a kubeconfig names none for it.
async fn protect(proxy: &Proxy, first_hop: TcpStream) -> Result<Box<dyn ByteStream>, Cause> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|_| Cause::OwnFault)?
        .with_no_client_auth();
    let name = match proxy.address.host.clone().in_certificates() {
        Host::Ip(ip) => ServerName::from(ip),
        Host::Name(name) => ServerName::try_from(name).map_err(|_| Cause::OwnFault)?,
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Ok(Box::new(connector.connect(name, first_hop).await.map_err(|_| Cause::ProxyDown)?))
}

/// SOCKS 5 (RFC 1928, RFC 1929), implemented here because client libraries do not expose the replies that show whose
/// fault it is, and because a proxy that wants no login must stay usable with one configured.
async fn socks(proxy: &Proxy, mut wire: TcpStream, target: &Address) -> Result<Box<dyn ByteStream>, Cause> {
    const VERSION: u8 = 5;
    const NONE: u8 = 0;
    const BY_PASSWORD: u8 = 2;
    const CONNECT: u8 = 1;
    let methods: &[u8] = if proxy.login.is_some() { &[NONE, BY_PASSWORD] } else { &[NONE] };
    let count = u8::try_from(methods.len()).map_err(|_| Cause::OwnFault)?;
    say(&mut wire, &[&[VERSION, count], methods].concat()).await?;
    match (hear::<2>(&mut wire).await?, &proxy.login) {
        ([VERSION, NONE], _) => {}
        ([VERSION, BY_PASSWORD], Some(login)) => {
            let length = |part: &[u8]| u8::try_from(part.len()).map_err(|_| Cause::OwnFault);
            let (user, password) = (&login.user[..], &login.password[..]);
            let greeting = Zeroizing::new([&[1, length(user)?], user, &[length(password)?], password].concat());
            say(&mut wire, &greeting).await?;
            if hear::<2>(&mut wire).await?[1] != 0 {
                return Err(Cause::ProxyLogin);
            }
        }
        ([VERSION, _], _) => return Err(Cause::ProxyLogin),
        _ => return Err(Cause::ProxyDown),
    }
    let mut request = vec![VERSION, CONNECT, 0];
    match &target.host {
        Host::Ip(IpAddr::V4(ip)) => request.extend([&[1][..], &ip.octets()].concat()),
        Host::Ip(IpAddr::V6(ip)) => request.extend([&[4][..], &ip.octets()].concat()),
        Host::Name(name) => {
            request.extend([3, u8::try_from(name.len()).map_err(|_| Cause::OwnFault)?]);
            request.extend(name.as_bytes());
        }
    }
    request.extend(target.port.to_be_bytes());
    say(&mut wire, &request).await?;
    let [version, reply, _, kind] = hear::<4>(&mut wire).await?;
    if version != VERSION {
        return Err(Cause::ProxyDown);
    }
    match reply {
        0 => {}
        2 => return Err(Cause::ProxyDenied),
        // Network unreachable, host unreachable, time to live expired.
        3 | 4 | 6 => return Err(Cause::Unreachable),
        5 => return Err(Cause::Refused),
        _ => return Err(Cause::ProxyDown),
    }
    // The address the proxy connects from, which is not needed.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(hear::<1>(&mut wire).await?[0]),
        _ => return Err(Cause::ProxyDown),
    };
    let mut rest = vec![0; length + 2];
    wire.read_exact(&mut rest).await.map_err(|_| Cause::ProxyDown)?;
    Ok(Box::new(wire))
}

async fn say(wire: &mut TcpStream, bytes: &[u8]) -> Result<(), Cause> {
    wire.write_all(bytes).await.map_err(|_| Cause::ProxyDown)
}

async fn hear<const COUNT: usize>(wire: &mut TcpStream) -> Result<[u8; COUNT], Cause> {
    let mut bytes = [0; COUNT];
    wire.read_exact(&mut bytes).await.map_err(|_| Cause::ProxyDown)?;
    Ok(bytes)
}
