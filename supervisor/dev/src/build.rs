//! The process of a build: its start, its lines, its end. It is a process group of its own, which is killed when it
//! takes too long, and its leader dies with this program.

use crate::input::{Input, Inputs};
use crate::plan::Id;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id as WaitId, WaitPidFlag, waitid};
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The first word of the command line of a build's process, before it becomes the build.
const CHILD_OPTION: &str = "--become-build";

/// The exit code of a command that cannot be run, as of shells.
const CANNOT_RUN: u8 = 127;

/// A longer line is cut into several.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// How long the last lines of a build that has ended are waited for: a process that it left may keep its output open.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(200);

/// The words of the build that this process is to become, if it was started for that.
pub(crate) fn child_words(mut words: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    (words.nth(1)? == CHILD_OPTION).then(|| words.collect())
}

/// Becomes the build: its words after the process id of the program.
pub(crate) fn become_build(words: Vec<OsString>) -> ExitCode {
    let mut words = words.into_iter();
    let parent = words.next().and_then(|word| word.to_str()?.parse().ok()).map(Pid::from_raw);
    let Some(program) = words.next() else { return ExitCode::from(CANNOT_RUN) };
    // The signal is of no use if the program ended before it was asked for.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || Some(getppid()) != parent {
        return ExitCode::from(CANNOT_RUN);
    }
    let error = Command::new(&program).args(words).exec();
    eprintln!("cannot run {}: {error}; [dev] build in module.toml names another command", program.display());
    ExitCode::from(CANNOT_RUN)
}

/// A build in progress. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Build {
    child: Child,
    is_reaped: bool,
}

impl Build {
    /// Starts one. Its end comes as an input with `number`, after its lines.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(id: Id, number: u64, words: &[String], folder: &Path, inputs: &Inputs) -> io::Result<Build> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(CHILD_OPTION).arg(std::process::id().to_string()).args(words).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let build = Build { child, is_reaped: false };
        let (alive, ended) = mpsc::channel::<()>();
        read_on(stdout.expect("it was asked for"), id, inputs, alive.clone())?;
        read_on(stderr.expect("it was asked for"), id, inputs, alive)?;
        let (pid, inputs) = (build.pid(), inputs.clone());
        thread::Builder::new().name("build's end".into()).spawn(move || {
            // It stays a zombie until the loop reaps it, so that its number is not another's when it is killed.
            while let Err(nix::errno::Errno::EINTR) =
                waitid(WaitId::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            {}
            // It ends when both readers have dropped their ends.
            let _ = ended.recv_timeout(LAST_LINES_TIMEOUT);
            // The receiver is gone at the end of the program.
            let _ = inputs.send(Input::BuildEnded(number));
        })?;
        Ok(build)
    }

    /// Reaps the process, which has ended.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(crate) fn finish(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.is_reaped = true;
        Ok(status)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are positive i32"))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if !self.is_reaped {
            // The group may be gone already.
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads lines until the end, on a thread of its own.
fn read_on(pipe: impl Read + Send + 'static, id: Id, inputs: &Inputs, alive: mpsc::Sender<()>) -> io::Result<()> {
    let inputs = inputs.clone();
    thread::Builder::new().name("build's lines".into()).spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while let Ok(1..) = pipe.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            if inputs.send(Input::BuildLine(id, line)).is_err() {
                break;
            }
        }
        drop(alive);
    })?;
    Ok(())
}
