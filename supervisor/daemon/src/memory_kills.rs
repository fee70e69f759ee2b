//! Whether a process that was killed was killed by the kernel's memory killer. SIGKILL says nothing of who sent
//! it, but the killer counts what it does: for each control group that bounds memory, and for the machine.
//!
//! Which counters there are, and that one has risen, is for the guardian to tell. What is read here is a line of
//! the kernel's own, which waits for nothing.

use bulkhead_core::MemoryKill;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long after a counter rose an end is held to be a part of that.
const RECENT: Duration = Duration::from_secs(3);

/// Longest counter file: `vmstat` has some 200 lines.
const COUNTER_BYTES_MAX: usize = 16 * 1024;

/// One counter of kills. Its file is opened for each look: kept open, it would be a descriptor for each process.
#[derive(Debug)]
pub(crate) struct Counter {
    path: PathBuf,
    seen: u64,
    rose_at: Option<Instant>,
}

impl Counter {
    /// The line `oom_kill` of this file; `None` where there is none.
    pub(crate) fn open(path: &Path) -> Option<Counter> {
        let seen = kills(path)?;
        Some(Counter { path: path.to_owned(), seen, rose_at: None })
    }

    /// Whether it rose just now, or short time ago.
    pub(crate) fn has_risen(&mut self, now: Instant) -> bool {
        if let Some(kills) = kills(&self.path) {
            if kills > self.seen {
                self.rose_at = Some(now);
            }
            self.seen = kills;
        }
        self.rose_at.is_some_and(|at| now.saturating_duration_since(at) <= RECENT)
    }
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

/// Who was it? `own`: the counter of the process's own memory group; `shared`: those of the host's and the
/// machine's.
pub(crate) fn judge(own: Option<&mut Counter>, shared: &mut [Counter], now: Instant) -> Option<MemoryKill> {
    // Each is looked at, so that none of them counts for a later end.
    let risen = |counter: &mut Counter| counter.has_risen(now);
    let shared = shared.iter_mut().filter_map(|counter| risen(counter).then_some(())).count() > 0;
    match own.map(risen) {
        Some(true) => Some(MemoryKill::Certain),
        // What bounds its memory has a counter, which says that it was something else, unless the memory of all
        // ran out.
        Some(false) | None => shared.then_some(MemoryKill::Probable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let folder = std::env::temp_dir().join(format!("bulkhead-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Files(folder)
        }

        fn set(&self, name: &str, kills: u64) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, format!("low 0\noom 7\noom_kill {kills}\noom_group_kill 3\n")).unwrap();
            path
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_kill_is_certain_by_the_modules_own_group_and_probable_by_a_shared_one() {
        let files = Files::new("memory-kills");
        let mut own = Counter::open(&files.set("own", 4)).unwrap();
        let mut shared = [Counter::open(&files.set("shared", 9)).unwrap()];
        let start = Instant::now();
        assert_eq!(judge(Some(&mut own), &mut shared, start), None);
        files.set("shared", 10);
        assert_eq!(judge(Some(&mut own), &mut shared, start), Some(MemoryKill::Probable));
        assert_eq!(judge(None, &mut shared, start + RECENT), Some(MemoryKill::Probable), "another of the same");
        let later = start + 2 * RECENT;
        assert_eq!(judge(Some(&mut own), &mut shared, later), None, "an old kill explains no new end");
        files.set("own", 5);
        files.set("shared", 11);
        assert_eq!(judge(Some(&mut own), &mut shared, later), Some(MemoryKill::Certain));
    }

    #[test]
    fn what_has_no_counter_is_not_one() {
        let files = Files::new("no-counter");
        let path = files.0.join("empty");
        fs::write(&path, "oom_kill_disable 0\nunder_oom 0\n").unwrap();
        assert!(Counter::open(&path).is_none());
        assert!(Counter::open(&files.0.join("missing")).is_none());
    }
}
