//! One connection to a relay: a command goes out, its reply is waited for, and its code says what was answered.
//!
//! lettre writes the commands; reading the replies is ours (`reply.rs`), because lettre takes letters that are not
//! UTF-8, a code without text or a login question in other words for a broken talk. Knows neither deadlines nor which
//! step follows: `smtp_session.rs` does.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Ehlo, Quit, Starttls};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use crate::metered::Meter;

use super::reply::{self, Reply, Unread};

/// Bytes that one reply may cost below TLS, records and new traffic keys included. The longest usual one, that to EHLO,
/// has 1 KiB.
const REPLY: usize = 16 * 1024;

/// What a dialogue runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// The connection, and what the relay offers on it.
pub(super) struct SmtpConnection<S = Box<dyn Stream>> {
    stream: BufReader<S>,
    meter: Arc<Meter>,
    offers: Vec<String>,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The relay answers with another code than the command needs.
    #[error("{}", .0.text())]
    Refused(Reply),
    /// No reply.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The command could not be sent.
    #[error(transparent)]
    Unsent(io::Error),
    /// The relay cannot do what we need, or is not to be trusted with it.
    #[error("{0}")]
    Unfit(&'static str),
}

impl<S: Stream> SmtpConnection<S> {
    /// A dialogue over `stream`, whose peer is counted by `meter`. Nothing is read yet.
    pub(super) fn over(stream: S, meter: Arc<Meter>) -> Self {
        Self { stream: BufReader::new(stream), meter, offers: Vec::new() }
    }

    /// Waits for the relay's greeting.
    pub(super) async fn greeting(&mut self) -> Result<(), Trouble> {
        let greeting = reply::read_greeting(&mut self.stream).await?;
        expect(2, greeting).map(drop)
    }

    /// Greets, and learns what the relay offers.
    pub(super) async fn ehlo(&mut self, hello: &ClientId) -> Result<(), Trouble> {
        let reply = self.command(&Ehlo::new(hello.clone()).to_string()).await?;
        self.offers = reply.lines().map(|line| line.trim().to_ascii_uppercase()).collect();
        Ok(())
    }

    /// Whether the relay's answer to EHLO had this keyword, in capitals.
    pub(super) fn offers(&self, keyword: &str) -> bool {
        self.parameters(keyword).next().is_some()
    }

    /// Sends a line that is to be answered by a code of class 2.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, Trouble> {
        expect(2, self.ask(line.as_bytes()).await?)
    }

    /// Sends a line that is to be answered by a code of class 3: the relay waits for more.
    pub(super) async fn opening(&mut self, line: &str) -> Result<Reply, Trouble> {
        expect(3, self.ask(line.as_bytes()).await?)
    }

    /// Hands over the message. Only a code of class 2 says that the relay has taken it.
    pub(super) async fn content(&mut self, mime_message: &[u8]) -> Result<Reply, Trouble> {
        expect(2, self.ask(&transparent(mime_message)).await?)
    }

    /// Ends the session with QUIT.
    pub(super) async fn quit(&mut self) -> Result<(), Trouble> {
        self.command(&Quit.to_string()).await.map(drop)
    }

    /// Asks for TLS; the stream below is then ready for a handshake.
    pub(super) async fn starttls(mut self) -> Result<(S, Arc<Meter>), Trouble> {
        if !self.offers("STARTTLS") {
            return Err(Trouble::Unfit("the relay offers no STARTTLS"));
        }
        self.command(&Starttls.to_string()).await?;
        // What was received before the handshake is dropped, because a third party may have sent it.
        if !self.stream.buffer().is_empty() {
            return Err(Trouble::Unfit("the relay, or somebody on the way to it, talks on before TLS"));
        }
        Ok((self.stream.into_inner(), self.meter))
    }

    /// Logs in. The order of the questions says what is asked for, not their words: relays ask in their own, or not at
    /// all. The reply is not for people: it may repeat the password.
    pub(super) async fn log_in(&mut self, login: &Credentials) -> Result<(), Trouble> {
        let knows = |mechanism| self.parameters("AUTH").any(|offer| offer.split(' ').any(|word| word == mechanism));
        let lines = match (knows("PLAIN"), knows("LOGIN")) {
            // The second is for relays that ask although the first had everything.
            (true, _) => [Some(first(Mechanism::Plain, login)), Some(plain(login)), None],
            (false, true) => {
                let answer = |question| Some(following(login, question));
                [Some(first(Mechanism::Login, login)), answer("Username"), answer("Password")]
            }
            (false, false) => return Err(Trouble::Unfit("the relay offers no login by PLAIN or LOGIN")),
        };
        let mut reply = None;
        for line in lines.into_iter().flatten() {
            let answer = self.ask(line?.as_bytes()).await?;
            let asks_on = answer.class() == 3;
            reply = Some(answer);
            if !asks_on {
                break;
            }
        }
        reply.map_or(Ok(()), |reply| expect(2, reply).map(drop))
    }

    /// What stands behind a keyword, for each line that begins with it. Old servers write `AUTH=LOGIN`.
    fn parameters<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a str> {
        self.offers.iter().filter_map(move |offer| match offer.strip_prefix(keyword)? {
            "" => Some(""),
            rest => rest.strip_prefix([' ', '=']),
        })
    }

    async fn ask(&mut self, bytes: &[u8]) -> Result<Reply, Trouble> {
        // A reply that was there before its command answers nothing, and must not pass for the acceptance of what comes
        // next; except that a relay may say at any time that it closes (RFC 5321 section 3.8).
        let early = self.stream.buffer().len();
        if !self.stream.buffer().starts_with(b"421") {
            self.stream.consume(early);
        }
        self.meter.grant(REPLY);
        match self.send(bytes).await {
            Ok(()) => Ok(reply::read(&mut self.stream).await?),
            // A relay that refuses and closes while it still receives has sent the reason before.
            Err(error) => match reply::read(&mut self.stream).await {
                Ok(reply) if reply.class() > 3 => Ok(reply),
                Ok(_) | Err(_) => Err(Trouble::Unsent(error)),
            },
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await?;
        self.stream.get_mut().flush().await
    }
}

const fn expect(class: u16, reply: Reply) -> Result<Reply, Trouble> {
    if reply.class() == class { Ok(reply) } else { Err(Trouble::Refused(reply)) }
}

fn first(mechanism: Mechanism, login: &Credentials) -> Result<String, Trouble> {
    written(Auth::new(mechanism, login.clone(), None))
}

/// The answer to a question of LOGIN that lettre knows.
fn following(login: &Credentials, question: &str) -> Result<String, Trouble> {
    written(Auth::new(Mechanism::Login, login.clone(), Some(question.to_owned())))
}

fn written(auth: Result<Auth, lettre::transport::smtp::Error>) -> Result<String, Trouble> {
    auth.map(|auth| auth.to_string()).map_err(|_| Trouble::Unfit("the login cannot be written down"))
}

fn plain(login: &Credentials) -> Result<String, Trouble> {
    let answer = Mechanism::Plain.response(login, None);
    let answer = answer.map_err(|_| Trouble::Unfit("the login cannot be written down"))?;
    Ok(format!("{}\r\n", STANDARD.encode(answer)))
}

/// The message with its end, dots at the beginning of lines doubled. Source: RFC 5321 section 4.5.2.
fn transparent(mime_message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mime_message.len() + 16);
    for line in mime_message.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(if mime_message.is_empty() || mime_message.ends_with(b"\r\n") {
        b".\r\n"
    } else {
        b"\r\n.\r\n"
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_one_dot_does_not_end_the_message() {
        for (mime_message, sent) in [
            (&b"a\r\n.\r\nb\r\n"[..], &b"a\r\n..\r\nb\r\n.\r\n"[..]),
            (b".a\r\n..b", b"..a\r\n...b\r\n.\r\n"),
            (b"", b".\r\n"),
        ] {
            assert_eq!(transparent(mime_message), sent);
        }
    }
}
