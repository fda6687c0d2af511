//! Configuration of services: clap structs with `CROWNEST_*` variables, checked before anything is opened.

mod secret_value;

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use clap::{Args, Command, Parser};

pub use secret_value::SecretValue;

/// `EX_CONFIG`-like exit code of every service for a configuration it cannot work with (sysexits: `EX_USAGE`).
pub const EXIT_BAD_CONFIG: i32 = 64;

/// A text that must not be printed: its `Debug` and `Display` forms hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A group of settings as the environment gives it, with its defaults: for a program that configures a service in code. Every
/// member of the group must be optional.
pub fn from_environment<T: Args>() -> Result<T, clap::Error> {
    from_flags(&[])
}

/// A group of settings with these flags; the rest comes from the environment, or has its default.
pub fn from_flags<T: Args>(flags: &[String]) -> Result<T, clap::Error> {
    let command = T::augment_args(Command::new("settings").no_binary_name(true));
    T::from_arg_matches(&command.try_get_matches_from(flags)?)
}

/// Parses the command line and environment, or ends the process: 0 after help and version, 64 after an error.
pub fn parse_or_exit<T: Parser>(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> T {
    T::try_parse_from(arguments).unwrap_or_else(|error| {
        // A closed standard error cannot be reported.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { EXIT_BAD_CONFIG } else { 0 })
    })
}
