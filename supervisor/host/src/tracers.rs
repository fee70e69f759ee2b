//! The tracer of a module's process, or of one of its tree, as /proc has it: a debugger, strace. One that the host runs
//! itself, below its guardian, does not count: a module could otherwise exempt itself from its timeouts.

use crate::processes;
use bulkhead_core::Tracer;
use std::{collections::VecDeque, fs};

/// Processes of one tree that are looked at.
const TREE_MAX: usize = 256;

/// Steps from a process to the first one.
const DEPTH_MAX: usize = 256;

/// The first tracer of the tree below `leader` that is not below `guardian`.
pub(crate) fn of_tree(leader: i32, guardian: Option<i32>) -> Option<Tracer> {
    let mut seen = 0;
    let mut ahead = VecDeque::from([leader]);
    while let Some(pid) = ahead.pop_front() {
        if let Some(tracer) = of_process(pid, guardian) {
            return Some(tracer);
        }
        seen += 1;
        let room = TREE_MAX.saturating_sub(seen + ahead.len());
        ahead.extend(processes::children_of(pid, TREE_MAX).into_iter().take(room));
    }
    None
}

/// The tracer of one process.
pub(crate) fn of_process(pid: i32, guardian: Option<i32>) -> Option<Tracer> {
    let thread: i32 =
        field(&format!("/proc/{pid}/status"), "TracerPid:")?.parse().ok().filter(|thread| *thread != 0)?;
    // The kernel names the thread that traces.
    let tracer = field(&format!("/proc/{thread}/status"), "Tgid:").and_then(|id| id.parse().ok()).unwrap_or(thread);
    if guardian.is_some_and(|guardian| is_below(tracer, guardian)) {
        return None;
    }
    let name = fs::read(format!("/proc/{tracer}/comm")).unwrap_or_default();
    Some(Tracer { pid: tracer, name: String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned() })
}

fn is_below(pid: i32, other: i32) -> bool {
    let mut at = pid;
    for _ in 0..DEPTH_MAX {
        if at == other {
            return true;
        }
        match processes::read(at).map(|process| process.parent) {
            Some(parent) if parent > 0 => at = parent,
            _ => return false,
        }
    }
    // A process so deep was not started by a person.
    true
}

/// A line of a file of /proc. The name of the program, which it chooses itself, has no line end in these.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Ended;
    use nix::{
        sys::{ptrace, wait::waitpid},
        unistd::Pid,
    };
    use std::process::Command;

    #[test]
    fn a_tracer_is_found_and_one_below_the_guardian_does_not_count() {
        let sleeper = Ended(Command::new("sleep").arg("60").spawn().unwrap());
        let (pid, own) = (i32::try_from(sleeper.0.id()).unwrap(), i32::try_from(std::process::id()).unwrap());
        assert_eq!(of_process(pid, None), None);
        let traced = Pid::from_raw(pid);
        ptrace::attach(traced).unwrap();
        waitpid(traced, None).unwrap();
        let found = of_process(pid, None).unwrap();
        assert_eq!(found.pid, own);
        assert!(!found.name.is_empty() && !found.name.contains('\n'), "{found:?}");
        // It is found from above as well, and this process is below its own parent.
        assert_eq!(of_tree(own, Some(pid)).as_ref(), Some(&found));
        assert_eq!(of_process(pid, Some(own)), None);
        assert_eq!(of_process(pid, Some(nix::unistd::getppid().as_raw())), None);
        ptrace::detach(traced, None).unwrap();
        assert_eq!(of_process(pid, None), None);
        assert_eq!(of_process(i32::MAX, None), None);
    }
}
