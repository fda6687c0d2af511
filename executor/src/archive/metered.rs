//! A reader with an allowance. The tar crate buffers a long name or an extended header in memory before anybody can
//! look at its size, so what it may read between two entries has to be bounded from below.
use std::cell::Cell;
use std::error::Error;
use std::io::{self, Read};
use std::rc::Rc;

/// Marks the error of an exhausted allowance.
#[derive(Debug, thiserror::Error)]
#[error("more header bytes than allowed")]
struct Exhausted;

/// Shared between the reader inside the tar crate and its user outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    pub(super) fn set(&self, bytes: u64) {
        self.0.set(bytes);
    }

    /// Whether this is the reader's own error, through whatever layers.
    pub(super) fn caused(error: &io::Error) -> bool {
        causes(error).any(<dyn Error>::is::<Exhausted>)
    }
}

/// Whether the operating system failed, rather than a decoder: those describe bytes and have no error number.
pub(super) fn system_failed(error: &io::Error) -> bool {
    let number = |cause: &(dyn Error + 'static)| cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    causes(error).any(|cause| number(cause).is_some())
}

/// The error and everything below it. (`io::Error::source` skips the very error that it wraps.)
fn causes(error: &io::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), below)
}

fn below<'e>(error: &&'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let error: &'e (dyn Error + 'static) = *error;
    match error.downcast_ref::<io::Error>() {
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}

pub(super) struct Metered<R> {
    inner: R,
    allowance: Allowance,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R, allowance: Allowance) -> Self {
        Self { inner, allowance }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other(Exhausted));
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self.inner.read(&mut buffer[..wanted])?;
        self.allowance.0.set(left - bytes as u64);
        Ok(bytes)
    }
}
