//! What the host reads of other processes in /proc: their parents, and leftovers of a host that was killed
//! together with its guardian.

use crate::strangers;
use bulkhead_protocol::{ProcessStat, guardian::Relative};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// Longest record of a family.
pub(crate) const FAMILY_BYTES_MAX: u64 = 1024 * 1024;

/// The environment variable by which every process of a host's modules can be found again. It holds the host's
/// number.
pub(crate) const TREE_VARIABLE: &str = "BULKHEAD_TREE";

pub(crate) fn page_bytes() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(4096)
}

/// What shows that a process was left by modules of this host.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// The host's own number, in the environment of all of them.
    pub(crate) host: String,
    /// Those that a guardian saw below its leaders.
    pub(crate) family: Vec<Relative>,
    /// Whether this process gets orphans only by its guardian's death, so that each child which it has not
    /// started itself is one.
    pub(crate) adopts_only_its_own: bool,
}

/// Kills every process that carries one of the marks, with all that is below it; returns how many there were.
/// Children that appear meanwhile are found by looking again.
pub(crate) fn kill_leftovers(marks: &Marks) -> usize {
    let (mut killed, mut quiet) = (HashSet::new(), 0);
    for _ in 0..100 {
        let found = marks.find();
        // The environment of a process that is just being replaced by another program cannot be
        // read, so one look that finds no process is not enough.
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if quiet == 2 {
            break;
        }
        for process in found {
            // One that is gone by now is what we want.
            if kill(Pid::from_raw(process.pid), Signal::SIGKILL).is_ok() {
                killed.insert((process.pid, process.started));
            }
        }
    }
    killed.len()
}

impl Marks {
    /// Those that live and carry a mark, and all that is below them.
    fn find(&self) -> Vec<Process> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let namespace = namespace_of("self");
        let processes = all();
        let known: HashSet<(i32, u64)> = self.family.iter().map(|relative| (relative.pid, relative.started)).collect();
        // A session's number identifies it only while it has a process that is known to be in it.
        let sessions: HashSet<i32> = processes
            .iter()
            .filter(|process| known.contains(&(process.pid, process.started)))
            .map(|process| process.session)
            .collect();
        let is_own_session = sessions.contains(&session_of(own));
        let mut found: HashSet<i32> = processes
            .iter()
            .filter(|process| process.pid != own && !strangers::is_own(process.pid))
            .filter(|process| {
                (self.adopts_only_its_own && process.parent == own)
                    || known.contains(&(process.pid, process.started))
                    || (!is_own_session && sessions.contains(&process.session))
                    || is_marked(process.pid, &self.host, namespace.as_deref())
            })
            .map(|process| process.pid)
            .collect();
        // All that is below, in any order of the numbers.
        loop {
            let before = found.len();
            for process in processes.iter().filter(|process| process.pid != own && !strangers::is_own(process.pid)) {
                if found.contains(&process.parent) {
                    found.insert(process.pid);
                }
            }
            if found.len() == before {
                break;
            }
        }
        processes.into_iter().filter(|process| found.contains(&process.pid) && !process.is_dead).collect()
    }
}

/// One process, as proc_pid_stat(5) has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// Clock ticks after boot.
    pub(crate) started: u64,
    pub(crate) resident_pages: u64,
    /// It has ended, with all its threads.
    pub(crate) is_dead: bool,
}

/// Every process that this one can see.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(read).collect()
}

/// One process, if it is there.
pub(crate) fn read(pid: i32) -> Option<Process> {
    ProcessStat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?).map(Process::from)
}

/// The children of a process's threads, of so many threads at most, where the kernel lists them
/// (`CONFIG_PROC_CHILDREN`).
pub(crate) fn children_of(pid: i32, threads_max: usize) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().take(threads_max);
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.trim().parse().ok()).collect::<Vec<i32>>()).collect()
}

fn session_of(pid: i32) -> i32 {
    nix::unistd::getsid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw)
}

impl From<ProcessStat> for Process {
    fn from(stat: ProcessStat) -> Process {
        Process {
            pid: stat.pid,
            parent: stat.parent,
            session: stat.session,
            started: stat.started,
            resident_pages: stat.resident_pages,
            is_dead: stat.is_dead(),
        }
    }
}

/// The process namespace of a process, as far as that may be known.
fn namespace_of(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}

/// Whether a process carries the mark. A container's processes are visible from outside as well, and its host
/// clears them. One whose first thread has ended before the others looks like a zombie, and only those others show
/// what its environment is.
fn is_marked(pid: i32, host: &str, namespace: Option<&Path>) -> bool {
    let mark = format!("{TREE_VARIABLE}={host}");
    let environment = |path: &Path| fs::read(path.join("environ")).unwrap_or_default();
    let carries = |environment: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let of_first = environment(&folder);
    let is_marked = if of_first.is_empty() {
        let mut threads = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
        threads.any(|thread| carries(&environment(&thread.path())))
    } else {
        carries(&of_first)
    };
    is_marked && namespace_of(&pid.to_string()).as_deref() == namespace
}

/// A record of the processes below a guardian's leaders, for the next host. It holds for one run of the machine
/// and one process namespace.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Family {
    boot: String,
    namespace: String,
    processes: Vec<Relative>,
}

impl Family {
    pub(crate) fn of(processes: Vec<Relative>) -> Family {
        Family { processes, ..Family::here() }
    }

    /// Without any process in it.
    fn here() -> Family {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let namespace = namespace_of("self").unwrap_or_default().to_string_lossy().into_owned();
        Family { boot, namespace, processes: Vec::new() }
    }

    /// What a former host wrote, if that still holds.
    pub(crate) fn read(text: &[u8]) -> Vec<Relative> {
        let Ok(kept) = serde_json::from_slice::<Family>(text) else { return Vec::new() };
        let here = Family::here();
        let holds = !here.boot.is_empty() && (&kept.boot, &kept.namespace) == (&here.boot, &here.namespace);
        if holds { kept.processes } else { Vec::new() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts can be written as JSON")
    }
}

/// Kills everything in a control group of an earlier guardian, and removes it.
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
        let folder = crate::scratch::Scratch::new("headless");
        let (source, program) = (folder.join("headless.c"), folder.join("headless"));
        fs::write(&source, HEADLESS).unwrap();
        assert!(Command::new("cc").arg("-pthread").arg(&source).arg("-o").arg(&program).status().unwrap().success());
        let mut leftover =
            Command::new(&program).env(TREE_VARIABLE, "headless").stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(leftover.stdout.take().unwrap()), &mut said).unwrap();
        assert_eq!(said, "headless\n");
        assert!(kill_leftovers(&marks("headless", &[])) >= 1);
        assert_eq!(leftover.wait().unwrap().signal(), Some(9));
    }

    fn marks(host: &str, family: &[Relative]) -> Marks {
        Marks { host: host.to_owned(), family: family.to_vec(), adopts_only_its_own: false }
    }

    /// Ends by itself, and knows nothing of any host.
    fn stranger() -> std::process::Child {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("/bin/sleep");
        command.arg("20").env_clear().process_group(0).spawn().unwrap()
    }

    fn seen(child: &std::process::Child) -> Process {
        read(i32::try_from(child.id()).unwrap()).unwrap()
    }

    #[test]
    fn a_recorded_process_is_killed_without_any_other_mark_and_a_number_alone_is_not_enough() {
        let (mut known, mut other) = (stranger(), stranger());
        let (of_known, of_other) = (seen(&known), seen(&other));
        let relative = |process: Process, started| Relative { pid: process.pid, started, session: process.session };
        // The other's number was that of a process which was recorded and has ended.
        let family = [relative(of_known, of_known.started), relative(of_other, of_other.started - 1)];
        assert_eq!(kill_leftovers(&marks("no-process-has-this-number", &family)), 1);
        assert_eq!(known.wait().unwrap().signal(), Some(9));
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_record_holds_for_this_run_of_the_machine_and_this_namespace() {
        let relative = Relative { pid: 7, started: 8, session: 9 };
        assert_eq!(Family::read(&Family::of(vec![relative]).to_bytes()), [relative]);
        for other in [
            Family { boot: "another".into(), processes: vec![relative], ..Family::here() },
            Family { namespace: "pid:[1]".into(), processes: vec![relative], ..Family::here() },
        ] {
            assert!(Family::read(&other.to_bytes()).is_empty(), "{other:?}");
        }
        assert!(Family::read(b"{").is_empty() && Family::read(b"").is_empty());
    }
}
