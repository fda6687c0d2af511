//! The sandbox helper: becomes one run's bubblewrap, or lends a user namespace. All logic is in `executor::sandbox`.
use std::process::ExitCode;

fn main() -> ExitCode {
    executor::sandbox::init::main()
}
