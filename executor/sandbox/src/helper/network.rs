//! The helper's part in egress: a network namespace with nothing but loopback, and a listening socket in it. The socket
//! goes to the executor, which serves it as a proxy from outside: there is no route, no name service and no device in
//! the namespace, only what comes out of that socket.
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::UnshareFlags;

use crate::kernel::namespaces::unshare;
use crate::protocol::failure::{At as _, Failure};
use crate::protocol::request::PROXY;

/// Made by root, so that the namespace belongs to the host's user namespace: no capability that the command could get
/// in its own one reaches it.
pub(super) fn listen() -> Result<OwnedFd, Failure> {
    unshare(UnshareFlags::NEWNET).at("unshare network namespace")?;
    raise_loopback().at("raise the loopback device")?;
    Ok(TcpListener::bind(PROXY).at("listen for the egress proxy")?.into())
}

fn raise_loopback() -> io::Result<()> {
    const LOOPBACK: &[u8] = b"lo";
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all of it is integers, for which zeros are valid.
    #[expect(unsafe_code, reason = "ifreq has no constructor")]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(LOOPBACK) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP.try_into().map_err(io::Error::other)?;
    // SAFETY: the kernel reads one `ifreq`, which lives until the call returns.
    #[expect(unsafe_code, reason = "there is no safe wrapper for SIOCSIFFLAGS")]
    let raised = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if raised == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
