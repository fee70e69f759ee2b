//! What a crash costs: from `kill -9` to the answer of the caller that had a request in progress, and to the first
//! answer of the next process. Beside it, a loop that does nothing but wait for the process and start the next one.

use crate::caller::Caller;
use crate::figures::Latencies;
use crate::parts::{self, ECHO};
use crate::world::World;
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
    /// Until the caller with a request in progress got its answer; in the loop, until it noticed the end.
    pub reported: Latencies,
    /// Until the next process had reported that it is ready, or the spare was promoted.
    pub ready: Latencies,
    /// Until a request that came right after the kill was answered.
    pub answered: Latencies,
}

impl Crashes {
    /// Adds those of another round.
    pub fn add(&mut self, other: Crashes) {
        self.reported.add(other.reported);
        self.ready.add(other.ready);
        self.answered.add(other.answered);
    }
}

/// Whether another process waits to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spare {
    /// No: the next one is started after the crash.
    None,
    /// One, which is waited for before each crash.
    Ready,
}

/// Kills a module of a host `times` times. Two callers: one whose request is in progress, one whose request comes right
/// after the kill and waits for the next process.
///
/// # Errors
/// When the host does not do what it promises.
pub fn through_host(
    world: &World,
    module: &str,
    spare: Spare,
    signal: Signal,
    times: usize,
) -> Result<Crashes, Failed> {
    let [hold, ask_pid, echo] = ["hold", "pid", "echo"].map(|name| frames::command(module, name));
    let (mut holder, mut next) = (world.caller()?, world.caller()?);
    let mut events = Events::follow(world, module)?;
    let mut crashes = Crashes::default();
    for _ in 0..times {
        let pid = pid_of(&mut holder, &ask_pid)?;
        hold_one(&mut holder, &hold)?;
        let killed = Instant::now();
        kill(pid, signal)?;
        next.push(&echo);
        next.send()?;
        let answer = holder.last_answer()?;
        crashes.reported.push(killed.elapsed());
        if !answer.contains(r#""code":"module_crashed""#) {
            return Err(format!("expected module_crashed, found {answer}").into());
        }
        events.wait(if spare == Spare::Ready { "module.took_over" } else { "module.ready" })?;
        crashes.ready.push(killed.elapsed());
        next.success()?;
        crashes.answered.push(killed.elapsed());
        if spare == Spare::Ready {
            // The next spare.
            events.wait("module.ready")?;
        }
    }
    Ok(crashes)
}

/// Kills the same module `times` times under a loop only.
///
/// # Errors
/// When the module does not start.
pub fn in_a_loop(signal: Signal, times: usize) -> Result<Crashes, Failed> {
    let [hold, ask_pid, echo] = ["hold", "pid", "echo"].map(|name| frames::command("echo", name));
    let mut crashes = Crashes::default();
    let (mut caller, mut child) = start()?;
    for _ in 0..times {
        let pid = pid_of(&mut caller, &ask_pid)?;
        hold_one(&mut caller, &hold)?;
        let killed = Instant::now();
        kill(pid, signal)?;
        child.wait()?;
        crashes.reported.push(killed.elapsed());
        (caller, child) = start()?;
        crashes.ready.push(killed.elapsed());
        caller.call(&echo)?;
        crashes.answered.push(killed.elapsed());
    }
    drop(caller);
    child.wait()?;
    Ok(crashes)
}

/// The events of the host about one of its modules.
struct Events {
    caller: Caller,
    module: String,
}

impl Events {
    fn follow(world: &World, module: &str) -> Result<Events, Failed> {
        let mut caller = world.caller()?;
        caller.push(&frames::follow_modules());
        caller.send()?;
        let first = String::from_utf8_lossy(caller.answer()?).into_owned();
        if !first.contains(r#""following":true"#) {
            return Err(format!("expected to follow events, found {first}").into());
        }
        Ok(Events { caller, module: format!(r#""module":"{module}""#) })
    }

    fn wait(&mut self, event: &str) -> Result<(), Failed> {
        let event = format!(r#""event":"{event}""#);
        loop {
            let reported = String::from_utf8_lossy(self.caller.answer()?);
            if reported.contains(&event) && reported.contains(&self.module) {
                return Ok(());
            }
        }
    }
}

fn hold_one(caller: &mut Caller, hold: &[u8]) -> Result<(), Failed> {
    caller.push(hold);
    caller.send()?;
    let progress = String::from_utf8_lossy(caller.answer()?).into_owned();
    if progress.contains("progress") { Ok(()) } else { Err(format!("expected progress, found {progress}").into()) }
}

fn start() -> Result<(Caller, Child), Failed> {
    let (ours, theirs) = UnixStream::pair()?;
    let output = theirs.try_clone()?;
    let child = parts::part(ECHO)?.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(output)).spawn()?;
    let mut caller = Caller::new(ours)?;
    caller.call(&frames::init())?;
    Ok((caller, child))
}

fn pid_of(caller: &mut Caller, ask: &[u8]) -> Result<Pid, Failed> {
    caller.push(ask);
    caller.send()?;
    let answer: serde_json::Value = serde_json::from_slice(caller.answer()?)?;
    let pid = answer["data"].as_i64().ok_or_else(|| format!("expected a process id, found {answer}"))?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}
