//! The control groups of this process. They do not matter for root; without root they are the only ones to work in, if an
//! administrator has delegated them. The errors say how.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::v2::SUPERVISOR;

/// The content of /proc/self/cgroup, or (by default) the root of every hierarchy.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Names of controllers, none for v2, and a path that is relative to the mount point.
    groups: Vec<(String, PathBuf)>,
}

impl Groups {
    pub(super) fn of_this_process() -> io::Result<Self> {
        fs::read_to_string("/proc/self/cgroup").map(|text| Self::parse(&text))
    }

    /// Parses the format of cgroups(7).
    fn parse(text: &str) -> Self {
        let group = |line: &str| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some((controllers.to_owned(), PathBuf::from(path.strip_prefix('/')?)))
        };
        Self { groups: text.lines().filter_map(group).collect() }
    }

    pub(super) fn of_controller(&self, root: &Path, name: &str) -> PathBuf {
        let own = self.groups.iter().find(|(names, _)| names.split(',').any(|one| one == name));
        let mount = root.join(name);
        own.map_or_else(|| mount.clone(), |(_, path)| mount.join(path))
    }

    /// The group of this process; if an executor has moved it into a supervisor group, that group's parent.
    pub(super) fn unified(&self, root: &Path) -> PathBuf {
        let own = self.groups.iter().find(|(names, _)| names.is_empty()).map_or(Path::new(""), |(_, path)| path);
        let own = if own.ends_with(SUPERVISOR) { own.parent().unwrap_or(own) } else { own };
        root.join(own)
    }
}

pub(super) fn not_delegated_v2(folder: &Path, error: &io::Error) -> io::Error {
    let text = format!(
        "the group {} of this process is not delegated to its user: {error}. Start it in one that is: \
         `systemd-run --user --scope --property=Delegate=yes <command>`, or a unit with `Delegate=yes` and `User=`; the \
         controllers memory, pids and cpu must reach it (`systemctl show -p DelegateControllers user@$UID.service`)",
        folder.display()
    );
    io::Error::new(error.kind(), text)
}

pub(super) fn not_delegated_v1(folder: &Path, error: &io::Error) -> io::Error {
    let text = format!(
        "cannot make {}: {error}. Each of the v1 hierarchies memory, pids, cpu, cpuacct and blkio needs a group that belongs \
         to this user and that this process is in. As root, for the user $U and the shell $PID that starts this: `for c in \
         memory pids cpu cpuacct blkio; do d=/sys/fs/cgroup/$c/$U; mkdir -p $d; chown $U $d; echo $PID >$d/cgroup.procs; \
         done`",
        folder.display()
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let root = Path::new("/c");
        let hybrid = Groups::parse("4:memory:/a/b\n1:cpu,cpuacct:/\n0::/user\n");
        assert_eq!(hybrid.of_controller(root, "memory"), Path::new("/c/memory/a/b"));
        assert_eq!(hybrid.of_controller(root, "cpuacct"), Path::new("/c/cpuacct"));
        assert_eq!(hybrid.of_controller(root, "pids"), Path::new("/c/pids"));
        assert_eq!(Groups::parse("0::/a/crownest-supervisor\n").unified(root), Path::new("/c/a"));
        assert_eq!(Groups::parse("0::/a/b\n").unified(root), Path::new("/c/a/b"));
        assert_eq!(Groups::default().of_controller(root, "cpu"), Path::new("/c/cpu"));
        assert_eq!(Groups::default().unified(root), Path::new("/c"));
    }
}
