//! Which families of a page are wanted.

/// What the text format adds to a family's name for the parts of a distribution.
const PARTS: [&[u8]; 3] = [b"_bucket", b"_sum", b"_count"];

/// Names of the wanted families, as the text format has them: a counter's ends in `_total`, that of a distribution is
/// without `_bucket`, `_sum` and `_count`.
#[derive(Debug, Clone, Copy)]
pub struct Families {
    names: &'static [&'static str],
}

impl Families {
    /// The families of these names, which are in the order of their bytes.
    ///
    /// # Panics
    /// When they are not in order: then some would not be found. A constant of such names does not compile.
    #[must_use]
    pub const fn new(names: &'static [&'static str]) -> Self {
        let mut at = 1;
        while at < names.len() {
            assert!(is_before(names[at - 1].as_bytes(), names[at].as_bytes()), "names are in order, each once");
            at += 1;
        }
        Self { names }
    }

    /// Whether the series called `name` belongs to one of them.
    #[must_use]
    pub fn want(self, name: &[u8]) -> bool {
        self.has(name) || PARTS.iter().any(|part| name.strip_suffix(*part).is_some_and(|family| self.has(family)))
    }

    fn has(self, name: &[u8]) -> bool {
        self.names.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
    }
}

const fn is_before(first: &[u8], second: &[u8]) -> bool {
    let mut at = 0;
    while at < first.len() && at < second.len() {
        if first[at] != second[at] {
            return first[at] < second[at];
        }
        at += 1;
    }
    first.len() < second.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_wanted_with_the_parts_of_its_distribution_and_nothing_beside_it() {
        let families = Families::new(&["fsync_seconds", "size_bytes", "started_total"]);
        for name in ["size_bytes", "started_total", "fsync_seconds_bucket", "fsync_seconds_sum", "fsync_seconds_count"]
        {
            assert!(families.want(name.as_bytes()), "{name}");
        }
        for name in ["", "size", "size_bytes_", "size_bytes_total", "started", "fsync_seconds_buckets", "a_size_bytes"]
        {
            assert!(!families.want(name.as_bytes()), "{name}");
        }
    }
}
