//! Arguments to command to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    vedette::cli::main(std::env::args_os())
}
