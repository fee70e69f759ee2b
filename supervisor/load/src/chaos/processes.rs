//! One process of the module, held by a descriptor: a number may be given to another process at any moment, a descriptor
//! names one process for ever. No other process is ever sent a signal.

use super::control::{Control, Known};
use crate::problem::Problem;
use bulkhead_protocol::ProcessStat;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

/// After which the daemon has certainly missed a process that has ended.
const MISSED_AFTER: Duration = Duration::from_secs(1);

/// A process of the module.
#[derive(Debug)]
pub(super) struct Process {
    descriptor: OwnedFd,
    known: Known,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// The process had ended.
    Gone,
}

impl Process {
    /// One of those that the module has now, or none if it has none, or if that ended meanwhile.
    ///
    /// # Errors
    /// When it cannot be found out whose process it is.
    pub(super) fn any(control: &mut Control, pick: u64) -> Result<Option<Process>, Problem> {
        let all = control.status()?.processes();
        let Some(known) = one_of(&all, pick) else { return Ok(None) };
        Process::open(control, known)
    }

    fn open(control: &mut Control, known: &Known) -> Result<Option<Process>, Problem> {
        let Some(pid) = Pid::from_raw(known.pid) else { return Ok(None) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(Problem::failed(format!("process {}: pidfd_open: {error}", known.pid))),
        };
        let parent = parent_of(known.pid);
        // The module has it still, so the number has named this process since before the descriptor was made.
        if !control.status()?.processes().contains(known) {
            return Ok(None);
        }
        let guardian = control.guardian()?;
        // Of a process that has ended, and that the daemon has not missed yet, the parent says nothing.
        if has_ended(&descriptor)? {
            return Ok(None);
        }
        if parent.is_none() || parent != guardian {
            return Err(elsewhere(control.module(), known));
        }
        Ok(Some(Process { descriptor, known: known.clone() }))
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When that is not permitted.
    pub(super) fn signal(&self, signal: Signal) -> Result<Sent, Problem> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) => Ok(Sent::Yes),
            Err(Errno::SRCH) => Ok(Sent::Gone),
            Err(error) => Err(refused(&self.known, error)),
        }
    }
}

/// Checks that the processes which the module has now may be sent signals.
///
/// # Errors
/// When they may not be, or are not processes of this system.
pub(super) fn check_permission(control: &mut Control) -> Result<(), Problem> {
    for known in control.status()?.processes() {
        let Some(process) = Process::open(control, &known)? else {
            // The daemon misses a process that has ended a moment later, and one of another namespace never.
            thread::sleep(MISSED_AFTER);
            if control.status()?.processes().contains(&known) && Process::open(control, &known)?.is_none() {
                return Err(elsewhere(control.module(), &known));
            }
            continue;
        };
        let pid = Pid::from_raw(process.known.pid).expect("it was opened by this number");
        match test_kill_process(pid) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(refused(&known, error)),
        }
    }
    Ok(())
}

/// One of those that there are.
fn one_of(all: &[Known], pick: u64) -> Option<&Known> {
    let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
    all.get(usize::try_from(pick % count).ok()?)
}

fn has_ended(descriptor: &OwnedFd) -> Result<bool, Problem> {
    let mut polled = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut polled, PollTimeout::ZERO);
    ready.map(|count| count > 0).map_err(|error| Problem::failed(format!("poll: {error}")))
}

fn parent_of(pid: i32) -> Option<i32> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    ProcessStat::parse(&text).map(|stat| stat.parent)
}

fn elsewhere(module: &str, Known { instance, pid }: &Known) -> Problem {
    Problem::failed(format!(
        "{module}: expected process {pid} of {instance} to be a child of the daemon's guardian, found another parent, or no \
         such process in /proc; run bulkhead chaos in the PID namespace of the daemon, as in its container"
    ))
}

fn refused(Known { instance, pid }: &Known, error: Errno) -> Problem {
    let owner = fs::metadata(format!("/proc/{pid}")).map(|metadata| metadata.uid());
    Problem::failed(refusal(instance, *pid, owner.ok(), nix::unistd::geteuid().as_raw(), error))
}

fn refusal(instance: &str, pid: i32, owner: Option<u32>, own: u32, error: Errno) -> String {
    match owner {
        Some(owner) if error == Errno::PERM && owner != own => format!(
            "process {pid} of {instance} belongs to user {owner}, and user {own} may not send it signals; run bulkhead chaos \
             as user {owner} or as root"
        ),
        _ => format!("process {pid} of {instance} may not be sent signals: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_is_one_of_those_that_there_are() {
        let all = [1, 2, 3].map(|pid| Known { instance: format!("m#{pid}"), pid });
        let picked: Vec<i32> = (0..4).filter_map(|pick| one_of(&all, pick).map(|known| known.pid)).collect();
        assert_eq!(picked, [1, 2, 3, 1]);
        assert_eq!(one_of(&[], 7), None);
    }

    #[test]
    fn a_process_of_another_user_is_refused_with_the_user_and_the_remedy() {
        let text = refusal("log#3", 77, Some(0), 1000, Errno::PERM);
        let expected = "process 77 of log#3 belongs to user 0, and user 1000 may not send it signals; run bulkhead chaos as \
                        user 0 or as root";
        assert_eq!(text, expected);
        assert!(refusal("log#3", 77, Some(1000), 1000, Errno::PERM).contains("may not be sent signals"));
    }
}
