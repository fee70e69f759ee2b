//! How far the commits have got: which have begun, which are visible, which are on the disk.
//!
//! The thread that writes commits to the write-ahead log without a flush, so that a commit is visible at once; one
//! flush of the log covers all commits before it. What a job has seen is known by a number, which is never below
//! that of any commit that it has seen: a commit announces its number before it begins, and a reader takes the
//! number after its first look at the database.
//!
//! A flush that fails is never repeated: the kernel may have dropped what was to be written, and the next flush
//! would succeed without it. Nothing after [`Durability::flushed`] becomes durable then.

use bulkhead_protocol::layer1::CommitNumber;
use std::{
    fs::File,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How the log is flushed.
pub(crate) type FlushLog = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

pub(crate) struct Durability {
    /// The write-ahead log, by a descriptor of its own, which is kept: SQLite holds no lock on this file.
    log: File,
    flush_log: FlushLog,
    announced: AtomicU64,
    flushed: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    failed: OnceLock<String>,
}

#[derive(Default)]
struct State {
    committed: u64,
    is_flushing: bool,
    /// The thread that flushes is to end.
    ends: bool,
}

impl Durability {
    pub(crate) fn new(log: File, flush_log: FlushLog) -> Durability {
        Durability {
            log,
            flush_log,
            announced: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
            failed: OnceLock::new(),
        }
    }

    /// Announces the commit that begins now. Only for the thread that writes.
    pub(crate) fn announce(&self) -> CommitNumber {
        CommitNumber(self.announced.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The number of all that a reading, which has looked at the database before, can have seen.
    pub(crate) fn seen(&self) -> CommitNumber {
        CommitNumber(self.announced.load(Ordering::SeqCst))
    }

    /// Everything up to this commit is on the disk.
    pub(crate) fn flushed(&self) -> CommitNumber {
        CommitNumber(self.flushed.load(Ordering::SeqCst))
    }

    /// Why nothing more becomes durable, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// The announced commit is made, or is not: nothing of it is left then, and its number has no meaning.
    pub(crate) fn committed(&self, number: CommitNumber) {
        self.state().committed = number.0;
    }

    /// Lets the thread that flushes begin, if there is something to flush.
    pub(crate) fn rouse(&self) {
        self.changed.notify_all();
    }

    /// Whether all that is committed is on the disk.
    pub(crate) fn is_flushed(&self) -> bool {
        self.state().committed <= self.flushed().0
    }

    /// Whether a flush is under way or due.
    pub(crate) fn lags(&self) -> bool {
        self.is_due(&self.state())
    }

    /// Waits for something to flush, and flushes it: true, until the end.
    ///
    /// # Errors
    /// When the flush failed. It is reported once.
    pub(crate) fn flush_next(&self) -> Result<bool, String> {
        let mut state = self.state();
        loop {
            if !state.is_flushing && self.is_due(&state) {
                return self.flush(state).map(|()| true);
            }
            if state.ends {
                return Ok(false);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Flushes on the caller's thread what is committed, once no other thread flushes.
    ///
    /// # Errors
    /// When the flush failed. It is reported once.
    pub(crate) fn flush_all(&self) -> Result<(), String> {
        let mut state = self.state();
        while state.is_flushing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if self.is_due(&state) { self.flush(state) } else { Ok(()) }
    }

    /// Ends the thread that flushes, once nothing is left to flush.
    pub(crate) fn end(&self) {
        self.state().ends = true;
        self.changed.notify_all();
    }

    fn is_due(&self, state: &State) -> bool {
        state.committed > self.flushed().0 && self.failed().is_none()
    }

    fn flush(&self, mut state: MutexGuard<'_, State>) -> Result<(), String> {
        let upto = state.committed;
        state.is_flushing = true;
        drop(state);
        let flushed = (self.flush_log)(&self.log);
        let mut state = self.state();
        state.is_flushing = false;
        self.changed.notify_all();
        match flushed {
            Ok(()) => {
                self.flushed.store(upto, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => {
                let reason = format!(
                    "the disk of the database failed to keep what was written: {error}; nothing is stored or read any \
                     more, and what was not acknowledged may be lost: look at the disk, then start the host again"
                );
                let _ = self.failed.set(reason.clone());
                Err(reason)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            atomic::AtomicUsize,
            mpsc::{Receiver, Sender, channel},
        },
        thread,
        time::Duration,
    };

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Any file: what it holds is no matter here.
    fn any_file() -> File {
        File::open("/dev/null").unwrap()
    }

    fn commit(durability: &Durability) -> CommitNumber {
        let number = durability.announce();
        durability.committed(number);
        number
    }

    /// Flushes that say when they begin, and end when and as the test says.
    fn held_up() -> (Arc<Durability>, Receiver<()>, Sender<io::Result<()>>) {
        let (began, begins) = channel();
        let (end, ends) = channel();
        let (began, ends) = (Mutex::new(began), Mutex::new(ends));
        let flush = move |_: &File| {
            began.lock().unwrap().send(()).unwrap();
            ends.lock().unwrap().recv_timeout(DEADLINE).unwrap()
        };
        (Arc::new(Durability::new(any_file(), Arc::new(flush))), begins, end)
    }

    #[test]
    fn a_flush_covers_the_commits_before_it_and_none_that_come_meanwhile() {
        let (durability, begins, end) = held_up();
        commit(&durability);
        let second = commit(&durability);
        let flushing = Arc::clone(&durability);
        let thread = thread::spawn(move || flushing.flush_next());
        begins.recv_timeout(DEADLINE).unwrap();
        let third = commit(&durability);
        assert!(durability.lags() && durability.flushed() == CommitNumber(0));
        end.send(Ok(())).unwrap();
        assert_eq!(thread.join().unwrap(), Ok(true));
        assert_eq!((durability.flushed(), durability.is_flushed()), (second, false));
        end.send(Ok(())).unwrap();
        durability.flush_all().unwrap();
        assert_eq!((durability.flushed(), durability.is_flushed(), durability.lags()), (third, true, false));
    }

    #[test]
    fn two_threads_never_flush_at_once_and_the_second_covers_what_the_first_did_not() {
        let (durability, begins, end) = held_up();
        commit(&durability);
        let flushing = Arc::clone(&durability);
        let first = thread::spawn(move || flushing.flush_next());
        begins.recv_timeout(DEADLINE).unwrap();
        let last = commit(&durability);
        let flushing = Arc::clone(&durability);
        let second = thread::spawn(move || flushing.flush_all());
        // It cannot begin before the first has ended, however long that takes.
        assert!(begins.recv_timeout(Duration::from_millis(20)).is_err());
        end.send(Ok(())).unwrap();
        begins.recv_timeout(DEADLINE).unwrap();
        end.send(Ok(())).unwrap();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (Ok(true), Ok(())));
        assert_eq!(durability.flushed(), last);
        durability.end();
        assert_eq!(durability.flush_next(), Ok(false));
    }

    #[test]
    fn nothing_is_left_to_flush_when_the_thread_that_flushes_ends() {
        let durability = Durability::new(any_file(), Arc::new(|_: &File| Ok(())));
        let last = commit(&durability);
        durability.end();
        assert_eq!(durability.flush_next(), Ok(true));
        assert_eq!((durability.flushed(), durability.flush_next()), (last, Ok(false)));
    }

    #[test]
    fn a_flush_that_failed_is_never_repeated_and_nothing_becomes_durable_after_it() {
        let tried = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tried);
        // The second one fails, and as with Linux, each later one would succeed.
        let flush = move |_: &File| match counted.fetch_add(1, Ordering::SeqCst) {
            1 => Err(io::Error::from_raw_os_error(nix::libc::EIO)),
            _ => Ok(()),
        };
        let durability = Durability::new(any_file(), Arc::new(flush));
        let first = commit(&durability);
        durability.flush_all().unwrap();
        commit(&durability);
        let reason = durability.flush_next().unwrap_err();
        assert!(reason.contains("may be lost: look at the disk"), "{reason}");
        assert_eq!(durability.failed(), Some(reason.as_str()));
        commit(&durability);
        assert_eq!(durability.flush_all(), Ok(()));
        assert!(!durability.lags() && !durability.is_flushed());
        durability.end();
        assert_eq!(durability.flush_next(), Ok(false));
        assert_eq!((durability.flushed(), tried.load(Ordering::SeqCst)), (first, 2));
    }

    #[test]
    fn the_number_of_a_reading_is_never_below_that_of_a_commit_that_it_has_seen() {
        const COMMITS: u64 = 20_000;
        let durability = Arc::new(Durability::new(any_file(), Arc::new(|_: &File| Ok(()))));
        // Stands for the database: the last commit that can be seen there.
        let visible = Arc::new(AtomicU64::new(0));
        let (reading, shown) = (Arc::clone(&durability), Arc::clone(&visible));
        let reader = thread::spawn(move || {
            loop {
                let found = shown.load(Ordering::SeqCst);
                let seen = reading.seen();
                assert!(seen.0 >= found, "commit {found} was seen, and the number is {}", seen.0);
                if found == COMMITS {
                    return;
                }
            }
        });
        for _ in 0..COMMITS {
            let number = durability.announce();
            visible.store(number.0, Ordering::SeqCst);
            durability.committed(number);
        }
        reader.join().unwrap();
    }
}
