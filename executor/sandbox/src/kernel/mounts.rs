//! Attributes of mounts that are attached nowhere yet (mount_setattr(2)).
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::mount::MountAttrFlags;

/// Attributes of mounts that a run writes to.
pub(crate) const WRITABLE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV.union(MountAttrFlags::MOUNT_ATTR_NOSUID);
/// Attributes of all other mounts that a stranger's command may see.
pub(crate) const READ_ONLY: MountAttrFlags = WRITABLE.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// With `idmap`, a user namespace, owners are mapped as it says.
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
