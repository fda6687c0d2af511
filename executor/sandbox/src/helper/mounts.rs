//! The helper's mounts, all in its private mount namespace: the cached tree with the slot's ownership, an overlay on
//! it, `/tmp`, and all that with the root under one staging folder that an unprivileged user can reach.
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::thread::UnshareFlags;

use crate::kernel::cgroup::CGROUP_ROOT;
use crate::kernel::disk;
use crate::kernel::mounts::{READ_ONLY, WRITABLE, set_attributes};
use crate::kernel::namespaces::unshare;
use crate::kernel::users::Users;
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::layout::{OCI, ROOT, STAGE, TMP, WORKSPACE};
use crate::protocol::request::Request;

/// Space for the bundle and the state of an OCI runtime.
const OCI_BYTES: &str = "16m";

/// Paths of the host that engines need, besides their own programs.
const NEEDED: [&str; 4] = ["/usr", "/proc", "/dev", STAGE];

/// Gives the fork server a mount namespace of its own, without the host's mounts that lead to nothing in [`NEEDED`] or
/// `also`. What is not there cannot be reached by a helper gone wrong; and bubblewrap reads the table of mounts again
/// for each one that it makes.
pub(super) fn keep_needed(also: &[PathBuf]) -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let needed: Vec<&Path> = NEEDED.iter().map(Path::new).chain(also.iter().map(PathBuf::as_path)).collect();
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    // Later mounts cover or stand on earlier ones.
    for line in table.lines().rev() {
        let Some(point) = line.split(' ').nth(4).map(Path::new) else { continue };
        // Beneath these there are mounts that belong to them.
        let belongs = |whole: &str| point.starts_with(whole) && needed.contains(&Path::new(whole));
        if belongs("/usr") || belongs(CGROUP_ROOT) || needed.iter().any(|path| path.starts_with(point)) {
            continue;
        }
        // Gone with its parent, or named with a blank, which the table escapes, or locked by an outer user namespace.
        let _ = unmount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    Ok(())
}

/// Mounts the cached tree and what belongs to it, in a namespace of this helper's own. Returns the root of the overlay: the descriptor
/// keeps it alive after the namespace is gone.
pub(super) fn mount_workspace(request: &Request, lower: &OwnedFd, users: Users) -> Result<OwnedFd, Failure> {
    // Relative names below need no escaping in mount options and stay short.
    rustix::process::chdir(&request.run_dir).at("enter the run directory")?;
    attach(lower, "lower").at("mount the cached tree")?;
    let layers = match &request.disk {
        Some((device, folder)) => {
            let disk = disk::mount(device, &[]).at("mount the slot's disk")?;
            attach(&disk, "disk").at("attach the slot's disk")?;
            Path::new("disk").join(folder)
        }
        None => PathBuf::from("."),
    };
    let overlay = overlay(&layers, users).at("mount overlayfs")?;
    let tmp = cloned(&layers.join("tmp"), WRITABLE).at("clone the run's /tmp")?;

    attach(&cloned(&request.stage, READ_ONLY).at("clone the staging folder")?, STAGE).at("mount the staging folder")?;
    if let Some(root) = &request.root {
        attach(&cloned(root, READ_ONLY).at("clone the root file system")?, ROOT).at("mount the root file system")?;
    }
    attach(&tmp, TMP).at("mount the run's /tmp")?;
    attach(&overlay, WORKSPACE).at("mount the workspace")?;
    Ok(overlay)
}

/// Mounts a folder in memory for an OCI runtime, whose user is `uid` on the host.
pub(super) fn mount_oci(uid: u32) -> Result<(), Failure> {
    let folder = || -> io::Result<OwnedFd> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = context.as_fd();
        let id = uid.to_string();
        for (key, value) in [("uid", &*id), ("gid", &*id), ("mode", "0700"), ("size", OCI_BYTES)] {
            fsconfig_set_string(context, key, value)?;
        }
        fsconfig_create(context)?;
        Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, WRITABLE)?)
    };
    attach(&folder().at("make a place for the runtime")?, OCI).at("mount a place for the runtime")
}

/// A folder as a mount of its own, with these attributes whatever is mounted on it later.
fn cloned(folder: &Path, attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let mount = open_tree(CWD, folder, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    set_attributes(mount.as_fd(), attributes, None)?;
    Ok(mount)
}

fn attach(mount: &OwnedFd, target: &str) -> rustix::io::Result<()> {
    move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Mounts overlayfs. `layers` has the folders `upper` and `work`.
fn overlay(layers: &Path, users: Users) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", "crownest")?;
    for (key, value) in [
        ("lowerdir", Path::new("lower")),
        ("upperdir", &layers.join("upper")),
        ("workdir", &layers.join("work")),
        ("index", Path::new("off")),
        ("metacopy", Path::new("off")),
    ] {
        fsconfig_set_string(context, key, value)?;
    }
    match users {
        // Without it, renaming a folder of the archive fails with EXDEV, which few build tools expect.
        Users::Machine => fsconfig_set_string(context, "redirect_dir", "on")?,
        // overlayfs keeps its notes in attributes that need no privilege; it does not have both.
        Users::Namespace { .. } => fsconfig_set_flag(context, "userxattr")?,
    }
    // The upper layer never outlives the run: no reason to ever sync it.
    fsconfig_set_flag(context, "volatile")?;
    fsconfig_create(context)?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, WRITABLE)
}
