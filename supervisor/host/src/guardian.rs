//! The host's end of the socket pair to its guardian: orders out, with descriptors, reports in.
//! The guardian itself is a separate program, `module-runtime guardian`.

use crate::{link::has_hung_up, strangers::OwnChild, sys};
use bulkhead_protocol::guardian::{DATAGRAM_BYTES_MAX, GUARDIAN_FD, MemoryCounter, Order, Report};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{io::Interest, net::UnixDatagram};

/// A guardian that was started and that no loop reads from yet. Starting one takes a fork, an exec and the reading of
/// its program, so it is not done on the host's thread.
#[derive(Debug)]
pub(crate) struct Launched {
    socket: OwnedFd,
    child: Child,
    own: OwnChild,
}

/// A guardian that runs.
#[derive(Debug)]
pub(crate) struct Guardian {
    /// A `SOCK_SEQPACKET` socket; the type is used for its readiness only, which is the same.
    pub(crate) socket: Rc<UnixDatagram>,
    child: Child,
    own: OwnChild,
    /// Orders that the guardian has not taken yet.
    waiting: VecDeque<Waiting>,
    /// Whether a source waits until more can be sent.
    pub(crate) awaits_room: bool,
    buffer: Vec<u8>,
    /// `cgroup` or `subreaper`, once it has sent its first report.
    pub(crate) containment: Option<String>,
    pub(crate) cgroup: Option<String>,
    /// What counts the work of the kernel's memory killer.
    pub(crate) memory_counters: Vec<MemoryCounter>,
}

/// An order on its way.
#[derive(Debug)]
struct Waiting {
    /// The run that it starts, if it starts one.
    starts: Option<u64>,
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// The result of sending.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// Nothing waits any more.
    All,
    /// The guardian has not read what was sent before.
    NoRoom,
    /// The system lacks something, like room for descriptors on their way. It says nothing when it has
    /// it again, so this must be tried again.
    Lacking(io::Error),
    /// The order to start this run cannot be sent, now or later, and was dropped.
    Undeliverable(u64, io::Error),
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

impl Launched {
    /// Starts one. The thread that calls this need not live on: the guardian watches the pair and
    /// the host's process, not its parent thread.
    pub(crate) fn start(program: &Path) -> io::Result<Launched> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        )?;
        let mut command = Command::new(program);
        command.arg("guardian").stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        sys::inherit(&mut command, theirs, GUARDIAN_FD);
        let mut own = OwnChild::starting();
        let child = command.spawn()?;
        own.started(child.id());
        // `command` owned the guardian's end; it must not stay open on this side.
        drop(command);
        Ok(Launched { socket: ours, child, own })
    }
}

impl Guardian {
    /// # Errors
    /// When the loop cannot wait for it.
    pub(crate) fn of(launched: Launched) -> io::Result<Guardian> {
        let Launched { socket, child, own } = launched;
        Ok(Guardian {
            socket: Rc::new(UnixDatagram::from_std(socket.into())?),
            child,
            own,
            waiting: VecDeque::new(),
            awaits_room: false,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
            containment: None,
            cgroup: None,
            memory_counters: Vec::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes an order, to be sent by [`Guardian::flush`].
    ///
    /// # Errors
    /// When the order is too long for a datagram.
    pub(crate) fn push(&mut self, order: &Order, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let bytes = serde_json::to_vec(order).expect("an order can be written as JSON");
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(format!(
                "its command line and environment have {} bytes as JSON, and at most {DATAGRAM_BYTES_MAX} can be passed on",
                bytes.len()
            ));
        }
        let starts = match order {
            Order::Spawn(spawn) => Some(spawn.run),
            Order::Signal { .. } | Order::Kill { .. } => None,
        };
        self.waiting.push_back(Waiting { starts, bytes, descriptors });
        Ok(())
    }

    /// Sends what waits, in order. That the guardian is gone is found when reports are read.
    pub(crate) fn flush(&mut self) -> Flushed {
        while let Some(Waiting { starts, bytes, descriptors }) = self.waiting.front() {
            let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
            let control = [ControlMessage::ScmRights(&numbers)];
            let control = if numbers.is_empty() { &control[..0] } else { &control[..] };
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)
                    .map_err(io::Error::from)
            });
            let starts = *starts;
            match sent.map_err(|error| (error.raw_os_error().map(Errno::from_raw), error)) {
                Err((_, error)) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::NoRoom,
                Err((Some(Errno::EINTR), _)) => {}
                Err((Some(Errno::ETOOMANYREFS | Errno::ENOBUFS | Errno::ENOMEM), error)) => {
                    return Flushed::Lacking(error);
                }
                Ok(_) | Err((Some(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN), _)) => {
                    self.waiting.pop_front();
                }
                Err((_, error)) => {
                    self.waiting.pop_front();
                    match starts {
                        Some(run) => return Flushed::Undeliverable(run, error),
                        None => tracing::error!("an order to the guardian is lost: {error}"),
                    }
                }
            }
        }
        Flushed::All
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

    /// Whether it is gone. Its end of the pair closes before its children learn of its death.
    pub(crate) fn has_ended(&self) -> bool {
        has_hung_up(self.socket.as_fd())
    }

    /// Ends a guardian that may not end by itself.
    pub(crate) fn kill(&mut self) {
        // It fails only for one that has ended.
        let _ = self.child.kill();
    }

    /// Asks the guardian to end. It clears what still runs before it ends.
    pub(crate) fn dismiss(self) -> Dismissed {
        let Guardian { socket, child, own, .. } = self;
        let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        Dismissed(child, own)
    }
}

/// A guardian that has ended, or will.
#[derive(Debug)]
pub(crate) struct Dismissed(Child, OwnChild);

impl Dismissed {
    /// Waits until it has ended, and returns how. It is killed when that takes longer than `most`.
    pub(crate) fn end(self, most: Duration) -> String {
        let Dismissed(mut child, _own) = self;
        let (deadline, mut pause) = (Instant::now() + most, Duration::from_micros(100));
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
                Ok(None) if Instant::now() >= deadline => break,
                Ok(None) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        let _ = child.kill();
        match child.wait() {
            Ok(status) => format!("{status}, after {} s", most.as_secs()),
            Err(error) => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::guardian::Spawn;
    use nix::sys::socket::{setsockopt, sockopt};

    fn spawn(run: u64, argument: String) -> Order {
        Order::Spawn(Spawn {
            run,
            argv: vec!["/bin/true".into(), argument],
            cwd: "/".into(),
            data_dir: None,
            env: Vec::new(),
            channel: false,
            is_host_program: false,
            memory_bytes_max: None,
            core_bytes_max: Some(0),
            oom_score: 0,
            cgroup: None,
        })
    }

    /// A program that ends at once suffices as a guardian for these.
    fn with_guardian(check: impl FnOnce(&mut Guardian)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let launched = Launched::start(Path::new("/bin/true")).unwrap();
            let mut guardian = Guardian::of(launched).unwrap();
            while !matches!(guardian.receive(), Incoming::End) {
                guardian.socket.readable().await.unwrap();
            }
            check(&mut guardian);
            assert!(guardian.waiting.is_empty());
            assert_eq!(guardian.dismiss().end(Duration::from_secs(20)), "exit status: 0");
        });
    }

    #[test]
    fn an_order_that_no_datagram_holds_is_refused_and_named() {
        with_guardian(|guardian| {
            setsockopt(&guardian.socket, sockopt::SndBuf, &4096).unwrap();
            guardian.push(&spawn(7, "x".repeat(100_000)), Vec::new()).unwrap();
            assert!(matches!(guardian.flush(), Flushed::Undeliverable(7, _)));
            let error = guardian.push(&spawn(8, "x".repeat(DATAGRAM_BYTES_MAX)), Vec::new()).unwrap_err();
            assert!(error.contains("at most 131072 can be passed on"), "{error}");
        });
    }

    #[test]
    fn orders_to_a_guardian_that_is_gone_are_dropped() {
        with_guardian(|guardian| {
            guardian.push(&spawn(7, String::new()), Vec::new()).unwrap();
            guardian.push(&Order::Kill { run: 7 }, Vec::new()).unwrap();
            assert!(matches!(guardian.flush(), Flushed::All));
        });
    }

    #[test]
    fn a_guardian_that_does_not_go_is_killed() {
        let folder = crate::scratch::Scratch::new("stays");
        let program = folder.join("stays");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 20\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let launched = Launched::start(&program).unwrap();
        let guardian = runtime.block_on(async { Guardian::of(launched).unwrap() });
        assert_eq!(guardian.dismiss().end(Duration::from_millis(50)), "signal: 9 (SIGKILL), after 0 s");
    }
}
