//! For an executor that an ordinary user starts: the process enters a user namespace in which that user is root and has
//! the ids that /etc/subuid and /etc/subgid grant (subordinate ids, by newuidmap and newgidmap), and a mount namespace.
//! From there on almost everything works as it does for root.
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use super::fork::fork;
use super::namespaces::unshare;

const MAPPERS: [(&str, &str); 2] = [("newuidmap", SUBUID), ("newgidmap", SUBGID)];
const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";

#[derive(Debug, thiserror::Error)]
pub enum RootlessError {
    #[error(
        "user {user} has no subordinate ids in {file}: grant some, as root: \
             usermod --add-subuids 2200000-2265535 --add-subgids 2200000-2265535 {user} (any range that nobody else has)"
    )]
    NoSubordinateIds { user: String, file: &'static str },
    #[error("the user with the id {0} has no name in /etc/passwd, which newuidmap needs")]
    NoName(u32),
    #[error(
        "cannot make a user namespace: {0} (allowed to ordinary users? see the sysctls user.max_user_namespaces, \
             kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns)"
    )]
    NoNamespace(io::Error),
    #[error("{0} is not in PATH (Debian: apt install uidmap)")]
    NotInstalled(&'static str),
    #[error("cannot map the subordinate ids: {0}")]
    NotMapped(String),
    #[error("cannot prepare a user namespace: {0}")]
    Io(#[from] io::Error),
}

/// Checks that [`enter`] has what it needs, as far as can be told without doing it.
///
/// # Errors
/// The error says what to do.
pub(crate) fn check() -> Result<(), RootlessError> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() { Ok(()) } else { commands(uid.as_raw(), gid.as_raw()).map(drop) }
}

/// Enters a user namespace; does nothing for root. Call this before the process has a second thread.
///
/// # Errors
/// The error says how to prepare the machine or the user.
pub fn enter() -> Result<(), RootlessError> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() {
        return Ok(());
    }
    let mapper = Mapper::fork(commands(uid.as_raw(), gid.as_raw())?)?;
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(RootlessError::NoNamespace)?;
    mapper.map()
}

/// The commands that map this process's ids.
fn commands(uid: u32, gid: u32) -> Result<Vec<(&'static str, Command)>, RootlessError> {
    let user = name_of(&fs::read_to_string("/etc/passwd")?, uid).ok_or(RootlessError::NoName(uid))?;
    let pid = std::process::id().to_string();
    let mut commands = Vec::new();
    for ((name, file), own) in MAPPERS.into_iter().zip([uid, gid]) {
        // As the programs do it, what is granted of groups is found by the user too.
        let granted = ranges(&fs::read_to_string(file).unwrap_or_default(), &user, uid);
        if granted.is_empty() {
            return Err(RootlessError::NoSubordinateIds { user, file });
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
        let mut command = Command::new(program.ok_or(RootlessError::NotInstalled(name))?);
        command.arg(&pid).args(map(own, &granted)).stdin(Stdio::null()).stdout(Stdio::null());
        commands.push((name, command));
    }
    Ok(commands)
}

/// Enters and executes; returns only if that fails.
pub(crate) fn execute(mut command: impl Iterator<Item = OsString>) -> io::Error {
    let Some(program) = command.next() else { return io::Error::other("expected a command") };
    match enter() {
        Ok(()) => Command::new(program).args(command).exec(),
        Err(error) => io::Error::other(error),
    }
}

/// A child outside of the namespace, because that is where the mapping programs have their privilege.
struct Mapper {
    pid: i32,
    /// The child maps when this is written to, and ends when this is closed.
    go: OwnedFd,
    complaint: OwnedFd,
}

impl Mapper {
    fn fork(commands: Vec<(&'static str, Command)>) -> io::Result<Self> {
        let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (complaint, complain) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        if let Some((pid, _handle)) = fork(0)? {
            return Ok(Self { pid, go, complaint });
        }
        drop((go, complaint));
        let mapped = match fs::File::from(wait).read(&mut [0]) {
            Ok(1) => commands.into_iter().try_for_each(|(program, command)| map_by(program, command)),
            _ => Ok(()),
        };
        if let Err(text) = mapped {
            let _ = fs::File::from(complain).write_all(text.as_bytes());
        }
        std::process::exit(0)
    }

    fn map(self) -> Result<(), RootlessError> {
        let Self { pid, go, complaint } = self;
        fs::File::from(go).write_all(b"1")?;
        let mut text = String::new();
        fs::File::from(complaint).read_to_string(&mut text)?;
        waitpid(Pid::from_raw(pid), WaitOptions::empty()).map_err(io::Error::from)?;
        if text.is_empty() { Ok(()) } else { Err(RootlessError::NotMapped(text)) }
    }
}

fn map_by(program: &str, mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The ranges that a file in the form of subuid(5) grants to this user: first ids and how many.
fn ranges(file: &str, user: &str, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    file.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            ((owner == user || owner == uid) && range.1 > 0).then_some(range)
        })
        .collect()
}

/// The arguments of newuidmap: inside, outside, how many. Inside, `own` is root, and the granted ids follow it.
fn map(own: u32, granted: &[(u32, u32)]) -> Vec<String> {
    let mut map = vec![(0, own, 1)];
    let mut next = 1_u32;
    for (first, count) in granted {
        map.push((next, *first, *count));
        next = next.saturating_add(*count);
    }
    map.iter().flat_map(|(inside, outside, count)| [inside, outside, count].map(u32::to_string)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_granted() {
        let file = "alice:100000:65536\nbob:165536:65536\n1000:300000:10\nalice:x:1\nalice:400000:0\n";
        assert_eq!(ranges(file, "alice", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(ranges(file, "carol", 1001), []);
        assert_eq!(map(1000, &[(100_000, 5), (300_000, 2)]).join(" "), "0 1000 1 1 100000 5 6 300000 2");
    }

    #[test]
    fn finds_the_name_of_a_user() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(name_of(passwd, 100), None);
    }
}
