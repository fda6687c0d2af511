//! A view as arguments for `bwrap --args`.
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::host::view::{HOSTNAME, Mount, View, WORKING_FOLDER};
use crate::kernel::idmap::USER_ID;
use crate::protocol::request::Network;

/// Renders the arguments, NUL-separated. They contain values of the environment, and so are never on a command line.
pub(super) fn arguments(view: &View<'_>) -> Vec<u8> {
    let user = USER_ID.to_string();
    let mut args = Args(Vec::with_capacity(4096));
    args.add(&["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]);
    if view.network == Network::Proxy {
        args.add(&["--share-net"]);
    }
    args.add(&["--uid", &user, "--gid", &user, "--hostname", HOSTNAME]);
    args.add(&["--ro-bind", view.root, "/"]);
    for mount in view.mounts {
        match *mount {
            Mount::Shown { source, at } => args.add(&["--ro-bind", source, at]),
            // Pid 1 tells how the command ended, and has the command's user: out of sight, its memory cannot be written.
            Mount::Proc => args.add(&["--proc", "/proc", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"]),
            Mount::Devices => args.add(&["--dev", "/dev"]),
            Mount::Memory { at, mode } => args.add(&["--perms", mode, "--tmpfs", at]),
            Mount::Writable { source, at } => args.add(&["--bind", source, at]),
        }
    }
    args.add(&["--chdir", WORKING_FOLDER, "--remount-ro", "/"]);
    for (name, value) in &view.env {
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
