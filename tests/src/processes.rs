//! A search for other processes in /proc, by a mark in their command line or environment.

use crate::until;
use bulkhead_protocol::ProcessStat;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;

/// A process that is still there.
#[derive(Debug)]
pub struct Survivor {
    /// Its process id.
    pub pid: i32,
    /// Its command line, with spaces.
    pub command: String,
}

/// The processes whose command line or environment has `mark` in it. A zombie has neither.
pub fn marked(mark: &str) -> Vec<Survivor> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| *name != own && name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|name| {
            let read = |file: &str| fs::read(format!("/proc/{name}/{file}")).unwrap_or_default();
            let (command, environment) = (read("cmdline"), read("environ"));
            let has = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
            let command_text = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
            (has(&command) || has(&environment))
                .then(|| Survivor { pid: name.parse().expect("it has digits only"), command: command_text })
        })
        .collect()
}

/// Sends a signal. A process that is gone already is no error.
pub fn kill(pid: i64, signal: Signal) {
    let _ = nix::sys::signal::kill(Pid::from_raw(i32::try_from(pid).expect("a process id")), signal);
}

/// The kernel's data about a process; `None` if it is not there.
pub fn stat(pid: i64) -> Option<ProcessStat> {
    ProcessStat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether a process runs: it is there and no zombie.
pub fn is_alive(pid: i64) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Waits until none of these processes runs.
///
/// # Panics
/// When one lives on.
pub fn wait_until_gone(pids: &[i64]) {
    until(&format!("the end of all of {pids:?}"), || pids.iter().all(|pid| !is_alive(*pid)).then_some(()));
}
