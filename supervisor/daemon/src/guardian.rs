//! The host's end of the pair that joins it to its guardian: orders out, with descriptors, reports in.
//! The guardian itself is a program of its own, `module-runtime guardian`.

use crate::sys;
use bulkhead_protocol::guardian::{DATAGRAM_BYTES_MAX, GUARDIAN_FD, Order, Report};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
};
use tokio::{io::Interest, net::UnixDatagram};

/// A guardian that runs.
#[derive(Debug)]
pub(crate) struct Guardian {
    /// A `SOCK_SEQPACKET` socket; the type is used for its readiness only, which is the same.
    pub(crate) socket: Rc<UnixDatagram>,
    child: Child,
    /// Orders that the guardian has not taken yet.
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    /// Whether somebody waits until more can be sent.
    pub(crate) awaits_room: bool,
    buffer: Vec<u8>,
    /// `cgroup` or `subreaper`, once it has said hello.
    pub(crate) containment: Option<String>,
    pub(crate) cgroup: Option<String>,
}

/// What came from the guardian.
#[derive(Debug)]
pub(crate) enum Incoming {
    Report(Report),
    /// Nothing for now.
    Nothing,
    /// The guardian is gone.
    End,
}

impl Guardian {
    /// Starts one. The thread that calls this need not live on: the guardian watches the pair and
    /// the host's process, not its parent thread.
    pub(crate) fn start(program: &Path) -> io::Result<Guardian> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        )?;
        let mut command = Command::new(program);
        command.arg("guardian").stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        sys::inherit(&mut command, theirs, GUARDIAN_FD);
        let child = command.spawn()?;
        // `command` owned the guardian's end; it must not stay open on this side.
        drop(command);
        Ok(Guardian {
            socket: Rc::new(UnixDatagram::from_std(ours.into())?),
            child,
            waiting: VecDeque::new(),
            awaits_room: false,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
            containment: None,
            cgroup: None,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends an order, now or as soon as there is room.
    ///
    /// # Errors
    /// When the order is too long for a datagram.
    pub(crate) fn send(&mut self, order: &Order, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let bytes = serde_json::to_vec(order).expect("an order can be written as JSON");
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(format!(
                "its command line and environment have {} bytes as JSON, and at most {DATAGRAM_BYTES_MAX} can be passed on",
                bytes.len()
            ));
        }
        self.waiting.push_back((bytes, descriptors));
        self.flush();
        Ok(())
    }

    /// Sends what waits; returns whether nothing is left. An error means that the guardian is gone,
    /// which reading will tell.
    pub(crate) fn flush(&mut self) -> bool {
        while let Some((bytes, descriptors)) = self.waiting.front() {
            let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
            let control = [ControlMessage::ScmRights(&numbers)];
            let control = if numbers.is_empty() { &control[..0] } else { &control[..] };
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)
                    .map_err(io::Error::from)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.waiting.pop_front();
                }
            }
        }
        true
    }

    /// The next report, if there is one.
    pub(crate) fn receive(&mut self) -> Incoming {
        loop {
            let socket = self.socket.clone();
            let received = socket.try_io(Interest::READABLE, || {
                recv(socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()).map_err(io::Error::from)
            });
            match received {
                Ok(0) => return Incoming::End,
                Ok(count) => match serde_json::from_slice(&self.buffer[..count]) {
                    Ok(report) => return Incoming::Report(report),
                    Err(error) => {
                        tracing::error!("the guardian sent something that is no report, so it is not trusted: {error}");
                        return Incoming::End;
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Incoming::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Incoming::End,
            }
        }
    }

    /// Ends the guardian and returns how it ended. It clears whatever still runs before it goes.
    pub(crate) fn end(self) -> String {
        let Guardian { socket, mut child, .. } = self;
        let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        drop(socket);
        match child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }
}
