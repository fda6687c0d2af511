//! What a command sees, as one description for every engine: the root, what is mounted on it, the user and the
//! environment. Engines render it ([`Engine`](super::engine::Engine)); none adds anything of its own.
use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::config::{Root, SandboxSpec};
use super::init_mounts::{HOST_ROOT, ROOT, WORKSPACE};

/// Inside; on the host it is the slot's uid.
pub(super) const USER_ID: u32 = 1000;
pub(super) const HOSTNAME: &str = "crownest";
pub(super) const SHELL: [&str; 2] = ["/bin/sh", "-c"];
pub(super) const WORKING_FOLDER: &str = "/workspace";
const HOME: &str = "/home/runner";

const BASE_ENV: [(&str, &str); 8] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", HOME),
    ("USER", "runner"),
    ("SHELL", "/bin/sh"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("CI", "true"),
    ("CROWNEST", "1"),
];

#[derive(Debug)]
pub(super) struct View<'a> {
    /// A folder that the helper has; read-only inside.
    pub(super) root: &'static str,
    /// In this order.
    pub(super) mounts: &'static [Mount],
    /// The caller's over the base.
    pub(super) env: BTreeMap<&'a OsStr, &'a OsStr>,
    pub(super) command: &'a OsStr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mount {
    /// A folder that the helper has, read-only.
    Shown {
        source: &'static str,
        at: &'static str,
    },
    Proc,
    /// The harmless devices, `pts` and `shm`.
    Devices,
    /// Owned by the user.
    Memory {
        at: &'static str,
        mode: &'static str,
    },
    /// A folder that the helper has and the user may write.
    Writable {
        source: &'static str,
        at: &'static str,
    },
}

const MOUNTS: [Mount; 6] = [
    Mount::Shown { source: "/usr", at: "/usr" },
    Mount::Proc,
    Mount::Devices,
    Mount::Memory { at: "/tmp", mode: "1777" },
    Mount::Memory { at: HOME, mode: "0700" },
    Mount::Writable { source: WORKSPACE, at: WORKING_FOLDER },
];

impl<'a> View<'a> {
    pub(super) fn of(spec: &SandboxSpec<'a>) -> Self {
        let (root, mounts) = match spec.root {
            Root::Host => (HOST_ROOT, &MOUNTS[..]),
            // It has a `/usr` of its own.
            Root::Tree(_) => (ROOT, &MOUNTS[1..]),
        };
        let base = BASE_ENV.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
        let own = spec.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        Self { root, mounts, env: base.chain(own).collect(), command: spec.command }
    }
}
