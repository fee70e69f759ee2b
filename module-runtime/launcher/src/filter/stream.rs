//! A program that stays as long as the module: lines are sent ahead of the answers, and the answers are matched by
//! their order. One loop waits for the host, for the program's output and input, and for its end; it never waits for
//! one of them alone, so a program that reads only when its output is read cannot block it.
//!
//! Only the order shows which answer is whose. Each line of output is one answer, an empty one too. Where that cannot
//! be true any more (a line without a request, a value that goes on after the end of its line) everything in flight is
//! answered with an error and the program is ended.
//!
//! After the program's end, the first message without an answer was in progress, and its caller learns how the program
//! ended. It may have begun with those after it or not. They are left to the host, which answers `unknown` for them
//! since the module is `concurrent`, and sends again what is safe to do twice. Where none of them has been written to
//! the program, that answer says so.

mod ends;

use super::backlog::Backlog;
use super::children::Children;
use super::line::{self, Answer, Form};
use super::lines::Lines;
use super::program::{Chunk, Errors, Program, await_any, read_once};
use bulkhead_child::{End, Error, QueuedRequest, Wire, log};
use bulkhead_protocol::{Json, RequestType};
use nix::poll::PollFlags;
use std::collections::VecDeque;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How many messages are with the program at most. The host has a window of its own, which is less.
const AHEAD_MESSAGES_MAX: usize = 1024;

/// While so many bytes wait to be taken by the program, no more messages are made lines.
const AHEAD_BYTES_MAX: usize = 256 * 1024;

/// One read of the program's output takes up to this many bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long a program that has closed its input or output may take to end.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// The program and its messages.
#[derive(Debug)]
pub(crate) struct Stream {
    form: Form,
    frame_bytes_max: usize,
    children: Children,
    program: Program,
    input: Backlog,
    output: Lines,
    sent: VecDeque<Sent>,
    /// How many messages were answered.
    answered: u64,
    /// The number of the `shutdown` that came.
    shutdown: Option<Option<u64>>,
    /// The program closed a pipe: what it closed, and when it is ended.
    closing: Option<(&'static str, Instant)>,
    hinted: bool,
}

/// A message whose line is on its way to the program, or there.
#[derive(Debug)]
struct Sent {
    id: Option<u64>,
    kind: RequestType,
    /// How many bytes are with the program once its line is.
    end: u64,
}

impl Stream {
    /// Starts the program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        command: &[String],
        form: Form,
        frame_bytes_max: usize,
        children: Children,
    ) -> Result<Stream, Error> {
        let program = Program::start(command, Errors::Inherited, &children)?;
        Ok(Stream {
            form,
            frame_bytes_max,
            children,
            program,
            input: Backlog::default(),
            output: Lines::new(frame_bytes_max),
            sent: VecDeque::new(),
            answered: 0,
            shutdown: None,
            closing: None,
            hinted: false,
        })
    }

    /// Serves the host to the end. Returns the exit code.
    pub(crate) fn serve(mut self, mut wire: Wire) -> u8 {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if let Break(code) = self.step(&mut wire, &mut buffer) {
                return code;
            }
        }
    }

    fn step(&mut self, wire: &mut Wire, buffer: &mut [u8]) -> ControlFlow<u8> {
        self.take_requests(wire)?;
        self.notice_cancels(wire);
        self.write_input();
        wire.flush();
        if self.program.exit.is_none() {
            self.wait(wire)?;
        }
        if self.program.exit.is_none() && self.closing.is_some_and(|(_, until)| until <= Instant::now()) {
            self.program.end(&self.children);
        }
        if let Some(exit) = self.program.exit.clone() {
            return self.program_ended(wire, buffer, &exit);
        }
        self.read_output(wire, buffer).map_continue(drop)
    }

    /// Waits for the next event.
    fn wait(&mut self, wire: &mut Wire) -> ControlFlow<u8> {
        let mut descriptors: Vec<(BorrowedFd<'_>, PollFlags)> = Vec::with_capacity(4);
        descriptors.extend([(wire.as_fd(), PollFlags::POLLIN), (self.children.as_fd(), PollFlags::POLLIN)]);
        if let Some(output) = &self.program.output {
            descriptors.push((output.as_fd(), PollFlags::POLLIN));
        }
        if let Some(input) = &self.program.input {
            let flags = if self.input.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            descriptors.push((input.as_fd(), flags));
        }
        let found = match await_any(&descriptors, self.closing.map(|(_, until)| until)) {
            Ok(found) => found,
            Err(error) => return Break(self.give_up(wire, &format!("waiting for the filter failed: {error}"))),
        };
        if !found[1].is_empty() {
            self.program.reap(&self.children);
        }
        let input = self.program.input.as_ref().and(found.last());
        if input.is_some_and(|events| events.contains(PollFlags::POLLERR)) {
            // It has no reader any more.
            self.program.input = None;
            self.closing("input");
        }
        Continue(())
    }

    /// Makes lines of what the host sent, as long as the program has room for them.
    fn take_requests(&mut self, wire: &mut Wire) -> ControlFlow<u8> {
        while self.has_room() {
            match wire.try_next() {
                Ok(Some(pending)) => self.take(wire, pending),
                Ok(None) => return Continue(()),
                Err(end) => return Break(self.host_gone(end)),
            }
        }
        wire.receive();
        if wire.is_cancelled() {
            // No request is in progress, so it is the host that is gone.
            let end = wire.try_next().err().unwrap_or(End::Closed);
            return Break(self.host_gone(end));
        }
        Continue(())
    }

    /// What comes after `shutdown`, or while the program is about to end, stays unanswered.
    fn has_room(&self) -> bool {
        let is_open = self.shutdown.is_none() && self.closing.is_none();
        is_open && self.sent.len() < AHEAD_MESSAGES_MAX && self.input.len() < AHEAD_BYTES_MAX
    }

    fn take(&mut self, wire: &mut Wire, pending: QueuedRequest) {
        let request = &pending.request;
        match &request.kind {
            RequestType::Command | RequestType::Query | RequestType::Mutation | RequestType::Event => {
                let written = match pending.unwanted() {
                    Some(error) => Err(error),
                    None => line::write(self.form, request, self.input.end()),
                };
                match written {
                    Ok(()) => {
                        let end = self.input.appended();
                        self.sent.push_back(Sent { id: request.id, kind: request.kind.clone(), end });
                    }
                    Err(error) => wire.answer(request.id, Err(error)),
                }
            }
            RequestType::Ping => wire.answer(request.id, Ok(Json::null())),
            RequestType::Shutdown => self.shutdown = Some(request.id),
            other => wire.answer(request.id, Err(not_for_a_filter(other))),
        }
    }

    /// A cancelled message is with the program already, which cannot be informed. Its answer, when it comes, is the one
    /// that the host still waits for.
    fn notice_cancels(&mut self, wire: &mut Wire) {
        while let Some(id) = wire.next_cancelled() {
            if !self.hinted && self.sent.iter().any(|sent| sent.id == Some(id)) {
                self.hinted = true;
                log!(
                    warn,
                    "a message was cancelled or its deadline passed before the filter answered it; if it never \
                     answers, it may hold its output back in a buffer: let it write each line at once, as with \
                     `jq --unbuffered`, `grep --line-buffered` or `stdbuf -oL`"
                );
            }
        }
    }

    fn write_input(&mut self) {
        let Some(pipe) = &mut self.program.input else { return };
        let closed_by_program = self.input.write_to(pipe).is_err();
        if closed_by_program && self.shutdown.is_none() {
            self.closing("input");
        }
        if closed_by_program || (self.shutdown.is_some() && self.input.is_empty()) {
            self.program.input = None;
        }
    }

    /// The program closed a pipe, which it does at its end: it is not there for long.
    fn closing(&mut self, what: &'static str) {
        self.closing.get_or_insert((what, Instant::now() + CLOSING_MAX));
    }

    /// Reads the output once.
    fn read_output(&mut self, wire: &mut Wire, buffer: &mut [u8]) -> ControlFlow<u8, bool> {
        let mut bytes = match read_once(&mut self.program.output, buffer) {
            Chunk::Bytes(bytes) => bytes,
            Chunk::NotYet => return Continue(false),
            Chunk::Closed => {
                if self.shutdown.is_none() {
                    self.closing("output");
                }
                return Continue(false);
            }
        };
        // Taken out meanwhile, as the lines borrowed from it go to functions of `self`.
        let mut output = std::mem::replace(&mut self.output, Lines::new(0));
        let result = loop {
            match output.next(&mut bytes) {
                Ok(Some(line)) => match self.take_line(wire, line) {
                    Continue(()) => {}
                    Break(code) => break Break(code),
                },
                Ok(None) => break Continue(true),
                Err(_) => break Break(self.answer_too_long(wire)),
            }
        };
        self.output = output;
        result
    }

    /// Gives a line of output to the first message without an answer.
    fn take_line(&mut self, wire: &mut Wire, line: &[u8]) -> ControlFlow<u8> {
        let written = self.input.written();
        let Some(sent) = self.sent.pop_front_if(|sent| sent.end <= written) else {
            let found = line::quote(&String::from_utf8_lossy(line));
            return Break(self.order_lost(
                wire,
                format!(
                    "the filter wrote a line without a request, after {}: {found}; which answer is whose is not \
                     known any more",
                    self.answers()
                ),
            ));
        };
        match line::read(self.form, &sent.kind, line, self.frame_bytes_max) {
            Answer::Whole(result) => {
                self.answered += 1;
                answer(wire, &sent, result);
                Continue(())
            }
            Answer::Unfinished(found) => {
                self.sent.push_front(sent);
                let sentence = format!(
                    "the filter's answer does not end on the line on which it begins: {found}; let it print each \
                     answer on one line, as `jq -c` does"
                );
                Break(self.order_lost(wire, sentence))
            }
        }
    }
}

/// An event's sender does not wait for the result, so an error is also said in the log.
fn answer(wire: &mut Wire, sent: &Sent, result: Result<Json, Error>) {
    if let Err(error) = &result {
        report_event_failure(sent, error);
    }
    wire.answer(sent.id, result);
}

fn report_event_failure(sent: &Sent, error: &Error) {
    if sent.kind == RequestType::Event {
        log!(error, "an event was not handled: {error}");
    }
}

/// The answer to a type that no filter handles.
pub(crate) fn not_for_a_filter(kind: &RequestType) -> Error {
    match kind {
        RequestType::Init => Error::bad_request("the filter is initialised already"),
        other => Error::unknown_type(format!("a filter does not know requests of type {:?}", other.name())),
    }
}
