//! The last valid configuration, kept beside the store for a start with an invalid file.
//!
//! Without it a restart after an incomplete save would end all monitoring; with it vedette goes on with the targets it
//! had and says so. The copy holds what the file held, so no secrets; it is readable by the daemon alone nevertheless.
//! Called at the start and after every reload.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::environment::Environment;
use super::load::Loaded;
use super::settings::Settings;
use super::source;
use super::vantage::STATE_DIRECTORY;
use crate::model::time::UnixTime;
use crate::parse::text;

/// Its name in the folder of the store.
const NAME: &str = "last-good.yaml";

/// Keeps `text`, what `file` held, in the folder of `store`, in one step: never half of it.
///
/// # Errors
/// When the folder cannot be written to.
pub fn keep(text: &str, file: &Path, store: &Path) -> io::Result<()> {
    let path = store.with_file_name(NAME);
    let fresh = store.with_file_name(format!("{NAME}.new"));
    let mut writing = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    writing.write_all(head(file).as_bytes())?;
    writing.write_all(text.as_bytes())?;
    writing.sync_all()?;
    fs::rename(&fresh, &path)?;
    // The name is durable only once the folder is.
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The copy of `file`, and when it was made; `None` when there is none, or it cannot be used either.
#[must_use]
pub fn find(file: &Path, environment: &Environment) -> Option<(Loaded, UnixTime)> {
    let folders = [stated_folder(file), environment.state_directory.clone(), Some(STATE_DIRECTORY.into())];
    folders.into_iter().flatten().find_map(|folder| read(&folder.join(NAME), file, environment))
}

fn read(copy: &Path, file: &Path, environment: &Environment) -> Option<(Loaded, UnixTime)> {
    let made = fs::metadata(copy).ok()?.mtime();
    let contents = source::read_file(copy).ok()?;
    let text = text::decode(contents.bytes.expose_secret()).0;
    // A copy of another file is not used, because it has other clusters.
    let text = text.strip_prefix(&head(file))?;
    let (settings, warnings) = Settings::from_text(text, file, environment).ok()?;
    Some((Loaded { settings, warnings, text: text.to_owned() }, UnixTime::from_secs(made)))
}

/// One line, so that it comes off cleanly.
fn head(file: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!("# vedette's copy of {}\n", file.display().to_string().replace('\n', " "))
}

/// The folder of the store that `file` states. It may be too broken to be read as YAML, so a line that begins with
/// `store:` is enough; a wrong guess finds no copy with the right head.
fn stated_folder(file: &Path) -> Option<PathBuf> {
    let contents = source::read_file(file).ok()?;
    let text = text::decode(contents.bytes.expose_secret()).0;
    let stated = text.lines().find_map(|line| line.trim_start().strip_prefix("store:"))?;
    let stated = stated.trim().trim_matches(['"', '\'']);
    let store = file.parent().unwrap_or(Path::new("")).join(stated);
    store.parent().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::environment::Sources;

    const GOOD: &str = "vantage: { resolvers: [] }\nclusters: [{ name: prod, vip: { address: \"10.0.0.1:6443\" } }]\n";

    fn here(state: &Path) -> Environment {
        Environment {
            host_name: "bastion".into(),
            state_directory: Some(state.into()),
            resolvers: Vec::new(),
            sources: Sources::Untouched,
        }
    }

    #[test]
    fn a_copy_comes_back_as_it_was_and_only_for_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("vedette.yaml"), folder.path().join("other.yaml"));
        let store = folder.path().join("vedette.db");
        keep("old", &file, &store).unwrap();
        keep(GOOD, &file, &store).unwrap();

        let (loaded, _) = find(&file, &here(folder.path())).unwrap();

        assert_eq!(loaded.text, GOOD);
        assert_eq!(loaded.settings.clusters.len(), 1);
        assert!(find(&other, &here(folder.path())).is_none());
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_folder_is_found_in_a_file_that_is_no_yaml() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let file = folder.path().join("vedette.yaml");
        fs::write(&file, "vantage:\n  store: \"state/vedette.db\"\nclusters: [\n").unwrap();
        keep(GOOD, &file, &state.join("vedette.db")).unwrap();

        assert!(find(&file, &here(folder.path())).is_some());
    }

    #[test]
    fn a_copy_that_cannot_be_used_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vedette.yaml");
        keep("clusters: [", &file, &folder.path().join("vedette.db")).unwrap();

        assert!(find(&file, &here(folder.path())).is_none());
    }
}
