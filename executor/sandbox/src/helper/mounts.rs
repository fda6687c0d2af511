//! The helper's mounts, all in its private mount namespace: the cached tree with the slot's ownership, an overlay on
//! it, `/tmp`, and all that with the root under one staging folder that an unprivileged user can reach. No inode that a
//! command can open is another run's, too: watches and locks would lead from one to the other.
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chmodat, makedev, mknodat, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::thread::UnshareFlags;

use crate::kernel::cgroup::CGROUP_ROOT;
use crate::kernel::disk;
use crate::kernel::mounts::{self, READ_ONLY, WRITABLE, set_attributes};
use crate::kernel::namespaces::unshare;
use crate::kernel::users::Users;
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::layout::{HOST_ROOT, NOTHING, OCI, ROOT, STAGE, TMP, USR, WORKSPACE};
use crate::protocol::request::Request;

/// Space for the bundle and the state of an OCI runtime.
const OCI_BYTES: &str = "16m";

/// Paths of the host that engines need, besides their own programs.
const NEEDED: [&str; 4] = [HOST_USR, "/proc", "/dev", STAGE];
const HOST_USR: &str = "/usr";

/// The devices that a command gets, with their numbers (Linux: Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Gives the fork server a mount namespace of its own, without the host's mounts that lead to nothing in [`NEEDED`] or
/// `also`. What is not there cannot be reached by a helper gone wrong; and bubblewrap reads the table of mounts again
/// for each one that it makes. Returns `/usr` and what is mounted in it.
pub(super) fn keep_needed(also: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let needed: Vec<&Path> = NEEDED.iter().map(Path::new).chain(also.iter().map(PathBuf::as_path)).collect();
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let mut usr = vec![PathBuf::from(HOST_USR)];
    // Later mounts cover or stand on earlier ones.
    for line in table.lines().rev() {
        let Some(point) = line.split(' ').nth(4).map(Path::new) else { continue };
        // Beneath these there are mounts that belong to them.
        let belongs = |whole: &str| point.starts_with(whole) && needed.contains(&Path::new(whole));
        if belongs(HOST_USR) {
            usr.push(point.to_owned());
        }
        if belongs(HOST_USR) || belongs(CGROUP_ROOT) || needed.iter().any(|path| path.starts_with(point)) {
            continue;
        }
        // Gone with its parent, or named with a blank, which the table escapes, or locked by an outer user namespace.
        let _ = unmount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    // Outer ones first.
    usr.sort();
    usr.dedup();
    Ok(usr)
}

/// Mounts the cached tree and what belongs to it, in a namespace of this helper's own. Returns the root of the overlay:
/// the descriptor keeps it alive after the namespace is gone.
///
/// `usr` is the host's `/usr` and what is mounted in it.
pub(super) fn mount_workspace(
    request: &Request,
    lower: &OwnedFd,
    users: Users,
    usr: &[PathBuf],
) -> Result<OwnedFd, Failure> {
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

    // Opened before it may be beneath what is mounted next.
    let root = request.root.as_ref().map(|root| open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())).transpose();
    let root = root.at("open the root file system")?;
    attach(&cloned(&request.stage, READ_ONLY).at("clone the staging folder")?, STAGE).at("mount the staging folder")?;
    attach(&tmp, TMP).at("mount the run's /tmp")?;
    attach(&overlay, WORKSPACE).at("mount the workspace")?;
    let folder = root.as_ref().map_or(HOST_ROOT.into(), |root| format!("/proc/self/fd/{}", root.as_raw_fd()));
    attach(&view(Path::new(&folder)).at("make a view of the root file system")?, ROOT)
        .at("mount the root file system")?;
    if root.is_none() {
        for folder in usr {
            let inside = Path::new(USR).join(folder.strip_prefix(HOST_USR).unwrap_or(folder));
            attach(&view(folder).at("make a view of /usr")?, inside).at("mount /usr")?;
        }
    }
    Ok(overlay)
}

/// A folder of the host, read-only, with inodes of its own. Where overlayfs refuses, of which the executor has warned, it is
/// the folder itself, with what is mounted in it, because Linux may have locked these together. Changes the working folder.
fn view(folder: &Path) -> io::Result<OwnedFd> {
    let own = rustix::process::chdir(folder).map_err(io::Error::from);
    // No path of the host is shown to the command, nor needs escaping.
    own.and_then(|()| mounts::view(".", Path::new(NOTHING))).or_else(|_| {
        let whole = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let mount = open_tree(CWD, folder, whole)?;
        set_attributes(mount.as_fd(), READ_ONLY, None)?;
        Ok(mount)
    })
}

/// Mounts devices with inodes of this run's own over the host's. Where that is not allowed, the host's stay.
pub(super) fn mount_devices(users: Users) -> Result<(), Failure> {
    if users != Users::Machine {
        // Linux opens no device of a file system that a user namespace has made.
        return Ok(());
    }
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).at("make a place for devices")?;
    let context = context.as_fd();
    for (key, value) in [("mode", "0755"), ("size", "64k")] {
        fsconfig_set_string(context, key, value).at("make a place for devices")?;
    }
    fsconfig_create(context).at("make a place for devices")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let folder = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).at("make a place for devices")?;
    let mode = Mode::from_raw_mode(0o666);
    for (name, major, minor) in DEVICES {
        let made = mknodat(&folder, name, FileType::CharacterDevice, mode, makedev(major, minor))
            .and_then(|()| chmodat(&folder, name, mode, AtFlags::empty()));
        if made.is_err() {
            return Ok(());
        }
    }
    attach(&folder, "/dev").at("mount devices")
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

fn attach(mount: &OwnedFd, target: impl rustix::path::Arg) -> rustix::io::Result<()> {
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
