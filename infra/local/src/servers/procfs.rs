//! Processes in /proc: their identity, the service that they belong to, and the addresses that they listen on (proc(5)).

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct ProcessId {
    pub(super) pid: u32,
    /// Clock ticks since boot.
    pub(super) started: u64,
}

impl ProcessId {
    /// The process that has this pid now; a zombie does not count.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        parse_stat(&stat).map(|started| Self { pid, started })
    }

    pub(super) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Start time of a process that lives. The command name may hold spaces and parentheses, so fields count from the last.
fn parse_stat(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    // Fields 20 and 22 of the line; the state is field 3.
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    // The first thread of a dying process may be a zombie while others still hold its sockets.
    (!matches!(state, "Z" | "X") || threads > 1).then_some(started)
}

pub(super) fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// True if the process was started with this `NAME=value`.
pub(super) fn has_variable(pid: u32, variable: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == variable))
}

/// True if the process executes `program` in a folder below `dir`.
pub(super) fn executes_below(pid: u32, program: &Path, dir: &Path) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
    link("exe").is_some_and(|exe| exe == program) && link("cwd").is_some_and(|cwd| cwd.starts_with(dir))
}

/// The TCP addresses that the process listens on, or nothing if its descriptors may not be read.
pub fn listening_addresses(pid: u32) -> Option<BTreeSet<SocketAddr>> {
    let mut sockets = BTreeSet::new();
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        let inode =
            target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
        sockets.extend(inode);
    }
    let mut addresses = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        let listening = text.lines().skip(1).filter_map(parse_listener);
        addresses.extend(listening.filter(|(_, inode)| sockets.contains(inode)).map(|(address, _)| address));
    }
    Some(addresses)
}

/// Address and inode of one line of /proc/net/tcp or tcp6, if it is a listener (state 0A).
fn parse_listener(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != "0A" {
        return None;
    }
    let words: Vec<u32> = (0..address.len() / 8)
        .map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok())
        .collect::<Option<_>>()?;
    // The kernel prints each word of the address in host order, the port as a number.
    let octets: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match octets.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), fields.get(9)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_stat_line_with_an_odd_command_name() {
        let tail = "1 1 1 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 9876 1 1";
        assert_eq!(parse_stat(&format!("7 (a) b)) S {tail}")), Some(9876));
        assert_eq!(parse_stat(&format!("7 (sh) Z {tail}")), None);
        let ending = tail.replace(" 20 0 1 0 ", " 20 0 5 0 ");
        assert_eq!(parse_stat(&format!("7 (weed) Z {ending}")), Some(9876));
    }

    #[test]
    fn finds_the_listeners_of_this_process() {
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = listening_addresses(std::process::id()).unwrap();
        assert!(found.contains(&four.local_addr().unwrap()));
        assert_eq!(ProcessId::of(std::process::id()).map(ProcessId::is_alive), Some(true));
    }
}
