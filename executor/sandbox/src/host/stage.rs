//! The staging folder, which every sandbox of a host has in common: the folders that are mounted on, the `/etc` that goes
//! with the host's `/usr`, and the system call filter.
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::kernel::seccomp;
use crate::protocol::layout::FILTER;

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

/// Makes the staging folder: a root for the host's `/usr` with its `etc`, mount points, the system call filter, and a place
/// for empty trees of self-tests.
pub(super) fn build(stage: &Path) -> io::Result<()> {
    let host = stage.join("host");
    let etc = host.join("etc");
    create_directory(stage)?;
    for name in ["root", "usr", "tmp", "workspace", "oci", "nothing", "empty"] {
        create_directory(&stage.join(name))?;
    }
    create_directory(&host)?;
    for mount_point in ["usr", "etc", "etc/ssl", "dev", "home", "home/runner", "proc", "tmp", "workspace"] {
        create_directory(&host.join(mount_point))?;
    }
    // Some runtimes give what they mount the mode of what is below.
    fs::set_permissions(host.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::set_permissions(host.join("home/runner"), fs::Permissions::from_mode(0o700))?;
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), host.join(name))?;
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
