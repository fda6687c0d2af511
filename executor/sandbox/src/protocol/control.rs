//! Datagrams with file descriptors between the executor and its helper (`SCM_RIGHTS` over a socket pair).
//! Messages are tiny, so neither side can block the other; whatever is large travels as a memfd.
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::kernel::process::wait_readable;

/// Longest message; error texts are cut to it.
const MESSAGE_BYTES: usize = 2048;
const FDS: usize = 5;

/// A message with its file descriptors.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) text: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Sequenced packets keep message boundaries and, unlike datagrams, report that the peer is gone.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

pub(crate) fn send(socket: BorrowedFd<'_>, text: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors in one message"));
    }
    let text = &text[..text.len().min(MESSAGE_BYTES)];
    sendmsg(socket, &[IoSlice::new(text)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message, or `None` when the other side is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; MESSAGE_BYTES];
    let received = match recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
        Ok(received) => received,
        // The other side died with unread messages in its queue.
        Err(Errno::CONNRESET) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 && fds.is_empty() {
        return Ok(None);
    }
    text.truncate(received.bytes);
    Ok(Some(Message { text, fds }))
}

/// [`receive`], with an error if there is no message until the deadline.
pub(crate) fn receive_by(socket: BorrowedFd<'_>, deadline: Instant) -> io::Result<Option<Message>> {
    wait_readable(socket, deadline)?;
    receive(socket)
}
