//! A view as an OCI runtime configuration (config.json of the runtime specification, version 1.0.2).
use std::ffi::OsStr;

use rustix::process::Resource;
use serde_json::{Value, json};

use crate::host::error::{SandboxError, Step as _};
use crate::host::view::{HOSTNAME, Mount, View, WORKING_FOLDER};
use crate::kernel::cgroup::Limits;
use crate::kernel::idmap::USER_ID;
use crate::kernel::rlimits::{self, CORE_BYTES, MAX_OPEN_FILES};
use crate::kernel::seccomp;
use crate::protocol::engine::RuntimeKind;
use crate::protocol::layout::SHELL;
use crate::protocol::request::Network;

/// Hides other users' processes: pid 1 and the runtime have other users than the command.
const ONLY_OWN_PROCESSES: &str = "hidepid=2";
/// Files about the kernel as a whole, which no command needs.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Renders the configuration. It has no pid namespace: the runtime and all that it starts are in that of our own pid 1.
pub(super) fn configuration(view: &View<'_>, kind: RuntimeKind, limits: Limits) -> Result<Vec<u8>, SandboxError> {
    let env: Vec<String> = view
        .env
        .iter()
        .map(|(name, value)| Ok(format!("{}={}", text(name)?, text(value)?)))
        .collect::<Result<_, SandboxError>>()?;
    let mounts: Vec<Value> = view.mounts.iter().flat_map(|mount| mounts(*mount, kind)).collect();
    let mut namespaces = vec!["ipc", "uts", "mount", "cgroup"];
    if view.network == Network::Nothing {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
    // A guest has a kernel of its own, which answers its calls; what that may ask of the host is for the runtime to filter.
    let filter = match kind {
        RuntimeKind::Native => seccomp::oci_filter().step("render the system call filter")?,
        RuntimeKind::Guest => Value::Null,
    };
    let none: [&str; 0] = [];
    let configuration = json!({
        "ociVersion": "1.0.2",
        "hostname": HOSTNAME,
        // The helper made it read-only. A guest's kernel would try to do that again, and may not.
        "root": { "path": view.root, "readonly": kind == RuntimeKind::Native },
        "mounts": mounts,
        "process": {
            "terminal": false,
            "user": { "uid": USER_ID, "gid": USER_ID, "umask": 0o022 },
            "args": [SHELL[0], SHELL[1], text(view.command)?],
            "env": env,
            "cwd": WORKING_FOLDER,
            "capabilities":
                { "bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none },
            "noNewPrivileges": true,
            "rlimits": [
                limit("RLIMIT_NPROC", Resource::Nproc, limits.pids.into()),
                limit("RLIMIT_NOFILE", Resource::Nofile, MAX_OPEN_FILES),
                limit("RLIMIT_CORE", Resource::Core, CORE_BYTES),
            ],
        },
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "seccomp": filter,
        },
    });
    serde_json::to_vec(&configuration).step("render the configuration of the runtime")
}

fn mounts(mount: Mount, kind: RuntimeKind) -> Vec<Value> {
    let one = |at: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": source, "options": options });
    match mount {
        Mount::Shown { source, at } => vec![one(at, "bind", source, &["bind", "ro", "nosuid", "nodev"])],
        Mount::Writable { source, at } => vec![one(at, "bind", source, &["bind", "rw", "nosuid", "nodev"])],
        Mount::Proc if kind == RuntimeKind::Guest => vec![one("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])],
        Mount::Proc => vec![one("/proc", "proc", "proc", &["nosuid", "noexec", "nodev", ONLY_OWN_PROCESSES])],
        Mount::Memory { at, mode } => vec![memory(at, mode)],
        Mount::Devices => vec![
            one("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=64k"]),
            one("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            memory("/dev/shm", "1777"),
        ],
    }
}

fn memory(at: &str, mode: &str) -> Value {
    let options = [
        "nosuid".to_owned(),
        "nodev".into(),
        format!("mode={mode}"),
        format!("uid={USER_ID}"),
        format!("gid={USER_ID}"),
    ];
    json!({ "destination": at, "type": "tmpfs", "source": "tmpfs", "options": options })
}

/// A resource limit, at most this process's own: the runtime could not raise it.
fn limit(name: &str, resource: Resource, most: u64) -> Value {
    let most = rlimits::at_most(resource, most);
    json!({ "type": name, "hard": most, "soft": most })
}

/// The value as UTF-8, because JSON has no other strings.
fn text(value: &OsStr) -> Result<&str, SandboxError> {
    value
        .to_str()
        .ok_or_else(|| SandboxError::InvalidSpec("commands and variables of OCI runtimes must be UTF-8".into()))
}
