//! The user of a service: never root. Root hands over to the package's user; anybody else runs it as themselves.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::error::LocalError;

#[derive(Debug, Clone)]
pub(super) struct RunAs {
    user: String,
    pub(super) uid: u32,
    gid: u32,
    /// True if the caller is root and must hand over.
    switches: bool,
}

impl RunAs {
    /// The first of `users` that exists, or the caller if that is not root.
    pub(super) fn choose(service: &'static str, users: &[&str]) -> Result<Self, LocalError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if !uid.is_root() {
            let (uid, gid) = (uid.as_raw(), gid.as_raw());
            return Ok(Self { user: format!("uid {uid}"), uid, gid, switches: false });
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(LocalError::io("read", path))?;
        users.iter().find_map(|user| Self::parse(&passwd, user)).ok_or(LocalError::NotInstalled {
            service,
            expected: "a system user of its own, since root must not run it",
        })
    }

    fn parse(passwd: &str, user: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut fields = line.split(':').skip(2);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (uid != 0).then(|| Self { user: user.to_owned(), uid, gid, switches: true })
    }

    /// Makes `command` run as this user. The standard library drops supplementary groups with the uid.
    pub(super) fn apply(&self, command: &mut Command) {
        if self.switches {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives a file or folder to the user.
    pub(super) fn own(&self, path: &Path) -> Result<(), LocalError> {
        self.change_owner(path, Some(self.uid))
    }

    /// Lets the user's group read what stays the supervisor's.
    pub(super) fn share(&self, path: &Path) -> Result<(), LocalError> {
        self.change_owner(path, None)
    }

    fn change_owner(&self, path: &Path, uid: Option<u32>) -> Result<(), LocalError> {
        if self.switches { chown(path, uid, Some(self.gid)).map_err(LocalError::io("chown", path)) } else { Ok(()) }
    }

    /// Checks that the user can reach `dir` from the root folder.
    pub(super) fn check_can_reach(&self, service: &'static str, dir: &Path) -> Result<(), LocalError> {
        for path in dir.ancestors() {
            let meta = fs::metadata(path).map_err(LocalError::io("inspect", path))?;
            let needed = if meta.uid() == self.uid {
                0o100
            } else if meta.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            if meta.mode() & needed == 0 {
                let (user, path) = (self.user.clone(), path.to_owned());
                return Err(LocalError::NotTraversable { service, user, path });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::RunAs;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nrabbitmq:x:103:106:x,,,:/var:/bin/false\nbad:x:::\n";

    #[test]
    fn reads_uid_and_gid_of_exactly_this_user() {
        let user = RunAs::parse(PASSWD, "rabbitmq").expect("a user");
        assert_eq!((user.uid, user.gid), (103, 106));
        assert!(RunAs::parse(PASSWD, "rabbit").is_none());
        assert!(RunAs::parse(PASSWD, "bad").is_none());
    }

    #[test]
    fn never_chooses_root() {
        assert!(RunAs::parse(PASSWD, "root").is_none());
    }
}
