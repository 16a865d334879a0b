//! A sending mail client for checks of the lab's own servers; it waits a second for each answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::http::{self, Credentials};
use crate::net::Place;
use crate::smtp::{PASSWORD, USER};
use crate::world::World;

/// How a mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// In the clear, nameless.
    Clear,
    /// STARTTLS and a password, by LOGIN.
    StartTls,
    /// TLS from the first byte and a password, by PLAIN.
    Implicit,
    /// STARTTLS, nameless.
    TlsOnly,
}

/// Sends one mail from the bastion.
///
/// # Errors
/// When any answer is late, missing, or not the good one.
pub(crate) fn post(world: &World, port: u16, security: Security, subject: &str) -> Result<()> {
    let trust = Credentials { ca: world.pki.file("mail/ca", "crt"), client: None };
    world.network.inside(Place::Bastion, || {
        let mut tcp = TcpStream::connect((Place::Mail.ip(), port))?;
        tcp.set_read_timeout(Some(Duration::from_secs(1)))?;
        if security == Security::Clear {
            expect(&mut tcp, '2')?;
            return deliver(&mut tcp, subject);
        }
        if security != Security::Implicit {
            expect(&mut tcp, '2')?;
            say(&mut tcp, "EHLO bastion.test", '2')?;
            say(&mut tcp, "STARTTLS", '2')?;
        }
        let name = ServerName::IpAddress(std::net::IpAddr::V4(Place::Mail.ip()).into());
        let session = ClientConnection::new(Arc::new(http::client_config(&trust)?), name)?;
        let mut tls = StreamOwned::new(session, tcp);
        match security {
            Security::Implicit => {
                expect(&mut tls, '2')?;
                let token = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
                say(&mut tls, &format!("AUTH PLAIN {token}"), '2')?;
            }
            Security::StartTls => {
                say(&mut tls, "AUTH LOGIN", '3')?;
                say(&mut tls, &STANDARD.encode(USER), '3')?;
                say(&mut tls, &STANDARD.encode(PASSWORD), '2')?;
            }
            Security::Clear | Security::TlsOnly => {}
        }
        deliver(&mut tls, subject)
    })
}

fn deliver(stream: &mut (impl Read + Write), subject: &str) -> Result<()> {
    say(stream, "EHLO bastion.test", '2')?;
    say(stream, "MAIL FROM:<a@bastion.test>", '2')?;
    say(stream, "RCPT TO:<b@ops.test>", '2')?;
    say(stream, "DATA", '3')?;
    // A line that is one dot is sent as two: the second part of the text proves the unstuffing.
    let message = format!(
        "From: <a@bastion.test>\r\nTo: <b@ops.test>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@lab>\r\n\
         In-Reply-To: <second@lab>\r\nReferences: <root@lab> <second@lab>\r\nX-Vedette-Test: yes\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=cut\r\n\r\n\
         --cut\r\nContent-Type: text/plain\r\n\r\ntext of {subject}\r\n..\r\n\r\n\
         --cut\r\nContent-Type: text/html\r\n\r\n<b>{subject}</b>\r\n--cut--\r\n."
    );
    say(stream, &message, '2')
}

fn say(stream: &mut (impl Read + Write), text: &str, first_digit: char) -> Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    expect(stream, first_digit).with_context(|| format!("after {text}"))
}

/// Reads one whole reply and checks the first digit of its code.
fn expect(stream: &mut impl Read, first_digit: char) -> Result<()> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            bail!("closed after {text:?}");
        }
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        // The last line of a reply has a blank behind its code.
        let last = text.lines().last().unwrap_or_default();
        if text.ends_with('\n') && last.as_bytes().get(3) == Some(&b' ') {
            break;
        }
    }
    ensure!(text.starts_with(first_digit), "answered {text:?}");
    Ok(())
}
