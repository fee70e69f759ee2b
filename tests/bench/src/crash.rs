//! What a crash costs: from `kill -9` to the answer of whoever had a request in the module's hands,
//! and to the first answer of the next process. Beside it, a loop that does nothing but wait for
//! the process and start the next one.

use crate::caller::Caller;
use crate::figures::Latencies;
use crate::parts::{self, ECHO};
use crate::{Failed, frames};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Instant;

/// The times from the kill.
#[derive(Clone, Debug, Default)]
pub struct Crashes {
    /// Until the caller was told.
    pub told: Latencies,
    /// Until the next process answered a request.
    pub answered: Latencies,
}

/// Kills the module `echo` of a host `times` times. Two callers: one whose request is in the
/// module's hands, one whose request finds nobody and waits for the next process.
///
/// # Errors
/// When the host does not do what it promises.
pub fn through_host(holder: &mut Caller, next: &mut Caller, times: usize) -> Result<Crashes, Failed> {
    let (hold, ask_pid, echo) = requests();
    let mut crashes = Crashes::default();
    for _ in 0..times {
        let pid = pid_of(holder, &ask_pid)?;
        holder.push(&hold);
        holder.send()?;
        let progress = String::from_utf8_lossy(holder.answer()?).into_owned();
        if !progress.contains("progress") {
            return Err(format!("expected progress, found {progress}").into());
        }
        let killed = Instant::now();
        kill(pid, Signal::SIGKILL)?;
        let told = holder.last_answer()?;
        crashes.told.push(killed.elapsed());
        if !told.contains(r#""code":"module_crashed""#) {
            return Err(format!("expected module_crashed, found {told}").into());
        }
        next.call(&echo)?;
        crashes.answered.push(killed.elapsed());
    }
    Ok(crashes)
}

/// Kills the same module `times` times where only a loop looks after it.
///
/// # Errors
/// When the module does not start.
pub fn in_a_loop(times: usize) -> Result<Crashes, Failed> {
    let (hold, ask_pid, echo) = requests();
    let mut crashes = Crashes::default();
    let (mut caller, mut child) = start()?;
    for _ in 0..times {
        let pid = pid_of(&mut caller, &ask_pid)?;
        caller.push(&hold);
        caller.send()?;
        caller.answer()?;
        let killed = Instant::now();
        kill(pid, Signal::SIGKILL)?;
        child.wait()?;
        crashes.told.push(killed.elapsed());
        (caller, child) = start()?;
        caller.call(&echo)?;
        crashes.answered.push(killed.elapsed());
    }
    drop(caller);
    child.wait()?;
    Ok(crashes)
}

fn start() -> Result<(Caller, Child), Failed> {
    let (ours, theirs) = UnixStream::pair()?;
    let output = theirs.try_clone()?;
    let child = parts::part(ECHO)?.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(output)).spawn()?;
    let mut caller = Caller::new(ours)?;
    caller.call(&frames::init())?;
    Ok((caller, child))
}

fn requests() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    (frames::command("echo", "hold"), frames::command("echo", "pid"), frames::command("echo", "echo"))
}

fn pid_of(caller: &mut Caller, ask: &[u8]) -> Result<Pid, Failed> {
    caller.push(ask);
    caller.send()?;
    let answer: serde_json::Value = serde_json::from_slice(caller.answer()?)?;
    let pid = answer["data"].as_i64().ok_or_else(|| format!("expected a process id, found {answer}"))?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}
