//! The file that `crownest login` writes: `crownest/config.json` under the XDG config folder, readable by its owner only.

use std::env;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api_key::ApiKey;
use crate::atomic_file::AtomicFile;
use crate::failure::Failure;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// Kept for other versions.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl ConfigFile {
    /// `None` when the environment names no home.
    pub(crate) fn path() -> Option<PathBuf> {
        // The XDG base directory specification: a relative path is to be ignored.
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
        Some(folder.join("crownest").join("config.json"))
    }

    /// An absent file is an empty one.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        serde_json::from_str(&text).map_err(|error| {
            Failure::new("invalid_config", format!("{} is not a valid configuration: {error}", path.display()))
                .hint("Remove the file, then run `crownest login` again.")
        })
    }

    /// Makes the configuration folder, for its owner only.
    pub(crate) fn make_folder_of(path: &Path) -> Result<(), Failure> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Failure::file("create", folder, &error))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        Self::make_folder_of(path)?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::new("internal_error", format!("the configuration cannot be written: {error}")))?;
        let mut file = AtomicFile::create(path, 0o600)?;
        file.write(text.as_bytes())?;
        file.write(b"\n")?;
        file.finish()
    }
}
