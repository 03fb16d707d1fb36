//! The `stasis` command; called through a link named `criu` it behaves the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(stasis::cli::main(std::env::args_os()))
}
