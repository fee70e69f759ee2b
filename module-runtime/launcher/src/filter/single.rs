//! A process for each message: its line, the end of its input, and then the whole of its output is the answer. One
//! message after the other, so that the order of the answers proves how far the module got; what a process leaves
//! behind is killed before its message is answered.

use super::backlog::Backlog;
use super::children::Children;
use super::line::{self, Answer, Form};
use super::program::{Chunk, Errors, Program, TERM_GRACE, await_any, read_once};
use super::stream::not_for_a_filter;
use super::tail::Tail;
use bulkhead_child::{End, Error, QueuedRequest, Wire, log};
use bulkhead_protocol::{Exit, Json, RequestType};
use nix::poll::PollFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// One read takes up to this many bytes.
const READ_BYTES: usize = 64 * 1024;

/// How many reads of a pipe may follow the program's end. They take more than a pipe can hold; a process that still
/// writes by then is no part of the program.
const LAST_READS_MAX: usize = 64;

/// The program, to be started for each message.
#[derive(Debug)]
pub(crate) struct Single {
    command: Vec<String>,
    form: Form,
    frame_bytes_max: usize,
    children: Children,
}

impl Single {
    /// Looks whether the program is there.
    ///
    /// # Errors
    /// When it is not, or cannot be executed.
    pub(crate) fn prepare(
        command: &[String],
        form: Form,
        frame_bytes_max: usize,
        children: Children,
    ) -> Result<Single, Error> {
        Program::check(command)?;
        Ok(Single { command: command.to_vec(), form, frame_bytes_max, children })
    }

    /// Serves the host to the end. Returns the exit code.
    pub(crate) fn serve(self, mut wire: Wire) -> u8 {
        loop {
            match wire.try_next() {
                Ok(Some(pending)) if pending.request.kind == RequestType::Shutdown => {
                    wire.answer(pending.request.id, Ok(Json::null()));
                    wire.flush();
                    return 0;
                }
                Ok(Some(pending)) => {
                    let result = self.handle(&mut wire, &pending);
                    if let Err(error) = &result
                        && pending.request.kind == RequestType::Event
                    {
                        log!(error, "an event was not handled: {error}");
                    }
                    wire.answer(pending.request.id, result);
                    wire.flush();
                }
                Ok(None) => {
                    wire.flush();
                    let descriptors = [(wire.as_fd(), PollFlags::POLLIN), (self.children.as_fd(), PollFlags::POLLIN)];
                    if let Err(error) = await_any(&descriptors, None) {
                        log!(error, "waiting for the host failed: {error}");
                        return 1;
                    }
                    // What could not be ended with its message may be able to end now.
                    self.children.clear();
                }
                Err(End::Closed) => return 0,
                Err(End::Broken(reason)) => {
                    log!(error, "{reason}");
                    return 1;
                }
            }
        }
    }

    fn handle(&self, wire: &mut Wire, pending: &QueuedRequest) -> Result<Json, Error> {
        let request = &pending.request;
        match &request.kind {
            RequestType::Command | RequestType::Query | RequestType::Mutation | RequestType::Event => {}
            RequestType::Ping => return Ok(Json::null()),
            other => return Err(not_for_a_filter(other)),
        }
        if let Some(error) = pending.unwanted() {
            return Err(error);
        }
        let mut input = Backlog::default();
        line::write(self.form, request, input.end())?;
        let program = Program::start(&self.command, Errors::Piped, &self.children)?;
        // From now on the wire notices when this request is cancelled.
        wire.begin(pending);
        let mut work = Work {
            filter: self,
            program,
            input,
            output: Vec::new(),
            errors: Tail::default(),
            deadline: pending.deadline,
            stopping: None,
        };
        work.run(wire, &mut vec![0; READ_BYTES]);
        work.result(&request.kind)
    }
}

/// One process and its result so far.
struct Work<'a> {
    filter: &'a Single,
    program: Program,
    input: Backlog,
    output: Vec<u8>,
    errors: Tail,
    deadline: Option<Instant>,
    stopping: Option<Stopping>,
}

/// The process is being ended before it has answered.
struct Stopping {
    /// What the caller gets.
    why: Error,
    kill_at: Instant,
}

impl Work<'_> {
    /// Runs to the end of the process.
    fn run(&mut self, wire: &mut Wire, buffer: &mut [u8]) {
        while self.program.exit.is_none() {
            self.write_input();
            self.wait(wire);
            wire.receive();
            self.read(buffer);
            self.stop_if_unwanted(wire);
        }
        // Before the rest is read, as a survivor that holds a pipe may write for ever.
        self.filter.children.clear();
        for _ in 0..LAST_READS_MAX {
            if !self.read(buffer) {
                break;
            }
        }
        self.errors.finish();
    }

    fn write_input(&mut self) {
        let Some(pipe) = &mut self.program.input else { return };
        // A program that does not read its input to the end may still have an answer.
        if self.input.write_to(pipe).is_err() || self.input.is_empty() {
            self.program.input = None;
        }
    }

    fn wait(&mut self, wire: &Wire) {
        let mut descriptors: Vec<(BorrowedFd<'_>, PollFlags)> = Vec::with_capacity(5);
        descriptors.push((self.filter.children.as_fd(), PollFlags::POLLIN));
        if self.stopping.is_none() {
            // While it is stopped, no message of the host matters, nor that the host is gone.
            descriptors.push((wire.as_fd(), PollFlags::POLLIN));
        }
        for pipe in [&self.program.output, &self.program.errors].into_iter().flatten() {
            descriptors.push((pipe.as_fd(), PollFlags::POLLIN));
        }
        if let Some(input) = &self.program.input {
            descriptors.push((input.as_fd(), PollFlags::POLLOUT));
        }
        let until = self.stopping.as_ref().map_or(self.deadline, |stopping| Some(stopping.kill_at));
        match await_any(&descriptors, until) {
            Ok(found) => {
                if !found[0].is_empty() {
                    self.program.reap(&self.filter.children);
                }
            }
            Err(error) => {
                self.stop(Error::failed(format!("waiting for the filter failed: {error}")));
                self.program.end(&self.filter.children);
            }
        }
    }

    /// Reads each pipe once. True when there was something.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let mut found = false;
        if let Chunk::Bytes(bytes) = read_once(&mut self.program.errors, buffer) {
            self.errors.take(bytes);
            found = true;
        }
        if let Chunk::Bytes(bytes) = read_once(&mut self.program.output, buffer) {
            found = true;
            if self.output.len() + bytes.len() > self.filter.frame_bytes_max {
                let limit = self.filter.frame_bytes_max;
                self.program.output = None;
                let sentence = format!("the filter's answer is longer than a frame may be, {limit} bytes");
                self.stop(Error::frame_too_large(sentence));
            } else {
                self.output.extend_from_slice(bytes);
            }
        }
        found
    }

    fn stop_if_unwanted(&mut self, wire: &Wire) {
        let now = Instant::now();
        match &self.stopping {
            Some(stopping) if stopping.kill_at <= now => {
                self.program.signal(libc::SIGKILL);
                // Once is enough; after that only its end is waited for.
                self.stopping.as_mut().expect("it was there a line ago").kill_at = now + TERM_GRACE;
            }
            Some(_) => {}
            None if wire.is_cancelled() => self.stop(Error::cancelled("the caller cancelled")),
            None if self.deadline.is_some_and(|deadline| deadline <= now) => {
                self.stop(Error::deadline_exceeded("the deadline passed while the filter worked on it"));
            }
            None => {}
        }
    }

    fn stop(&mut self, why: Error) {
        if self.stopping.is_none() {
            self.program.input = None;
            self.program.signal(libc::SIGTERM);
            self.stopping = Some(Stopping { why, kill_at: Instant::now() + TERM_GRACE });
        }
    }

    /// The answer, after the end.
    fn result(self, kind: &RequestType) -> Result<Json, Error> {
        if let Some(Stopping { why, .. }) = self.stopping {
            return Err(why);
        }
        let exit = self.program.exit.expect("it ran to its end");
        if exit != Exit::Code(0) {
            return Err(failed(&exit, self.errors.lines()));
        }
        if self.output.trim_ascii().is_empty() {
            return match kind {
                RequestType::Event => Ok(Json::null()),
                _ => Err(Error::failed("the filter ended without an answer: it printed nothing, expected JSON")),
            };
        }
        match line::read(self.filter.form, kind, &self.output, self.filter.frame_bytes_max) {
            Answer::Whole(result) => result,
            Answer::Unfinished(found) => {
                Err(Error::failed(format!("the filter's answer ends in the middle of a value: {found}")))
            }
        }
    }
}

/// The error of a program that failed: how it ended, and its last lines.
fn failed(exit: &Exit, stderr: Vec<String>) -> Error {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        exit: &'a Exit,
        stderr: &'a [String],
    }
    let said = stderr.last().map_or_else(String::new, |line| format!(": {line}"));
    Error::failed(format!("the filter ended with {exit}{said}")).with_data(Json::of(&Data { exit, stderr: &stderr }))
}
