//! A reply of a relay, read as bytes: its code decides, its text is for people.
//!
//! RFC 5321 section 4.2 makes the text optional and bids a client go by the code alone. Relays write the text in the
//! letters of their country (Latin-1, GBK, Big5), over several lines or not at all; none of that may turn a mail that
//! was taken into one that is sent again and again. Used by `smtp_connection.rs`.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Bytes of a line that are kept, its end not counted; the rest is read and thrown away. Source: RFC 5321 section
/// 4.5.3.1.5, which allows 512 with the end.
const LINE: usize = 510;

/// Lines of a reply that are kept; the rest is read and thrown away, within what the meter below TLS lets through. The
/// longest usual reply, that to EHLO, has some twenty.
const LINES: usize = 64;

/// Lines without a code that are passed over in one answer: debug output of a relay, text broken without `250-`.
const STRAY: usize = 16;

/// Time between a first line without a code and the greeting behind it. An SSH server says one and then waits for us.
const PATIENCE: Duration = Duration::from_secs(2);

/// One whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The relay closed the connection before its answer was whole.
    #[error("the relay hung up without an answer")]
    Closed,
    /// Something else than an SMTP server.
    #[error("what answers is no SMTP server, or broken: '{0}'")]
    Garbage(String),
}

impl Reply {
    /// Three digits, the first of them 2 to 5.
    pub(super) const fn code(&self) -> u16 {
        self.code
    }

    /// Class of the code: 2 is done, 3 go on, 4 not now, 5 never. Source: RFC 5321 section 4.2.1, which bids clients go
    /// by the first digit where they do not know the rest.
    pub(super) const fn class(&self) -> u16 {
        self.code / 100
    }

    /// The text, line by line.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Code and text in one line: `250 2.0.0 Ok: queued as 4F2A`.
    pub(super) fn text(&self) -> String {
        let words: Vec<&str> = self.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        format!("{} {}", self.code, words.join(" ")).trim_end().to_owned()
    }
}

/// Reads one reply. The code of its last line counts: RFC 5321 section 4.2.1 has clients use that line and ignore those
/// before it, so differing codes need no handling.
///
/// # Errors
/// When the connection ends or breaks before the last line, or no reply is in sight.
pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, Unread> {
    read_on(stream, None).await
}

/// As [`read`], of a peer that may be no relay at all: after a line without a code the next is waited for a short while
/// only, so that the deadline does not hide what was received.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_greeting(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, Unread> {
    read_on(stream, Some(PATIENCE)).await
}

async fn read_on(stream: &mut (impl AsyncBufRead + Unpin), patience: Option<Duration>) -> Result<Reply, Unread> {
    let mut lines = Vec::new();
    let mut stray: Vec<String> = Vec::new();
    loop {
        let next = match patience.filter(|_| !stray.is_empty()) {
            Some(patience) => tokio::time::timeout(patience, line(stream)).await.unwrap_or(Ok(None)),
            None => line(stream).await,
        };
        let Some(bytes) = next? else {
            // What came instead of an answer says more than that none came.
            return Err(stray.into_iter().next().map_or(Unread::Closed, Unread::Garbage));
        };
        let Some(ReplyLine { code, is_last, text }) = ReplyLine::parse(&bytes) else {
            stray.push(String::from_utf8_lossy(&bytes).into_owned());
            if stray.len() > STRAY {
                return Err(Unread::Garbage(stray.swap_remove(0)));
            }
            continue;
        };
        if lines.len() < LINES {
            lines.push(String::from_utf8_lossy(text).into_owned());
        }
        if is_last {
            return Ok(Reply { code, lines });
        }
    }
}

/// One line with a code.
struct ReplyLine<'a> {
    code: u16,
    is_last: bool,
    text: &'a [u8],
}

impl<'a> ReplyLine<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (digits, rest) = bytes.split_first_chunk::<3>()?;
        let [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] = digits else { return None };
        let code = digits.iter().fold(0, |code, digit| 10 * code + u16::from(digit - b'0'));
        match rest.split_first() {
            None => Some(Self { code, is_last: true, text: rest }),
            Some((b' ' | b'\t', text)) => Some(Self { code, is_last: true, text }),
            Some((b'-', text)) => Some(Self { code, is_last: false, text }),
            Some(_) => None,
        }
    }
}

/// The next line without its end, cut to [`LINE`]; `None` when the connection ends before the line does.
async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let there = stream.fill_buf().await?;
        if there.is_empty() {
            return Ok(None);
        }
        let end = there.iter().position(|byte| *byte == b'\n');
        let part = &there[..end.unwrap_or(there.len())];
        // One more, for the carriage return.
        let room = (LINE + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(there.len(), |end| end + 1);
        stream.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            line.truncate(LINE);
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn reply(bytes: &[u8]) -> Result<Reply, Unread> {
        read(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn the_code_is_read_whatever_the_text_is_written_in() {
        for (bytes, code, text) in [
            (&b"250 2.0.0 Ok\r\n"[..], 250, "250 2.0.0 Ok"),
            (b"250 viele Gr\xfc\xdfe\r\n", 250, "250 viele Gr\u{fffd}\u{fffd}e"),
            (b"220 \xbb\xb6\xd3\xad smtp\r\n", 220, "220 \u{fffd}\u{fffd}\u{4ed}\u{fffd} smtp"),
            (b"550 \xa8\xcf\xa5\xce\xaa\xcc\r\n", 550, "550 \u{fffd}\u{3e5}\u{3aa}\u{fffd}"),
            (b"250\r\n", 250, "250"),
            (b"250 \r\n", 250, "250"),
            (b"354\n", 354, "354"),
            (b"250-one\r\n250-\r\n250-two\r\n250\r\n", 250, "250 one two"),
            (b"250-differs\r\n451 now\r\n", 451, "451 differs now"),
            (b"debug: \xff\r\n\r\n250 ok\r\n", 250, "250 ok"),
            (b"250-one\r\nno code here\r\n2500 nor here\r\n250 two\r\n250 another reply\r\n", 250, "250 one two"),
        ] {
            let reply = reply(bytes).await.unwrap();

            assert_eq!(reply.code(), code, "{bytes:?}");
            assert_eq!(reply.class(), code / 100);
            if !text.contains('\u{fffd}') {
                assert_eq!(reply.text(), text);
            }
        }
    }

    #[tokio::test]
    async fn what_ends_too_early_is_no_reply() {
        for bytes in [&b""[..], b"250", b"250 ok", b"250-one\r\n", b"250-one\r\n250"] {
            assert!(matches!(reply(bytes).await, Err(Unread::Closed)), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn another_server_is_told_by_its_own_words() {
        let told = reply(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n").await.unwrap_err().to_string();
        assert!(told.contains("HTTP/1.1 400 Bad Request"), "{told}");

        let endless = reply(&b"SSH-2.0-OpenSSH_9.2\n".repeat(STRAY + 1)).await.unwrap_err().to_string();
        assert!(endless.contains("SSH-2.0"), "{endless}");
    }

    #[tokio::test]
    async fn lines_and_their_number_are_bounded_and_the_code_still_counts() {
        let long = [b"250 ", "x".repeat(9000).as_bytes(), b"\r\n"].concat();
        let kept = reply(&long).await.unwrap();
        assert_eq!((kept.code(), kept.lines().next().unwrap().len()), (250, LINE - 4));

        let many = [b"250-more\r\n".repeat(500), b"250 end\r\n".to_vec()].concat();
        let kept = reply(&many).await.unwrap();
        assert_eq!((kept.code(), kept.lines().count()), (250, LINES));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused_within_its_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok(reply) = runtime.block_on(reply(&bytes)) {
                prop_assert!((200..600).contains(&reply.code()));
                prop_assert!(reply.lines().count() <= LINES);
            }
        }

        #[test]
        fn any_text_behind_a_code_leaves_the_code(code in 200_u16..600, text in proptest::collection::vec(any::<u8>(), 0..600)) {
            let text: Vec<u8> = text.into_iter().filter(|byte| !b"\r\n".contains(byte)).collect();
            let bytes = [format!("{code} ").as_bytes(), &text, b"\r\n"].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

            prop_assert_eq!(runtime.block_on(reply(&bytes)).unwrap().code(), code);
        }
    }
}
