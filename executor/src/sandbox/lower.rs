//! A cached tree as one run sees it: a mount of its own, read-only, on which the slot owns everything. Made
//! by the executor and handed to the helper, whose mount namespace need not contain the cache.
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::error::{SandboxError, Step as _};

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// How a slot comes to own a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    /// Root does, and this user namespace maps root to the slot.
    Mapped(BorrowedFd<'a>),
    /// It does on disk, with this id.
    Is(u32),
}

/// Attached nowhere yet, and gone with the descriptor.
pub(super) fn mount(tree: &Path, owner: Owner<'_>) -> Result<OwnedFd, SandboxError> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, tree, clone).step("clone the cached tree")?;
    match owner {
        Owner::Mapped(idmap) => set_attributes(mount.as_fd(), READ_ONLY, Some(idmap))
            .step("map the owner of the cached tree (idmapped mount)")?,
        Owner::Is(uid) => {
            let found = rustix::fs::fstat(&mount).step("look at the cached tree")?.st_uid;
            if found != uid {
                let text = format!("the tree belongs to {found}, expected {uid}, the user of the slot");
                return Err(SandboxError::InvalidSpec(text));
            }
            set_attributes(mount.as_fd(), READ_ONLY, None).step("show the cached tree read-only")?;
        }
    }
    Ok(mount)
}

/// Of whatever a stranger's command may see.
pub(super) const READ_ONLY: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_RDONLY.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOSUID);

/// Of a mount that is attached nowhere; owners are mapped if there is a user namespace.
pub(super) fn set_attributes(
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
