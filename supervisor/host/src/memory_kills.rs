//! Whether a process that was killed was killed by the kernel's memory killer. SIGKILL does not show its
//! sender, but the killer counts what it does: for each control group that bounds memory, and for the machine.
//!
//! The guardian reports which counters there are, and that one has risen. When a process was killed they
//! are read once more, by the file layer, and its end waits a moment for that. Which ends wait, and for how long, is
//! a rule without thread and clock.

use bulkhead_core::{MemoryKill, RunId, Time};
use bulkhead_protocol::guardian::MemoryCounter;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long after a counter rose an end is held to be a part of that.
const RECENT: Duration = Duration::from_secs(3);

/// How long an end waits for a look at the counters. Without one, it is decided by what is known.
const LOOK_TIME_MAX: Duration = Duration::from_millis(100);

/// Longest counter file: `vmstat` has some 200 lines.
const COUNTER_BYTES_MAX: usize = 16 * 1024;

/// One counter of kills, as far as is known.
#[derive(Debug)]
pub(crate) struct Counter {
    file: PathBuf,
    seen: u64,
    rose_at: Option<Instant>,
}

impl Counter {
    pub(crate) fn new(counter: MemoryCounter) -> Counter {
        Counter { file: counter.file.into(), seen: counter.kills, rose_at: None }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Its present number.
    pub(crate) fn note(&mut self, kills: u64, now: Instant) {
        if kills > self.seen {
            (self.seen, self.rose_at) = (kills, Some(now));
        }
    }

    /// Whether it rose just now, or a short time ago.
    fn has_risen(&self, now: Instant) -> bool {
        self.rose_at.is_some_and(|at| now.saturating_duration_since(at) <= RECENT)
    }
}

/// What counters are read from, and what they say.
pub(crate) type Look = Vec<(PathBuf, u64)>;

/// Reads counters, each once. What cannot be read is left out.
pub(crate) fn look(mut files: Vec<PathBuf>) -> Look {
    files.sort_unstable();
    files.dedup();
    files.into_iter().filter_map(|file| kills(&file).map(|kills| (file, kills))).collect()
}

fn kills(path: &Path) -> Option<u64> {
    let file = File::open(path).ok()?;
    let mut text = [0; COUNTER_BYTES_MAX];
    let mut length = 0;
    loop {
        match file.read_at(&mut text[length..], length as u64).ok()? {
            0 => break,
            more => length += more,
        }
    }
    let lines = text[..length].split(|byte| *byte == b'\n');
    let count = lines.filter_map(|line| line.strip_prefix(b"oom_kill ")).next()?;
    str::from_utf8(count).ok()?.trim().parse().ok()
}

/// Whether it was the killer. `own`: the counter of the process's own memory group; `shared`: those of the host's and
/// the machine's.
pub(crate) fn judge(own: Option<&Counter>, shared: &[Counter], now: Instant) -> Option<MemoryKill> {
    match own.map(|own| own.has_risen(now)) {
        Some(true) => Some(MemoryKill::Certain),
        // The group that bounds its memory has a counter, which says that it was something else, unless the memory
        // of all ran out.
        Some(false) | None => shared.iter().any(|counter| counter.has_risen(now)).then_some(MemoryKill::Probable),
    }
}

/// The processes whose ends wait for a look. One look is in progress at a time, so that many that are killed at once
/// are looked at together.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    in_progress: Vec<RunId>,
    next: Vec<RunId>,
    until: Option<Time>,
    /// A look was given up and has not come since.
    is_overdue: bool,
}

impl Waiting {
    /// Waits for the next look; `false` where there can be none in time.
    pub(crate) fn ask(&mut self, run: RunId) -> bool {
        if !self.is_overdue {
            self.next.push(run);
        }
        !self.is_overdue
    }

    /// Begins the next look, if one is waited for and none is in progress: the processes it is for.
    pub(crate) fn begin(&mut self, now: Time) -> Option<&[RunId]> {
        if self.until.is_some() || self.is_overdue || self.next.is_empty() {
            return None;
        }
        self.in_progress = std::mem::take(&mut self.next);
        self.until = Some(now + LOOK_TIME_MAX);
        Some(&self.in_progress)
    }

    /// The look in progress has come, or is impossible: the processes whose ends can be decided.
    pub(crate) fn end(&mut self) -> Vec<RunId> {
        (self.until, self.is_overdue) = (None, false);
        std::mem::take(&mut self.in_progress)
    }

    pub(crate) fn due(&self) -> Option<Time> {
        self.until
    }

    /// The processes whose ends are to be decided without a look, as it takes too long.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<RunId> {
        if self.until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        (self.until, self.is_overdue) = (None, true);
        let mut all = std::mem::take(&mut self.in_progress);
        all.append(&mut self.next);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    fn counter(file: &str, kills: u64) -> Counter {
        Counter::new(MemoryCounter { file: file.into(), kills })
    }

    #[test]
    fn a_kill_is_certain_by_the_modules_own_group_and_probable_by_a_shared_one() {
        let (mut own, mut shared) = (counter("own", 4), [counter("shared", 9)]);
        let start = Instant::now();
        own.note(4, start);
        assert_eq!(judge(Some(&own), &shared, start), None);
        shared[0].note(10, start);
        assert_eq!(judge(Some(&own), &shared, start), Some(MemoryKill::Probable));
        assert_eq!(judge(None, &shared, start + RECENT), Some(MemoryKill::Probable), "another of the same");
        let later = start + 2 * RECENT;
        shared[0].note(10, later);
        // What the guardian has seen before the host did may be reported after it.
        shared[0].note(9, later);
        shared[0].note(10, later);
        assert_eq!(judge(None, &shared, later), None, "an old kill explains no new end");
        own.note(5, later);
        shared[0].note(11, later);
        assert_eq!(judge(Some(&own), &shared, later), Some(MemoryKill::Certain));
    }

    #[test]
    fn a_look_reads_what_is_a_counter_and_leaves_out_what_is_not() {
        let folder = Scratch::new("memory-kills");
        let (one, none) = (folder.join("one"), folder.join("none"));
        fs::write(&one, "low 0\noom 7\noom_kill 12\noom_group_kill 3\n").unwrap();
        fs::write(&none, "oom_kill_disable 0\nunder_oom 0\n").unwrap();
        let found = look(vec![none, one.clone(), folder.join("missing"), one.clone()]);
        assert_eq!(found, [(one, 12)]);
    }

    #[test]
    fn many_that_are_killed_wait_for_two_looks_at_most_and_none_for_one_that_does_not_come() {
        let mut waiting = Waiting::default();
        let now = Time::from_millis(1000);
        let run = RunId;
        assert!(waiting.ask(run(1)));
        assert_eq!(waiting.begin(now), Some(&[run(1)][..]));
        assert!(waiting.ask(run(2)) && waiting.ask(run(3)));
        assert_eq!(waiting.begin(now), None, "one at a time");
        assert_eq!(waiting.end(), [run(1)]);
        assert_eq!(waiting.begin(now), Some(&[run(2), run(3)][..]));
        assert!(waiting.ask(run(4)));
        assert_eq!(waiting.expire(now), []);
        let due = waiting.due().unwrap();
        assert_eq!(waiting.expire(due), [run(2), run(3), run(4)]);
        assert!(!waiting.ask(run(5)) && waiting.due().is_none());
        assert_eq!(waiting.end(), [], "it has come after all");
        assert!(waiting.ask(run(6)));
        assert_eq!(waiting.begin(due), Some(&[run(6)][..]));
    }
}
