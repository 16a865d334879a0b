//! When a file must be read again: enough of its state to see that it was replaced, rewritten or made readable.
//!
//! Follows links, so that a swapped one (the way Kubernetes and others replace whole folders) shows. Blocks on files,
//! so it is called where that does no harm.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The state of a file, without reading it. One that is not there has a state too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileStamp(Option<Seen>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    /// The last change of any kind (ctime): writing, renaming, permissions.
    changed: (i64, i64),
}

impl FileStamp {
    /// The state of what is at `path`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|seen| Seen {
            device: seen.dev(),
            inode: seen.ino(),
            bytes: seen.len(),
            changed: (seen.ctime(), seen.ctime_nsec()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_another_mark_and_an_unread_one_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let absent = FileStamp::of(&path);
        fs::write(&path, "one").unwrap();
        let first = FileStamp::of(&path);
        assert_eq!(FileStamp::of(&path), first);
        let fresh = folder.path().join("fresh");
        fs::write(&fresh, "two").unwrap();

        fs::rename(&fresh, &path).unwrap();

        assert_ne!(FileStamp::of(&path), first);
        assert_ne!(absent, first);
    }

    #[test]
    fn a_folder_swapped_by_a_link_shows() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["one", "two"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config"), "same").unwrap();
        }
        std::os::unix::fs::symlink("one", at("data")).unwrap();
        let path = at("data").join("config");
        let first = FileStamp::of(&path);

        std::os::unix::fs::symlink("two", at("next")).unwrap();
        fs::rename(at("next"), at("data")).unwrap();

        assert_ne!(FileStamp::of(&path), first);
    }
}
