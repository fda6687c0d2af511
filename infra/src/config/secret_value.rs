//! Checks of secret flags during parsing. clap's own errors would show the value; these do not.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

use super::Secret;

/// Value parser of a secret flag: description of valid texts, and check of a text.
#[derive(Debug, Clone, Copy)]
pub struct SecretValue {
    pub expected: &'static str,
    pub is_valid: fn(&str) -> bool,
}

impl TypedValueParser for SecretValue {
    type Value = Secret;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Secret, Error> {
        if let Some(text) = value.to_str().filter(|text| (self.is_valid)(text)) {
            return Ok(Secret::new(text));
        }
        let name = arg.and_then(Arg::get_long).unwrap_or("the value");
        let message = format!("--{name}: expected {}, got something else (not shown)\n", self.expected);
        Err(Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
    }
}
