//! A small SMTP server on loopback that does as it is told at every step.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::settings::{Address, Host, Mail, MailTls, Source};

/// Points at which the server can be told to do something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Handshake,
    Greeting,
    Ehlo,
    StartTls,
    /// One question of AUTH LOGIN.
    Question,
    Auth,
    Mail,
    Rcpt,
    Data,
    Content,
    Quit,
}

/// What it does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    AsUsual,
    Reply(&'static str),
    /// These bytes and no more.
    ByteQueue(&'static [u8]),
    Stall,
    Cut,
    /// A line without an end.
    Flood,
}

/// A mail it took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(crate) hello: String,
    pub(crate) login: Option<String>,
    pub(crate) is_encrypted: bool,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) content: Vec<u8>,
}

pub(crate) type Script = Arc<dyn Fn(At, &str) -> Act + Send + Sync>;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) ca: PathBuf,
    pub(crate) taken: Arc<Mutex<Vec<Taken>>>,
    home: tempfile::TempDir,
    tls: MailTls,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Ends the session: the script said so, or the client left.
struct Over;

impl Relay {
    pub(crate) async fn start(tls: MailTls, script: impl Fn(At, &str) -> Act + Send + Sync + 'static) -> Self {
        Self::start_as(tls, certificate(), script).await
    }

    /// With this CA, or what stands for one, and what the server shows.
    pub(crate) async fn start_as(
        tls: MailTls,
        (authority, acceptor): (String, TlsAcceptor),
        script: impl Fn(At, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        crate::notify::install_provider();
        let home = tempfile::tempdir().unwrap();
        let ca = home.path().join("ca.pem");
        std::fs::write(&ca, authority).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        tokio::spawn({
            let taken = Arc::clone(&taken);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (script, taken, acceptor) = (Arc::clone(&script), Arc::clone(&taken), acceptor.clone());
                    tokio::spawn(async move { drop(serve(stream, tls, &script, &taken, &acceptor).await) });
                }
            }
        });
        Self { address, ca, taken, home, tls }
    }

    /// Settings that reach this relay.
    pub(crate) fn settings(&self) -> Mail {
        Mail {
            relay: Address { host: Host::Ip(self.address.ip()), port: self.address.port() },
            tls: self.tls,
            ca: (self.tls != MailTls::Plain).then(|| Source::File(self.ca.clone())),
            login: None,
            from: "vedette <vedette@bastion.example>".into(),
            to: vec!["ops@example.org".into(), "boss@example.org".into()],
            reply_to: Some("team@example.org".into()),
        }
    }

    /// A file of this relay's own directory.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn only(&self) -> Taken {
        let taken = self.taken.lock().unwrap();
        assert_eq!(taken.len(), 1);
        taken[0].clone()
    }
}

/// A CA of its own each time, and a server certificate for 127.0.0.1.
pub(crate) fn certificate() -> (String, TlsAcceptor) {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    (issuer.pem(), shown(leaf.der().clone(), &key))
}

/// A certificate as `openssl req -x509` makes it, signed by itself and marked as a CA (CA:TRUE), for `name`.
pub(crate) fn self_signed(name: &str) -> (String, TlsAcceptor) {
    let mut parameters = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.pem(), shown(certificate.der().clone(), &key))
}

fn shown(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    stream: tokio::net::TcpStream,
    tls: MailTls,
    script: &Script,
    taken: &Mutex<Vec<Taken>>,
    acceptor: &TlsAcceptor,
) -> Result<(), Over> {
    let mut stream: Box<dyn Stream> = Box::new(stream);
    let mut mail = Taken::default();
    if tls == MailTls::Implicit {
        stream = encrypt(stream, script, acceptor).await?;
        mail.is_encrypted = true;
    }
    let mut stream = BufReader::new(stream);
    answer(&mut stream, script, At::Greeting, "", "220 relay.test ESMTP").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.map_err(|_| Over)? == 0 {
            return Err(Over);
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                mail.hello = line[5..].into();
                let offer = if tls == MailTls::StartTls && !mail.is_encrypted { "STARTTLS" } else { "AUTH PLAIN" };
                let usual = format!("250-relay.test\r\n250-8BITMIME\r\n250 {offer}");
                answer(&mut stream, script, At::Ehlo, line, &usual).await?;
            }
            "STARTTLS" => {
                answer(&mut stream, script, At::StartTls, line, "220 go ahead").await?;
                stream = BufReader::new(encrypt(stream.into_inner(), script, acceptor).await?);
                mail.is_encrypted = true;
            }
            "AUTH" => {
                let given = match line.strip_prefix("AUTH PLAIN ") {
                    Some(given) => decoded(given).replace('\0', " ").trim().to_owned(),
                    None => questioned(&mut stream, script).await?,
                };
                answer(&mut stream, script, At::Auth, &given, "235 welcome").await?;
                mail.login = Some(given);
            }
            "MAIL" => {
                answer(&mut stream, script, At::Mail, line, "250 fine").await?;
                mail.from = address(line);
            }
            "RCPT" => {
                if answer(&mut stream, script, At::Rcpt, line, "250 fine").await? {
                    mail.to.push(address(line));
                }
            }
            "DATA" => {
                answer(&mut stream, script, At::Data, line, "354 go ahead").await?;
                mail.content = content(&mut stream).await?;
                if answer(&mut stream, script, At::Content, "", "250 2.0.0 Ok: queued as 4F2A").await? {
                    taken.lock().unwrap().push(mail.clone());
                }
            }
            _ => {
                answer(&mut stream, script, At::Quit, line, "221 bye").await?;
                return Ok(());
            }
        }
    }
}

/// Asks for user and password, as scripted.
async fn questioned(stream: &mut BufReader<Box<dyn Stream>>, script: &Script) -> Result<String, Over> {
    let mut given = Vec::new();
    for usual in ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] {
        answer(stream, script, At::Question, "", usual).await?;
        let mut line = String::new();
        stream.read_line(&mut line).await.map_err(|_| Over)?;
        given.push(decoded(line.trim_end()));
    }
    Ok(given.join(" "))
}

fn decoded(given: &str) -> String {
    let given = base64::engine::general_purpose::STANDARD.decode(given).unwrap_or_default();
    String::from_utf8_lossy(&given).into_owned()
}

/// Answers as scripted; says whether the answer was a yes.
async fn answer(
    stream: &mut BufReader<Box<dyn Stream>>,
    script: &Script,
    at: At,
    line: &str,
    usual: &str,
) -> Result<bool, Over> {
    let bytes = match script(at, line) {
        Act::AsUsual => format!("{usual}\r\n").into_bytes(),
        Act::Reply(text) => format!("{text}\r\n").into_bytes(),
        Act::ByteQueue(bytes) => bytes.to_vec(),
        Act::Stall => std::future::pending().await,
        Act::Cut => return Err(Over),
        Act::Flood => loop {
            stream.get_mut().write_all(&[b'2'; 4096]).await.map_err(|_| Over)?;
        },
    };
    stream.get_mut().write_all(&bytes).await.map_err(|_| Over)?;
    stream.get_mut().flush().await.map_err(|_| Over)?;
    let last = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    Ok(last.is_some_and(|line| line.starts_with(b"2")))
}

async fn encrypt(stream: Box<dyn Stream>, script: &Script, acceptor: &TlsAcceptor) -> Result<Box<dyn Stream>, Over> {
    match script(At::Handshake, "") {
        Act::Stall => {
            let _held = stream;
            std::future::pending().await
        }
        Act::Cut => Err(Over),
        Act::AsUsual | Act::Reply(_) | Act::ByteQueue(_) | Act::Flood => {
            Ok(Box::new(acceptor.accept(stream).await.map_err(|_| Over)?))
        }
    }
}

/// Reads up to the lone dot and undoes dot-stuffing.
async fn content(stream: &mut BufReader<Box<dyn Stream>>) -> Result<Vec<u8>, Over> {
    let mut content = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.map_err(|_| Over)? == 0 {
            return Err(Over);
        }
        if line == b".\r\n" {
            return Ok(content);
        }
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
