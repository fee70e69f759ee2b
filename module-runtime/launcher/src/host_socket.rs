//! The guardian's end of the pair with its host: orders in, reports out, neither ever waited for.
//!
//! What an order means is not known here.

use crate::sys;
use bulkhead_protocol::guardian::{DATAGRAM_BYTES_MAX, GUARDIAN_FD, Order, Report};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{MsgFlags, SockType, getsockopt, send, sockopt};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// With so many reports unread, no more orders are taken. Orders in progress add at most three each.
const REPORTS_UNREAD_MAX: usize = 256;

/// What came in.
pub(crate) enum Incoming {
    /// An order with its descriptors.
    Order {
        order: Order,
        descriptors: Vec<OwnedFd>,
        /// Some that were sent did not arrive.
        descriptors_lost: bool,
    },
    /// Something that no host of this build sends.
    Malformed(String),
    /// Nothing now.
    Nothing,
    /// The host closed its end.
    Closed,
}

/// The guardian's end.
pub(crate) struct HostSocket {
    socket: OwnedFd,
    unsent: VecDeque<Vec<u8>>,
    buffer: Box<[u8]>,
    closed: bool,
}

impl HostSocket {
    /// Takes descriptor 3.
    ///
    /// # Errors
    /// A sentence, if it is not what a host leaves there.
    pub(crate) fn adopt() -> Result<HostSocket, String> {
        let wrong = |found: String| {
            format!(
                "descriptor {GUARDIAN_FD} must be a SOCK_SEQPACKET socket, found {found}; the host starts the guardian"
            )
        };
        let socket = sys::adopt(GUARDIAN_FD).map_err(|error| wrong(format!("none ({error})")))?;
        match getsockopt(&socket, sockopt::SockType) {
            Ok(SockType::SeqPacket) => {}
            Ok(other) => return Err(wrong(format!("a socket of type {other:?}"))),
            Err(error) => return Err(wrong(format!("something else ({error})"))),
        }
        fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .map_err(|error| format!("cannot set a flag of descriptor {GUARDIAN_FD}: {error}"))?;
        // One byte of room more than fits shows whether a datagram is too long.
        let buffer = vec![0; DATAGRAM_BYTES_MAX + 1].into_boxed_slice();
        Ok(HostSocket { socket, unsent: VecDeque::new(), buffer, closed: false })
    }

    /// The process that made the pair, if this process can see it.
    pub(crate) fn host(&self) -> Option<libc::pid_t> {
        getsockopt(&self.socket, sockopt::PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, !self.closed && self.unsent.len() < REPORTS_UNREAD_MAX);
        flags.set(PollFlags::POLLOUT, !self.closed && !self.unsent.is_empty());
        PollFd::new(self.as_fd(), flags)
    }

    /// Whether the host's end is known to be closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the host has not read what was reported before.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Nothing is sent or received after this.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.unsent.clear();
    }

    /// Sends a report, or keeps it until the host reads.
    pub(crate) fn report(&mut self, report: &Report) {
        if !self.closed {
            self.unsent.push_back(serde_json::to_vec(report).expect("a report is always JSON"));
            self.flush();
        }
    }

    /// Sends what was kept, as far as the host reads it.
    pub(crate) fn flush(&mut self) {
        while let Some(datagram) = self.unsent.front() {
            match send(self.socket.as_raw_fd(), datagram, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => drop(self.unsent.pop_front()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => return,
                Err(_) => return self.close(),
            }
        }
    }

    /// Receives one order.
    pub(crate) fn receive(&mut self) -> Incoming {
        if self.closed {
            return Incoming::Closed;
        }
        if self.unsent.len() >= REPORTS_UNREAD_MAX {
            return Incoming::Nothing;
        }
        let received = match sys::receive(self.socket.as_fd(), &mut self.buffer) {
            Ok(received) if received.length > 0 => received,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {
                return Incoming::Nothing;
            }
            // No host sends an empty datagram; a broken connection counts as closed.
            Ok(_) | Err(_) => {
                self.close();
                return Incoming::Closed;
            }
        };
        if received.cut || received.length > DATAGRAM_BYTES_MAX {
            return Incoming::Malformed(format!("an order is longer than {DATAGRAM_BYTES_MAX} bytes"));
        }
        match serde_json::from_slice(&self.buffer[..received.length]) {
            Ok(order) => Incoming::Order {
                order,
                descriptors: received.descriptors,
                descriptors_lost: received.descriptors_lost,
            },
            Err(error) => Incoming::Malformed(format!("an order cannot be read: {error}")),
        }
    }
}

impl AsFd for HostSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
