//! The thread that disturbs: it waits for the next moment of the schedule, and for those in which a process that it has
//! stopped is continued. What is disturbed when is decided by `schedule`.
//!
//! However the run ends, every process that was stopped is continued: [`Stopped`] does that when it is dropped. Only where
//! this program itself is killed is one left stopped, which the daemon finds out by its pings and ends.

use super::control::{Control, ModuleStatus};
use super::processes::{Process, Sent};
use super::schedule::{Act, Disturbance, Schedule};
use crate::problem::Problem;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a slowed process is stopped and how long it runs, in turns.
const SLOW_STOPPED: Duration = Duration::from_millis(18);
const SLOW_RUNNING: Duration = Duration::from_millis(2);

/// A module whose next start is farther away is started: the run is about processes that are there.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Most disturbances that are kept one by one; all of them are counted.
pub(super) const KEPT_MAX: usize = 10_000;

/// What became of a disturbance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    Process {
        instance: String,
        pid: i32,
    },
    /// The module had no process at that moment.
    Nothing,
}

/// A disturbance that took place.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) at: Duration,
    pub(super) act: Act,
    pub(super) hit: Hit,
}

/// What was done in a run.
#[derive(Debug, Default)]
pub(super) struct Disturbed {
    /// The first ones.
    pub(super) kept: Vec<Done>,
    /// How often each act hit a process.
    pub(super) hits: BTreeMap<&'static str, u64>,
    pub(super) misses: u64,
    /// How often the module was started, since the daemon would have waited longer with that.
    pub(super) starts: u64,
    /// Why it was ended before its time.
    pub(super) problem: Option<Problem>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Disturber {
    end: Option<Sender<()>>,
    thread: JoinHandle<Disturbed>,
}

impl Disturber {
    /// Starts it. Times count from `begun`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(schedule: Schedule, control: Control, begun: Instant) -> Result<Disturber, Problem> {
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("disturber".into());
        let work = Work { schedule, control, begun, ended, held: Vec::new(), disturbed: Disturbed::default() };
        let thread =
            thread.spawn(move || work.run()).map_err(|error| Problem::failed(format!("no thread: {error}")))?;
        Ok(Disturber { end: Some(end), thread })
    }

    /// Lets it continue what it has stopped, and end.
    pub(super) fn end(&mut self) {
        self.end = None;
    }

    /// Waits for its end.
    pub(super) fn join(mut self) -> Disturbed {
        self.end();
        self.thread.join().unwrap_or_else(|_| Disturbed {
            problem: Some(Problem::failed("the thread that disturbs has panicked")),
            ..Disturbed::default()
        })
    }
}

/// A process that is stopped. It is continued when this is dropped.
#[derive(Debug)]
struct Stopped(Process);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::CONT);
    }
}

/// A process that is stopped until a moment, or in turns.
#[derive(Debug)]
struct Held {
    process: Stopped,
    until: Duration,
    /// When it is stopped or continued next, where it is slowed.
    turn: Option<(Duration, Signal)>,
}

impl Held {
    fn next(&self) -> Duration {
        self.turn.map_or(self.until, |(at, _)| at.min(self.until))
    }

    /// Takes the turns that are due; false once it is over.
    fn advance(&mut self, now: Duration) -> bool {
        if self.until <= now {
            return false;
        }
        if let Some((_, signal)) = self.turn.filter(|(at, _)| *at <= now) {
            let next = if signal == Signal::STOP { (SLOW_STOPPED, Signal::CONT) } else { (SLOW_RUNNING, Signal::STOP) };
            self.turn = Some((now + next.0, next.1));
            return !matches!(self.process.0.signal(signal), Ok(Sent::Gone) | Err(_));
        }
        true
    }
}

struct Work {
    schedule: Schedule,
    control: Control,
    begun: Instant,
    ended: Receiver<()>,
    held: Vec<Held>,
    disturbed: Disturbed,
}

impl Work {
    fn run(mut self) -> Disturbed {
        let mut next = self.schedule.next();
        while self.wait(next.as_ref()) {
            let now = self.begun.elapsed();
            self.held.retain_mut(|held| held.advance(now));
            let Some(due) = next.filter(|next| next.at <= now) else { continue };
            next = self.schedule.next();
            if let Err(problem) = self.disturb(due) {
                self.disturbed.problem = Some(problem);
                break;
            }
        }
        self.held.clear();
        // The calls that are left need a process.
        if self.disturbed.problem.is_none()
            && let Err(problem) = self.look().and_then(|status| self.start_if_far(&status))
        {
            self.disturbed.problem = Some(problem);
        }
        self.disturbed
    }

    /// Waits for the next moment; false at the end.
    fn wait(&self, next: Option<&Disturbance>) -> bool {
        let moments = self.held.iter().map(Held::next).chain(next.map(|next| next.at));
        let ended = match moments.min() {
            Some(at) => self.ended.recv_timeout(at.saturating_sub(self.begun.elapsed())),
            None => self.ended.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        matches!(ended, Err(RecvTimeoutError::Timeout))
    }

    fn disturb(&mut self, due: Disturbance) -> Result<(), Problem> {
        let status = self.look()?;
        self.start_if_far(&status)?;
        let hit = match Process::any(&mut self.control, due.pick)? {
            Some(process) => self.act(due.act, process)?,
            None => Hit::Nothing,
        };
        match hit {
            Hit::Process { .. } => *self.disturbed.hits.entry(due.act.name()).or_default() += 1,
            Hit::Nothing => self.disturbed.misses += 1,
        }
        if self.disturbed.kept.len() < KEPT_MAX {
            self.disturbed.kept.push(Done { at: self.begun.elapsed(), act: due.act, hit });
        }
        Ok(())
    }

    fn act(&mut self, act: Act, process: Process) -> Result<Hit, Problem> {
        let signal = match act {
            Act::Kill => Signal::KILL,
            Act::Stop(_) | Act::Slow(_) => Signal::STOP,
        };
        let known = process.known().clone();
        if process.signal(signal)? == Sent::Gone {
            return Ok(Hit::Nothing);
        }
        let now = self.begun.elapsed();
        match act {
            Act::Kill => {}
            Act::Stop(time) => self.held.push(Held { process: Stopped(process), until: now + time, turn: None }),
            Act::Slow(time) => {
                let turn = Some((now + SLOW_STOPPED, Signal::CONT));
                self.held.push(Held { process: Stopped(process), until: now + time, turn });
            }
        }
        Ok(Hit::Process { instance: known.instance, pid: known.pid })
    }

    fn look(&mut self) -> Result<ModuleStatus, Problem> {
        self.control.status()
    }

    /// Starts a module that would not be started for a long time, as after so many kills.
    fn start_if_far(&mut self, status: &ModuleStatus) -> Result<(), Problem> {
        if is_far(status) {
            self.control.order_start()?;
            self.disturbed.starts += 1;
        }
        Ok(())
    }
}

/// Whether the daemon would leave the module without a process for long.
fn is_far(status: &ModuleStatus) -> bool {
    let waits_long =
        status.next.as_ref().and_then(|next| next.in_ms).is_some_and(|ms| ms > WAIT_MAX.as_millis() as u64);
    match &*status.state {
        "waiting" => waits_long,
        "failed" | "stopped" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_started_only_where_the_daemon_would_wait_longer() {
        for (state, next, expected) in [
            ("ready", "null", false),
            ("starting", "null", false),
            ("waiting", r#"{"action":"start","in_ms":1500,"why":"backoff"}"#, false),
            ("waiting", r#"{"action":"start","in_ms":60000,"why":"crash loop"}"#, true),
            ("failed", "null", true),
            ("stopped", "null", true),
        ] {
            let text = format!(r#"{{"state":"{state}","next":{next},"instances":[]}}"#);
            assert_eq!(is_far(&serde_json::from_str(&text).unwrap()), expected, "{text}");
        }
    }
}
