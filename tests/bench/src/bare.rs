//! The least that starts a module: a loop that spawns its program and reads its first reply, without supervision
//! afterwards. A host's start is compared with it.

use crate::caller::Caller;
use crate::parts::{self, ECHO};
use crate::{Failed, frames};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The command line of the bare module.
///
/// # Errors
/// When this program cannot be found any more.
pub fn echo_words() -> Result<Vec<String>, Failed> {
    parts::words(ECHO)
}

/// A module's process and the connection to it. It is killed when it is dropped.
#[derive(Debug)]
pub struct Started {
    /// The connection to it.
    pub caller: Caller,
    process: Child,
}

impl Started {
    /// Starts it and does not wait for anything.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn(words: &[String]) -> Result<Started, Failed> {
        let (ours, theirs) = UnixStream::pair()?;
        let output = theirs.try_clone()?;
        let (program, arguments) = words.split_first().ok_or("expected a program")?;
        let mut command = Command::new(program);
        let process = command.args(arguments).stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(output)).spawn()?;
        Ok(Started { caller: Caller::small(ours)?, process })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Spawns so many, each after the first reply of the one before.
///
/// # Errors
/// When one of them does not become ready.
pub fn start_one_by_one(words: &[String], count: usize) -> Result<Duration, Failed> {
    let init = frames::init();
    let mut all = Vec::with_capacity(count);
    let began = Instant::now();
    for _ in 0..count {
        let mut started = Started::spawn(words)?;
        started.caller.call(&init)?;
        all.push(started);
    }
    Ok(began.elapsed())
}

/// Spawns so many, and reads their first replies when all are spawned.
///
/// # Errors
/// When one of them does not become ready.
pub fn start_at_once(words: &[String], count: usize) -> Result<Duration, Failed> {
    let init = frames::init();
    let mut all = Vec::with_capacity(count);
    let began = Instant::now();
    for _ in 0..count {
        let mut started = Started::spawn(words)?;
        started.caller.push(&init);
        started.caller.send()?;
        all.push(started);
    }
    for started in &mut all {
        started.caller.success()?;
    }
    Ok(began.elapsed())
}
