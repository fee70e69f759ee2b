//! The daemon's own log: lines go to a queue, and a thread writes them to standard error. A reader that stops reading
//! must hold up nothing but the log. Lines beyond the queue's limit are counted, and their number is written where they
//! are missing.
//!
//! The thread has a descriptor of its own, so that a standard error that is closed or used again for
//! something else does no harm. What the lines say is decided elsewhere.

use bulkhead_protocol::escape;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal},
};
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    collections::VecDeque,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// The cost of a line besides its text.
const LINE_OVERHEAD_BYTES: usize = 32;

/// How long the end of the daemon waits for what has not been written.
const FAREWELL: Duration = Duration::from_secs(1);

/// The log. When it is dropped, what waits is written, unless that takes too long.
#[derive(Debug)]
pub(crate) struct OwnLog {
    queue: Queue,
}

/// Takes lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There are lines, or no more will come.
    has_come: Condvar,
    /// All that had come is written.
    is_done: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many lines are missing after those that wait.
    lost: u64,
    /// Whether some have been taken and are not written yet.
    is_writing: bool,
    is_closed: bool,
}

impl OwnLog {
    /// Starts the thread. From here on panics are written to the log, too, and wait for no reader either.
    ///
    /// # Errors
    /// When there is no standard error, or no thread can be started.
    pub(crate) fn start() -> io::Result<OwnLog> {
        let log = OwnLog::to(io::stderr().as_fd().try_clone_to_owned()?)?;
        let queue = log.queue();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let mut text = format!("thread '{}': {panic}", thread.name().unwrap_or("unnamed"));
            let backtrace = Backtrace::capture();
            if backtrace.status() == BacktraceStatus::Captured {
                text.push_str(&format!("\n{backtrace}"));
            }
            // Each of its lines becomes one line of the log, so its content cannot forge another.
            text.lines().for_each(|line| queue.line(&escape(line)));
        }));
        Ok(log)
    }

    fn to(output: OwnedFd) -> io::Result<OwnLog> {
        let queue = Queue::default();
        let taken = queue.clone();
        // It is never joined: it may be waiting for a reader that never reads again.
        thread::Builder::new()
            .name("bulkhead-own-log".into())
            .spawn(move || write_all_that_comes(&taken.0, &output))?;
        Ok(OwnLog { queue })
    }

    pub(crate) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Waits until everything is written, or until then; whether it is.
    fn finish(&self, until: Instant) -> bool {
        let shared = &self.queue.0;
        let mut waiting = shared.lock();
        waiting.is_closed = true;
        shared.has_come.notify_all();
        while waiting.is_writing || !waiting.lines.is_empty() || waiting.lost > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiting = shared.is_done.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for OwnLog {
    fn drop(&mut self) {
        self.finish(Instant::now() + FAREWELL);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it is locked, and a queue is whole after each step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Adds one line.
    pub(crate) fn line(&self, line: &str) {
        self.push(format!("{line}\n").into_bytes());
    }

    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.0.lock();
        let bytes = line.len() + LINE_OVERHEAD_BYTES;
        // The first line that does not fit begins a gap, and no later line may go before the gap's report.
        if waiting.lost > 0 || waiting.bytes + bytes > WAITING_BYTES_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += bytes;
        waiting.lines.push_back(line);
        self.0.has_come.notify_one();
    }
}

/// Each event of the log comes as one write.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Queue;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The thread.
fn write_all_that_comes(shared: &Shared, output: &OwnedFd) {
    // A terminal that stops background writers would stop the whole daemon.
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    let _ = stop.thread_block();
    let mut unwritten = 0;
    loop {
        let (lines, lost) = {
            let mut waiting = shared.lock();
            waiting.is_writing = false;
            while waiting.lines.is_empty() && waiting.lost == 0 {
                shared.is_done.notify_all();
                if waiting.is_closed {
                    return;
                }
                waiting = shared.has_come.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.is_writing = true;
            waiting.bytes = 0;
            (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.lost))
        };
        for line in lines {
            // Lines that could not be written are reported as soon as a write succeeds.
            let reported = unwritten == 0 || write_all(output, gap(unwritten).as_bytes()).is_ok();
            unwritten = match reported && write_all(output, &line).is_ok() {
                true => 0,
                false => unwritten + 1,
            };
        }
        unwritten += lost;
        if unwritten > 0 && write_all(output, gap(unwritten).as_bytes()).is_ok() {
            unwritten = 0;
        }
    }
}

fn gap(lines: u64) -> String {
    format!("[{lines} lines of this log are missing here: they could not be written in time]\n")
}

/// Writes a line, and waits until it is taken. Another process that shares the descriptor may have made it
/// non-blocking.
fn write_all(output: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(output, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut room = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
                // Its error returns when the line is written.
                let _ = poll(&mut room, PollTimeout::NONE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::{
        fs::File,
        io::{BufRead, BufReader},
    };

    fn log_to_a_pipe() -> (OwnLog, File) {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        (OwnLog::to(writing).unwrap(), reading.into())
    }

    fn in_a_moment() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn lines_come_out_whole_and_in_their_order() {
        let (log, reading) = log_to_a_pipe();
        for n in 0..1000 {
            log.queue.line(&n.to_string());
        }
        assert!(log.finish(in_a_moment()));
        drop(log);
        let lines: Vec<String> = BufReader::new(reading).lines().map(Result::unwrap).collect();
        assert_eq!(lines, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_stands_still_holds_nothing_up_and_learns_what_it_missed() {
        let (log, reading) = log_to_a_pipe();
        let line = "x".repeat(1000);
        for n in 0..5000 {
            log.queue.line(&format!("{n} {line}"));
        }
        assert!(log.queue.0.lock().bytes <= WAITING_BYTES_MAX);
        let began = Instant::now();
        assert!(!log.finish(began + Duration::from_millis(50)), "it is not read");
        assert!(began.elapsed() < Duration::from_secs(10));
        let mut lines = BufReader::new(reading).lines().map(Result::unwrap);
        let (mut accounted, mut missing) = (0, 0);
        while accounted < 5000 {
            let line = lines.next().unwrap();
            let number = |text: &str| text.split(' ').next().unwrap().parse::<u64>().unwrap();
            match line.strip_prefix('[') {
                // There may be more than one gap, each at its position.
                Some(gap) => missing += number(gap),
                None => assert_eq!(number(&line), accounted),
            }
            accounted += line.strip_prefix('[').map_or(1, number);
        }
        assert!(accounted == 5000 && missing > 2000, "{accounted} {missing}");
    }

    #[test]
    fn a_descriptor_that_does_not_wait_is_waited_for() {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        fcntl(&writing, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let log = OwnLog::to(writing).unwrap();
        for n in 0..500 {
            log.queue.line(&format!("{n} {}", "x".repeat(1000)));
        }
        let mut lines = BufReader::new(File::from(reading)).lines().map(Result::unwrap);
        for n in 0..500 {
            assert!(lines.next().unwrap().starts_with(&format!("{n} ")));
        }
        assert!(log.finish(in_a_moment()));
    }

    #[test]
    fn a_reader_that_has_gone_costs_lines_and_nothing_else() {
        let (log, reading) = log_to_a_pipe();
        drop(reading);
        for n in 0..100 {
            log.queue.line(&n.to_string());
        }
        assert!(log.finish(in_a_moment()));
    }

    #[test]
    fn what_could_not_be_written_is_reported_once_something_can() {
        // A fifo has a reader again after one has gone.
        let folder = std::env::temp_dir().join(format!("bulkhead-own-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let open = |flags| nix::fcntl::open(&path, flags | OFlag::O_NONBLOCK, nix::sys::stat::Mode::empty()).unwrap();
        let first = open(OFlag::O_RDONLY);
        let log = OwnLog::to(open(OFlag::O_WRONLY)).unwrap();
        drop(first);
        for line in ["one", "two"] {
            log.queue.line(line);
        }
        // Both are asked under one lock: the thread takes the lines and begins to write them in one step.
        let is_done = || {
            let state = log.queue.0.lock();
            !state.is_writing && state.lines.is_empty()
        };
        while !is_done() {
            thread::yield_now();
        }
        let second = open(OFlag::O_RDONLY);
        fcntl(&second, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        log.queue.line("three");
        let mut lines = BufReader::new(File::from(second)).lines().map(Result::unwrap);
        let gap = "[2 lines of this log are missing here: they could not be written in time]";
        assert_eq!([lines.next().unwrap(), lines.next().unwrap()], [gap, "three"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
