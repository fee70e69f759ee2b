//! The `bulkhead` command as a test sees it: what it printed, or, for a command that runs until it is stopped, what it
//! prints.

use crate::{TIMEOUT, World, until};
use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("the command prints text"),
            err: String::from_utf8(output.stderr).expect("the command prints text"),
        }
    }
}

/// A command that runs until it is stopped; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(world: &World, words: &[&str]) -> Running {
        let mut command = world.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the command can be started");
        let out = child.stdout.take().expect("it was asked for");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// Its process id.
    pub fn pid(&self) -> i64 {
        i64::from(self.child.id())
    }

    /// The next line of its output.
    ///
    /// # Panics
    /// When none comes.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(TIMEOUT).expect("the command prints a line")
    }

    /// The next line of its output, if it is there already.
    pub fn line_if_any(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the end of the command", || self.child.try_wait().expect("a child can be waited for"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
