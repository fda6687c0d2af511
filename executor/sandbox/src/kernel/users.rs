//! The user ids that this process may give to runs: any of the machine, or those of the user namespace that it is in
//! ([`rootless`](super::rootless)).
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// Inode of the machine's own user namespace (`PROC_USER_INIT_INO` of Linux), the same on every machine.
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFD;
/// The default id of slot 0.
const FIRST_OF_MACHINE: u32 = 1_700_000;
/// The smallest id that runs may have: Debian gives smaller ones to services.
const FIRST_ALLOWED_OF_MACHINE: u32 = 1_000;
/// The first id of runs in a user namespace: 0 is the user who started the executor.
const FIRST_OF_NAMESPACE: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    Machine,
    /// Root is an ordinary user of the machine, the `owner`; ids from 1 to the `last` are subordinate to it.
    Namespace {
        last: u32,
        owner: u32,
    },
}

impl Users {
    pub(crate) fn of_this_process() -> io::Result<Self> {
        if fs::metadata("/proc/self/ns/user")?.ino() == INITIAL_NAMESPACE {
            return Ok(Self::Machine);
        }
        let (users, groups) = (fs::read_to_string("/proc/self/uid_map")?, fs::read_to_string("/proc/self/gid_map")?);
        let last = last_id(&ranges(&users)).min(last_id(&ranges(&groups)));
        let owner = ranges(&users).first().map(|(_, outside, _)| *outside);
        Ok(Self::Namespace { last, owner: owner.unwrap_or_default() })
    }

    pub(crate) fn first(self) -> u32 {
        match self {
            Self::Machine => FIRST_OF_MACHINE,
            Self::Namespace { .. } => FIRST_OF_NAMESPACE,
        }
    }

    /// True if cached trees are shown to runs with the owner mapped. Linux maps owners only for those who are privileged
    /// over the file system, which in a namespace nobody is.
    pub(crate) fn can_map_owners(self) -> bool {
        self == Self::Machine
    }

    /// True if loop devices, and file systems on them, can be made.
    pub(crate) fn can_make_disks(self) -> bool {
        self == Self::Machine
    }

    pub(crate) fn has(self, id: u32) -> bool {
        match self {
            Self::Machine => id >= FIRST_ALLOWED_OF_MACHINE,
            Self::Namespace { last, .. } => (FIRST_OF_NAMESPACE..=last).contains(&id),
        }
    }
}

/// The lines of a map of user_namespaces(7), sorted: inside, outside, how many.
fn ranges(map: &str) -> Vec<(u32, u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.split_whitespace().map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?))
    };
    let mut ranges: Vec<_> = map.lines().filter_map(range).collect();
    ranges.sort_unstable();
    ranges
}

/// The last id up to which every id from 1 is mapped.
fn last_id(ranges: &[(u32, u32, u32)]) -> u32 {
    let mut next = 0;
    for (inside, _, count) in ranges {
        if *inside > next {
            break;
        }
        next = next.max(inside.saturating_add(*count));
    }
    next.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_mapped_without_a_gap() {
        let last = |map| last_id(&ranges(map));
        assert_eq!(last("         0       1000          1\n         1     100000      65536\n"), 65_536);
        assert_eq!(last("0 1000 1\n2 100000 10\n"), 0);
        assert_eq!(last("1 100000 10\n0 1000 1\n11 300000 5\n"), 15);
        assert_eq!(last(""), 0);
    }
}
