//! What a command lacks when a person runs it: systemd hands credentials to units alone.

use std::collections::BTreeSet;
use std::path::Path;

/// How to run the same command with `credentials`, or `None` where they are at hand or none are wanted.
///
/// `arguments` are those of the command, without the configuration, which is `file`, and without the program.
pub(super) fn hint(credentials: &BTreeSet<&str>, file: &Path, command: &str, options: &[&str]) -> Option<String> {
    let is_unit = std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| !folder.is_empty());
    if is_unit || credentials.is_empty() {
        return None;
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "vedette".into());
    Some(written(credentials, &program, file, command, options))
}

fn written(credentials: &BTreeSet<&str>, program: &Path, file: &Path, command: &str, options: &[&str]) -> String {
    // A transient unit starts in the root folder.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or_else(|| Path::new("/"));
    let loaded: Vec<String> = credentials
        .iter()
        .map(|name| {
            format!(" \\\n    -p {}", quoted(&format!("LoadCredential={name}:{}", folder.join(name).display())))
        })
        .collect();
    let options: String = options.iter().map(|option| format!(" {}", quoted(option))).collect();
    let (program, file) = (quoted(&program.display().to_string()), quoted(&file.display().to_string()));
    format!(
        "Only systemd hands out what the configuration names 'credential:'. By hand, as root:\n  \
         systemd-run --quiet --pipe --wait --collect --uid=vedette{} \\\n    {program} {command} {file}{options}\n\
         The paths are to be those of LoadCredential= in the unit: systemctl cat vedette",
        loaded.concat()
    )
}

/// As a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@+,%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_hands_over_every_credential_and_keeps_the_arguments() {
        let credentials = BTreeSet::from(["mail-ca.pem", "smtp-password"]);
        let (program, file) = (Path::new("/usr/bin/vedette"), Path::new("/etc/vedette/vedette.yaml"));

        let told = written(&credentials, program, file, "drill mail", &["--to", "it's@example.com"]);

        let command = "  systemd-run --quiet --pipe --wait --collect --uid=vedette \\\n    \
                       -p LoadCredential=mail-ca.pem:/etc/vedette/mail-ca.pem \\\n    \
                       -p LoadCredential=smtp-password:/etc/vedette/smtp-password \\\n    \
                       /usr/bin/vedette drill mail /etc/vedette/vedette.yaml --to 'it'\\''s@example.com'\n";
        assert!(told.contains(command), "{told}");
    }

    #[test]
    fn nothing_is_said_where_no_credential_is_wanted() {
        assert_eq!(hint(&BTreeSet::new(), Path::new("vedette.yaml"), "drill mail", &[]), None);
    }
}
