//! `<data>/crownest.json`: the addresses of the running system. The file exists only while everything is up.

use std::path::{Path, PathBuf};

use collector::lake::IcebergConfig;
use local::Servers;
use serde::{Deserialize, Serialize};

use crate::atomic_file::AtomicFile;
use crate::failure::{Failure, Stop};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub pid: u32,
    pub api_url: String,
    pub data: PathBuf,
    /// File with the API key, readable by its owner only.
    pub key_file: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<PathBuf>,
    pub started_at: schemas::Timestamp,
    /// The addresses of /healthz, /readyz and /metrics, by service.
    pub operations: Vec<Operations>,
    /// The catalog that the tables are registered in, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iceberg: Option<Catalog>,
}

/// A catalog of tables. Clients connect with the store's access key: `<data>/seaweedfs/secrets`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Catalog {
    pub uri: String,
    pub warehouse: String,
    pub namespace: String,
}

impl Catalog {
    pub(super) fn of(config: &IcebergConfig) -> Option<Self> {
        Some(Self {
            uri: config.iceberg_uri.as_ref()?.as_str().trim_end_matches('/').to_owned(),
            warehouse: config.iceberg_warehouse.clone()?,
            namespace: config.iceberg_namespace.clone(),
        })
    }
}

impl std::fmt::Display for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (warehouse {}, namespace {})", self.uri, self.warehouse, self.namespace)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operations {
    pub service: String,
    pub url: String,
}

fn path(data: &Path) -> PathBuf {
    data.join("crownest.json")
}

impl State {
    /// The state of the system that runs now; a file that a killed one left is ignored.
    pub(super) fn of_running(data: &Path) -> Result<Option<Self>, Failure> {
        let holder = Servers::holder(data);
        Ok(Self::read(data)?.filter(|state| holder == Some(state.pid)))
    }

    /// A killed process left it: in a container the next one may well have the same process id.
    pub(super) fn remove_stale(data: &Path) {
        if Servers::holder(data).is_none() {
            Self::remove(data);
        }
    }

    pub(super) fn read(data: &Path) -> Result<Option<Self>, Failure> {
        let path = path(data);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Failure::new("invalid_state", format!("{} cannot be understood: {error}", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("read", &path, &error)),
        }
    }

    pub(super) fn write(&self) -> Result<(), Stop> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new("internal_error", format!("the state cannot be written: {error}")))?;
        let mut file = AtomicFile::create(&path(&self.data), 0o600)?;
        file.write(&text)?;
        file.finish()?;
        Ok(())
    }

    pub(super) fn remove(data: &Path) {
        // Whoever reads a stale one checks the process anyway.
        let _ = std::fs::remove_file(path(data));
    }
}
