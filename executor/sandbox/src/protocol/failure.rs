//! A step of the helper that failed, for the executor to read.
use std::io;

pub(crate) type Failure = (&'static str, io::Error);

/// Tags an error with its step.
pub(crate) trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| (step, error.into()))
    }
}
