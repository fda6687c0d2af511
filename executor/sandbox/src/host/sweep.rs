//! The start-up sweep: removes what an executor that was killed left. Nothing of its runs may live on; a folder that
//! cannot be removed takes only space, and is tried again at the next start.
use std::path::Path;

use super::error::{At as _, CleanupError};
use crate::kernel::cgroup::Hierarchy;
use crate::kernel::removal::remove_tree;

/// Empties `runs` and the control groups; says how many runs there were.
pub(super) fn sweep(hierarchy: &Hierarchy, runs: &Path) -> Result<usize, CleanupError> {
    let leftovers = hierarchy.leftovers().at("list control groups")?;
    for cgroup in &leftovers {
        cgroup.kill_and_wait().at("kill leftover processes")?;
        cgroup.remove().at("remove control group")?;
    }
    let mut swept = 0;
    for entry in std::fs::read_dir(runs).at("list run directories")? {
        let path = entry.at("list run directories")?.path();
        match remove_tree(&path) {
            Ok(()) => swept += 1,
            Err(error) => tracing::warn!(%error, path = %path.display(), "cannot remove the folder of a former run"),
        }
    }
    Ok(swept.max(leftovers.len()))
}
