//! PEM: the blocks of a file by their label, bounded, and never losing one in silence.
//!
//! Tolerant of byte order marks, carriage returns, indentation and text around the blocks. Does not decode what is
//! inside. Every `BEGIN` becomes a block or counts as broken. Called where credentials are read.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Blocks kept of one file; an authority bundle of a whole operating system has about 150.
pub const MAX_BLOCKS: usize = 1024;

/// One block.
#[derive(Clone)]
pub struct Block {
    /// The text between `BEGIN` and the dashes: `CERTIFICATE`, `EC PRIVATE KEY`.
    pub label: String,
    /// The decoded content, wiped when dropped because it may be a key.
    pub content: Zeroizing<Vec<u8>>,
}

/// The blocks of a file.
#[derive(Clone, Default)]
pub struct Blocks {
    /// Blocks in their order, at most [`MAX_BLOCKS`].
    pub blocks: Vec<Block>,
    /// `BEGIN` lines that gave no block: bad base64, no end, another `BEGIN` inside, or beyond the bound.
    pub broken: usize,
}

/// Scans `text` for blocks.
#[must_use]
pub fn blocks(text: &[u8]) -> Blocks {
    let mut found = Blocks::default();
    let mut open: Option<(String, Zeroizing<Vec<u8>>)> = None;
    for line in text.split(|byte| *byte == b'\n' || *byte == b'\r') {
        // A mark at the start of the file sits before the first dash.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if let Some(label) = boundary(line, b"-----BEGIN ") {
            if open.take().is_some() {
                found.broken += 1;
            }
            open = Some((label, Zeroizing::default()));
        } else if let Some(label) = boundary(line, b"-----END ") {
            let Some((begun, body)) = open.take() else { continue };
            match engine().decode(body.as_slice()) {
                Ok(content) if begun == label && found.blocks.len() < MAX_BLOCKS => {
                    found.blocks.push(Block { label, content: Zeroizing::new(content) });
                }
                Ok(_) | Err(_) => found.broken += 1,
            }
        } else if let Some((_, body)) = &mut open {
            // Headers such as `Proc-Type: 4,ENCRYPTED` make the base64 invalid, and the block counts as broken.
            body.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
    found.broken += usize::from(open.is_some());
    found
}

fn boundary(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    (label.len() <= 64).then(|| String::from_utf8_lossy(label.trim_ascii()).into_owned())
}

fn engine() -> GeneralPurpose {
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n";

    #[test]
    fn blocks_are_found_however_the_file_is_dressed() {
        let dressed = [
            PLAIN.to_owned(),
            format!("\u{feff}{PLAIN}"),
            PLAIN.replace('\n', "\r\n"),
            PLAIN.replace('\n', "\r"),
            PLAIN.replace('\n', "\n    "),
            format!("subject: x\n{PLAIN}trailing"),
        ];
        for text in dressed {
            let found = blocks(text.as_bytes());

            assert_eq!(found.broken, 0, "{text:?}");
            assert_eq!(found.blocks.len(), 1, "{text:?}");
            assert_eq!(found.blocks[0].label, "CERTIFICATE");
            assert_eq!(found.blocks[0].content.as_slice(), [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn what_is_lost_is_counted() {
        for (text, whole, broken) in [
            ("-----BEGIN CERTIFICATE-----\nAAEC\n", 0, 1),
            ("-----BEGIN A-----\nAA*C\n-----END A-----", 0, 1),
            ("-----BEGIN A-----\nAAEC\n-----END B-----", 0, 1),
            ("-----BEGIN A-----\n-----BEGIN B-----\nAAEC\n-----END B-----", 1, 1),
            ("-----END A-----", 0, 0),
        ] {
            let found = blocks(text.as_bytes());

            assert_eq!((found.blocks.len(), found.broken), (whole, broken), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_begin_is_a_block_or_broken(
            pieces in proptest::collection::vec(prop_oneof![
                Just("-----BEGIN A-----\n".to_owned()), Just("-----END A-----\n".to_owned()), Just("AAEC\n".to_owned()), "[ -~]{0,20}\n",
            ], 0..40),
        ) {
            let text: String = pieces.concat();
            let begins = text.lines().filter(|line| boundary(line.trim().as_bytes(), b"-----BEGIN ").is_some()).count();

            let found = blocks(text.as_bytes());

            prop_assert_eq!(found.blocks.len() + found.broken, begins);
        }
    }
}
