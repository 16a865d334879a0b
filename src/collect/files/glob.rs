//! Patterns as a shell has them: `*`, `?` and `[...]` within one part of a path.
//!
//! Works on bytes, since a path need not be text. Nothing hidden is matched by a wildcard. Opens nothing.

/// Whether `name` matches `pattern`.
///
/// Time is bounded by the product of both lengths: the last `*` alone is tried again.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at..).and_then(|rest| one(rest, name[from])) {
            Some(Step::Star) => {
                at += 1;
                star = Some((at, from));
            }
            Some(Step::Byte(taken)) => {
                at += taken;
                from += 1;
            }
            None => {
                let Some((after, behind)) = star else { return false };
                at = after;
                from = behind + 1;
                star = Some((after, from));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

enum Step {
    Star,
    /// One byte of the name matched this many of the pattern.
    Byte(usize),
}

fn one(pattern: &[u8], byte: u8) -> Option<Step> {
    match pattern {
        [b'*', ..] => Some(Step::Star),
        [b'?', ..] => Some(Step::Byte(1)),
        [b'[', rest @ ..] => match class(rest, byte) {
            Some((true, taken)) => Some(Step::Byte(taken + 1)),
            Some((false, _)) => None,
            // An open bracket without its end stands for itself.
            None => (byte == b'[').then_some(Step::Byte(1)),
        },
        [literal, ..] => (*literal == byte).then_some(Step::Byte(1)),
        [] => None,
    }
}

/// Whether `byte` is in the class whose content begins `rest`, and the class's length with its closing bracket.
fn class(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let end = start + 1 + rest.get(start + 1..)?.iter().position(|byte| *byte == b']')?;
    let content = &rest[start..end];
    let mut found = false;
    let mut at = 0;
    while at < content.len() {
        if let [low, b'-', high, ..] = content[at..] {
            found |= (low..=high).contains(&byte);
            at += 3;
        } else {
            found |= content[at] == byte;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.crt", "ca.crt", true),
            ("*.crt", ".crt", false),
            ("*.crt", ".hidden.crt", false),
            (".*", ".hidden.crt", true),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyyd", false),
            ("?a", "aa", true),
            ("?", "ab", false),
            ("node-[0-9].pem", "node-3.pem", true),
            ("node-[!0-9].pem", "node-3.pem", false),
            ("x[]]y", "x]y", true),
            ("x[y", "x[y", true),
            ("**", "anything", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_cost_little() {
        assert!(!matches(format!("{}c", "a*".repeat(40)).as_bytes(), format!("{}b", "a".repeat(4_000)).as_bytes()));
    }

    proptest! {
        #[test]
        fn any_pattern_and_name_end(pattern in "[a*?\\[\\]!-]{0,20}", name in "[a\\[\\]-]{0,20}") {
            matches(pattern.as_bytes(), name.as_bytes());
        }

        #[test]
        fn a_name_without_wildcards_matches_itself(name in "[a-z.]{1,20}") {
            prop_assert!(matches(name.as_bytes(), name.as_bytes()));
        }
    }
}
