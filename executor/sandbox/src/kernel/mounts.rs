//! Mounts that are attached nowhere yet: their attributes (mount_setattr(2)), and views of a folder with inodes of their
//! own.
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

/// Attributes of mounts that a run writes to.
pub(crate) const WRITABLE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV.union(MountAttrFlags::MOUNT_ATTR_NOSUID);
/// Attributes of all other mounts that a stranger's command may see.
pub(crate) const READ_ONLY: MountAttrFlags = WRITABLE.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// A folder as a read-only file system of its own: an overlayfs without an upper layer over it and `nothing`, an empty
/// folder (Linux wants two layers). Content and page cache are shared with other views. Inodes are not, and what the kernel
/// hangs on them: watches (inotify, dnotify), locks and leases.
///
/// `folder` is what the command's table of mounts shows of it.
pub(crate) fn view(folder: &str, nothing: &Path) -> io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", "crownest")?;
    let nothing = nothing.to_string_lossy().replace('\\', r"\\").replace(':', r"\:");
    fsconfig_set_string(context, "lowerdir", format!("{folder}:{nothing}"))?;
    fsconfig_create(context)?;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, READ_ONLY)?)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets attributes; with `idmap`, owners are mapped as that user namespace says.
pub(crate) fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: MountAttrFlags,
    idmap: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mapped = idmap.map_or(MountAttrFlags::empty(), |_| MountAttrFlags::MOUNT_ATTR_IDMAP);
    let attr = MountAttr {
        attr_set: u64::from((attributes | mapped).bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: idmap.map_or(Ok(0), |idmap| u64::try_from(idmap.as_raw_fd()).map_err(io::Error::other))?,
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
