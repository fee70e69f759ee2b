//! What `/proc` says about processes: who is whose child, and how to signal exactly that one.
//!
//! It keeps nothing between calls, because nothing here stays true; and it decides nothing.

use crate::sys;
use libc::{c_int, pid_t};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};

/// One process at the moment it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: pid_t,
    pub(crate) parent: pid_t,
    pub(crate) group: pid_t,
    pub(crate) session: pid_t,
    /// It ended and only waits to be reaped.
    pub(crate) dead: bool,
    /// Clock ticks after boot. Together with the process id it names the process for good.
    started: u64,
}

impl Process {
    /// Sends a signal, and never to another process that has got the same number since.
    pub(crate) fn signal(&self, signal: c_int) -> io::Result<()> {
        let descriptor = sys::pidfd_open(self.pid)?;
        match read(self.pid, &mut Vec::new())? {
            Some(now) if now.started == self.started => {
                sys::pidfd_send_signal(std::os::fd::AsFd::as_fd(&descriptor), signal)
            }
            _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }
}

/// Calls `visit` with every process there is, in the order of their numbers, each right after it
/// was read. A process that exists from the first moment to the last is never missed.
pub(crate) fn scan(mut visit: impl FnMut(&Process)) -> io::Result<()> {
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

/// The numbers of this process's own children, dead ones included, or `None` on a kernel that does
/// not list them (built without `CONFIG_PROC_CHILDREN`). The list is complete as long as this
/// process has one thread and does not reap meanwhile.
pub(crate) fn own_children() -> io::Result<Option<Vec<pid_t>>> {
    match fs::read_to_string("/proc/thread-self/children") {
        Ok(text) => Ok(Some(parse_children(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_children(text: &str) -> Vec<pid_t> {
    text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Reads one process, or `None` if it is gone.
fn read(pid: pid_t, text: &mut Vec<u8>) -> io::Result<Option<Process>> {
    text.clear();
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read_to_end(text));
    match read {
        Ok(_) => Ok(parse_stat(text)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the fields of proc_pid_stat(5). The name in parentheses is the process's own choice and may
/// contain anything, so the fields are counted from the last parenthesis.
fn parse_stat(text: &[u8]) -> Option<Process> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let pid = str::from_utf8(text.split(|byte| *byte == b' ').next()?).ok()?.parse().ok()?;
    let fields: Vec<&str> = str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<i64>().ok();
    let id = |field: usize| pid_t::try_from(number(field)?).ok();
    Some(Process {
        pid,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: id(1)?,
        group: id(2)?,
        session: id(3)?,
        started: u64::try_from(number(19)?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_names_itself_to_confuse_is_read_by_its_last_parenthesis() {
        let text = b"42 (a) Z 1 (\xff) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 0 0\n";
        let expected = Process { pid: 42, parent: 7, group: 8, session: 9, dead: false, started: 12345 };
        assert_eq!(parse_stat(text), Some(expected));
    }

    #[test]
    fn a_line_that_breaks_off_is_no_process() {
        assert_eq!(parse_stat(b"42 (sh) S 7 8"), None);
        assert_eq!(parse_stat(b"42 sh"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn the_list_of_children_is_numbers_between_spaces() {
        assert_eq!(parse_children("12 345 6 "), [12, 345, 6]);
        assert!(parse_children("").is_empty());
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
