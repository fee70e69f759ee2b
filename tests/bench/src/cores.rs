//! Which cores a measurement runs on. A wake-up across cores costs more than a message, and on a
//! virtual machine it costs a different amount each time; so latency is measured on one core.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores of this process as they were; they are restored when it is dropped.
#[derive(Debug)]
pub struct Cores(CpuSet);

/// Puts this thread, and everything that it starts from now on, on one core; `None` where the system
/// does not allow it.
pub fn one() -> Option<(usize, Cores)> {
    let before = sched_getaffinity(Pid::from_raw(0)).ok()?;
    // The last one: the first has the interrupts of many machines.
    let core = (0..CpuSet::count()).rev().find(|core| before.is_set(*core).unwrap_or(false))?;
    let mut one = CpuSet::new();
    one.set(core).ok()?;
    sched_setaffinity(Pid::from_raw(0), &one).ok()?;
    Some((core, Cores(before)))
}

impl Drop for Cores {
    fn drop(&mut self) {
        // The former cores are still allowed.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
