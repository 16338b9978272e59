//! The command line of wgrad.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
