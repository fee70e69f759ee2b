//! Control groups, version 2: one for each run, so that the kernel kills a whole tree at once.
//!
//! No controller is switched on and no limit is set here. A group only helps to find and to kill:
//! a process that may write to groups can leave its own, so the sub-reaper's rule of `clearing.rs`
//! holds as well.

use libc::pid_t;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What the names of guardians' groups begin with.
const PREFIX: &str = "bulkhead-";

/// How long to wait for the processes that a dead guardian has left.
const LEFTOVER_MS_MAX: Duration = Duration::from_millis(1000);

/// The group that holds the groups of all runs. Its folder stays locked while the guardian lives, so the next guardian
/// can distinguish it from what a dead one left behind.
pub(crate) struct Base {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Base {
    /// Makes the group below this process's own and tries it out.
    ///
    /// # Errors
    /// A sentence that says why groups cannot be used here.
    pub(crate) fn create() -> Result<Base, String> {
        let own = own_folder()?;
        clear_leftovers(&own);
        let failed = |path: &Path, error: &dyn std::fmt::Display| {
            format!("cannot make a control group at '{}': {error}", path.display())
        };
        // A guardian that looks for leftovers just now may take the folder before it is locked.
        for _ in 0..3 {
            let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
            let path = own.join(format!("{PREFIX}{}-{time}", std::process::id()));
            fs::create_dir(&path).map_err(|error| failed(&path, &error))?;
            let Some(lock) = lock(&path) else { continue };
            let base = Base { path, _lock: lock };
            return match base.try_out() {
                Ok(()) => Ok(base),
                Err(error) => {
                    base.remove();
                    Err(failed(&base.path, &error))
                }
            };
        }
        Err(failed(&own, &"another process removes it"))
    }

    /// Makes a group for a run.
    pub(crate) fn group(&self, name: &str) -> io::Result<Group> {
        let path = self.path.join(name);
        fs::create_dir(&path)?;
        Ok(Group { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the group, whose runs are gone.
    pub(crate) fn remove(&self) {
        remove_tree(&self.path);
    }

    /// Starts a child in a group, since only a real start shows whether the kernel allows it.
    fn try_out(&self) -> Result<(), String> {
        let group = self.group("try").map_err(|error| error.to_string())?;
        let result = if group.path.join("cgroup.kill").exists() {
            let entry = group.entry().map_err(|error| error.to_string());
            entry.and_then(|entry| crate::child::try_group(entry.as_fd()).map_err(|error| error.to_string()))
        } else {
            Err("this kernel has no cgroup.kill (Linux 5.14 has)".to_owned())
        };
        group.remove();
        result
    }
}

/// The group of one run.
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    /// The folder, in which a process can be started.
    pub(crate) fn entry(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Kills every process in the group and in all groups below it.
    pub(crate) fn kill(&self) {
        // It fails only if the group is gone, and then no process is in it.
        let _ = OpenOptions::new()
            .write(true)
            .open(self.path.join("cgroup.kill"))
            .and_then(|mut file| file.write_all(b"1"));
    }

    /// The living processes in the group itself.
    pub(crate) fn processes(&self) -> Vec<pid_t> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Whether any process lives in the group or below it.
    pub(crate) fn is_populated(&self) -> bool {
        is_populated(&self.path)
    }

    /// Removes the group, unless there is a process in it, or another group. True if it is gone.
    pub(crate) fn remove_if_empty(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the group, and those that its processes made below it.
    pub(crate) fn remove(&self) {
        remove_tree(&self.path);
    }
}

fn is_populated(path: &Path) -> bool {
    let text = fs::read_to_string(path.join("cgroup.events")).unwrap_or_default();
    text.lines().any(|line| line == "populated 1")
}

/// Removes a group and all below it. What cannot be removed stays until the next guardian starts.
fn remove_tree(path: &Path) {
    if let Err(error) = fs::remove_dir(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path());
            }
        }
        let _ = fs::remove_dir(path);
    }
}

/// Locks a folder, unless another process holds its lock or it is no longer the one under that name.
fn lock(path: &Path) -> Option<Flock<File>> {
    let folder = File::open(path).ok()?;
    let lock = match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((_, Errno::EWOULDBLOCK)) => return None,
        Err(_) => return None,
    };
    let (held, named) = (lock.metadata().ok()?, fs::metadata(path).ok()?);
    (held.ino() == named.ino()).then_some(lock)
}

/// Kills and removes what guardians left that were killed themselves: no process holds their lock.
fn clear_leftovers(own: &Path) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Some(_lock) = lock(&entry.path()) else { continue };
        let group = Group { path: entry.path() };
        let deadline = Instant::now() + LEFTOVER_MS_MAX;
        while group.is_populated() && Instant::now() < deadline {
            group.kill();
            std::thread::sleep(Duration::from_millis(1));
        }
        group.remove();
    }
}

/// The folder of the group that this process is in.
fn own_folder() -> Result<PathBuf, String> {
    let mounts =
        fs::read_to_string("/proc/self/mounts").map_err(|error| format!("cannot read /proc/self/mounts: {error}"))?;
    let mount = find_mount(&mounts).ok_or("no control group hierarchy of version 2 is mounted")?;
    let groups =
        fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("cannot read /proc/self/cgroup: {error}"))?;
    let own = find_own(&groups).ok_or("this process is in no control group of version 2")?;
    Ok(Path::new(&mount).join(own.trim_start_matches('/')))
}

/// The first cgroup2 mount in the format of fstab(5), which writes a space as `\040`.
fn find_mount(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| folder.replace("\\040", " "))
    })
}

/// The line of version 2 in the format of cgroups(7).
fn find_own(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::tests::READS;
    use crate::trees::Trees;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_second_version_is_found_beside_the_first() {
        let mounts = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/uni\\040fied cgroup2 rw 0 0\n";
        assert_eq!(find_mount(mounts).as_deref(), Some("/sys/fs/cgroup/uni fied"));
        assert_eq!(find_mount("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"), None);
    }

    #[test]
    fn a_kill_by_control_group_reads_nothing_of_any_process() {
        let base = match Base::create() {
            Ok(base) => base,
            Err(reason) => return eprintln!("skipped: {reason}"),
        };
        let own_pid = pid_t::try_from(std::process::id()).unwrap();
        let runs: Vec<_> = (0..20).map(|run| base.group(&format!("run-{run}")).unwrap()).collect();
        let mut children: Vec<_> = runs.iter().map(sleeper_in).collect();
        let pids: Vec<pid_t> = children.iter().map(|child| pid_t::try_from(child.id()).unwrap()).collect();
        let trees: Vec<_> = pids.iter().copied().zip(runs.iter().map(Some)).collect();
        let before = READS.get();
        Trees { own_pid, children_listed: false }.kill(&trees).unwrap();
        assert_eq!(READS.get() - before, 0);
        for child in &mut children {
            assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        }
        base.remove();
    }

    /// A process that ends by itself, moved into a group.
    fn sleeper_in(group: &Group) -> std::process::Child {
        let child = std::process::Command::new("/bin/sleep").arg("20").spawn().unwrap();
        fs::write(group.path.join("cgroup.procs"), child.id().to_string()).unwrap();
        child
    }

    #[test]
    fn the_own_group_is_the_one_of_hierarchy_zero() {
        assert_eq!(find_own("4:memory:/a\n0::/user.slice/x\n"), Some("/user.slice/x"));
        assert_eq!(find_own("4:memory:/a\n"), None);
    }
}
