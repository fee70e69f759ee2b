//! `bulkhead replay`: sends the message that a process had in hand at its crash once more, and compares how it ends.
//! Which message that is, and whether two ends are the same, is decided in the files below.

mod compare;
mod find;
mod record;

pub(crate) use find::name_of;
pub(crate) use record::Record;

use crate::cli::Replay;
use crate::exit::{Exit, Halt};
use crate::failure::is_built_in;
use crate::last_lines::{self, Asked};
use crate::output::{Output, complain, printable};
use crate::records::with_location;
use crate::request::whole;
use crate::session::Session;
use crate::waiting::{Goal, WaitNotice};
use bulkhead_protocol::{ErrorCode, Json, Request, Response, Status};
use compare::{Comparison, compare, is_crash, sentence};
use serde::Serialize;
use std::path::PathBuf;

/// How often it is sent at most where nothing is said, once and until a crash.
const TIMES: u32 = 1;
const TIMES_UNTIL_CRASH: u32 = 100;

/// `bulkhead replay`.
pub(crate) fn run(socket: Option<PathBuf>, options: &Replay) -> Result<Exit, Halt> {
    let given = &options.record;
    let (record, mut session) = if find::is_file(given) {
        // A file that cannot be used needs no daemon.
        let record = read(given, &find::in_file(given)?)?;
        (record, Session::open(socket.clone())?)
    } else {
        let mut session = Session::open(socket.clone()).map_err(with_location)?;
        (read(given, &find::by_name(&mut session, given)?)?, session)
    };
    record.remarks.iter().for_each(complain);
    let to = options.to.as_deref().unwrap_or(&record.module);
    let times = options.times.unwrap_or(if options.until_crash { TIMES_UNTIL_CRASH } else { TIMES });
    let replays = Replays { record: &record, to, times, options, socket };
    replays.send(&mut session)
}

fn read(given: &str, json: &Json) -> Result<Record, Halt> {
    Record::read(json).map_err(|why| Halt::Usage(format!("{}: {why}", printable(given))))
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    schema: u8,
    record: &'a str,
    to: &'a str,
    number: u32,
    r#type: &'a str,
    end: Comparison,
    recorded: Recorded<'a>,
    response: Json,
}

#[derive(Serialize)]
struct Recorded<'a> {
    reason: &'a str,
    exit: &'a Option<bulkhead_protocol::Exit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<&'a str>,
}

/// What is sent, where and how often.
struct Replays<'a> {
    record: &'a Record,
    to: &'a str,
    times: u32,
    options: &'a Replay,
    socket: Option<PathBuf>,
}

impl Replays<'_> {
    fn send(&self, session: &mut Session) -> Result<Exit, Halt> {
        let mut output = Output::default();
        let mut worst = Exit::Done;
        for number in 1..=self.times {
            let response = self.once(session)?;
            self.print(&mut output, number, &response)?;
            if let Status::Error(failure) = &response.status {
                worst = worst.max(failure.code.into());
            }
            let is_same = compare(&self.record.end, &response.status) == Comparison::Same;
            if self.options.until_crash && (is_same || is_crash(&response.status)) {
                return Ok(worst);
            }
        }
        if self.options.until_crash {
            complain(&format_args!("no crash in {} replays; --times sends it more often", self.times));
        }
        Ok(worst)
    }

    /// Sends it and waits for its answer. One that says that it cannot be sent ends the command.
    fn once(&self, session: &mut Session) -> Result<Response, Halt> {
        let message = &self.record.message;
        let mut request = Request::new(None, message.kind.clone(), message.payload.clone()).to(self.to);
        request.deadline_ms = Some(self.options.timeout.as_millis() as u64);
        let mut notice = match is_built_in(self.to) {
            true => WaitNotice::none(),
            false => WaitNotice::new(vec![self.to.to_owned()], Goal::Ready, false),
        };
        let response = session.ask_and_print(&request, &mut notice, &mut Output::default(), |_, _| Ok(()))?;
        match response.status {
            Status::Error(failure) if is_about_the_module(failure.code) => {
                let halt = Halt::Answered { subject: self.to.to_owned(), failure, log: Vec::new() };
                Err(last_lines::add_to(halt, self.socket.clone(), Asked::Work))
            }
            _ => Ok(response),
        }
    }

    fn print(&self, output: &mut Output, number: u32, response: &Response) -> Result<(), Halt> {
        let end = &self.record.end;
        if self.options.json {
            let recorded = Recorded { reason: &end.reason, exit: &end.exit, answered: end.answered.as_deref() };
            let line = Line {
                schema: 1,
                record: &self.options.record,
                to: self.to,
                number,
                r#type: self.record.message.kind.name(),
                end: compare(end, &response.status),
                recorded,
                response: whole(response)?,
            };
            output.json_line(Json::of(&line).as_str())?;
        } else {
            let sentence = sentence(end, &response.status, self.to);
            output.line(&if self.times == 1 { sentence } else { format!("{number}: {sentence}") })?;
        }
        output.flush()
    }
}

/// Whether an error says that the message did not reach a module, now or the next time.
fn is_about_the_module(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownModule | ErrorCode::ModuleUnavailable)
}
