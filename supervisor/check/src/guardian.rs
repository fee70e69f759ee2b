//! A guardian of the check's own: it starts one process as a host's does, reports its end, and lets nothing of it
//! outlive this program.

use crate::interrupt::Interrupt;
use anyhow::{Context, Result, bail};
use bulkhead_protocol::Exit;
use bulkhead_protocol::guardian::{DATAGRAM_BYTES_MAX, Order, Report, Spawn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the guardian itself may take for anything.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A guardian with at most one process.
#[derive(Debug)]
pub(crate) struct Guardian {
    /// None once it was asked to end.
    socket: Option<Arc<OwnedFd>>,
    child: Child,
    exit: Option<Exit>,
    /// How many processes had outlived the leader, once nothing is left.
    left: Option<u32>,
}

impl Guardian {
    /// Starts one.
    pub(crate) fn start(program: &Path, interrupt: &Interrupt) -> Result<Guardian> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        // The shell moves the socket to descriptor 3, and becomes the guardian.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"exec "$0" guardian 3<&0 </dev/null"#]).arg(program).stdin(Stdio::from(theirs));
        let child = command.stdout(Stdio::null()).current_dir("/").spawn();
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        // `command` owned the guardian's end.
        drop(command);
        let ours = Arc::new(ours);
        interrupt.add_guardian(&ours);
        let mut guardian = Guardian { socket: Some(ours), child, exit: None, left: None };
        match guardian.report(Instant::now() + TIMEOUT)? {
            Some(Report::Hello { .. }) => Ok(guardian),
            other => bail!("expected the first report of the guardian, found {other:?}"),
        }
    }

    /// Starts the process, and returns its number.
    pub(crate) fn spawn(&mut self, spawn: Spawn, descriptors: &[BorrowedFd<'_>]) -> Result<i32> {
        self.send(&Order::Spawn(spawn), descriptors)?;
        let until = Instant::now() + TIMEOUT;
        loop {
            match self.report(until)? {
                Some(Report::Spawned { pid, .. }) => return Ok(pid),
                Some(Report::SpawnFailed { message, .. }) => bail!("{message}"),
                Some(_) => {}
                None => bail!("the guardian started nothing within {} s", TIMEOUT.as_secs()),
            }
        }
    }

    /// How the process ended, if it does until then.
    pub(crate) fn exit(&mut self, until: Instant) -> Result<Option<Exit>> {
        while self.exit.is_none() {
            let Some(report) = self.report(until)? else { break };
            self.take(&report);
        }
        Ok(self.exit.clone())
    }

    /// How many processes had outlived it, once none is left, if that is so until then.
    pub(crate) fn left(&mut self, until: Instant) -> Result<Option<u32>> {
        while self.left.is_none() {
            let Some(report) = self.report(until)? else { break };
            self.take(&report);
        }
        Ok(self.left)
    }

    fn take(&mut self, report: &Report) {
        match report {
            Report::Exited { code, signal, .. } => {
                let name = |number: i32| {
                    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
                };
                self.exit = code.map(Exit::Code).or(signal.map(|number| Exit::Signal(name(number))));
            }
            Report::Gone { killed, .. } => self.left = Some(*killed),
            _ => {}
        }
    }

    /// The next report, if one comes until then.
    fn report(&mut self, until: Instant) -> Result<Option<Report>> {
        let socket = self.socket.as_ref().context("the guardian was asked to end")?;
        if !is_ready(socket.as_fd(), PollFlags::POLLIN, until)? {
            return Ok(None);
        }
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(0) | Err(Errno::ECONNRESET) => bail!("the guardian ended"),
            Ok(length) => {
                Ok(Some(serde_json::from_slice(&buffer[..length]).context("the guardian sent what is no report")?))
            }
            Err(error) => Err(error).context("cannot read from the guardian"),
        }
    }

    fn send(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let socket = self.socket.as_ref().context("the guardian was asked to end")?;
        let bytes = serde_json::to_vec(order)?;
        let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&bytes)], control, MsgFlags::MSG_NOSIGNAL, None)
            .context("cannot write to the guardian")?;
        Ok(())
    }
}

impl Drop for Guardian {
    /// It clears what runs before it ends.
    fn drop(&mut self) {
        self.socket = None;
        let until = Instant::now() + TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            // A child's end has no event that can be waited for with a deadline here.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether the descriptor is ready until then, or has ended.
pub(crate) fn is_ready(descriptor: BorrowedFd<'_>, flags: PollFlags, until: Instant) -> Result<bool> {
    loop {
        // Rounded up, so that a wait of less than a millisecond is one.
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let mut ready = [PollFd::new(descriptor, flags)];
        match poll(&mut ready, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait"),
        }
    }
}
