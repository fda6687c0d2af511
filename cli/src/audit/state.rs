//! The memory of earlier audits: the checkpoint that every later one must be consistent with, and the runs that were there.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use reqwest::Url;
use schemas::Timestamp;
use schemas::id::{ProjectId, RunId};
use schemas::transparency::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::atomic_file::AtomicFile;
use crate::failure::Failure;

/// Ended runs that were found in the log, with their projects: a key of other projects cannot miss them.
pub(crate) type Remembered = BTreeMap<RunId, ProjectId>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub audited_at: Timestamp,
    /// The signed note: proof of the log's state at that time.
    pub checkpoint: String,
    #[serde(default)]
    pub runs: Remembered,
}

impl State {
    /// One file for each API; `None` when the environment names no home.
    pub(crate) fn default_path(api_url: &Url) -> Option<PathBuf> {
        // The XDG base directory specification: a relative path is to be ignored.
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
        let address = api_url.as_str().split_once("://").map_or("", |(_, address)| address.trim_end_matches('/'));
        let name: String =
            address.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        Some(folder.join("crownest").join(format!("audit-{name}.json")))
    }

    /// `None` before the first audit.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| Self::unusable(path, &error.to_string()))
    }

    pub(crate) fn checkpoint(&self, path: &Path) -> Result<Checkpoint, Failure> {
        Checkpoint::unverified(&self.checkpoint).map_err(|error| Self::unusable(path, &error.to_string()))
    }

    fn unusable(path: &Path, reason: &str) -> Failure {
        Failure::new("invalid_state", format!("{} is not what an audit left: {reason}", path.display()))
            .hint("Name another file with --state. Removing this one forgets what the log was.")
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| Failure::file("create", folder, &error))?;
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::new("internal_error", format!("the state cannot be written: {error}")))?;
        let mut file = AtomicFile::create(path, 0o600)?;
        file.write(text.as_bytes())?;
        file.write(b"\n")?;
        file.finish()
    }
}
