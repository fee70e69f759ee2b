//! `pipe`: JSON lines in, one JSON line out for each, in order.
//!
//! One thread waits for the first event: a line, an answer, room in the socket, room in the output, the end of the
//! reader. Answers are collected while more are coming and written before every wait, so that a fast pipe writes much
//! at once and a slow one writes each answer when it is there. A reader that stands still is waited for without a
//! limit: answers are read meanwhile, and no further line is sent once many bytes wait. Memory is bounded by the lines
//! in flight, whose number depends on the length of the answers. SIGINT has its usual effect: the host cancels the
//! requests of a closed connection. What happens when the daemon goes away is in [`again`].

mod again;
mod check;
mod key;
mod limit;
mod lines;
mod sent;
mod window;

use crate::amount::count;
use crate::cli;
use crate::exit::{Exit, Halt};
use crate::failure::as_json;
use crate::output::{Output, complain, push_json_line};
use crate::progress::ProgressLine;
use crate::session::{ANSWER_GRACE, Session, Timeout, WaitEvent, Watch};
use crate::streams::PolledStdin;
use crate::waiting::{Goal, WaitNotice};
use again::{Away, is_host_stopping, unanswered};
use bulkhead_client::ClientError;
use bulkhead_protocol::WireRequest;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{Delivery, ErrorCode, Failure, FrameError, Json, RequestType, Response, Status};
use check::{checked, names_command};
use key::Keys;
pub(crate) use key::{Field, parse_field};
use limit::Limit;
use lines::Lines;
use sent::{Kept, Sent};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use window::Window;

/// No further line is read while this much waits for the socket.
const QUEUED_BYTES_MAX: usize = 256 * 1024;

/// While answers are there to be read, lines leave when they are this many bytes, some twenty of the
/// usual length; before any wait they leave in any case.
const SENT_BYTES_MIN: usize = 4 * 1024;

/// How often the line on the terminal changes.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How long the end waits for the host to read the cancels of all lines in flight.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// `bulkhead pipe`.
pub(crate) fn run(socket: Option<PathBuf>, options: &cli::Pipe) -> Result<Exit, Halt> {
    let mut away = Away::new(options.reconnect);
    let keys = Keys::new(options.key_prefix.as_deref(), options.key_from.as_ref()).map_err(Halt::Usage)?;
    let session = again::open(&socket, &mut away)?;
    let mut pipe = Pipe::new(session, socket, options, keys, away);
    let ended = pipe.pump_on().and_then(|()| pipe.output.flush());
    pipe.progress.clear();
    let left = match ended {
        Ok(()) => Ok(()),
        Err(Halt::ReaderGone) => {
            pipe.cancel_all();
            Ok(())
        }
        Err(halt) => pipe.abandon(halt),
    };
    pipe.failures.report(pipe.taken);
    left?;
    match (pipe.input_error, pipe.failures.count) {
        (Some(error), _) => Err(Halt::Failed(format!("standard input cannot be read: {error}"))),
        (None, 0) => Ok(Exit::Done),
        (None, _) => Ok(Exit::Failed),
    }
}

struct Pipe<'a> {
    session: Session,
    socket: Option<PathBuf>,
    limit: Limit,
    away: Away,
    /// The host accepts nothing more over this connection, and the next one is waited for.
    is_host_stopping: bool,
    requests: Requests<'a>,
    options: &'a cli::Pipe,
    lines: Lines,
    window: Window,
    output: Output,
    progress: ProgressLine,
    shown: Instant,
    started: Instant,
    /// Lines that were taken from the input.
    taken: u64,
    failures: Failures,
    input_error: Option<io::Error>,
    /// For the answer to the line that has waited longest.
    timeout: Timeout,
    notice: WaitNotice,
    keys: Keys<'a>,
    key: String,
}

/// How requests are made from lines.
struct Requests<'a> {
    options: &'a cli::Pipe,
    /// The payload up to the line, where the line is the arguments of a command.
    head: Option<String>,
    payload: String,
}

impl<'a> Requests<'a> {
    fn new(options: &'a cli::Pipe) -> Requests<'a> {
        let head = options.command.as_ref().map(|name| format!("{{\"name\":{},\"args\":", Json::of(name).as_str()));
        Requests { options, head, payload: String::new() }
    }

    /// Bytes of a line and of the parts of the payload around it.
    fn bytes_with(&self, json: &str) -> usize {
        self.head.as_ref().map_or(0, String::len) + json.len()
    }

    /// The request of a line, under a key unless that is empty.
    fn of<'r>(&'r mut self, json: &'r str, key: &'r str) -> WireRequest<'r> {
        let payload = match &self.head {
            Some(head) => {
                self.payload.clear();
                self.payload.extend([head, json, "}"]);
                self.payload.as_str()
            }
            None => json,
        };
        WireRequest {
            id: None,
            kind: &RequestType::Command,
            to: Some(&self.options.name),
            payload,
            deadline_ms: Some(self.options.timeout.as_millis() as u64),
            key: (!key.is_empty()).then_some(key),
            of: None,
        }
    }
}

/// The answer to a line that is too long for the daemon.
fn too_long(line_bytes: usize, error: &FrameError) -> Failure {
    let sentence = match error {
        FrameError::TooLarge { length, max } => format!(
            "expected a message of at most {max} bytes, which is the daemon's frame_bytes_max, found one of {length}; \
             the line has {line_bytes} of them"
        ),
        other => other.to_string(),
    };
    Failure::new(ErrorCode::FrameTooLarge, sentence)
}

/// What keeps further lines from being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// More input must be read.
    Input,
    /// So much is in flight, or waits for the reader, that an answer or the reader must come first.
    Room,
    /// Nothing: all lines were sent.
    Nothing,
}

/// The lines that failed.
#[derive(Default)]
struct Failures {
    count: u64,
    first: Option<(u64, String)>,
}

impl Failures {
    fn note(&mut self, line: u64, failure: &Failure) {
        self.count += 1;
        // Answers may come in any order: the first is the one with the lowest number.
        if self.first.as_ref().is_none_or(|(first, _)| line < *first) {
            self.first = Some((line, failure.error.clone()));
        }
    }

    fn report(&self, taken: u64) {
        if let Some((line, error)) = &self.first {
            let lines = if taken == 1 { "line" } else { "lines" };
            let error = crate::output::printable(error);
            complain(&format_args!(
                "{} of {} {lines} failed, first line {line}: {error}",
                count(self.count),
                count(taken)
            ));
        }
    }
}

impl<'a> Pipe<'a> {
    fn new(session: Session, socket: Option<PathBuf>, options: &'a cli::Pipe, keys: Keys<'a>, away: Away) -> Pipe<'a> {
        let now = Instant::now();
        Pipe {
            session,
            socket,
            limit: Limit::default(),
            away,
            is_host_stopping: false,
            requests: Requests::new(options),
            options,
            lines: Lines::new(FRAME_BYTES_MAX_DEFAULT),
            window: Window::new(usize::from(options.in_flight)),
            output: Output::default(),
            progress: ProgressLine::beside_data(),
            shown: now,
            started: now,
            taken: 0,
            failures: Failures::default(),
            input_error: None,
            timeout: Timeout::default(),
            keys,
            notice: WaitNotice::new(vec![options.name.clone()], Goal::Ready, false),
            key: String::new(),
        }
    }

    /// Goes on until all lines have their answers, over as many connections as that takes.
    fn pump_on(&mut self) -> Result<(), Halt> {
        loop {
            match self.pump() {
                Err(halt) if self.away.outlives(&halt) => self.come_back(halt)?,
                ended => return ended,
            }
        }
    }

    fn pump(&mut self) -> Result<(), Halt> {
        loop {
            while let Some(response) = self.session.buffered()? {
                self.answer(response)?;
            }
            if self.is_host_stopping && self.window.is_given_back() {
                if self.window.len() > 0 {
                    return Err(again::host_stopping());
                }
                // Whether there are more lines to send with it is not known yet.
                self.is_host_stopping = false;
            }
            let lack = self.take_lines()?;
            if lack == Lack::Nothing && self.window.len() == 0 {
                return Ok(());
            }
            let now = Instant::now();
            self.show_progress(now);
            let may_write = !self.output.is_empty() && !self.output.is_stalled();
            if may_write && lack != Lack::Input {
                // Answers that have arrived are written too, and answered with more lines at once: while answers keep
                // coming, lines leave in groups. A read shows this without a wait.
                if self.session.queued_bytes() >= SENT_BYTES_MIN {
                    self.session.flush()?;
                }
                match self.session.ready()? {
                    Some(response) => self.answer(response)?,
                    None => {
                        self.session.flush()?;
                        self.output.try_flush()?;
                    }
                }
                continue;
            }
            self.timeout.until = self.window.oldest().map(|sent| sent + self.options.timeout + ANSWER_GRACE);
            let tick = self.progress.is_visible().then(|| now + PROGRESS_INTERVAL);
            let why_due = self.report_why(now)?;
            // With something to write this only checks whether more has arrived, which is then written too.
            let until =
                if may_write { Some(now) } else { self.timeout.end().into_iter().chain(tick).chain(why_due).min() };
            let (input, room) = (lack == Lack::Input, self.output.is_stalled());
            match self.session.wait_event(&Watch { until, input, room, output: true, ..Watch::default() })? {
                WaitEvent::Response(response) => self.answer(response)?,
                WaitEvent::Input => self.read(),
                WaitEvent::Room => self.output.try_flush()?,
                WaitEvent::TimedOut if may_write => self.output.try_flush()?,
                // Nothing can be read, or it would have been.
                WaitEvent::TimedOut if self.timeout.is_over(Instant::now()) => return Err(ClientError::TimedOut.into()),
                WaitEvent::ReaderGone => return Err(Halt::ReaderGone),
                WaitEvent::TimedOut | WaitEvent::Ready | WaitEvent::Signal(_) => {}
            }
        }
    }

    /// Sends lines as long as there are lines and room, and returns what is lacking.
    fn take_lines(&mut self) -> Result<Lack, Halt> {
        let now = Instant::now();
        while !self.is_host_stopping && self.session.queued_bytes() < QUEUED_BYTES_MAX {
            if self.send_again(now)? {
                continue;
            }
            if !self.window.has_room(self.output.len()) {
                break;
            }
            if !self.take_line(now)? {
                return Ok(if self.lines.ended() { Lack::Nothing } else { Lack::Input });
            }
        }
        Ok(Lack::Room)
    }

    /// Sends the next of the lines that are sent again; `false` when there is none.
    fn send_again(&mut self, now: Instant) -> Result<bool, Halt> {
        let Some((number, Kept { json, key, may_have_begun })) = self.window.next_to_send() else { return Ok(false) };
        self.limit.learn(&mut self.session, &self.socket, self.requests.bytes_with(json));
        match self.session.queue(&self.requests.of(json, key)) {
            Ok(id) => self.window.sent_again(Sent { id, end: self.session.total_bytes(), at: now }),
            // The next daemon has a lower limit than the last one.
            Err(ClientError::TooLarge(error)) => {
                let delivery = if *may_have_begun { Delivery::Unknown } else { Delivery::NotStarted };
                let failure = too_long(json.len(), &error).delivery(delivery);
                self.failures.note(number, &failure);
                self.window.not_sent(self.output.buffer(), |out| {
                    push_json_line(out, as_json(&failure, number).as_str());
                });
                self.output.try_relieve()?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Sends the next line, or settles it here if it cannot be sent; `false` when there is none.
    fn take_line(&mut self, now: Instant) -> Result<bool, Halt> {
        let Some((number, line)) = self.lines.next() else { return Ok(false) };
        self.taken = number;
        let (key, names_it) = (&mut self.key, self.requests.head.is_none());
        let usable = checked(line)
            .and_then(|json| if names_it { names_command(json).map(|()| json) } else { Ok(json) })
            .and_then(|json| self.keys.write(number, json, key).map(|()| json));
        let failure = match usable {
            Ok(json) => {
                let kept = self.away.max.map(|_| Kept {
                    json: json.into(),
                    key: self.key.as_str().into(),
                    may_have_begun: false,
                });
                self.limit.learn(&mut self.session, &self.socket, self.requests.bytes_with(json));
                match self.session.queue(&self.requests.of(json, &self.key)) {
                    Ok(id) => {
                        let sent = Sent { id, end: self.session.total_bytes(), at: now };
                        self.window.sent(number, json.len(), sent, kept);
                        return Ok(true);
                    }
                    Err(ClientError::TooLarge(error)) => too_long(json.len(), &error),
                    Err(error) => {
                        self.window.unsent(number, json.len(), kept);
                        return Err(error.into());
                    }
                }
            }
            Err(failure) => failure,
        };
        let failure = failure.delivery(Delivery::NotStarted);
        self.failures.note(number, &failure);
        self.window.known(number, self.output.buffer(), |out| {
            push_json_line(out, as_json(&failure, number).as_str());
        });
        self.output.try_relieve()?;
        Ok(true)
    }

    fn answer(&mut self, response: Response) -> Result<(), Halt> {
        if self.notice.takes(&response) {
            return Ok(());
        }
        let Some(id) = response.id else { return Ok(()) };
        match &response.status {
            Status::Error(failure) if self.away.max.is_some() && is_host_stopping(failure) => {
                self.is_host_stopping = true;
                if self.window.give_back(id, failure.delivery != Some(Delivery::NotStarted)) {
                    return Ok(());
                }
            }
            Status::Progress(_) => {}
            Status::Success(_) | Status::Error(_) => self.away.is_over(),
        }
        let failures = &mut self.failures;
        match response.status {
            Status::Progress(_) => {}
            Status::Success(data) => {
                self.window.answer(id, self.output.buffer(), |_, out| push_json_line(out, data.as_str()));
            }
            Status::Error(failure) => self.window.answer(id, self.output.buffer(), |line, out| {
                failures.note(line, &failure);
                push_json_line(out, as_json(&failure, line).as_str());
            }),
        }
        self.output.try_relieve()
    }

    /// Informs a person why the line that has waited longest waits, and returns when to do so next.
    fn report_why(&mut self, now: Instant) -> Result<Option<Instant>, Halt> {
        let Some(oldest) = self.window.oldest() else { return Ok(None) };
        self.notice.begins_at(oldest);
        self.notice.ask(&mut self.session, now)?;
        Ok(self.notice.due())
    }

    /// An input with a read error ends there; the lines read so far are finished first.
    fn read(&mut self) {
        if let Err(error) = self.lines.fill(&mut PolledStdin) {
            self.input_error = Some(error);
            self.lines.end();
        }
    }

    fn show_progress(&mut self, now: Instant) {
        if !self.progress.is_visible() || now.duration_since(self.shown) < PROGRESS_INTERVAL {
            return;
        }
        self.shown = now;
        let under_way = self.window.len() as u64;
        let done = self.taken - under_way;
        let rate = done as f64 / now.duration_since(self.started).as_secs_f64().max(0.001);
        self.progress.show(&format!(
            "{} done, {} failed, {under_way} under way, {}/s",
            count(done),
            count(self.failures.count),
            count(rate as u64)
        ));
    }

    /// Cancels all requests in flight.
    fn cancel_all(&mut self) {
        for id in self.window.waiting().collect::<Vec<_>>() {
            // A broken connection needs no cancels.
            let _ = self.session.queue_cancel(id);
        }
        let until = Instant::now() + CANCEL_GRACE;
        let watch = Watch { until: Some(until), ..Watch::default() };
        while self.session.flush().is_ok() && self.session.queued_bytes() > 0 && Instant::now() < until {
            if !matches!(self.session.wait_event(&watch), Ok(WaitEvent::Ready | WaitEvent::Response(_))) {
                break;
            }
        }
    }

    /// Writes for each missing answer that it is missing, and returns the reason.
    fn abandon(&mut self, halt: Halt) -> Result<(), Halt> {
        if matches!(halt, Halt::Output(_)) {
            return Err(halt);
        }
        let code = if matches!(halt, Halt::Client(ClientError::TimedOut)) {
            ErrorCode::DeadlineExceeded
        } else {
            ErrorCode::Internal
        };
        let taken = self.taken_by_host(&halt);
        let (unknown, not_sent) = (unanswered(&halt, code, true), unanswered(&halt, ErrorCode::Internal, false));
        let failures = &mut self.failures;
        let lost = self.window.abandon(taken, self.output.buffer(), |line, may_have_begun, out| {
            let failure = if may_have_begun { &unknown } else { &not_sent };
            failures.note(line, failure);
            push_json_line(out, as_json(failure, line).as_str());
        });
        self.output.flush()?;
        if let Some((first, last)) = lost {
            complain(&format_args!("lines {first} to {last} were under way; no line after {} was sent", self.taken));
        }
        Err(halt)
    }
}
