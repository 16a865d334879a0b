//! Invisible characters in texts that people write: a no-break space out of a web page, a zero-width space out of a
//! chat, a mark that turns the direction. A text that holds one is not what is displayed.
//!
//! Finds and names them; whether one does harm at its place is decided by the caller.

use super::diagnostic::Diagnostic;
use super::yaml::Position;

/// Findings in one text; a file that was pasted whole has one on every line.
const MOST: usize = 20;

/// Warnings about the invisible characters in `text`; those in comments do no harm.
pub(crate) fn diagnostics(text: &str) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut more = 0_usize;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        for (character, column) in line.chars().zip(1..) {
            if !is_invisible(character) {
                continue;
            }
            if diagnostics.len() == MOST {
                more += 1;
                continue;
            }
            let what = format!("the invisible character {} stands here", named(character));
            let hint = "delete it, or type a plain space in its place; editors and web pages leave such behind";
            diagnostics.push(Diagnostic::warning(Position { line: number, column }, what).hint(hint));
        }
    }
    if more > 0 {
        diagnostics.push(Diagnostic::warning(None, format!("{more} more invisible characters")));
    }
    diagnostics
}

/// `text` with invisible characters written by number, as `<U+200B>`.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            _ if is_invisible(character) => out.push_str(&format!("<U+{:04X}>", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}

/// `U+00A0 (no-break space)`.
fn named(character: char) -> String {
    let name = match character {
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "direction mark",
        '\u{200b}' => "zero-width space",
        '\u{200c}' => "zero-width non-joiner",
        '\u{200d}' => "zero-width joiner",
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{202f}' => "narrow no-break space",
        '\u{2060}' => "word joiner",
        '\u{3000}' => "ideographic space",
        '\u{feff}' => "byte order mark",
        '\u{fe00}'..='\u{fe0f}' => "variation selector",
        '\u{e0000}'..='\u{e0fff}' => "tag",
        c if c.is_control() => "control character",
        c if c.is_whitespace() => "space of another width",
        _ => "filler",
    };
    format!("U+{:04X} ({name})", u32::from(character))
}

/// Whether `character` shows nothing, or a blank that is no plain space. Source: Unicode's
/// Default_Ignorable_Code_Point, White_Space and Cc, as far as texts have them.
fn is_invisible(character: char) -> bool {
    match character {
        ' ' | '\t' | '\n' | '\r' => false,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => character.is_control() || character.is_whitespace(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nobody_sees_is_named_with_its_place() {
        for (text, places) in [
            ("a: b\n\tc: é漢\r\n", &[][..]),
            ("# a\u{a0}comment\n  # b\u{200b}\n", &[]),
            ("a: b\u{a0}\n", &[(1, 5, "U+00A0 (no-break space)")]),
            ("a:\n  - \u{200b}prod\n", &[(2, 5, "U+200B (zero-width space)")]),
            ("a\u{feff}: \u{202e}b\n", &[(1, 2, "U+FEFF (byte order mark)"), (1, 5, "U+202E (direction mark)")]),
            ("a: \u{7}\n", &[(1, 4, "U+0007 (control character)")]),
            ("a: \u{e0041}\n", &[(1, 4, "U+E0041 (tag)")]),
        ] {
            let found: Vec<_> = diagnostics(text)
                .into_iter()
                .map(|diagnostic| {
                    (diagnostic.position.unwrap().line, diagnostic.position.unwrap().column, diagnostic.what)
                })
                .collect();

            let expected: Vec<_> = places
                .iter()
                .map(|(line, column, name)| (*line, *column, format!("the invisible character {name} stands here")))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn many_are_counted() {
        let diagnostics = diagnostics(&"\u{a0}".repeat(100));

        assert_eq!((diagnostics.len(), diagnostics[MOST].what.as_str()), (MOST + 1, "80 more invisible characters"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_all_to_be_seen(text in any::<String>()) {
            let out = shown(&text);

            prop_assert!(!out.chars().any(|c| !matches!(c, '\n' | '\t' | '\r') && is_invisible(c)));
            prop_assert_eq!(diagnostics(&out).len(), 0);
        }
    }
}
