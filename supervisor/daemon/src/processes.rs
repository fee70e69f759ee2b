//! What the host reads of other processes in /proc: memory, and leftovers of a host that was killed
//! together with its guardian.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The environment variable by which every process of a host's modules can be found again. It holds
/// the state directory, of which there is one for each host.
pub(crate) const TREE_VARIABLE: &str = "BULKHEAD_TREE";

/// Resident memory of a process in bytes.
pub(crate) fn memory_bytes(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_bytes())
}

fn page_bytes() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(4096)
}

/// Kills every process whose environment says that it belongs to the host with this state
/// directory; returns how many there were. Children that appear meanwhile are found by looking again.
pub(crate) fn kill_leftovers(state_dir: &Path) -> usize {
    let mark = format!("{TREE_VARIABLE}={}", state_dir.display());
    let (mut killed, mut quiet) = (0, 0);
    for _ in 0..100 {
        let found = marked(mark.as_bytes());
        // The environment of a process that is just being replaced by another program cannot be
        // read, so one look that finds nobody is not enough.
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if quiet == 2 {
            break;
        }
        for pid in found {
            // One that is gone by now is what we want.
            if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
                killed += 1;
            }
        }
    }
    killed
}

/// Processes that run and carry the mark. A zombie has no environment, so it is not among them.
fn marked(mark: &[u8]) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| *pid != own)
        .filter(|pid| is_marked(*pid, mark))
        .collect()
}

/// Whether a process carries the mark. One whose first thread has ended before the others looks like a
/// zombie, and only those others tell what its environment is.
fn is_marked(pid: i32, mark: &[u8]) -> bool {
    let environment = |path: &Path| fs::read(path.join("environ")).unwrap_or_default();
    let carries = |environment: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable == mark);
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let of_first = environment(&folder);
    if !of_first.is_empty() {
        return carries(&of_first);
    }
    let threads = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
    threads.into_iter().any(|thread| carries(&environment(&thread.path())))
}

/// Kills everything in a control group that a former guardian had, and removes it.
pub(crate) fn clear_cgroup(path: &Path) {
    // A path that is gone was cleared by its guardian.
    let _ = fs::write(path.join("cgroup.kill"), "1");
    for _ in 0..1000 {
        remove_groups(path);
        if !path.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    tracing::warn!("the control group {} of a former guardian cannot be removed", path.display());
}

fn remove_groups(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::process::ExitStatusExt, process::Command};

    /// Its first thread ends, and the other says so and stays, for as long as a test may take.
    const HEADLESS: &str = r#"
        #include <pthread.h>
        #include <stdio.h>
        #include <string.h>
        #include <unistd.h>
        static void *stay(void *unused) {
            char line[256] = "";
            while (!strstr(line, ") Z ")) {
                FILE *stat = fopen("/proc/self/stat", "r");
                if (!stat || !fgets(line, sizeof line, stat)) return unused;
                fclose(stat);
            }
            puts("headless");
            fflush(stdout);
            sleep(20);
            return unused;
        }
        int main(void) {
            pthread_t thread;
            alarm(20);
            pthread_create(&thread, NULL, stay, NULL);
            pthread_exit(NULL);
        }"#;

    #[test]
    fn a_leftover_whose_first_thread_has_ended_is_killed() {
        let folder = std::env::temp_dir().join(format!("bulkhead-headless-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (source, program) = (folder.join("headless.c"), folder.join("headless"));
        fs::write(&source, HEADLESS).unwrap();
        assert!(Command::new("cc").arg("-pthread").arg(&source).arg("-o").arg(&program).status().unwrap().success());
        let mut leftover =
            Command::new(&program).env(TREE_VARIABLE, &folder).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(leftover.stdout.take().unwrap()), &mut said).unwrap();
        assert_eq!(said, "headless\n");
        assert!(kill_leftovers(&folder) >= 1);
        assert_eq!(leftover.wait().unwrap().signal(), Some(9));
        fs::remove_dir_all(&folder).unwrap();
    }
}
