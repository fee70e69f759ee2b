//! One process of the module: its start, the bytes of its channel as frames, what it prints, its end. What the messages
//! mean is not known here.

use crate::guardian::{Guardian, is_ready};
use crate::subject::Subject;
use anyhow::Result;
use bulkhead_config::Transport;
use bulkhead_protocol::limits::REWRITE_BYTES_MAX;
use bulkhead_protocol::{Decoder, Exit, FrameError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::unistd::pipe2;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of its run: each guardian has one.
const RUN: u64 = 1;

/// How much of the end of what it prints is kept.
const TAIL_BYTES: usize = 4096;

/// What came from the process.
#[derive(Debug)]
pub(crate) enum Incoming {
    Frame(Vec<u8>),
    /// The channel ended between two frames, or broke.
    End,
    /// What came is no frame.
    NoFrame(FrameError),
    /// Nothing came in time.
    Nothing,
}

/// Why something could not be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The process did not read for so long.
    Unread,
    /// The channel has ended.
    Ended,
}

/// A running process. Dropping it kills all that is left of it.
#[derive(Debug)]
pub(crate) struct Process {
    guardian: Guardian,
    /// What it reads; none once it was closed.
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    decoder: Decoder,
    frames: VecDeque<Vec<u8>>,
    printed: Arc<Mutex<Tail>>,
}

/// The end of what was printed.
type Tail = VecDeque<u8>;

impl Process {
    /// Starts one, without sending anything.
    pub(crate) fn start(subject: &Subject, frame_bytes_max: usize) -> Result<Process> {
        let mut guardian = Guardian::start(subject.starter.guardian(), &subject.interrupt)?;
        let order = subject.order(RUN);
        let printed = Arc::new(Mutex::new(Tail::new()));
        let (stderr_ours, stderr) = pipe2(OFlag::O_CLOEXEC)?;
        let (input, output) = match subject.config.kind.transport() {
            Transport::Socket => {
                let (ours, theirs) = UnixStream::pair()?;
                let (stdout_ours, stdout) = pipe2(OFlag::O_CLOEXEC)?;
                let (stdin, theirs) = (OwnedFd::from(File::open("/dev/null")?), OwnedFd::from(theirs));
                guardian.spawn(order, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), theirs.as_fd()])?;
                read_on(stdout_ours, &printed);
                (OwnedFd::from(ours.try_clone()?), OwnedFd::from(ours))
            }
            Transport::Stdio => {
                let (stdin, stdin_ours) = pipe2(OFlag::O_CLOEXEC)?;
                let (stdout_ours, stdout) = pipe2(OFlag::O_CLOEXEC)?;
                guardian.spawn(order, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?;
                (stdin_ours, stdout_ours)
            }
        };
        read_on(stderr_ours, &printed);
        for ours in [&input, &output] {
            fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let decoder = Decoder::new(frame_bytes_max + REWRITE_BYTES_MAX);
        let (input, output) = (Some(input), Some(output));
        Ok(Process { guardian, input, output, decoder, frames: VecDeque::new(), printed })
    }

    /// Sends bytes, whatever they are.
    pub(crate) fn send(&mut self, mut bytes: &[u8], until: Instant) -> Result<(), Unsent> {
        let input = self.input.as_ref().ok_or(Unsent::Ended)?;
        while !bytes.is_empty() {
            match nix::unistd::write(input, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => match is_ready(input.as_fd(), PollFlags::POLLOUT, until) {
                    Ok(true) => {}
                    Ok(false) => return Err(Unsent::Unread),
                    Err(_) => return Err(Unsent::Ended),
                },
                Err(_) => return Err(Unsent::Ended),
            }
        }
        Ok(())
    }

    /// What comes next, until then.
    pub(crate) fn receive(&mut self, until: Instant) -> Incoming {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Incoming::Frame(frame);
            }
            let Some(output) = &self.output else { return Incoming::End };
            match is_ready(output.as_fd(), PollFlags::POLLIN, until) {
                Ok(true) => {}
                Ok(false) => return Incoming::Nothing,
                Err(_) => return Incoming::End,
            }
            match nix::unistd::read(output, &mut buffer) {
                Ok(0) | Err(Errno::ECONNRESET) => {
                    self.output = None;
                    return self.decoder.finish().map_or_else(Incoming::NoFrame, |()| Incoming::End);
                }
                Ok(count) => {
                    if let Err(fault) = self.cut(&buffer[..count]) {
                        self.output = None;
                        return Incoming::NoFrame(fault);
                    }
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => return Incoming::End,
            }
        }
    }

    fn cut(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(Some(frame)) => self.frames.push_back(frame.to_vec()),
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the channel, as a host that is gone.
    pub(crate) fn close(&mut self) {
        self.input = None;
        self.output = None;
        self.frames.clear();
    }

    /// Closes only what it reads; what it says is still heard.
    pub(crate) fn close_input(&mut self) {
        if let Some(input) = self.input.take() {
            // A socket has two descriptors here.
            let _ =
                nix::sys::socket::shutdown(std::os::fd::AsRawFd::as_raw_fd(&input), nix::sys::socket::Shutdown::Write);
        }
    }

    /// How it ended, if it does until then.
    pub(crate) fn exit(&mut self, within: Duration) -> Result<Option<Exit>> {
        self.guardian.exit(Instant::now() + within)
    }

    /// How many of its processes had outlived it, if none is left until then.
    pub(crate) fn left(&mut self, within: Duration) -> Result<Option<u32>> {
        self.guardian.left(Instant::now() + within)
    }

    /// The last line that it printed, so far as it has been read.
    pub(crate) fn last_line(&self) -> String {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let (front, rest) = printed.as_slices();
        let text = String::from_utf8_lossy(&[front, rest].concat()).into_owned();
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
    }
}

/// Reads what is printed until its end, on a thread of its own, and keeps the end of it.
fn read_on(pipe: OwnedFd, printed: &Arc<Mutex<Tail>>) {
    let printed = printed.clone();
    std::thread::spawn(move || {
        let (mut file, mut buffer) = (File::from(pipe), [0; 8192]);
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            printed.extend(&buffer[..count]);
            let surplus = printed.len().saturating_sub(TAIL_BYTES);
            printed.drain(..surplus);
        }
    });
}
