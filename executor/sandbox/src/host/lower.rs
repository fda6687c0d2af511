//! A cached tree as one run sees it: a mount of its own, read-only, on which the slot owns everything. Made
//! by the executor and handed to the helper, whose mount namespace need not contain the cache.
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::error::{SandboxError, Step as _};
use crate::kernel::mounts::{READ_ONLY, set_attributes};

/// The way in which a slot comes to own a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    /// Root owns the tree, and this user namespace maps root to the slot.
    Mapped(BorrowedFd<'a>),
    /// The slot owns the tree on disk, with this id.
    Is(u32),
}

/// Makes the mount, which is attached nowhere and ends with the descriptor.
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
