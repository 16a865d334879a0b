//! Foreign text made fit to be shown: no control characters, no direction tricks, no endless lines.
//!
//! Called by the parsers beside it; does not know where a text will end up.

/// `text` with everything that does not print replaced by `\u{..}`, cut to `limit` characters.
///
/// Letters and digits of every script stay; what else lies outside ASCII (direction marks, joiners, private use) is
/// written by number, because it can make a line read as something that it is not.
pub(super) fn shown(text: &str, limit: usize) -> String {
    if text.len() <= limit && prints(text) {
        return text.to_owned();
    }
    let mut out = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == limit {
            out.push('…');
            break;
        }
        push(&mut out, character);
    }
    clip(out, limit)
}

/// Adds `character`, by its number when it does not print.
pub(super) fn push(out: &mut String, character: char) {
    if character == ' ' || character.is_ascii_graphic() || (!character.is_ascii() && character.is_alphanumeric()) {
        out.push(character);
    } else {
        out.extend(character.escape_unicode());
    }
}

/// Whether all of `text` is ASCII that prints: what nearly every name is, and costs least to show.
pub(super) fn prints(text: &str) -> bool {
    // Without an early exit, so that many bytes are compared at once.
    text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

/// `text` cut to `limit` characters, the last one an ellipsis when something is missing.
pub(super) fn clip(text: String, limit: usize) -> String {
    if text.len() <= limit || text.chars().nth(limit).is_none() {
        return text;
    }
    let mut kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_print_is_written_by_number() {
        assert_eq!(shown("a\nb\u{202e}ü", 40), "a\\u{a}b\\u{202e}ü");
    }

    proptest! {
        #[test]
        fn a_shown_text_is_short_and_printable(text in any::<String>(), limit in 1_usize..80) {
            let out = shown(&text, limit);

            prop_assert!(out.chars().count() <= limit);
            prop_assert!(!out.chars().any(char::is_control));
        }
    }
}
