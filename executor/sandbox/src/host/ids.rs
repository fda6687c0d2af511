//! The user ids of slots, reserved among the executors of one user: their namespaces map the same subordinate ids, and no
//! two runs may have one at a time. A reservation is a name of an abstract socket, which the kernel gives to one process
//! and takes back when that is gone. (Root says with `--uid-base` which ids an executor has.)
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::error::{SandboxError, Step as _};
use crate::kernel::users::Users;

/// Ids in a block, by which they are reserved: as many as there can be slots.
const BLOCK: u32 = 1024;
const STEP: &str = "user ids";

/// Held for as long as runs may have these ids.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) first: u32,
    _reserved: Vec<OwnedFd>,
}

impl Ids {
    /// Reserves an id for each slot: from `chosen`, or else the first free ones.
    pub(super) fn reserve(users: Users, chosen: Option<u32>, slots: u32) -> Result<Self, SandboxError> {
        let slots = slots.max(1);
        let first = chosen.unwrap_or(users.first());
        check(users, first, slots)?;
        let Users::Namespace { owner, last } = users else { return Ok(Self { first, _reserved: Vec::new() }) };
        let free = match chosen {
            Some(_) => reserve(owner, first, slots).step(STEP)?.map(|reserved| (first, reserved)),
            None => first_free(owner, first, last, slots).step(STEP)?,
        };
        let Some((first, reserved)) = free else {
            let text = format!(
                "other executors of this user have the ids from {first} (in blocks of {BLOCK}): choose another \
                 --uid-base, or grant more in /etc/subuid and /etc/subgid"
            );
            return Err(SandboxError::unavailable(STEP, text));
        };
        Ok(Self { first, _reserved: reserved })
    }
}

type Found = (u32, Vec<OwnedFd>);

fn first_free(owner: u32, first: u32, last: u32, slots: u32) -> io::Result<Option<Found>> {
    let mut first = first;
    while first.saturating_add(slots - 1) <= last {
        if let Some(reserved) = reserve(owner, first, slots)? {
            return Ok(Some((first, reserved)));
        }
        first = (first / BLOCK + 1) * BLOCK;
    }
    Ok(None)
}

/// Reserves the blocks of these ids; `None` if another executor has one of them.
fn reserve(owner: u32, first: u32, slots: u32) -> io::Result<Option<Vec<OwnedFd>>> {
    let blocks: Range<u32> = first / BLOCK..(first + slots - 1) / BLOCK + 1;
    let mut reserved = Vec::new();
    for block in blocks {
        let name = format!("crownest-ids-{owner}-{block}");
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Nobody listens: it is only a name.
        match bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?) {
            Ok(()) => reserved.push(socket),
            Err(Errno::ADDRINUSE) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(reserved))
}

fn check(users: Users, first: u32, slots: u32) -> Result<(), SandboxError> {
    let last = first.saturating_add(slots - 1);
    if users.has(first) && users.has(last) {
        return Ok(());
    }
    let expected = match users {
        Users::Machine => "1000 or more, so that no service has them".to_owned(),
        Users::Namespace { last, .. } => {
            format!("1 to {last}, as many as /etc/subuid and /etc/subgid grant: grant more, or take fewer --slots")
        }
    };
    let text = format!("the slots need the ids {first} to {last} (--uid-base, --slots), expected {expected}");
    Err(SandboxError::unavailable(STEP, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_ids_that_another_has() {
        // An owner that no machine has: the names are the machine's.
        let users = Users::Namespace { last: 5_000, owner: 4_000_000_000 + std::process::id() };
        let one = Ids::reserve(users, None, 2).unwrap();
        let other = Ids::reserve(users, None, 2).unwrap();
        assert_eq!((one.first, other.first), (1, 1024));
        let refused = Ids::reserve(users, Some(1000), 100).unwrap_err().to_string();
        assert!(refused.contains("other executors"), "{refused}");
        drop(one);
        assert_eq!(Ids::reserve(users, Some(900), 100).unwrap().first, 900);
        let refused = Ids::reserve(users, Some(4_990), 100).unwrap_err().to_string();
        assert!(refused.contains("4990 to 5089") && refused.contains("1 to 5000"), "{refused}");
        assert!(Ids::reserve(Users::Machine, Some(999), 1).is_err());
    }
}
