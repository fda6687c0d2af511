//! The reference: bubblewrap with the executor's own isolation flags, started directly and in a loop. No archive, no
//! limits, no events, no evidence.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An unprivileged user, as in the executor: bubblewrap started by root would do less work.
const UID: u32 = 59_999;

/// The least that a command can do, so that only the system itself is measured …
pub(crate) const COMMAND: &str = "echo hello";
/// … and about the least that a test does: an interpreter starts and loads its test framework.
pub(crate) const SMALL_TEST: &str = "python3 -c \"import json, unittest; print('hello')\"";

fn sandbox(command: &str) -> Command {
    let mut bwrap = Command::new("bwrap");
    bwrap.uid(UID).gid(UID).stdin(Stdio::null()).stderr(Stdio::null());
    bwrap.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "crownest"]);
    bwrap.args(["--uid", "1000", "--gid", "1000", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"]);
    bwrap.args(["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/sbin", "/sbin"]);
    bwrap.args([
        "--ro-bind",
        "/etc/alternatives",
        "/etc/alternatives",
        "--ro-bind",
        "/etc/ld.so.cache",
        "/etc/ld.so.cache",
    ]);
    bwrap.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm", "--tmpfs", "/tmp", "--tmpfs", "/workspace"]);
    bwrap.args(["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--chdir", "/workspace"]);
    bwrap.args(["--", "/bin/sh", "-c", command]);
    bwrap
}

/// Runs per second with so many concurrent ones.
pub(crate) fn loop_for(time: Duration, at_once: usize, command: &str) -> f64 {
    let (begun, count) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while begun.elapsed() < time {
                    let output = sandbox(command).output().expect("bwrap is installed");
                    assert!(output.status.success() && output.stdout == b"hello\n", "{output:?}");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = count.load(Ordering::Relaxed) as f64;
    count / begun.elapsed().as_secs_f64()
}

/// Time until the first byte of output, and until the end.
pub(crate) fn to_end(command: &str) -> std::io::Result<(Duration, Duration)> {
    let begun = Instant::now();
    let mut child = sandbox(command).stdout(Stdio::piped()).spawn()?;
    child.stdout.as_mut().expect("piped").read_exact(&mut [0])?;
    let first = begun.elapsed();
    child.wait()?;
    Ok((first, begun.elapsed()))
}

/// Milliseconds until the first byte of output.
pub(crate) fn first_byte(command: &str) -> f64 {
    let begun = Instant::now();
    let mut child = sandbox(command).stdout(Stdio::piped()).spawn().expect("bwrap is installed");
    let mut byte = [0];
    child.stdout.as_mut().expect("piped").read_exact(&mut byte).expect("output");
    let elapsed = begun.elapsed();
    child.wait().expect("it can be waited for");
    elapsed.as_secs_f64() * 1000.0
}

/// Seconds until all output is in a file and on the disk.
pub(crate) fn to_disk(command: &str) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut file = tempfile::tempfile_in(".")?;
    let mut child = sandbox(command).stdout(Stdio::piped()).spawn()?;
    std::io::copy(child.stdout.as_mut().expect("piped"), &mut file)?;
    child.wait()?;
    file.sync_all()?;
    Ok(begun.elapsed().as_secs_f64())
}
