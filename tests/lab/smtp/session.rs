//! The SMTP talk itself: as much of RFC 5321, 3207 and 4954 as a sending client needs.

use std::net::TcpStream;

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::connection::Connection;
use super::{Fault, Received, Shared, Step};
use crate::clock;

/// Serves one connection to its end.
///
/// # Errors
/// When the connection breaks, by the client or by a fault that was asked for.
pub(super) fn serve(shared: &Shared, tcp: TcpStream, implicit: bool) -> Result<()> {
    let mut session = Session { shared, connection: Connection::new(tcp), account: None, from: None, to: Vec::new() };
    if implicit {
        session.connection = session.connection.encrypt(&shared.tls)?;
    }
    session.answer(Step::Greeting, 220, "mail.ops.test ESMTP of the lab")?;
    while let Some(line) = session.connection.line()? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" | "HELO" => session.hello()?,
            "STARTTLS" => {
                session.connection.reply(220, "go ahead")?;
                session.connection = session.connection.encrypt(&shared.tls)?;
            }
            "AUTH" => session.authenticate(&line)?,
            "MAIL" => {
                if session.answer(Step::Mail, 250, "sender ok")? {
                    session.from = Some(address(&line));
                    session.to.clear();
                }
            }
            "RCPT" => {
                if session.answer(Step::Rcpt, 250, "recipient ok")? {
                    session.to.push(address(&line));
                }
            }
            "DATA" => session.message()?,
            "RSET" => {
                session.from = None;
                session.to.clear();
                session.connection.reply(250, "forgotten")?;
            }
            "NOOP" => session.connection.reply(250, "ok")?,
            "QUIT" => return session.connection.reply(221, "bye"),
            _ => session.connection.reply(502, "not implemented")?,
        }
    }
    Ok(())
}

struct Session<'a> {
    shared: &'a Shared,
    connection: Connection,
    account: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl Session<'_> {
    /// Answers a step well, unless it is the one that goes wrong; says whether it went well.
    fn answer(&mut self, step: Step, code: u16, text: &str) -> Result<bool> {
        match self.shared.at(step) {
            None | Some(Fault::Stall) => self.connection.reply(code, text).map(|()| true),
            Some(Fault::Refuse(code)) => {
                self.connection.reply(code, &format!("refused on purpose at {step}"))?;
                if code == 421 {
                    bail!("refused with 421 at {step}");
                }
                Ok(false)
            }
            Some(Fault::Cut) => bail!("cut at {step}"),
        }
    }

    fn hello(&mut self) -> Result<()> {
        let starttls = if self.connection.is_encrypted() { "" } else { "STARTTLS\n" };
        let text = format!("mail.ops.test\nSIZE 33554432\n8BITMIME\n{starttls}AUTH PLAIN LOGIN\nENHANCEDSTATUSCODES");
        self.answer(Step::Ehlo, 250, &text).map(drop)
    }

    fn authenticate(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_whitespace().skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let initial = words.next().map(str::to_owned);
        let (user, password) = match mechanism.as_str() {
            "PLAIN" => {
                let reply = if let Some(initial) = initial { initial } else { self.challenge("")? };
                let text = decode(&reply)?;
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => {
                let user = if let Some(initial) = initial { initial } else { self.challenge("Username:")? };
                (decode(&user)?, decode(&self.challenge("Password:")?)?)
            }
            _ => return self.connection.reply(504, "mechanism unknown"),
        };
        if !self.shared.knows(&user, &password) {
            return self.connection.reply(535, "5.7.8 wrong name or password");
        }
        if self.answer(Step::Auth, 235, "2.7.0 welcome")? {
            self.account = Some(user);
        }
        Ok(())
    }

    fn challenge(&mut self, text: &str) -> Result<String> {
        // A reply needs a line even when the challenge is empty.
        let text = if text.is_empty() { " ".to_owned() } else { STANDARD.encode(text) };
        self.connection.reply(334, &text)?;
        let Some(line) = self.connection.line()? else { bail!("client left during AUTH") };
        Ok(String::from_utf8(line)?)
    }

    fn message(&mut self) -> Result<()> {
        let Some(from) = self.from.clone().filter(|_| !self.to.is_empty()) else {
            return self.connection.reply(503, "MAIL and RCPT first");
        };
        if !self.answer(Step::Data, 354, "end with a dot")? {
            return Ok(());
        }
        let mut bytes = Vec::new();
        loop {
            let Some(line) = self.connection.line()? else { bail!("client left inside the message") };
            if line == b"." {
                break;
            }
            bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            bytes.extend_from_slice(b"\r\n");
        }
        let mut received = Received {
            arrived: clock::now(),
            acknowledged: false,
            encrypted: self.connection.is_encrypted(),
            account: self.account.clone(),
            from,
            to: std::mem::take(&mut self.to),
            bytes,
        };
        self.from = None;
        let fault = self.shared.at(Step::Final);
        let outcome = match fault {
            Some(Fault::Refuse(code)) => return self.connection.reply(code, "refused on purpose after the message"),
            Some(Fault::Cut) => Err(anyhow::anyhow!("cut before the final reply")),
            None | Some(Fault::Stall) if self.connection.is_abandoned() => {
                Err(anyhow::anyhow!("client left before the reply"))
            }
            None | Some(Fault::Stall) => self.connection.reply(250, "2.0.0 accepted"),
        };
        received.acknowledged = outcome.is_ok();
        self.shared.server_state().received.push(received);
        outcome
    }
}

fn decode(text: &str) -> Result<String> {
    Ok(String::from_utf8(STANDARD.decode(text.trim())?)?)
}

/// What stands between the angle brackets.
fn address(line: &str) -> String {
    let inner = line.split_once('<').map_or("", |(_, rest)| rest);
    inner.split('>').next().unwrap_or_default().to_owned()
}
