//! Control groups of runs: limits, membership, killing and accounting, on cgroup v2 (production) and on the v1
//! hierarchies of older and hybrid machines. Files are written directly; no crate here assumes one version.
mod limits;
mod members;
mod own;
mod usage;
mod v1;
mod v2;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::process::{KILL_DEADLINE, wait_readable};
pub use limits::Limits;
pub(crate) use limits::Overhead;
pub(crate) use usage::Accounting;
pub use usage::ResourceUsage;

/// The folder in which control groups are mounted.
pub(crate) const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The place in the hierarchies at which a host makes its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the root of each hierarchy.
    Root,
    /// In the groups of this process, which an administrator has delegated to its user.
    Own,
}

/// The folders, found on this machine, in which a host may make groups.
#[derive(Debug, Clone)]
enum Version {
    V1(v1::Controllers),
    V2(PathBuf),
}

/// This host's own place in the control group tree; runs are its children.
#[derive(Debug, Clone)]
pub(crate) struct Hierarchy {
    version: Version,
    /// This host's group, relative to each folder of `version`.
    parent: PathBuf,
    /// Processes of the sandbox itself, on top of the limits of runs.
    overhead: Overhead,
    /// Number of groups made so far, which names the next one.
    made: Arc<AtomicU64>,
}

impl Hierarchy {
    /// Detects the version and makes `parent` with the controllers that runs need.
    pub(crate) fn open(root: &Path, place: Place, parent: PathBuf, overhead: Overhead) -> io::Result<Self> {
        let own = match place {
            Place::Root => own::Groups::default(),
            Place::Own => own::Groups::of_this_process()?,
        };
        let version = if root.join("cgroup.controllers").exists() {
            let folder = own.unified(root);
            if place == Place::Own {
                v2::make_room(&folder).map_err(|error| own::not_delegated_v2(&folder, &error))?;
            }
            v2::delegate(&folder, &parent)?;
            Version::V2(folder)
        } else {
            let controllers = v1::Controllers::find(root, &own)?;
            for directory in controllers.directories(&parent) {
                fs::create_dir_all(&directory).map_err(|error| match place {
                    Place::Root => error,
                    Place::Own => own::not_delegated_v1(&directory, &error),
                })?;
            }
            Version::V1(controllers)
        };
        Ok(Self { version, parent, overhead, made: Arc::default() })
    }

    /// Makes a group without limits. Its name is a number, because a group is there before its run.
    pub(crate) fn create(&self) -> io::Result<Cgroup> {
        let cgroup = self.group(&self.made.fetch_add(1, Ordering::Relaxed).to_string());
        for directory in cgroup.directories() {
            if let Err(error) = fs::create_dir(&directory) {
                let _ = cgroup.remove();
                return Err(error);
            }
        }
        Ok(cgroup)
    }

    /// Groups that a killed executor left.
    pub(crate) fn leftovers(&self) -> io::Result<Vec<Cgroup>> {
        let mut names = BTreeSet::new();
        for directory in self.group("").directories() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    names.insert(entry.file_name());
                }
            }
        }
        Ok(names.iter().filter_map(|name| name.to_str()).map(|name| self.group(name)).collect())
    }

    /// Removes this host's own place, if no run is left in it.
    pub(crate) fn remove_if_empty(&self) {
        for directory in self.group("").directories() {
            let _ = fs::remove_dir(directory);
        }
    }

    fn group(&self, name: &str) -> Cgroup {
        Cgroup { version: self.version.clone(), path: self.parent.join(name), overhead: self.overhead }
    }
}

/// The group of one run, or of a helper that waits for one, in every hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    path: PathBuf,
    overhead: Overhead,
}

impl Cgroup {
    pub(crate) fn limit(&self, limits: Limits) -> io::Result<()> {
        let Overhead { pids, pids_for_each, .. } = self.overhead;
        let limits = Limits { pids: limits.pids.saturating_mul(pids_for_each).saturating_add(pids), ..limits };
        match &self.version {
            Version::V1(controllers) => v1::limit(controllers, &self.path, limits),
            Version::V2(root) => v2::limit(&root.join(&self.path), limits),
        }
    }

    /// Moves a process of ours into the group.
    pub(crate) fn join(&self, pid: i32) -> io::Result<()> {
        let pid = pid.to_string();
        self.directories().iter().try_for_each(|directory| fs::write(directory.join("cgroup.procs"), &pid))
    }

    fn directories(&self) -> Vec<PathBuf> {
        match &self.version {
            Version::V1(controllers) => controllers.directories(&self.path),
            Version::V2(root) => vec![root.join(&self.path)],
        }
    }

    fn members_folder(&self) -> PathBuf {
        match &self.version {
            Version::V1(controllers) => controllers.pids.join(&self.path),
            Version::V2(root) => root.join(&self.path),
        }
    }

    pub(crate) fn members(&self) -> io::Result<BTreeSet<i32>> {
        members::list(&self.members_folder())
    }

    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        members::none(&self.members_folder())
    }

    /// Sends `signal` to every member that `is_meant`, by pid; says how many got it.
    pub(crate) fn signal(&self, signal: Signal, is_meant: impl Fn(i32) -> bool) -> io::Result<usize> {
        Ok(members::signal(&self.members_folder(), signal, is_meant)?.len())
    }

    /// Starts killing every member, without waiting.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match &self.version {
            Version::V2(root) => fs::write(root.join(&self.path).join("cgroup.kill"), "1"),
            Version::V1(_) => self.signal(Signal::KILL, |_| true).map(|_| ()),
        }
    }

    /// Kills every member and returns when none is left. Blocking.
    pub(crate) fn kill_and_wait(&self) -> io::Result<()> {
        let deadline = Instant::now() + KILL_DEADLINE;
        loop {
            let killed = members::signal(&self.members_folder(), Signal::KILL, |_| true)?;
            if killed.is_empty() {
                return Ok(());
            }
            let ended = killed.iter().try_for_each(|process| wait_readable(process, deadline));
            ended.map_err(|error| io::Error::new(error.kind(), format!("waiting for killed processes: {error}")))?;
        }
    }

    /// The kernel's counters; to be read after the last member ended and before [`remove`](Self::remove).
    pub(crate) fn accounting(&self) -> Accounting {
        let mut accounting = match &self.version {
            Version::V1(controllers) => v1::accounting(controllers, &self.path),
            Version::V2(root) => v2::accounting(&root.join(&self.path)),
        };
        let pids = &mut accounting.usage.pids_peak;
        *pids = pids.filter(|_| self.overhead.is_exact).map(|peak| peak.saturating_sub(self.overhead.pids.into()));
        accounting
    }

    /// Removes the directories; those that do not exist are fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let deadline = Instant::now() + KILL_DEADLINE;
        for directory in self.directories() {
            loop {
                match fs::remove_dir(&directory) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    // The last member's exit may still be on its way through the kernel.
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
