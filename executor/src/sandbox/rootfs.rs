//! What the command sees: bubblewrap's arguments, and the `/etc` that is synthesized once per host.
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::config::{Network, PROXY, Root, SandboxSpec};
use super::error::SandboxError;
use super::init_mounts::{ROOT, STAGE, WORKSPACE};
use super::seccomp;

const HOME: &str = "/home/runner";
/// Inside; on the host it is the slot's uid.
const USER_ID: &str = "1000";
const HOSTNAME: &str = "crownest";

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

/// Both ways of writing them are in use, and curl for one knows `http_proxy` in lower case only.
const PROXY_ENV: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
const NO_PROXY: &str = "localhost,127.0.0.1,::1";
const NO_PROXY_ENV: [(&str, &str); 3] = [
    ("NO_PROXY", NO_PROXY),
    ("no_proxy", NO_PROXY),
    // Node looks at all of these only if it is told to.
    ("NODE_USE_ENV_PROXY", "1"),
];

const ETC: [(&str, &str); 5] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nrunner:x:1000:1000:runner:/home/runner:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("group", "root:x:0:\nrunner:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost crownest\n::1 localhost\n"),
    ("hostname", "crownest\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Copied from the host where they exist: none is secret, and programs in its `/usr` expect them.
const ETC_COPIED: [&str; 6] =
    ["alternatives", "ld.so.cache", "localtime", "mime.types", "ssl/certs", "ssl/openssl.cnf"];

/// Arguments for `bwrap --args`, NUL-separated. Values of the environment are in here, hence not on a command line.
pub(super) fn arguments(spec: &SandboxSpec<'_>) -> Vec<u8> {
    let mut args = Args(Vec::with_capacity(4096));
    args.add(&["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]);
    if spec.network == Network::Proxy {
        // The helper has made the network namespace, as root: the command has no power over it.
        args.add(&["--share-net"]);
    }
    args.add(&["--uid", USER_ID, "--gid", USER_ID, "--hostname", HOSTNAME]);
    match spec.root {
        Root::Tree(_) => args.add(&["--ro-bind", ROOT, "/"]),
        Root::Host => {
            args.add(&["--ro-bind", "/usr", "/usr"]);
            for name in ["bin", "lib", "lib64", "sbin"] {
                args.add(&["--symlink", &format!("usr/{name}"), &format!("/{name}")]);
            }
            args.add(&["--ro-bind", &format!("{STAGE}/etc"), "/etc"]);
        }
    }
    // Pid 1 tells how the command ended, and has the command's user: out of sight, its memory cannot be written.
    args.add(&["--proc", "/proc", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1", "--dev", "/dev"]);
    args.add(&["--perms", "1777", "--tmpfs", "/tmp", "--perms", "0700", "--tmpfs", HOME]);
    args.add(&["--bind", WORKSPACE, "/workspace", "--chdir", "/workspace", "--remount-ro", "/"]);
    for (name, value) in BASE_ENV {
        args.add(&["--setenv", name, value]);
    }
    if spec.network == Network::Proxy {
        let proxy = format!("http://{PROXY}");
        for name in PROXY_ENV {
            args.add(&["--setenv", name, &proxy]);
        }
        for (name, value) in NO_PROXY_ENV {
            args.add(&["--setenv", name, value]);
        }
    }
    for (name, value) in spec.env {
        args.add(&["--setenv"]);
        args.push(name);
        args.push(value);
    }
    args.0
}

struct Args(Vec<u8>);

impl Args {
    fn push(&mut self, arg: &OsStr) {
        self.0.extend_from_slice(arg.as_bytes());
        self.0.push(0);
    }

    fn add(&mut self, args: &[&str]) {
        for arg in args {
            self.push(OsStr::new(arg));
        }
    }
}

/// A NUL would start a new argument of bubblewrap: this check is what keeps a stranger out of its command line.
pub(super) fn validate(spec: &SandboxSpec<'_>) -> Result<(), SandboxError> {
    /// Linux refuses longer single arguments (`MAX_ARG_STRLEN`).
    const ARGUMENT_BYTES: usize = 128 * 1024;
    let invalid = |text: &str| Err(SandboxError::InvalidSpec(text.to_owned()));
    let fits = |text: &OsStr| !text.as_bytes().contains(&0) && text.len() < ARGUMENT_BYTES;
    let label_ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if spec.label.is_empty() || spec.label.len() > 128 || !spec.label.bytes().all(label_ok) {
        return invalid("the label must be 1 to 128 characters of [A-Za-z0-9_-]");
    }
    if !fits(spec.command) {
        return invalid("the command must be shorter than 128 KiB and contain no NUL");
    }
    for (name, value) in spec.env {
        if name.is_empty() || name.as_bytes().contains(&b'=') || !fits(name) || !fits(value) {
            return invalid("environment names must be non-empty, without '=' and NUL, values without NUL");
        }
    }
    Ok(())
}

/// The system call filter, in the staging folder.
pub(super) const FILTER: &str = "seccomp.bpf";

/// Makes the staging folder: the `etc` that goes with the host's `/usr`, mount points, the system call filter, and an
/// empty tree for the self-test.
pub(super) fn build_stage(stage: &Path) -> io::Result<()> {
    let etc = stage.join("etc");
    for directory in
        [stage, &etc, &etc.join("ssl"), &stage.join("root"), &stage.join("workspace"), &stage.join("empty")]
    {
        create_directory(directory)?;
    }
    for (name, content) in ETC {
        fs::write(etc.join(name), content)?;
        fs::set_permissions(etc.join(name), fs::Permissions::from_mode(0o644))?;
    }
    for name in ETC_COPIED {
        copy(&Path::new("/etc").join(name), &etc.join(name))?;
    }
    fs::write(stage.join(FILTER), seccomp::filter()?)?;
    Ok(())
}

/// Readable by every slot, whatever the executor's umask is.
fn create_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Copies files, folders and symlinks as such; skips what is not there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(from) else { return Ok(()) };
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if metadata.is_dir() {
        create_directory(to)?;
        fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))
        })
    } else {
        // Keeps the permissions of the original.
        fs::copy(from, to).map(|_| ())
    }
}
