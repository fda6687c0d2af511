//! Everything that the sandboxes of one host share, from the lock of the work directory to the disks of slots.
use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::{FlockOperation, IFlags};
use sha2::{Digest as _, Sha256};

use super::config::{DiskLimit, SandboxConfig};
use super::error::{SandboxError, Step as _};
use super::ids::Ids;
use super::ready::ReadyPool;
use super::slot::Slots;
use super::spawner::Spawner;
use super::{locate, stage, sweep, user_namespace};
use crate::kernel::cgroup::{CGROUP_ROOT, Hierarchy, Place};
use crate::kernel::disk::Disk;
use crate::kernel::removal::remove_tree;
use crate::kernel::users::Users;
use crate::kernel::{idmap, landlock, mounts};
use crate::protocol::engine::Engine;

#[derive(Debug)]
pub(super) struct Machine {
    spawner: Arc<Spawner>,
    pub(super) ready: ReadyPool,
    hierarchy: Hierarchy,
    pub(super) engine: Engine,
    work_dir: PathBuf,
    pub(super) users: Users,
    pub(super) ids: Ids,
    pub(super) disk_bytes: Option<u64>,
    pub(super) slots: Slots,
    /// User namespaces of the slots seen so far, by what they map.
    user_namespaces: Mutex<HashMap<String, Arc<OwnedFd>>>,
    /// Disk of each slot seen so far.
    disks: Mutex<HashMap<u32, Arc<Disk>>>,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Machine {
    pub(super) fn open(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let users = Users::of_this_process().step("read the map of user ids")?;
        let engine = Engine::find(&config.engine)?;
        if users != Users::Machine && matches!(engine, Engine::Oci(_)) {
            return Err(SandboxError::unavailable(
                "find the sandbox engine",
                "the OCI engine needs root; use bubblewrap",
            ));
        }
        let helper = locate::helper(config.helper_path.as_deref())?;
        let runs = config.work_dir.join("runs");
        fs::create_dir_all(&runs).step("create the work directory")?;
        if let Err(error) = spread_over_the_disk(&runs) {
            tracing::debug!(%error, "the file system does not take the hint about run directories");
        }
        let work_dir = config.work_dir.canonicalize().step("create the work directory")?;
        fs::set_permissions(&work_dir, Permissions::from_mode(0o700)).step("create the work directory")?;
        let lock = File::create(work_dir.join("lock")).step("create the lock file")?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(SandboxError::WorkDirLocked(work_dir));
        }
        let ids = Ids::reserve(users, config.uid_base, config.slots)?;
        // Own groups per work directory: the sweep below must never meet another executor's sandboxes.
        let digest = Sha256::digest(work_dir.as_os_str().as_encoded_bytes());
        let parent = config.cgroup_parent.join(hex::encode(&digest[..6]));
        let place = if users == Users::Machine { Place::Root } else { Place::Own };
        let hierarchy = Hierarchy::open(Path::new(CGROUP_ROOT), place, parent, engine.overhead())
            .map_err(|error| SandboxError::unavailable("control groups", error))?;
        let swept = sweep::sweep(&hierarchy, &work_dir.join("runs"))
            .map_err(|error| SandboxError::unavailable("start-up sweep", error))?;
        if swept > 0 {
            tracing::warn!(swept, "removed what a killed executor left");
        }
        if landlock::version().is_none() {
            tracing::warn!("this kernel has no Landlock: sandboxes go without one of their layers");
        }
        let stage_dir = work_dir.join("stage");
        remove_tree(&stage_dir).step("remove the old staging folder")?;
        stage::build(&stage_dir).step("build the staging folder")?;
        if let Err(error) = mounts::view("/usr", &stage_dir.join("nothing")) {
            tracing::warn!(%error, "overlayfs takes no /usr of this machine: runs can watch and lock files of each other there");
        }
        let needed = engine.needs().into_iter().chain([work_dir.clone()]).collect();
        let spawner = Arc::new(Spawner::start(helper, needed).step("start the spawner thread")?);
        Ok(Self {
            ready: ReadyPool::open(Arc::clone(&spawner), hierarchy.clone()).step("start a thread")?,
            spawner,
            hierarchy,
            engine,
            users,
            ids,
            disk_bytes: disk_bytes(config.disk, users, &work_dir),
            slots: Slots::default(),
            user_namespaces: Mutex::default(),
            disks: Mutex::default(),
            _lock: lock,
            work_dir,
        })
    }

    pub(super) fn run_dir(&self, label: &str) -> PathBuf {
        self.work_dir.join("runs").join(label)
    }

    pub(super) fn stage(&self) -> PathBuf {
        self.work_dir.join("stage")
    }

    /// The disk limit, if it must be kept by measuring.
    pub(super) fn measured_bytes(&self) -> Option<u64> {
        self.disk_bytes.filter(|_| !self.users.can_make_disks())
    }

    /// The disk of a slot; `None` where there is no limit, or no disk to keep it.
    pub(super) fn disk(&self, slot: u32) -> io::Result<Option<Arc<Disk>>> {
        let Some(bytes) = self.disk_bytes.filter(|_| self.users.can_make_disks()) else { return Ok(None) };
        if let Some(disk) = lock(&self.disks).get(&slot) {
            return Ok(Some(Arc::clone(disk)));
        }
        // Not under the lock: it takes a while, and nobody else may use this slot.
        let disk = Arc::new(Disk::create(&self.work_dir, bytes)?);
        lock(&self.disks).insert(slot, Arc::clone(&disk));
        Ok(Some(disk))
    }

    /// Lets go of the disk of a slot, whatever is on it. The kernel takes it apart with its last user.
    pub(super) fn drop_disk(&self, slot: u32) {
        lock(&self.disks).remove(&slot);
    }

    pub(super) fn tree_owner(&self, uid: u32) -> Option<u32> {
        (!self.users.can_map_owners()).then_some(uid)
    }

    /// The user namespace that maps the owner of a cached tree; `None` if trees must belong to the slot.
    pub(super) fn idmap(&self, uid: u32, deadline: Instant) -> Result<Option<Arc<OwnedFd>>, SandboxError> {
        self.users.can_map_owners().then(|| self.user_namespace(idmap::of_tree(uid), deadline)).transpose()
    }

    /// The user namespace in which an OCI runtime lives.
    pub(super) fn runtime_users(&self, uid: u32, deadline: Instant) -> Result<Arc<OwnedFd>, SandboxError> {
        self.user_namespace(idmap::of_runtime(uid), deadline)
    }

    fn user_namespace(&self, mapping: String, deadline: Instant) -> Result<Arc<OwnedFd>, SandboxError> {
        let mut namespaces = lock(&self.user_namespaces);
        if let Some(namespace) = namespaces.get(&mapping) {
            return Ok(Arc::clone(namespace));
        }
        let namespace = Arc::new(user_namespace::create(&self.spawner, &mapping, deadline)?);
        namespaces.insert(mapping, Arc::clone(&namespace));
        Ok(namespace)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.ready.close();
        // Fails, rightly, if a run could not be cleaned up.
        self.hierarchy.remove_if_empty();
    }
}

fn disk_bytes(limit: DiskLimit, users: Users, work_dir: &Path) -> Option<u64> {
    match limit {
        DiskLimit::None => None,
        DiskLimit::Bytes(bytes) | DiskLimit::WherePossible(bytes) if !users.can_make_disks() => {
            tracing::warn!(
                bytes,
                "without root the disk space of runs is measured, not limited by a file system: a run that takes more is \
                 ended some seconds later"
            );
            Some(bytes)
        }
        // The self-test makes one.
        DiskLimit::Bytes(bytes) => Some(bytes),
        DiskLimit::WherePossible(bytes) => match Disk::create(work_dir, bytes) {
            Ok(_) => Some(bytes),
            Err(error) => {
                tracing::warn!(%error, "this machine cannot limit the disk space of runs: they share the work directory's");
                None
            }
        },
    }
}

/// Tells ext4 that the folders in this one are unrelated (chattr(1), `T`), so that runs do not crowd into one block
/// group: looking for a free inode there walks over every one that was freed within the last minute. Other file
/// systems have no such attribute and no such need.
fn spread_over_the_disk(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    let flags = rustix::fs::ioctl_getflags(&folder)?;
    Ok(rustix::fs::ioctl_setflags(&folder, flags | IFlags::TOPDIR)?)
}

/// The data behind these locks is valid after every statement: a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
