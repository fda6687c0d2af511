//! A folder with files of the tables, named as their objects are.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use schemas::lake::{FileName, PREFIX, TABLES, snapshot};

use crate::failure::Failure;

const LOCK: &str = ".crownest-tables.lock";

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder that has `tables/`, or `tables` itself.
    pub(crate) fn existing(path: &Path) -> Result<Self, Failure> {
        let absolute = path.canonicalize().map_err(|error| Failure::file("read", path, &error))?;
        let inner = absolute.join(PREFIX).is_dir().then(|| absolute.clone());
        let outer = || absolute.ends_with(PREFIX.trim_end_matches('/')).then(|| absolute.parent().map(Path::to_owned));
        let path = inner.or_else(|| outer().flatten()).ok_or_else(|| {
            Failure::new("no_tables", format!("{} has no folder `tables`", path.display()))
                .hint("Fill it with `crownest tables sync DIR`.")
        })?;
        Ok(Self { path })
    }

    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("create", path, &error);
        fs::create_dir_all(path.join(PREFIX)).map_err(failed)?;
        Ok(Self { path: path.canonicalize().map_err(failed)? })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &FileName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// Nobody else changes or reads the folder until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        let path = self.path.join(LOCK);
        let failed = |error: io::Error| Failure::file("lock", &path, &error);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => file.lock().map_err(failed)?,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Ok(()) => {}
        }
        Ok(file)
    }

    /// Every file of a table that is there.
    pub(crate) fn present(&self) -> Result<Vec<FileName>, Failure> {
        let mut found = Vec::new();
        for table in TABLES {
            let folder = self.path.join(PREFIX).join(table.name);
            for day in names(&folder)? {
                let key = |file: &String| format!("{PREFIX}{}/{day}/{file}", table.name);
                found.extend(names(&folder.join(&day))?.iter().filter_map(|file| key(file).parse::<FileName>().ok()));
            }
        }
        Ok(found)
    }

    /// The files to read: together they have each run once, in every table.
    pub(crate) fn current(&self) -> Result<Vec<FileName>, Failure> {
        Ok(snapshot(self.present()?))
    }
}

/// The entries of a folder; none if it does not exist.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(|error| Failure::file("list", folder, &error))?,
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}
