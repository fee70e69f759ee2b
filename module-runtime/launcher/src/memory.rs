//! The kernel's memory killer: which processes it kills first, and whether it has been at work.
//!
//! Leaders get a higher score than the guardian and the host have, and pass it on to their trees. The killer's work
//! shows in counters of control groups and of the machine; the host has them read when a process was killed, and the
//! guardian looks now and then and reports which rose, so that the time is known. No limit is set.

use bulkhead_protocol::guardian::MemoryCounter;
use libc::pid_t;
use std::fs;
use std::path::{Path, PathBuf};

/// The highest score.
const SCORE_MAX: i32 = 1000;

/// Where a score is read and written.
const OWN_SCORE: &str = "/proc/self/oom_score_adj";

/// Kills of the whole machine.
const OF_MACHINE: &str = "/proc/vmstat";

/// The score of a process that is `above` this one by so much.
pub(crate) fn score(above: u16) -> i32 {
    let own: i32 = fs::read_to_string(OWN_SCORE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    (own + i32::from(above)).min(SCORE_MAX)
}

/// Whether scores can be written here at all. To write what is there already changes nothing.
pub(crate) fn check_scores() -> std::io::Result<()> {
    fs::write(OWN_SCORE, score(0).to_string())
}

/// How many processes the killer has killed, by a file that has a line for it: `memory.events` of a control
/// group of version 2, `memory.oom_control` of version 1, and `vmstat` of the machine have the same.
pub(crate) fn kills(counter: &Path) -> Option<u64> {
    let text = fs::read_to_string(counter).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The counters that concern this process and all that it starts.
pub(crate) struct Counters {
    own: Option<PathBuf>,
    seen: Vec<(PathBuf, u64)>,
}

impl Counters {
    pub(crate) fn of_this_process() -> Counters {
        let own = counter_of("/proc/self/cgroup");
        let all = own.iter().cloned().chain([PathBuf::from(OF_MACHINE)]);
        let seen = all.filter_map(|counter| kills(&counter).map(|count| (counter, count))).collect();
        Counters { own, seen }
    }

    /// All of them, for the host.
    pub(crate) fn all(&self) -> Vec<MemoryCounter> {
        self.seen.iter().map(|(counter, seen)| counter_report(counter, *seen)).collect()
    }

    /// Those by which the killer was at work since the last look.
    pub(crate) fn risen(&mut self) -> Vec<MemoryCounter> {
        self.seen.iter_mut().filter_map(|(counter, seen)| risen(counter, seen)).collect()
    }

    /// The counter of a process's memory group, where that is another one than this process's.
    pub(crate) fn own_of(&self, pid: pid_t) -> Option<PathBuf> {
        counter_of(&format!("/proc/{pid}/cgroup")).filter(|counter| Some(counter) != self.own.as_ref())
    }
}

/// A counter as it is reported to the host.
pub(crate) fn counter_report(file: &Path, kills: u64) -> MemoryCounter {
    MemoryCounter { file: file.to_string_lossy().into_owned(), kills }
}

/// The report about a counter, if it has risen since it was `seen`.
pub(crate) fn risen(counter: &Path, seen: &mut u64) -> Option<MemoryCounter> {
    let now = kills(counter)?;
    let before = std::mem::replace(seen, now);
    (now > before).then(|| counter_report(counter, now))
}

/// The counter of the memory group that a file in the format of cgroups(7) names, if there is one.
fn counter_of(groups: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(groups).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    candidates(&groups, &mounts).into_iter().find(|counter| kills(counter).is_some())
}

/// Where the counter may be: of version 1 first, as the memory of a process is bounded by one version only.
fn candidates(groups: &str, mounts: &str) -> Vec<PathBuf> {
    let group = |wanted: fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(number, controllers).then_some(path)
        })
    };
    let first = group(|_, controllers| controllers.split(',').any(|name| name == "memory"));
    let second = group(|number, controllers| number == "0" && controllers.is_empty());
    let is_first = |kind: &str, options: &str| kind == "cgroup" && options.split(',').any(|option| option == "memory");
    let first = first.and_then(|path| Some(folder(path, mounts, is_first)?.join("memory.oom_control")));
    let second = second.and_then(|path| Some(folder(path, mounts, |kind, _| kind == "cgroup2")?.join("memory.events")));
    first.into_iter().chain(second).collect()
}

/// The folder of a group below a mount of its hierarchy, in the format of proc_pid_mountinfo(5). A container may
/// see only a part of the hierarchy, which is what the mount's root says.
fn folder(group: &str, mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, mount) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let (name, options) = (kind.next()?, kind.nth(1)?);
        if !wanted(name, options) {
            return None;
        }
        let below = Path::new(group).strip_prefix(root).or_else(|_| Path::new(group).strip_prefix("/")).ok()?;
        Some(Path::new(&mount.replace("\\040", " ")).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        24 1 0:22 / /proc rw - proc proc rw\n\
        31 24 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        32 24 0:29 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_counter_of_a_group_is_found_in_both_versions() {
        let found = candidates("9:name=systemd:/\n4:memory,hugetlb:/a/b:c\n0::/x\n", MOUNTS);
        let expected = ["/sys/fs/cgroup/memory/a/b:c/memory.oom_control", "/sys/fs/cgroup/uni fied/x/memory.events"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert!(candidates("9:name=systemd:/\n", MOUNTS).is_empty());
        assert!(candidates("4:memory:/a\n0::/x\n", "").is_empty());
    }

    #[test]
    fn a_container_that_sees_a_part_of_the_hierarchy_finds_its_own_group() {
        let mounts = "31 24 0:28 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n";
        assert_eq!(candidates("0::/docker/1/m\n", mounts), [PathBuf::from("/sys/fs/cgroup/m/memory.events")]);
    }

    #[test]
    fn a_counter_is_reported_once_for_each_rise() {
        let file = std::env::temp_dir().join(format!("bulkhead-counter-{}", std::process::id()));
        let set = |kills: u64| fs::write(&file, format!("oom 9\noom_kill {kills}\n")).unwrap();
        set(4);
        let mut seen = kills(&file).unwrap();
        assert_eq!(risen(&file, &mut seen), None);
        set(6);
        assert_eq!(risen(&file, &mut seen), Some(counter_report(&file, 6)));
        assert_eq!(risen(&file, &mut seen), None);
        fs::remove_file(&file).unwrap();
        assert_eq!((risen(&file, &mut seen), seen), (None, 6));
    }

    #[test]
    fn a_score_is_above_that_of_this_process_and_never_above_the_highest() {
        assert_eq!(score(500) - score(0), 500.min(SCORE_MAX - score(0)));
        assert_eq!(score(u16::MAX), SCORE_MAX);
    }

    #[test]
    fn a_process_in_the_same_group_has_none_of_its_own() {
        let counters = Counters::of_this_process();
        assert_eq!(counters.own_of(pid_t::try_from(std::process::id()).unwrap()), None);
        assert_eq!(counters.own_of(pid_t::MAX), None);
    }
}
