//! The requests of the benchmark to a caller, a line of standard input each, and the answers: `alone CALLS` makes as
//! many calls one after the other, and its answer is the nanoseconds of each as a JSON list; `ahead CALLS WINDOW` keeps
//! so many of them in flight, and its answer is the nanoseconds of all. The benchmark computes the figures from that,
//! in the same way for all peers.

use crate::Failed;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// One end of a connection, and its clones that share the connection.
pub(crate) trait Caller: Clone + Send + 'static {
    /// Sends one request and waits for its answer.
    fn call(&mut self) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// Carries out the orders that come until standard input ends.
pub(crate) fn follow(runtime: &Runtime, caller: &impl Caller) -> Result<(), Failed> {
    say("\"ready\"")?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let caller = caller.clone();
        let answer = match *words {
            ["alone", calls] => runtime.block_on(runtime.spawn(alone(caller, calls.parse()?)))??,
            ["ahead", calls, window] => {
                runtime.block_on(runtime.spawn(ahead(caller, calls.parse()?, window.parse()?)))??
            }
            _ => return Err(format!("expected alone CALLS or ahead CALLS WINDOW, found {line:?}").into()),
        };
        say(&answer)?;
    }
    Ok(())
}

fn say(line: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

async fn alone(mut caller: impl Caller, calls: usize) -> Result<String, Failed> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        caller.call().await?;
        times.push(began.elapsed().as_nanos().to_string());
    }
    Ok(format!("[{}]", times.join(",")))
}

/// As many tasks as calls may be in flight, each with one call at a time.
async fn ahead(caller: impl Caller, calls: usize, window: usize) -> Result<String, Failed> {
    let left = Arc::new(AtomicUsize::new(calls));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..window {
        let (mut caller, left) = (caller.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                caller.call().await?;
            }
            Ok::<(), Failed>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(began.elapsed().as_nanos().to_string())
}
