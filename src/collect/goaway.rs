//! Reads along with HTTP/2 frames for one thing: whether the peer announced its close.
//!
//! hyper keeps this to itself, but it decides whether the end of a kept connection is a bad sign. Reads frame headers
//! (RFC 9113 section 4.1) and skips what is inside; changes nothing.

/// GOAWAY's frame type, RFC 9113 section 6.8.
const GOAWAY: u8 = 0x07;
/// Bytes of a frame header.
const HEADER: usize = 9;

/// Position in the stream of frames that comes from the peer.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of payload still to skip.
    skip: usize,
}

impl Frames {
    /// Takes the next bytes; whether a GOAWAY frame began among them.
    pub(crate) fn passes_goaway(&mut self, mut bytes: &[u8]) -> bool {
        let mut seen = false;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEADER {
                let [a, b, c, kind, ..] = self.header;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.filled = 0;
                seen |= kind == GOAWAY;
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        // The payload is full of bytes that would read as GOAWAY if it were not skipped.
        [&size[1..], &[kind, 0, 0, 0, 0, 0], &vec![GOAWAY; length]].concat()
    }

    proptest! {
        #[test]
        fn only_a_goaway_frame_counts_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0_u8..12, 0_usize..300), 0..12), cut in 1_usize..50,
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(|(kind, length)| frame(*kind, *length)).collect();

            let mut watcher = Frames::default();
            let seen = wire.chunks(cut).fold(false, |seen, bytes| seen | watcher.passes_goaway(bytes));

            prop_assert_eq!(seen, frames.iter().any(|(kind, _)| *kind == GOAWAY));
        }

        #[test]
        fn any_octets_pass(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Frames::default().passes_goaway(&bytes);
        }
    }
}
