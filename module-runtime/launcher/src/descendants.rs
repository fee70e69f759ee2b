//! Descendants by the kernel's lists of children (`CONFIG_PROC_CHILDREN`).
//!
//! The list of a process that forks may be incomplete; the caller allows for that.

use crate::processes::{Process, TEXT_BYTES, is_gone, read, read_text};
use libc::pid_t;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Calls `visit` with a child of this process that is not reaped yet, and with all its descendants,
/// at the price of these alone: it reads the lists of children, where
/// [`walk`](crate::processes::walk) reads every process of the machine.
///
/// The list of a process that forks, or whose children are reaped, may lack some. So nothing may be concluded from a
/// process that is not found; the caller goes on until no new one is found, or knows that a missed one will be the
/// guardian's own child in the end.
///
/// Each process that is found was a descendant. The child keeps its number until it is reaped. Below it, a process that
/// named another as its parent was that one's child only if the number was still the other's own then, so that is asked
/// afterwards.
pub(crate) fn descend(child: pid_t, mut visit: impl FnMut(&Process)) -> io::Result<()> {
    let mut text = Vec::with_capacity(TEXT_BYTES);
    let mut waiting: Vec<Process> = read(child, &mut text)?.into_iter().collect();
    let mut seen: HashSet<pid_t> = HashSet::from([child]);
    while let Some(process) = waiting.pop() {
        let first = waiting.len();
        // Before the visit, which may end the process and so give its children to another process.
        if !process.dead {
            for pid in children_of(&process, &mut text)? {
                if !seen.contains(&pid)
                    && let Some(found) = read(pid, &mut text)?
                    && found.parent == process.pid
                {
                    waiting.push(found);
                }
            }
            if waiting.len() > first && process.pid != child && !process.is_still_there(&mut text)? {
                waiting.truncate(first);
            }
            seen.extend(waiting[first..].iter().map(|found| found.pid));
        }
        visit(&process);
    }
    Ok(())
}

/// The numbers of the children of all threads, as far as they are complete: see [`descend`].
fn children_of(process: &Process, text: &mut Vec<u8>) -> io::Result<Vec<pid_t>> {
    let mut children = Vec::new();
    let mut of_thread = |thread: pid_t| -> io::Result<()> {
        if read_text(&format!("/proc/{}/task/{thread}/children", process.pid), text)? {
            parse_children(text, &mut children);
        }
        Ok(())
    };
    if process.threads <= 1 {
        of_thread(process.pid)?;
        return Ok(children);
    }
    match fs::read_dir(format!("/proc/{}/task", process.pid)) {
        Ok(threads) => threads
            .filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok())
            .try_for_each(of_thread)
            .map(|()| children),
        Err(error) if is_gone(&error) => Ok(children),
        Err(error) => Err(error),
    }
}

/// The kernel's list of this process's own children, dead ones included.
///
/// It is complete as long as this process has one thread and does not reap meanwhile. It is opened
/// once: to look is to read it, also when no more files can be opened.
#[derive(Debug)]
pub(crate) struct OwnChildren(Option<File>);

impl OwnChildren {
    /// Opens the list, if the kernel has such (`CONFIG_PROC_CHILDREN`).
    pub(crate) fn open() -> io::Result<OwnChildren> {
        match File::open("/proc/thread-self/children") {
            Ok(file) => Ok(OwnChildren(Some(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(OwnChildren(None)),
            Err(error) => Err(error),
        }
    }

    /// Whether the kernel lists children at all, those of others too.
    pub(crate) fn are_listed(&self) -> bool {
        self.0.is_some()
    }

    /// Their numbers, or `None` where the kernel does not list them.
    pub(crate) fn list(&self) -> io::Result<Option<Vec<pid_t>>> {
        let Some(file) = &self.0 else { return Ok(None) };
        let mut text = vec![0; TEXT_BYTES];
        let mut length = 0;
        loop {
            // A short read is not the end: only an empty read is.
            match file.read_at(&mut text[length..], length as u64)? {
                0 => break,
                more => length += more,
            }
            if text.len() - length < TEXT_BYTES / 2 {
                text.resize(text.len() * 2, 0);
            }
        }
        let mut children = Vec::new();
        parse_children(&text[..length], &mut children);
        Ok(Some(children))
    }
}

fn parse_children(text: &[u8], children: &mut Vec<pid_t>) {
    let numbers =
        text.split(|byte| *byte == b' ').filter_map(|number| str::from_utf8(number).ok()?.parse::<pid_t>().ok());
    children.extend(numbers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_children_is_numbers_between_spaces() {
        let mut children = Vec::new();
        parse_children(b"", &mut children);
        assert!(children.is_empty());
        parse_children(b"12 345 6 ", &mut children);
        assert_eq!(children, [12, 345, 6]);
    }
}
