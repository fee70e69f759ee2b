//! The kernel's data about processes: their parents, their private memory, their processor time.

use crate::Failed;
use std::{fs, io, path::Path, time::Duration};

/// The memory of one process or of several, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// All that is resident, pages included that other processes share.
    pub resident: u64,
    /// What is freed with the process: pages that it shares with no other.
    pub private: u64,
    /// What is not backed by a file: heap, stacks, written data.
    pub anonymous: u64,
}

/// The memory of a process.
///
/// # Errors
/// When it is gone, or another user's.
pub fn memory(process: u32) -> Result<Memory, Failed> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let field = |name: &str| -> Result<u64, Failed> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("expected {name}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok(Memory {
        resident: field("Rss:")?,
        private: field("Private_Clean:")? + field("Private_Dirty:")?,
        anonymous: field("Anonymous:")?,
    })
}

/// The memory of several processes together.
///
/// # Errors
/// As [`memory`].
pub fn memory_of(processes: &[u32]) -> Result<Memory, Failed> {
    let mut sum = Memory::default();
    for process in processes {
        let one = memory(*process)?;
        sum.resident += one.resident;
        sum.private += one.private;
        sum.anonymous += one.anonymous;
    }
    Ok(sum)
}

/// The processes that were started by any thread of this one and still run. The kernel may leave one out while another
/// one ends (proc_pid_task(5)): where that matters, look again.
///
/// # Errors
/// When it is gone.
pub fn children(process: u32) -> Result<Vec<u32>, Failed> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let Some(text) = of_thread(&thread?.path().join("children"))? else { continue };
        for word in text.split_whitespace() {
            children.push(word.parse()?);
        }
    }
    Ok(children)
}

/// The children of a process, and theirs. One that ends meanwhile has no children any more.
///
/// # Errors
/// When the process itself is gone.
pub fn descendants(process: u32) -> Result<Vec<u32>, Failed> {
    let mut all = children(process)?;
    let mut at = 0;
    while at < all.len() {
        all.extend(children(all[at]).unwrap_or_default());
        at += 1;
    }
    Ok(all)
}

/// The kernel's data about a thread; `None` when it has ended since it was listed.
fn of_thread(file: &Path) -> Result<Option<String>, Failed> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The processor time that a process has had, all its threads together.
///
/// # Errors
/// When it is gone, or the kernel keeps no such statistics.
pub fn processor_time(process: u32) -> Result<Duration, Failed> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let Some(text) = of_thread(&thread?.path().join("schedstat"))? else { continue };
        let nanoseconds = text.split_whitespace().next().ok_or("expected a time")?;
        sum += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    #[test]
    fn a_process_finds_its_child_and_what_that_weighs() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Threads and children of other tests begin and end meanwhile, and the kernel's list is exact only while they
        // do not.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !descendants(std::process::id()).unwrap().contains(&child.id()) {
            assert!(Instant::now() < deadline, "the child is not found");
        }
        let memory = memory_of(&[child.id()]).unwrap();
        assert!(memory.resident >= memory.private && memory.private > 0, "{memory:?}");
        assert!(processor_time(std::process::id()).unwrap() > Duration::ZERO);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
