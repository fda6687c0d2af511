//! One command to run, as a caller asks for it; and which requests are refused.
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::error::SandboxError;
use crate::kernel::cgroup::Limits;
use crate::protocol::request::Network;

/// One command to run. Everything in it may come from a stranger, except `lower` and `root`.
#[derive(Clone, Copy)]
pub struct SandboxSpec<'a> {
    /// Unique among the runs of this host, e.g. run id and attempt; names the run directory and the control group.
    /// 1 to 128 characters of `[A-Za-z0-9_-]`.
    pub label: &'a str,
    /// Chooses the uid; a slot runs one sandbox at a time.
    pub slot: u32,
    /// The extracted archive, owned by root or by [whom the slot needs](crate::SandboxHost::tree_owner). Shown as the
    /// initial content of `/workspace`, never written.
    pub lower: &'a Path,
    pub root: Root<'a>,
    /// Shell command, up to 128 KiB, without NUL.
    pub command: &'a OsStr,
    /// Added to (and overriding) the base environment; never visible in a process list.
    pub env: &'a [(OsString, OsString)],
    pub limits: Limits,
    pub network: Network,
}

/// The command's `/`, read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'a> {
    /// The host's `/usr`, and an `/etc` made for the purpose.
    Host,
    /// A whole root file system, owned by root, on the file system of the work directory. It has a `/bin/sh` and the
    /// folders `/dev`, `/home/runner`, `/proc`, `/tmp` and `/workspace`, on which the sandbox mounts its own.
    Tree(&'a Path),
}

impl fmt::Debug for SandboxSpec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No values of the environment.
        f.debug_struct("SandboxSpec").field("label", &self.label).field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl SandboxSpec<'_> {
    /// A NUL would start a new argument of bubblewrap: this check is what keeps a stranger out of its command line.
    pub(super) fn validate(&self) -> Result<(), SandboxError> {
        /// Linux refuses longer single arguments (`MAX_ARG_STRLEN`).
        const ARGUMENT_BYTES: usize = 128 * 1024;
        let invalid = |text: &str| Err(SandboxError::InvalidSpec(text.to_owned()));
        let fits = |text: &OsStr| !text.as_bytes().contains(&0) && text.len() < ARGUMENT_BYTES;
        let label_ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.label.is_empty() || self.label.len() > 128 || !self.label.bytes().all(label_ok) {
            return invalid("the label must be 1 to 128 characters of [A-Za-z0-9_-]");
        }
        if !fits(self.command) {
            return invalid("the command must be shorter than 128 KiB and contain no NUL");
        }
        for (name, value) in self.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') || !fits(name) || !fits(value) {
                return invalid("environment names must be non-empty, without '=' and NUL, values without NUL");
            }
        }
        Ok(())
    }
}
