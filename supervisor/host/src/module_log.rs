//! Where the lines of a module go: its tail in memory, its file, and the loop, if a follower waits for them
//! there. Both the threads that read what modules print and the host itself write lines.
//!
//! A tail has a lock, which is held for as long as some lines are added to it; the host's thread takes
//! it when it is asked for a log, and for the rare notice of its own.

use crate::{
    log_files::{Cut, LogQueue},
    log_lines::{Line, Stream, Tail},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
};

/// Bytes of lines that wait for the loop. Lines beyond that are counted, and the count is sent.
const LIVE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The log of one module.
#[derive(Debug)]
pub(crate) struct ModuleLog {
    pub(crate) name: Arc<str>,
    tail: Mutex<Tail>,
    /// Whether its lines are wanted in the loop.
    is_followed: AtomicBool,
}

impl ModuleLog {
    pub(crate) fn new(name: &str, tail_bytes: usize) -> ModuleLog {
        ModuleLog { name: name.into(), tail: Mutex::new(Tail::new(tail_bytes)), is_followed: AtomicBool::new(false) }
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        // Nothing panics while it is held, and a tail is whole after each line.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last lines, oldest first.
    pub(crate) fn last(&self, most: usize) -> Vec<Line> {
        self.tail().last(most).cloned().collect()
    }

    /// Whether so many lines are kept.
    pub(crate) fn has(&self, lines: usize) -> bool {
        self.tail().len() >= lines
    }

    /// The last lines, with the number of the newest: all lines after it come to the loop.
    pub(crate) fn follow(&self, most: usize) -> (Vec<Line>, u64) {
        let tail = self.tail();
        self.is_followed.store(true, Ordering::Relaxed);
        (tail.last(most).cloned().collect(), tail.newest())
    }

    /// The number of the newest line, and where the lines up to that one end in the files, once those are written;
    /// `None` when there is no room to ask.
    pub(crate) fn cut(&self, files: &LogQueue) -> (u64, Option<Receiver<Cut>>) {
        let tail = self.tail();
        (tail.newest(), files.cut(&self.name))
    }

    /// The same, and all lines after that one come to the loop.
    pub(crate) fn cut_and_follow(&self, files: &LogQueue) -> (u64, Option<Receiver<Cut>>) {
        let tail = self.tail();
        self.is_followed.store(true, Ordering::Relaxed);
        (tail.newest(), files.cut(&self.name))
    }

    /// The lines up to this one that are kept, oldest first.
    pub(crate) fn up_to(&self, number: u64) -> Vec<Line> {
        self.tail().up_to(number).cloned().collect()
    }

    /// Its lines are no longer wanted in the loop.
    pub(crate) fn unfollow(&self) {
        self.is_followed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn last_stderr(&self, run: u64, most: usize, bytes_max: usize) -> Vec<String> {
        self.tail().last_stderr(run, most, bytes_max)
    }
}

/// Takes lines and passes them on. Each thread that has lines has its own.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) files: LogQueue,
    pub(crate) live: Arc<Live>,
}

impl Sink {
    /// Passes on what a process has printed; returns whether some of it waits for the loop now.
    pub(crate) fn say(&self, log: &ModuleLog, run: u64, lines: Vec<Line>) -> bool {
        let written: Vec<String> = lines.iter().map(Line::as_written).collect();
        // They are in the files in the order of their numbers.
        let mut tail = log.tail();
        written.into_iter().for_each(|line| self.files.write(&log.name, line));
        // It is set by the loop under the same lock, so that each line is in what the follower gets first, or
        // comes after that, and never both.
        let is_followed = log.is_followed.load(Ordering::Relaxed);
        for line in lines {
            let copy = is_followed.then(|| line.clone());
            let number = tail.push(run, line);
            if let Some(line) = copy {
                self.live.push(&log.name, number, line);
            }
        }
        is_followed
    }
}

/// A line on its way to the followers of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveLine {
    pub(crate) module: Arc<str>,
    /// Its number in the tail of its module; `None` for the host's notice on missing lines.
    pub(crate) number: Option<u64>,
    pub(crate) line: Line,
}

/// Lines on their way to the loop.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<LiveLine>,
    bytes: usize,
    /// Lines for which there was no room, by module.
    lost: HashMap<Arc<str>, u64>,
    /// How many lines were taken so far.
    taken: u64,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, module: &Arc<str>, number: u64, line: Line) {
        let mut waiting = self.lock();
        let bytes = line.held_bytes();
        // What is lost is reported at its position: no later line precedes it.
        if waiting.bytes + bytes > LIVE_BYTES_MAX || waiting.lost.contains_key(module) {
            *waiting.lost.entry(module.clone()).or_default() += 1;
            return;
        }
        waiting.bytes += bytes;
        waiting.lines.push_back(LiveLine { module: module.clone(), number: Some(number), line });
    }

    /// How many lines there have been so far. Those for which there was no room are not among them.
    pub(crate) fn said(&self) -> u64 {
        let waiting = self.lock();
        waiting.taken + waiting.lines.len() as u64
    }

    /// How many of them were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// The next lines, at most so many; nothing once all are taken.
    pub(crate) fn take(&self, most: usize) -> Vec<LiveLine> {
        let mut waiting = self.lock();
        let count = waiting.lines.len().min(most);
        let mut taken: Vec<LiveLine> = waiting.lines.drain(..count).collect();
        waiting.taken += count as u64;
        waiting.bytes -= taken.iter().map(|live| live.line.held_bytes()).sum::<usize>();
        if waiting.lines.is_empty() {
            let lost = std::mem::take(&mut waiting.lost);
            taken.extend(lost.into_iter().map(|(module, count)| {
                let text = format!("[{count} lines are not shown: they came too fast; they are in the log file]");
                LiveLine { module, number: None, line: Line::new(Stream::Host, text) }
            }));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink() -> Sink {
        Sink { files: LogQueue::nowhere(), live: Arc::default() }
    }

    fn line(text: &str) -> Line {
        Line::new(Stream::Stdout, text.into())
    }

    #[test]
    fn a_follower_is_shown_each_line_once() {
        let (sink, log) = (sink(), ModuleLog::new("m", 10_000));
        assert!(!sink.say(&log, 1, vec![line("before")]));
        let (shown, newest) = log.follow(10);
        assert_eq!((shown.len(), newest), (1, 1));
        assert!(sink.say(&log, 1, vec![line("after"), line("last")]));
        // A second one begins while these two are on their way.
        let (shown, second) = log.follow(10);
        assert_eq!((shown.len(), second), (3, 3));
        let numbers: Vec<u64> = sink.live.take(10).into_iter().filter_map(|live| live.number).collect();
        assert_eq!(numbers, [2, 3], "the first gets both, the second knows them");
        log.unfollow();
        assert!(!sink.say(&log, 1, vec![line("unseen")]));
        assert!(sink.live.take(10).is_empty());
    }

    #[test]
    fn lines_that_the_loop_does_not_take_are_bounded_in_bytes_and_counted() {
        let (sink, log) = (sink(), ModuleLog::new("m", 10_000));
        log.follow(0);
        for _ in 0..10 {
            sink.say(&log, 1, vec![line(&"x".repeat(1024 * 1024))]);
        }
        assert!(sink.live.lock().bytes <= LIVE_BYTES_MAX);
        let shown = sink.live.take(100);
        assert_eq!(shown.len(), 4);
        assert_eq!(&*shown[3].line.text, "[7 lines are not shown: they came too fast; they are in the log file]");
        assert_eq!(sink.live.lock().bytes, 0);
        sink.say(&log, 1, vec![line("again")]);
        assert_eq!(sink.live.take(100).len(), 1);
    }
}
