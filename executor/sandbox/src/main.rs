//! The program `crownest-sandbox`: sets up one run's sandbox after another. All of it is in `sandbox::helper`.
use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::helper::main()
}
