//! Processes of the module as `/proc` shows them, and signals to them.

use bulkhead_protocol::ProcessStat;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Sends a signal. A process that is gone already is no error.
pub(super) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether a process is stopped by a signal, with all its threads: they stop one after the other.
pub(super) fn is_stopped(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let is_stopped = |path: PathBuf| {
        let stat = fs::read(path.join("stat")).ok().and_then(|bytes| ProcessStat::parse(&bytes));
        stat.is_some_and(|stat| stat.state == 'T')
    };
    let states: Vec<bool> = threads.map(|thread| is_stopped(thread.path())).collect();
    !states.is_empty() && states.into_iter().all(|is_stopped| is_stopped)
}

/// Stops a process by a signal, and waits until it is stopped. What does not stop fails what follows.
pub(super) fn stop_by_signal(pid: i32) {
    signal(pid, Signal::SIGSTOP);
    let until = Instant::now() + Duration::from_secs(5);
    while !is_stopped(pid) && Instant::now() < until {
        // A stop by another process has no event here.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The variable that marks the processes of a host, with its value, as a process has it.
pub(super) fn tree_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    variables.into_iter().find(|variable| variable.starts_with("BULKHEAD_TREE=")).map(|found| found.into_owned())
}

/// The processes that have such a variable. What has ended has no environment.
pub(super) fn processes_with(variable: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let path: PathBuf = format!("/proc/{pid}/environ").into();
        fs::read(path).is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|found| found == variable.as_bytes()))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(has).collect()
}
