//! An error and its causes.

use std::error::Error;

/// `error` and what is behind it, outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
}

/// What failed and why, outermost first, with a colon between one and the next.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The cause at the bottom: what stands above it mostly says that something failed.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read a")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_is_told_with_its_causes_or_by_the_last_of_them() {
        let error = Outer(std::io::Error::other("disk gone"));

        assert_eq!(chain(&error), "cannot read a: disk gone");
        assert_eq!(innermost(&error), "disk gone");
        assert_eq!(innermost(&std::io::Error::other("alone")), "alone");
    }
}
