//! The view of a command, as one description for every engine: the root, the mounts on it, the user and the
//! environment. Engines render it (`engine`); none adds anything of its own.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::spec::{Root, SandboxSpec};
use crate::protocol::layout::{ROOT, TMP, USR, WORKSPACE};
use crate::protocol::request::{Network, PROXY};

pub(super) const HOSTNAME: &str = "crownest";
pub(super) const WORKING_FOLDER: &str = "/workspace";
const HOME: &str = "/home/runner";
/// The folder in which `pip install` and its like put programs of a user. First in the `PATH` of every run that sets
/// none itself.
pub const HOME_PROGRAMS: &str = "/home/runner/.local/bin";

const BASE_ENV: [(&str, &str); 8] = [
    ("PATH", "/home/runner/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", HOME),
    ("USER", "runner"),
    ("SHELL", "/bin/sh"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("CI", "true"),
    ("CROWNEST", "1"),
];

/// Both spellings are in use: curl, for one, knows `http_proxy` in lower case only.
const PROXY_ENV: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
const NO_PROXY: &str = "localhost,127.0.0.1,::1";
const NO_PROXY_ENV: [(&str, &str); 3] = [
    ("NO_PROXY", NO_PROXY),
    ("no_proxy", NO_PROXY),
    // Node looks at all of these only if it is told to.
    ("NODE_USE_ENV_PROXY", "1"),
];

#[derive(Debug)]
pub(super) struct View<'a> {
    /// A folder that the helper has; read-only inside.
    pub(super) root: &'static str,
    /// Mounts, in this order.
    pub(super) mounts: &'static [Mount],
    /// The caller's variables over the base.
    pub(super) env: BTreeMap<&'a OsStr, Cow<'a, OsStr>>,
    /// With a proxy, the helper has made the network namespace, as root: the command has no power over it.
    pub(super) network: Network,
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
    Mount::Shown { source: USR, at: "/usr" },
    Mount::Proc,
    Mount::Devices,
    Mount::Writable { source: TMP, at: "/tmp" },
    Mount::Memory { at: HOME, mode: "0700" },
    Mount::Writable { source: WORKSPACE, at: WORKING_FOLDER },
];

impl<'a> View<'a> {
    pub(super) fn of(spec: &SandboxSpec<'a>) -> Self {
        let mounts = match spec.root {
            Root::Host => &MOUNTS[..],
            // It has a `/usr` of its own.
            Root::Tree(_) => &MOUNTS[1..],
        };
        let mut env = environment(spec.network);
        env.extend(spec.env.iter().map(|(name, value)| (name.as_os_str(), Cow::Borrowed(value.as_os_str()))));
        Self { root: ROOT, mounts, env, network: spec.network, command: spec.command }
    }
}

fn environment<'a>(network: Network) -> BTreeMap<&'a OsStr, Cow<'a, OsStr>> {
    let fixed = |(name, value): (&'static str, &'static str)| (OsStr::new(name), Cow::Borrowed(OsStr::new(value)));
    let mut env: BTreeMap<_, _> = BASE_ENV.into_iter().map(fixed).collect();
    if network == Network::Proxy {
        let proxy = OsString::from(format!("http://{PROXY}"));
        env.extend(PROXY_ENV.into_iter().map(|name| (OsStr::new(name), Cow::Owned(proxy.clone()))));
        env.extend(NO_PROXY_ENV.into_iter().map(fixed));
    }
    env
}
