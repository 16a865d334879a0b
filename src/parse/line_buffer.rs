//! The line that a piece of a text ended in, as far as it came, within a bound.

/// Puts a line together from the pieces in which it arrives. Of one longer than `MOST` bytes it holds nothing but that it
/// is too long.
#[derive(Debug, Default)]
pub(super) struct LineBuffer<const MOST: usize> {
    begun: Vec<u8>,
    is_long: bool,
}

impl<const MOST: usize> LineBuffer<MOST> {
    /// No line has begun.
    pub(super) const fn new() -> Self {
        Self { begun: Vec::new(), is_long: false }
    }

    /// Whether anything of a line has come.
    pub(super) const fn has_begun(&self) -> bool {
        self.is_long || !self.begun.is_empty()
    }

    /// The next part of the line.
    pub(super) fn add(&mut self, part: &[u8]) {
        if self.is_long || self.begun.len() + part.len() > MOST {
            self.is_long = true;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    /// Ends the line and gives it; `None` for one that is too long.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.is_long) { None } else { Some(std::mem::take(&mut self.begun)) }
    }

    /// Keeps the room of a line that was given and is done with for the next one.
    pub(super) fn reuse(&mut self, mut line: Vec<u8>) {
        line.clear();
        self.begun = line;
    }

    /// Bytes that it has room for at the moment.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.begun.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_is_what_its_pieces_are_together_and_a_long_one_is_none(
            lines in prop::collection::vec(prop::collection::vec("[a-z]{0,6}", 0..6), 1..5),
        ) {
            let mut buffer = LineBuffer::<16>::new();
            for pieces in lines {
                for piece in &pieces {
                    buffer.add(piece.as_bytes());
                }
                let whole = pieces.concat().into_bytes();
                prop_assert_eq!(buffer.has_begun(), !whole.is_empty());
                prop_assert!(buffer.capacity() <= 32);

                let line = buffer.take();

                prop_assert_eq!(&line, &Some(whole).filter(|whole| whole.len() <= 16));
                prop_assert!(!buffer.has_begun());
                line.into_iter().for_each(|line| buffer.reuse(line));
            }
        }
    }
}
