//! One line of what an external program wrote to its error output, fit for a log and a mail: short, printable, without
//! secrets.
//!
//! Everything that could be a secret is removed, which may remove too much: the beginning of the line nearly always
//! says what is wrong.

use super::sanitize::{clip, push};

/// Bytes of a program's error output that are read.
pub(crate) const BYTES: u64 = 4096;

/// Characters kept of the line.
const MOST: usize = 160;

/// Letters and digits in one piece from which on it is taken for a secret; the longest words of programs are shorter.
const LONG: usize = 24;

/// Words that a secret follows.
const TELLING: [&str; 9] =
    ["token", "secret", "password", "passwd", "passphrase", "bearer", "basic", "authorization", "key"];

/// The first line with anything in it.
pub(crate) fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(shown(line))
}

/// `text` on one line, printable, without what could be a secret.
pub(crate) fn shown(text: &str) -> String {
    let mut words = Vec::new();
    let mut is_told = false;
    for word in text.split_whitespace().take(MOST) {
        let (struck, tells) = strike(word, is_told);
        is_told = tells;
        words.push(struck);
    }
    let mut out = String::new();
    words.join(" ").chars().for_each(|c| push(&mut out, c));
    clip(out, MOST)
}

/// A word without its secrets, and whether the next one is to be a secret. `is_told`: the word before said so of this.
fn strike(word: &str, is_told: bool) -> (String, bool) {
    let names = |text: &str| {
        let name = text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        TELLING.iter().any(|telling| name.ends_with(telling))
    };
    if let Some((name, value)) = word.split_once(['=', ':']).filter(|(name, _)| names(name)) {
        let divider = &word[name.len()..word.len() - value.len()];
        let has_value = value.chars().any(char::is_alphanumeric);
        let is_scheme = names(value);
        return match (has_value, is_scheme) {
            (false, _) => (word.to_owned(), true),
            (true, true) => (word.to_owned(), true),
            (true, false) => (format!("{name}{divider}***"), false),
        };
    }
    if names(word) && word.to_lowercase().ends_with(|c: char| c.is_alphanumeric()) {
        // `Bearer abc` has its secret behind it; in `token expired` nothing is lost but a word.
        let is_scheme = ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        return (word.to_owned(), is_scheme);
    }
    let is_secret = is_told && word.chars().any(char::is_alphanumeric);
    if is_secret { ("***".to_owned(), false) } else { (without_long(word), false) }
}

/// `word` with pieces of letters and digits that are too long for words struck out, and the login of a URL.
fn without_long(word: &str) -> String {
    let without_login = match word.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, rest))) => format!("{scheme}://***@{rest}"),
        None => word.to_owned(),
    };
    let is_of_secret = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '=' | '-');
    let mut out = String::new();
    let mut rest = without_login.as_str();
    while !rest.is_empty() {
        let length = rest.find(|c: char| !is_of_secret(c)).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(length);
        // Long names of programs have no digits among their letters.
        let is_mixed = piece.chars().any(|c| c.is_ascii_digit()) && piece.chars().any(|c| c.is_ascii_alphabetic());
        let is_secret = piece.starts_with("eyJ") || piece.len() >= LONG && is_mixed || piece.len() >= 2 * LONG;
        out.push_str(if is_secret { "***" } else { piece });
        let mut others = behind.char_indices().skip_while(|(_, c)| !is_of_secret(*c));
        let next = others.next().map_or(behind.len(), |(at, _)| at);
        out.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_line_is_told_without_secrets() {
        for (said, line) in [
            ("", None),
            ("\n  \n", None),
            ("\nsession has ended\nand more", Some("session has ended")),
            ("WARN\u{1b}[31m red", Some("WARN\\u{1b}[31m red")),
            (
                "cannot open /usr/lib/google-cloud-sdk/credentials.db",
                Some("cannot open /usr/lib/google-cloud-sdk/credentials.db"),
            ),
            ("token expired, log in again", Some("token expired, log in again")),
            ("Authorization: Bearer abc123", Some("Authorization: Bearer ***")),
            ("Bearer abc", Some("Bearer ***")),
            ("password: hunter2 wrong", Some("password: *** wrong")),
            ("--client-secret=hunter2 --id=a", Some("--client-secret=*** --id=a")),
            ("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", Some("got ***.***.c2ln")),
            ("AKIAIOSFODNN7EXAMPLEKEY1234 denied", Some("*** denied")),
            ("GET https://ops:hunter2@sso.example/login: 401", Some("GET https://***@sso.example/login: 401")),
        ] {
            assert_eq!(first_line(said.as_bytes()).as_deref(), line, "{said}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_one_short_line(said in proptest::collection::vec(any::<u8>(), 0..400)) {
            let line = first_line(&said).unwrap_or_default();

            prop_assert!(line.chars().count() <= MOST);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
