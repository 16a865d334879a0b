//! Texts that others wrote (certificates, health checks, addresses) made harmless before they are shown.
//!
//! Every text of a document passes through [`line()`] when the document is made, so no renderer behind it meets a line
//! break it did not make itself; [`html`] is applied on top by the one renderer that needs it.

/// Longest text kept of anything that is not ours, in characters: a paragraph, not a page.
pub const LONGEST: usize = 800;

/// `text` as one line: controls, escapes and invisible or direction-changing characters become spaces, runs of spaces
/// become one, and what is longer than `most` characters ends in `...`.
#[must_use]
pub fn line(text: &str, most: usize) -> String {
    let is_gap = |c: char| c.is_control() || c.is_whitespace() || is_invisible(c);
    let mut out = String::with_capacity(text.len().min(4 * most));
    let mut length = 0;
    for word in text.split(is_gap).filter(|word| !word.is_empty()) {
        let lead = (length > 0).then_some(' ');
        for c in lead.into_iter().chain(word.chars()) {
            if length == most {
                let kept = out.char_indices().nth(most.saturating_sub(3)).map_or(0, |(at, _)| at);
                out.truncate(kept);
                out.push_str("...");
                return out;
            }
            out.push(c);
            length += 1;
        }
    }
    out
}

/// A line of a text that is copied as it is: blanks stay, and what could change how it looks is shown as `?`. Nothing is
/// cut, because a part of it would be another text.
#[must_use]
pub fn verbatim(text: &str) -> String {
    let shown = |c: char| if c.is_control() || is_invisible(c) { '?' } else { c };
    text.chars().map(shown).collect()
}

/// Characters that change how their neighbours are shown or are not seen at all: bidirectional controls, zero-width
/// characters, soft hyphens, the byte order mark, tags. Source: Unicode TR36, section 2.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` for a place between HTML tags or inside a quoted attribute.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_escapes_and_tricks_become_spaces() {
        assert_eq!(line("a\r\nBcc: x\u{1b}[31m\u{202e}b", 80), "a Bcc: x [31m b");
        assert_eq!(line("  a \t b  ", 80), "a b");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        assert_eq!(line("abcdefgh", 8), "abcdefgh");
        assert_eq!(line("abcdefghi", 8), "abcde...");
        assert_eq!(line(&"x ".repeat(5000), LONGEST).chars().count(), LONGEST);
    }
}
