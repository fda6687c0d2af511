//! One document of a sandbox's status, a stream of JSON in the form of bubblewrap's `--json-status-fd`. The helper's own
//! pid 1 of an OCI sandbox writes the same documents.
use std::io;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Document {
    /// The sandbox's pid 1, as the host numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) child_pid: Option<i32>,
    /// Present only if the sandbox was complete before the command was executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    /// Why the command's end is not known. bubblewrap never writes this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

impl Document {
    /// Writes the document; up to 4 KiB are written as one piece.
    pub(crate) fn write(&self, pipe: &OwnedFd) -> io::Result<()> {
        rustix::io::write(pipe, &serde_json::to_vec(self)?)?;
        Ok(())
    }
}
