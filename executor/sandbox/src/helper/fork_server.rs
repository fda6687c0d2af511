//! The fork server: one fork for every helper that the executor asks for.
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::kernel::fork::fork;
use crate::protocol::control::{self, Message};
use crate::protocol::task::Task;

/// Forks for every request on standard input, until the executor is gone (`None`). In a fork it returns what to do and
/// the control socket, which is then standard input, too.
pub(super) fn serve() -> io::Result<Option<(Task, OwnedFd)>> {
    let server = io::stdin();
    while let Some(Message { text, fds }) = control::receive(server.as_fd())? {
        let task = Task::parse(&text).ok_or_else(|| io::Error::other("unknown task"))?;
        match fork(libc::CLONE_PARENT) {
            Ok(None) => return become_helper(fds).map(|control| Some((task, control))),
            Ok(Some((pid, handle))) => control::send(server.as_fd(), pid.to_string().as_bytes(), &[handle.as_fd()])?,
            Err(error) => control::send(server.as_fd(), format!("fork: {error}").as_bytes(), &[])?,
        }
    }
    Ok(None)
}

/// Puts what the executor sent in the place of the fork server's own standard descriptors.
fn become_helper(mut fds: Vec<OwnedFd>) -> io::Result<OwnedFd> {
    if fds.len() == 3 {
        rustix::stdio::dup2_stderr(&fds[2])?;
        rustix::stdio::dup2_stdout(&fds[1])?;
        fds.truncate(1);
    }
    let control = fds.pop().ok_or_else(|| io::Error::other("no control socket"))?;
    rustix::stdio::dup2_stdin(&control)?;
    Ok(control)
}
