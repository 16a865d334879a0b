//! Tests of what belongs to a whole process (environment, signals): the test runs itself again as a child.

use std::process::Command;

const MARK: &str = "VEDETTE_TEST_CHILD";

/// Whether this process is the child.
pub(crate) fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

/// This test binary, told to run only `test`, as a child.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", test]).env(MARK, "1");
    command
}
