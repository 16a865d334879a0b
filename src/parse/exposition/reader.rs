//! A page in pieces: finds the lines of wanted families and passes over the others.

use memchr::{memchr, memchr_iter, memchr3};

use super::families::Families;
use super::sample::Sample;
use crate::parse::line_buffer::LineBuffer;

/// Bytes of a line that is still read; etcd's longest have some 200, those of an apiserver some 600.
pub const MAX_LINE: usize = 4096;

/// How OpenMetrics ends a page.
const END: &[u8] = b"# EOF";

/// Why a page cannot be taken for what its server wanted to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It ends within a line.
    Cut,
    /// It has more samples of wanted families than are taken.
    TooManySamples,
}

/// Reads one page. Holds no more of it than one line, and at most [`MAX_LINE`] bytes of that.
#[derive(Debug)]
pub struct Reader {
    families: Families,
    /// Samples that are still taken.
    left: usize,
    /// The line that the last piece ended in, as far as it came.
    begun: LineBuffer<MAX_LINE>,
    /// Whether the page has said that it is over.
    is_over: bool,
    /// Names of the last series that are not wanted, and which of them is the oldest: series of one name follow each
    /// other by the thousand, and a distribution is written by turns of three names.
    unwanted: [Vec<u8>; 3],
    oldest: usize,
}

impl Reader {
    /// Takes at most `most` samples of `families`.
    #[must_use]
    pub const fn new(families: Families, most: usize) -> Self {
        Self {
            families,
            left: most,
            begun: LineBuffer::new(),
            is_over: false,
            unwanted: [const { Vec::new() }; 3],
            oldest: 0,
        }
    }

    /// Takes the next piece of the page and gives each wanted sample that it completes to `take`, in their order. A line
    /// beyond [`MAX_LINE`] is left out, and so is what is no sample.
    ///
    /// # Errors
    /// [`Flaw::TooManySamples`]: the rest of the page is not to be read.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(&Sample<'_>)) -> Result<(), Flaw> {
        let mut rest = piece;
        if self.begun.has_begun() {
            let Some(end) = memchr(b'\n', rest) else {
                self.begun.add(rest);
                return Ok(());
            };
            self.begun.add(&rest[..end]);
            rest = &rest[end + 1..];
            if let Some(line) = self.begun.take() {
                self.line(&line, &mut take)?;
                self.begun.reuse(line);
            }
        }
        let mut start = 0;
        for end in memchr_iter(b'\n', rest) {
            self.line(&rest[start..end], &mut take)?;
            start = end + 1;
        }
        self.begun.add(&rest[start..]);
        Ok(())
    }

    /// The page has ended.
    ///
    /// # Errors
    /// [`Flaw::Cut`]: its last line has no end. What a number without one says cannot be known, so that line is left out.
    pub fn finish(mut self) -> Result<(), Flaw> {
        let says_nothing = |last: Vec<u8>| last.trim_ascii().is_empty() || last.trim_ascii() == END;
        if self.is_over || self.begun.take().is_some_and(says_nothing) { Ok(()) } else { Err(Flaw::Cut) }
    }

    /// Bytes it has room for at the moment.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.begun.capacity() + self.unwanted.iter().map(Vec::capacity).sum::<usize>()
    }

    fn line(&mut self, line: &[u8], take: &mut impl FnMut(&Sample<'_>)) -> Result<(), Flaw> {
        let is_repeated = self.unwanted.iter().any(|name| {
            !name.is_empty()
                && line.strip_prefix(name.as_slice()).is_some_and(|rest| matches!(rest, [b'{' | b' ' | b'\t', ..]))
        });
        if is_repeated || line.len() > MAX_LINE || self.is_over {
            return Ok(());
        }
        if line.first() == Some(&b'#') {
            self.is_over = line.trim_ascii_end() == END;
            return Ok(());
        }
        let line = line.trim_ascii_start();
        let Some(name) = memchr3(b'{', b' ', b'\t', line).map(|end| &line[..end]) else { return Ok(()) };
        if !self.families.want(name) {
            let oldest = &mut self.unwanted[self.oldest];
            oldest.clear();
            oldest.extend_from_slice(name);
            self.oldest = (self.oldest + 1) % self.unwanted.len();
            return Ok(());
        }
        let Some(sample) = Sample::read(line) else { return Ok(()) };
        self.left = self.left.checked_sub(1).ok_or(Flaw::TooManySamples)?;
        take(&sample);
        Ok(())
    }
}
