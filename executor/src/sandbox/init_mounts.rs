//! The helper's mounts, all in its private mount namespace: the cached tree with the slot's ownership, an overlay on
//! it, and both that and the synthesized `/etc` under one staging folder that an unprivileged user can reach.
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
};
use rustix::thread::UnshareFlags;

use super::init::{At as _, Failure};
use super::request::Request;

/// Where the staging folder appears, in the helper's namespace only: every Linux has this folder, and every parent of
/// it can be entered by anybody, which is not so of the executor's own folders.
pub(super) const STAGE: &str = "/mnt";
/// The overlay, inside [`STAGE`].
pub(super) const WORKSPACE: &str = "/mnt/workspace";

/// Returns the root of the overlay. The descriptor keeps it alive after the namespace is gone.
pub(super) fn mount_workspace(request: &Request, idmap: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    // SAFETY: only `UnshareFlags::FILES` has requirements, and it is not used.
    #[expect(unsafe_code, reason = "unshare")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.at("unshare mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).at("make mounts private")?;
    // Relative names below need no escaping in mount options and stay short.
    rustix::process::chdir(&request.run_dir).at("enter the run directory")?;

    let lower = clone_tree(&request.lower).at("clone the cached tree")?;
    map_owner(lower.as_fd(), idmap).at("map the owner of the cached tree (idmapped mount)")?;
    attach(&lower, "lower").at("mount the cached tree")?;
    let overlay = overlay().at("mount overlayfs")?;

    attach(&clone_tree(&request.stage).at("clone the staging folder")?, STAGE).at("mount the staging folder")?;
    attach(&overlay, WORKSPACE).at("mount the workspace")?;
    Ok(overlay)
}

fn clone_tree(path: &std::path::Path) -> rustix::io::Result<OwnedFd> {
    open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

fn attach(mount: &OwnedFd, target: &str) -> rustix::io::Result<()> {
    move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn overlay() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", "crownest")?;
    for (key, value) in [
        ("lowerdir", "lower"),
        ("upperdir", "upper"),
        ("workdir", "work"),
        ("index", "off"),
        ("metacopy", "off"),
        // Without it, renaming a folder of the archive fails with EXDEV, which few build tools expect.
        ("redirect_dir", "on"),
    ] {
        fsconfig_set_string(context, key, value)?;
    }
    // The upper layer never outlives the run: no reason to ever sync it.
    fsconfig_set_flag(context, "volatile")?;
    fsconfig_create(context)?;
    fsmount(
        context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
    )
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Makes what root owns on disk appear as owned by the slot, on this mount only, and makes the mount read-only.
fn map_owner(mount: BorrowedFd<'_>, idmap: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = MountAttrFlags::MOUNT_ATTR_IDMAP
        | MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let attr = MountAttr {
        attr_set: u64::from(attributes.bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(idmap.as_raw_fd()).map_err(io::Error::other)?,
    };
    // SAFETY: an empty C string, and a struct of the size that is passed; both outlive the call.
    #[expect(unsafe_code, reason = "mount_setattr has no wrapper in rustix or libc")]
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
