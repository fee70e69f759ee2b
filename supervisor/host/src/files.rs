//! The file layer: what the host asks of files, of `/proc` and of the start and end of its guardian, and
//! anything else that may keep its caller waiting. It is done on threads, one for each kind of work, and the
//! results go back into the loop. What is done with them, and how long they are waited for, is decided
//! elsewhere. The data store and the log files have threads of their own.
//!
//! Everything here passes a gate first. The gate is open, except in a test: a closed gate acts like a file
//! system that does not answer.

use crate::{control_socket::Bound, guardian::Launched, history::Old, memory_kills, observation::Look, watch::Noticed};
use bulkhead_config::Loaded;
use bulkhead_core::{RunId, Tracer};
use futures_util::task::AtomicWaker;
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

/// Threads of one kind that may block at the same time, because what they wait for does not come. None
/// of them can be ended from here.
const STUCK_MAX: usize = 8;

/// How long something may take before `status` names it.
const SLOW: Duration = Duration::from_secs(2);

/// What each piece of work passes before it is done, by the name of its kind; a test may hold it there.
pub type Gate = Arc<dyn Fn(&'static str) + Send + Sync>;

/// A kind of work. One that blocks does not delay the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The files of the configuration.
    Configuration,
    /// What `status` needs to know of processes and of the store's file.
    Looks,
    /// Log files and records of crashes that exist, for a question.
    History,
    /// The state directory.
    State,
    /// What the kernel's memory killer did, which the end of a process waits for.
    Memory,
    /// The tracers of processes whose time is up.
    Tracers,
    /// The start and the end of the guardian, and what one has left.
    Guardian,
}

const LANES: [Lane; 7] =
    [Lane::Configuration, Lane::Looks, Lane::History, Lane::State, Lane::Memory, Lane::Tracers, Lane::Guardian];

impl Lane {
    fn name(self) -> &'static str {
        match self {
            Lane::Configuration => "configuration",
            Lane::Looks => "looks",
            Lane::History => "history",
            Lane::State => "state",
            Lane::Memory => "memory",
            Lane::Tracers => "tracers",
            Lane::Guardian => "guardian",
        }
    }
}

/// The result of a piece of work.
#[derive(Debug)]
pub(crate) enum Done {
    /// The configuration was read; the number is that of the reading. Or each reason why it could not be.
    Loaded(u64, Result<Box<Loaded>, Vec<String>>),
    /// `status` can be answered; likewise.
    Looked(u64, Look),
    /// Logs or records of crashes were read; likewise.
    HistoryRead(u64, Old),
    /// The tracer of a process.
    Traced(RunId, Option<Tracer>),
    /// What the kernel's memory killer did.
    MemoryLooked(memory_kills::Look),
    /// The note for the next host was written.
    Noted(io::Result<()>),
    /// Nothing is left of a guardian that ended, and how it did.
    Cleared(String),
    /// A guardian was started, where there was none.
    Launched(io::Result<Launched>),
    /// What was seen in the environment of the host's files.
    Noticed(Noticed),
    /// The control socket was gone, and this listens instead.
    Socket(Bound),
}

/// The way back into the loop.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    done: Sender<(From, Done)>,
    completions: Arc<Completions>,
}

impl Outlet {
    /// Submits something that no lane has done.
    pub(crate) fn put(&self, done: Done) {
        self.send(None, done);
    }

    fn send(&self, from: From, done: Done) {
        // The host may have ended; then it matters no more.
        let _ = self.done.send((from, done));
        self.completions.is_set.store(true, Ordering::Release);
        self.completions.waker.wake();
    }
}

/// Wakes the loop when something is done.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    is_set: AtomicBool,
    waker: AtomicWaker,
}

impl Completions {
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.is_set.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The kind of work that something was, and how many threads of that kind had been given up before it was
/// ordered; none for what was not done by a lane.
type From = Option<(Lane, u64)>;

type Work = Box<dyn FnOnce() -> Done + Send>;

/// The threads, and what they have in progress.
pub(crate) struct Files {
    gate: Gate,
    outlet: Outlet,
    done: Receiver<(From, Done)>,
    threads: [Threads; LANES.len()],
}

/// Those of one kind: the one that takes orders, and those that were given up.
#[derive(Default)]
struct Threads {
    orders: Option<Sender<Work>>,
    /// Held by each of them for as long as it lives.
    alive: Arc<()>,
    given_up: u64,
    /// When what is not done was ordered, oldest first; without what those have that were given up.
    waiting: Vec<(Instant, &'static str)>,
}

impl Threads {
    /// How many were given up and have not ended.
    fn stuck(&self) -> usize {
        Arc::strong_count(&self.alive) - 1 - usize::from(self.orders.is_some())
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    pub(crate) fn new(gate: Gate) -> Files {
        let (sender, done) = channel();
        let outlet = Outlet { done: sender, completions: Arc::default() };
        Files { gate, outlet, done, threads: Default::default() }
    }

    /// Starts the thread of a kind, so that no lack of threads later can keep its work from being done.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(crate) fn prepare(&mut self, lane: Lane) -> io::Result<()> {
        self.start(lane)
    }

    pub(crate) fn completions(&self) -> Arc<Completions> {
        self.outlet.completions.clone()
    }

    pub(crate) fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    pub(crate) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Has something done after what was ordered of the same kind before. `what` says what it is, for people.
    /// The caller ensures that not much of one kind waits.
    ///
    /// # Errors
    /// When there is no thread for it, and none can be started.
    pub(crate) fn order(
        &mut self,
        lane: Lane,
        what: &'static str,
        work: impl FnOnce() -> Done + Send + 'static,
    ) -> io::Result<()> {
        if self.threads[lane as usize].orders.is_none() {
            self.start(lane)?;
        }
        let threads = &mut self.threads[lane as usize];
        let orders = threads.orders.as_ref().expect("it was started above");
        if orders.send(Box::new(work)).is_err() {
            threads.orders = None;
            return Err(io::Error::other("the thread that does it has ended; the log says why"));
        }
        threads.waiting.push((Instant::now(), what));
        Ok(())
    }

    fn start(&mut self, lane: Lane) -> io::Result<()> {
        let threads = &mut self.threads[lane as usize];
        let stuck = threads.stuck();
        if stuck >= STUCK_MAX {
            let reason = format!("{stuck} threads stand still already, each in a file system that does not answer");
            return Err(io::Error::other(reason));
        }
        let (orders, received) = channel::<Work>();
        let (gate, outlet, alive) = (self.gate.clone(), self.outlet.clone(), threads.alive.clone());
        let from = Some((lane, threads.given_up));
        thread::Builder::new().name(format!("bulkhead-{}", lane.name())).spawn(move || {
            let _alive = alive;
            while let Ok(work) = received.recv() {
                gate(lane.name());
                outlet.send(from, work());
            }
        })?;
        threads.orders = Some(orders);
        Ok(())
    }

    /// Gives up on the thread of a kind: it ends with the work in progress, and the next order goes to another.
    pub(crate) fn give_up(&mut self, lane: Lane) {
        let threads = &mut self.threads[lane as usize];
        threads.orders = None;
        threads.given_up += 1;
        threads.waiting.clear();
    }

    /// The next result.
    pub(crate) fn take(&mut self) -> Option<Done> {
        let (from, done) = self.done.try_recv().ok()?;
        if let Some((lane, given_up)) = from
            && self.threads[lane as usize].given_up == given_up
        {
            self.threads[lane as usize].waiting.remove(0);
        }
        Some(done)
    }

    /// What takes too long, for people.
    pub(crate) fn slow(&self) -> Vec<String> {
        let mut slow = Vec::new();
        for (lane, threads) in LANES.iter().zip(&self.threads) {
            if let Some((since, what)) = threads.waiting.first().filter(|(since, _)| since.elapsed() >= SLOW) {
                let seconds = since.elapsed().as_secs();
                slow.push(format!("{what} takes {seconds} s so far: a file system does not answer"));
            }
            let stuck = threads.stuck();
            if stuck > 0 {
                let name = lane.name();
                let (count, verb) =
                    if stuck == 1 { ("one thread".into(), "stands") } else { (format!("{stuck} threads"), "stand") };
                slow.push(format!("{count} ({name}) {verb} still in a file system that does not answer"));
            }
        }
        slow
    }
}

/// Does something that may wait, and waits for it, but no longer than `most`; it goes on if it takes longer.
pub(crate) fn within<T: Send + 'static>(most: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().name("bulkhead-last".into());
    thread.spawn(move || sender.send(work())).ok()?;
    receiver.recv_timeout(most).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// A gate that is closed for some kinds of work until it is opened.
    #[derive(Clone, Default)]
    struct Closed(Arc<(Mutex<Vec<&'static str>>, Condvar)>);

    impl Closed {
        fn gate(&self) -> Gate {
            let (closed, opened) = (self.0.clone(), self.0.clone());
            Arc::new(move |lane| {
                let kinds = closed.0.lock().unwrap();
                drop(opened.1.wait_while(kinds, |kinds| kinds.contains(&lane)).unwrap());
            })
        }

        fn set(&self, kinds: &[&'static str]) {
            *self.0.0.lock().unwrap() = kinds.to_vec();
            self.0.1.notify_all();
        }
    }

    fn wait(files: &mut Files) -> Done {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(done) = files.take() {
                return done;
            }
            assert!(Instant::now() < deadline, "nothing is done");
            thread::yield_now();
        }
    }

    fn number(done: &Done) -> u64 {
        match done {
            Done::Loaded(number, _) => *number,
            other => panic!("{other:?}"),
        }
    }

    fn loaded(number: u64) -> Done {
        Done::Loaded(number, Err(Vec::new()))
    }

    #[test]
    fn a_kind_that_stands_still_holds_up_no_other_and_goes_on_in_its_order() {
        let closed = Closed::default();
        closed.set(&["state"]);
        let mut files = Files::new(closed.gate());
        for number in [1, 2] {
            files.order(Lane::State, "a", move || loaded(number)).unwrap();
        }
        files.order(Lane::Looks, "b", || loaded(3)).unwrap();
        assert_eq!(number(&wait(&mut files)), 3);
        assert!(files.take().is_none());
        closed.set(&[]);
        assert_eq!([number(&wait(&mut files)), number(&wait(&mut files))], [1, 2]);
    }

    #[test]
    fn what_was_given_up_is_done_all_the_same_and_so_is_what_was_ordered_since() {
        let closed = Closed::default();
        closed.set(&["configuration"]);
        let mut files = Files::new(closed.gate());
        for number in 0..STUCK_MAX as u64 {
            files.order(Lane::Configuration, "a", move || loaded(number)).unwrap();
            files.give_up(Lane::Configuration);
        }
        let refused = files.order(Lane::Configuration, "a", || loaded(99)).unwrap_err().to_string();
        assert!(refused.contains("8 threads stand still"), "{refused}");
        closed.set(&[]);
        let mut done: Vec<u64> = (0..STUCK_MAX).map(|_| number(&wait(&mut files))).collect();
        done.sort_unstable();
        assert_eq!(done, (0..STUCK_MAX as u64).collect::<Vec<_>>());
        let deadline = Instant::now() + Duration::from_secs(20);
        while files.order(Lane::Configuration, "a", || loaded(100)).is_err() {
            assert!(Instant::now() < deadline, "the threads do not end");
            thread::yield_now();
        }
        assert_eq!(number(&wait(&mut files)), 100);
    }

    #[test]
    fn what_does_not_end_in_time_is_not_waited_for() {
        assert_eq!(within(Duration::from_secs(20), || 7), Some(7));
        let (hold, held) = channel::<()>();
        assert_eq!(within(Duration::ZERO, move || held.recv()), None);
        drop(hold);
    }
}
