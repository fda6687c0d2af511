//! Maps of user ids (user_namespaces(7)) for one slot: from root, the owner of every cached tree, to the slot's uid, for
//! idmapped mounts; and the map of the namespace in which an OCI runtime and what it runs live.

/// The command's user, inside; on the host it is the slot's uid.
pub(crate) const USER_ID: u32 = 1000;
/// The owner of every file of a cached tree, as extraction leaves it.
const TREE_OWNER: u32 = 0;

/// Added to a slot's uid: the user that an OCI runtime and our pid 1 have, and that of a guest's kernel.
const RUNTIME: u32 = 100_000;
const GUEST_KERNEL: u32 = 200_000;
/// No slot's ids may be larger than this below the largest.
pub(crate) const HIGHEST: u32 = GUEST_KERNEL;
/// The user as which runsc runs its kernel.
const NOBODY: u32 = 65_534;

/// The owner of a cached tree becomes the user of the slot.
pub(crate) fn of_tree(uid: u32) -> String {
    format!("{TREE_OWNER} {uid} 1\n")
}

/// The map for a sandbox of an OCI runtime: its own root, which owns nothing on the host, and the user of the command.
pub(crate) fn of_runtime(uid: u32) -> String {
    format!("0 {} 1\n{USER_ID} {uid} 1\n{NOBODY} {} 1\n", runtime_uid(uid), uid + GUEST_KERNEL)
}

/// The runtime's user for the slot with this `uid`, on the host.
pub(crate) fn runtime_uid(uid: u32) -> u32 {
    uid + RUNTIME
}
