//! Process trees that avoid being found. They run this program again, so that no fork without exec is needed. One of
//! the files with unsafe code, for the actions of signals.

use crate::module::Misbehave;
use crate::raw;
use bulkhead_module::{Context, Error, Json, arguments, json};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{self, SigHandler, Signal};
use nix::unistd::setsid;
use serde::Deserialize;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A descendant that is not killed ends by itself, so that a failed test leaves no processes for long.
const LIFE: Duration = Duration::from_secs(600);

fn this_program(words: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--descendant").args(words);
    Ok(command)
}

/// Starts grandchildren in sessions of their own, whose parent is gone; they hold standard output
/// and error open, and the channel where asked.
pub(crate) fn family(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        count: Option<u32>,
        #[serde(default)]
        ignore_term: bool,
        #[serde(default)]
        hold_channel: bool,
        #[serde(default)]
        no_environment: bool,
    }
    let Args { count, ignore_term, hold_channel, no_environment } = arguments(args)?;
    let held = raw::output().try_clone()?;
    if hold_channel {
        fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).map_err(io::Error::from)?;
    }
    let deaf = if ignore_term { "ignore_term" } else { "ordinary" };
    let mut pids = Vec::new();
    for _ in 0..count.unwrap_or(3) {
        // Its standard input carries our standard output, as its own standard output carries the answer.
        let mut command = this_program(&["middle", deaf])?;
        if no_environment {
            command.env_clear();
        }
        command.stdin(Stdio::from(io::stdout().as_fd().try_clone_to_owned()?)).stdout(Stdio::piped());
        let mut middle = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = middle.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        middle.wait()?;
        pids.push(
            line.trim().parse::<u32>().map_err(|_| Error::failed(format!("expected a process id, found {line:?}")))?,
        );
    }
    Ok(json!({ "pids": pids }))
}

/// Starts ordinary children.
pub(crate) fn children(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        count: Option<u32>,
    }
    let Args { count } = arguments(args)?;
    let start = |_| this_program(&["leaf", "ordinary"])?.stdin(Stdio::null()).spawn();
    let children: Vec<Child> = (0..count.unwrap_or(3)).map(start).collect::<io::Result<_>>()?;
    Ok(json!({ "pids": children.iter().map(Child::id).collect::<Vec<_>>() }))
}

/// Starts a child that outlives this process, holding nothing of it.
pub(crate) fn start_child() {
    let null = Stdio::null;
    let child = this_program(&["leaf", "ordinary"]);
    if let Err(error) = child.and_then(|mut child| child.stdin(null()).stdout(null()).stderr(null()).spawn()) {
        eprintln!("misbehave: no child can be started: {error}");
    }
}

/// Starts processes that each start the next and exit, until the time is over.
pub(crate) fn fork_bomb(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        count: u32,
        seconds: u64,
    }
    let Args { count, seconds } = arguments(args)?;
    let (count, seconds) = (count.min(100), seconds.min(60));
    let until = unix_ms() + u128::from(seconds * 1000);
    for _ in 0..count {
        this_program(&["bomb", &until.to_string()])?.stdin(Stdio::null()).spawn()?;
    }
    Ok(json!({ "started": count }))
}

pub(crate) fn drop_subreaper(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    nix::sys::prctl::set_child_subreaper(false).map_err(io::Error::from)?;
    Ok(json!({ "subreaper": false }))
}

/// What the other processes of such a tree do.
pub(crate) fn descendant(words: &[&str]) -> ExitCode {
    match act(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("misbehave: descendant {words:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(words: &[&str]) -> io::Result<()> {
    match words {
        ["middle", deaf] => {
            let _ = setsid();
            let log = io::stdin().as_fd().try_clone_to_owned()?;
            let leaf = this_program(&["leaf", deaf])?.stdin(Stdio::null()).stdout(Stdio::from(log)).spawn()?;
            println!("{}", leaf.id());
            Ok(())
        }
        ["leaf", deaf] => {
            let _ = setsid();
            if *deaf == "ignore_term" {
                for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
                    // SAFETY: ignoring runs no code of this process.
                    unsafe { signal::signal(signal, SigHandler::SigIgn) }?;
                }
            }
            std::thread::sleep(LIFE);
            Ok(())
        }
        ["bomb", until] => {
            let _ = setsid();
            let end = until.parse::<u128>().map_err(io::Error::other)?;
            let rest = Instant::now() + Duration::from_millis(1);
            if unix_ms() < end {
                this_program(words)?.stdin(Stdio::null()).spawn()?;
                std::thread::sleep(rest.saturating_duration_since(Instant::now()));
            }
            Ok(())
        }
        _ => Err(io::Error::other("expected middle, leaf or bomb")),
    }
}

/// The wall clock, which all processes of a bomb share.
fn unix_ms() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis())
}
