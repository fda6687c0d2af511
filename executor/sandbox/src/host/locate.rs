//! Finding the two programs that a sandbox needs.
use std::env;
use std::path::{Path, PathBuf};

use super::error::SandboxError;

const HELPER: &str = "crownest-sandbox";

/// Next to the running executable, or one folder up (where test binaries in `target/debug/deps` find it).
pub(super) fn helper(configured: Option<&Path>) -> Result<PathBuf, SandboxError> {
    let candidates: Vec<PathBuf> = if let Some(path) = configured {
        vec![path.to_owned()]
    } else {
        let executable = env::current_exe().map_err(|error| SandboxError::unavailable("find the helper", error))?;
        executable.ancestors().skip(1).take(2).map(|folder| folder.join(HELPER)).collect()
    };
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        SandboxError::unavailable("find the helper", format!("{HELPER} is not at any of {candidates:?}"))
    })
}

/// A bare name is looked up in `PATH` here, because the helper has no environment. `package` is Debian's.
pub(super) fn program(configured: &Path, package: &str) -> Result<PathBuf, SandboxError> {
    const STEP: &str = "find the sandbox engine";
    let found = if configured.components().count() > 1 {
        Some(configured.to_owned()).filter(|path| path.is_file())
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|folder| folder.join(configured)).find(|path| path.is_file())
    };
    let found = found.ok_or_else(|| {
        let text = format!("{} is not installed (Debian: apt install {package})", configured.display());
        SandboxError::unavailable(STEP, text)
    })?;
    // The helper has another working directory, and looks for the mount that this is on.
    found.canonicalize().map_err(|error| SandboxError::unavailable(STEP, error))
}
