//! What `/proc` says about processes: their parents and children, and how to signal exactly one.
//!
//! It keeps nothing between calls, because all of it changes at any time; and it decides nothing.

use crate::sys;
use bulkhead_protocol::ProcessStat;
use libc::{c_int, pid_t};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};

/// Room for one `stat` and for most lists of children: neither needs a second read then.
pub(crate) const TEXT_BYTES: usize = 4096;

/// One process at the moment it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: pid_t,
    pub(crate) parent: pid_t,
    pub(crate) group: pid_t,
    pub(crate) session: pid_t,
    /// It ended and only waits to be reaped. A process whose first thread has ended before the others
    /// looks the same but for the number of its threads, and lives.
    pub(crate) dead: bool,
    /// How many threads it has, ended ones included that are not removed yet.
    pub(crate) threads: u64,
    /// Clock ticks after boot. Together with the process id it names the process for good.
    started: u64,
}

impl Process {
    /// What names the process for good: its number may be used again.
    pub(crate) fn name(&self) -> (pid_t, u64) {
        (self.pid, self.started)
    }

    /// Sends a signal, and never to another process that has got the same number since.
    pub(crate) fn signal(&self, signal: c_int) -> io::Result<()> {
        let descriptor = sys::pidfd_open(self.pid)?;
        if self.is_still_there(&mut Vec::new())? {
            sys::pidfd_send_signal(std::os::fd::AsFd::as_fd(&descriptor), signal)
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    }

    /// Whether the number is this process's own at this moment.
    pub(crate) fn is_still_there(&self, text: &mut Vec<u8>) -> io::Result<bool> {
        Ok(read(self.pid, text)?.is_some_and(|now| now.started == self.started))
    }
}

/// Calls `visit` with every process there is, in the order of their numbers, each right after it
/// was read. A process that exists from the first moment to the last is never missed.
pub(crate) fn scan(mut visit: impl FnMut(&Process)) -> io::Result<()> {
    #[cfg(test)]
    tests::SCANS.set(tests::SCANS.get() + 1);
    let mut text = Vec::new();
    for entry in fs::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(process) = read(pid, &mut text)?
        {
            visit(&process);
        }
    }
    Ok(())
}

/// Calls `visit` with every process that `root` gives a tag, and with all their descendants, which
/// inherit it. Each is visited as early as possible: a process that forks and exits all the time is
/// only caught between being read and being signalled.
pub(crate) fn walk<T: Copy>(
    root: impl Fn(&Process) -> Option<T>,
    mut visit: impl FnMut(&Process, T),
) -> io::Result<()> {
    let mut tags: HashMap<pid_t, T> = HashMap::new();
    let mut others: Vec<Process> = Vec::new();
    scan(|process| match root(process).or_else(|| tags.get(&process.parent).copied()) {
        Some(tag) => {
            tags.insert(process.pid, tag);
            visit(process, tag);
        }
        None => others.push(process.clone()),
    })?;
    // Where the numbers have wrapped around, a child comes before its parent.
    loop {
        let before = others.len();
        others.retain(|process| match tags.get(&process.parent).copied() {
            Some(tag) => {
                tags.insert(process.pid, tag);
                visit(process, tag);
                false
            }
            None => true,
        });
        if others.len() == before {
            return Ok(());
        }
    }
}

/// Reads one process, or `None` if it is gone.
pub(crate) fn read(pid: pid_t, text: &mut Vec<u8>) -> io::Result<Option<Process>> {
    Ok(if read_text(&format!("/proc/{pid}/stat"), text)? { ProcessStat::parse(text).map(Process::from) } else { None })
}

/// Reads a file of a process, or reports that the process is gone.
pub(crate) fn read_text(path: &str, text: &mut Vec<u8>) -> io::Result<bool> {
    #[cfg(test)]
    tests::READS.set(tests::READS.get() + 1);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    // Plain reads into room that is there: these files have no length to ask for first.
    text.resize(TEXT_BYTES.max(text.capacity()), 0);
    let mut length = 0;
    loop {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        // `stat` is one line and comes whole; a list of children has no line, only an end.
        if text[length - 1] == b'\n' {
            break;
        }
        if length == text.len() {
            text.resize(length * 2, 0);
        }
    }
    text.truncate(length);
    Ok(true)
}

/// Whether there was no process of that number.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

impl From<ProcessStat> for Process {
    fn from(stat: ProcessStat) -> Process {
        Process {
            pid: stat.pid,
            dead: stat.is_dead(),
            threads: stat.threads,
            parent: stat.parent,
            group: stat.group,
            session: stat.session,
            started: stat.started,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// How many files about processes this thread has read.
        pub(crate) static READS: Cell<usize> = const { Cell::new(0) };
        /// How often it has read about every process there is.
        pub(crate) static SCANS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn this_process_finds_itself_with_its_parent() {
        let own = pid_t::try_from(std::process::id()).unwrap();
        let mut found = None;
        scan(|process| {
            if process.pid == own {
                found = Some(process.clone());
            }
        })
        .unwrap();
        assert_eq!(found.unwrap().parent, nix::unistd::getppid().as_raw());
    }
}
