//! Bytes that are gathered quickly and written away slowly: in pieces, each of which is freed once it is written.
//!
//! A vector of all of them would be copied whenever it outgrows its room, and would come from the heap while it is small
//! enough. What is freed there is kept by the allocator, so that a checkpoint once a minute would be paid for all the
//! time.

use std::io::{self, Write};

/// Room of a piece in bytes. Above 32 MiB glibc maps memory for it and gives all of it back (`mallopt(3)`,
/// `M_MMAP_THRESHOLD`), and only what is written to is taken.
const PIECE: usize = 64 << 20;

/// The pieces, in order.
#[derive(Debug)]
pub struct Chunks {
    pieces: Vec<Vec<u8>>,
    room: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self::in_pieces_of(PIECE)
    }
}

impl Chunks {
    const fn in_pieces_of(room: usize) -> Self {
        Self { pieces: Vec::new(), room }
    }

    /// Bytes in all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes them to `out` and frees each behind it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(self, out: &mut impl Write) -> io::Result<()> {
        self.pieces.into_iter().try_for_each(|piece| out.write_all(&piece))
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = self.pieces.pop_if(|piece| piece.len() < self.room);
        let mut piece = begun.unwrap_or_else(|| Vec::with_capacity(self.room));
        let fits = bytes.len().min(self.room - piece.len());
        piece.extend_from_slice(&bytes[..fits]);
        self.pieces.push(piece);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_in_any_portions_comes_out_as_it_was() {
        const ROOM: usize = 512;
        for portion in [1, 7, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM] {
            let bytes: Vec<u8> = (0..=250).cycle().take(4 * ROOM + 3).collect();
            let mut chunks = Chunks::in_pieces_of(ROOM);
            bytes.chunks(portion).for_each(|part| chunks.write_all(part).unwrap());
            assert_eq!(chunks.len(), bytes.len());
            assert!(chunks.pieces.iter().all(|piece| piece.capacity() == ROOM), "none outgrew its room");
            let mut written = Vec::new();
            chunks.write_to(&mut written).unwrap();
            assert!(written == bytes, "in portions of {portion}");
        }
        assert!(Chunks::default().is_empty());
    }
}
