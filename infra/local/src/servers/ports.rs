//! Ports on 127.0.0.1: chosen free once, remembered with the data, chosen again only when somebody else has taken one.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::error::LocalError;
use super::secrets::write_file;

/// Below the kernel's ephemeral range (32768 and up by default), or an outgoing connection could sit on a remembered port.
const FROM: u16 = 15_000;
const TO: u16 = 32_000;
const TRIES: usize = 1_000;

/// The ports of one service by name.
#[derive(Debug, Clone)]
pub struct Ports {
    numbers: BTreeMap<String, u16>,
}

impl Ports {
    /// The remembered ports where they are free, new ones where not. Freedom is tested by binding; between that and
    /// the service's own bind somebody can still take a port, so the caller checks afterwards and claims again.
    pub(super) fn claim(dir: &Path, names: &[&str]) -> Result<Self, LocalError> {
        let path = file(dir);
        let remembered: BTreeMap<String, u16> =
            fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let mut numbers = BTreeMap::new();
        for &name in names {
            let known = remembered.get(name).copied().filter(|port| is_free(*port));
            let port = known.map_or_else(|| choose(&numbers), Ok)?;
            numbers.insert(name.to_owned(), port);
        }
        if numbers != remembered {
            let json = serde_json::to_vec(&numbers).unwrap_or_default();
            write_file(&path, &json, 0o644)?;
        }
        Ok(Self { numbers })
    }

    /// The ports of a running service, as it remembers them.
    pub(super) fn remembered(dir: &Path) -> Option<Self> {
        let numbers = serde_json::from_slice(&fs::read(file(dir)).ok()?).ok()?;
        Some(Self { numbers })
    }

    /// The port of this name, which is one of those that were claimed.
    pub(super) fn get(&self, name: &str) -> u16 {
        self.numbers.get(name).copied().unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u16> {
        self.numbers.values().copied()
    }

    /// The ports that another program has; to be asked while the service itself is not running.
    pub(super) fn taken(&self) -> Vec<u16> {
        self.all().filter(|port| !is_free(*port)).collect()
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("ports.json")
}

/// A free port at random: two stacks that start at the same moment seldom look at the same one.
fn choose(chosen: &BTreeMap<String, u16>) -> Result<u16, LocalError> {
    for _ in 0..TRIES {
        let random = getrandom::u32().map_err(|_| LocalError::NoFreePort { from: FROM, to: TO })?;
        let offset = u16::try_from(random % u32::from(TO - FROM)).unwrap_or_default();
        let port = FROM + offset;
        if !chosen.values().any(|other| *other == port) && is_free(port) {
            return Ok(port);
        }
    }
    Err(LocalError::NoFreePort { from: FROM, to: TO })
}

/// Also asks for all interfaces: a stranger on 0.0.0.0 would answer on 127.0.0.1 too.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["one", "two"];

    #[test]
    fn remembers_ports_and_replaces_only_a_taken_one() {
        let dir = tempfile::tempdir().unwrap();
        let first = Ports::claim(dir.path(), NAMES).unwrap();
        assert_ne!(first.get("one"), first.get("two"));

        let again = Ports::claim(dir.path(), NAMES).unwrap();
        assert_eq!(again.numbers, first.numbers);

        let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, first.get("one"))).unwrap();
        assert_eq!(first.taken(), [first.get("one")]);
        let moved = Ports::claim(dir.path(), NAMES).unwrap();
        assert_ne!(moved.get("one"), first.get("one"));
        assert_eq!(moved.get("two"), first.get("two"));
    }
}
