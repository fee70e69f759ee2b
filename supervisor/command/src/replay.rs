//! `bulkhead replay`: sends the message that a process had in hand at its crash once more, and compares how it ends.
//! Which message that is, and whether two ends are the same, is decided in the files below.

mod compare;
mod find;
mod folders;
mod private_host;
mod quarantined;
mod record;

pub(crate) use find::name_of;
pub(crate) use quarantined::{KeyChoice, Quarantined, Refused};
pub(crate) use record::Record;

use crate::cli::{Replay, Sending};
use crate::exit::{Exit, Halt};
use crate::failure::is_built_in;
use crate::last_lines::{self, Asked};
use crate::output::{Output, complain, printable};
use crate::records::with_location;
use crate::request::whole;
use crate::session::Session;
use crate::waiting::{Goal, WaitNotice};
use bulkhead_protocol::{ErrorCode, Json, Request, Response, Status};
use compare::{Comparison, Records, compare, is_crash, sentence};
use private_host::PrivateHost;
use serde::Serialize;
use std::path::PathBuf;

/// How often it is sent at most where nothing is said, once and until a crash.
const TIMES: u32 = 1;
const TIMES_UNTIL_CRASH: u32 = 100;

/// `bulkhead replay`.
pub(crate) fn run(socket: Option<PathBuf>, Replay { record: given, sending }: &Replay) -> Result<Exit, Halt> {
    let (record, session) = if find::is_file(given) {
        // A file that cannot be used needs no daemon.
        (read(given, &find::in_file(given)?)?, None)
    } else {
        let mut session = Session::open(socket.clone()).map_err(with_location)?;
        (read(given, &find::by_name(&mut session, given)?)?, Some(session))
    };
    Replays { given, record: &record, key: None, sending }.run(socket, session)
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
pub(crate) struct Replays<'a> {
    /// The record's name, or its file.
    pub(crate) given: &'a str,
    pub(crate) record: &'a Record,
    /// The key that it is sent with.
    pub(crate) key: Option<String>,
    pub(crate) sending: &'a Sending,
}

impl Replays<'_> {
    /// The module that it goes to.
    pub(crate) fn to(&self) -> &str {
        self.sending.to.as_deref().unwrap_or(&self.record.module)
    }

    /// Sends all of them: to the daemon, with which there may be a session already, or to a private host.
    ///
    /// # Errors
    /// When one of them cannot be sent.
    pub(crate) fn run(&self, socket: Option<PathBuf>, session: Option<Session>) -> Result<Exit, Halt> {
        self.record.remarks.iter().for_each(complain);
        let Sending { private, modules, trusted_users, .. } = self.sending;
        if *private {
            let folders = match &modules[..] {
                [] => {
                    let session = session.map_or_else(|| Session::open(socket), Ok);
                    folders::of_daemon(&mut session?, self.to(), trusted_users)?
                }
                modules => folders::in_folders(modules, self.to(), trusted_users)?,
            };
            let host = PrivateHost::start(self.to(), &folders, trusted_users)?;
            let socket = Some(host.socket().to_owned());
            return self.send(&mut Session::open(socket.clone())?, socket);
        }
        let session = session.map_or_else(|| Session::open(socket.clone()), Ok);
        self.send(&mut session?, socket)
    }

    fn send(&self, session: &mut Session, socket: Option<PathBuf>) -> Result<Exit, Halt> {
        let Sending { times, until_crash, .. } = *self.sending;
        let times = times.unwrap_or(if until_crash { TIMES_UNTIL_CRASH } else { TIMES });
        let mut output = Output::default();
        let mut worst = Exit::Done;
        for number in 1..=times {
            let response = self.once(session, &socket)?;
            self.print(&mut output, (number, times), &response)?;
            if let Status::Error(failure) = &response.status {
                worst = worst.max(failure.code.into());
            }
            let is_same = compare(&self.record.end, &response.status) == Comparison::Same;
            if until_crash && (is_same || is_crash(&response.status)) {
                return Ok(worst);
            }
        }
        if until_crash {
            complain(&format_args!("no crash in {times} replays; --times sends it more often"));
        }
        Ok(worst)
    }

    /// Sends it and waits for its answer. One that says that it cannot be sent ends the command.
    fn once(&self, session: &mut Session, socket: &Option<PathBuf>) -> Result<Response, Halt> {
        let (message, to) = (&self.record.message, self.to());
        let mut request = Request::new(None, message.kind.clone(), message.payload.clone()).to(to);
        request.deadline_ms = Some(self.sending.timeout.as_millis() as u64);
        request.key = self.key.clone();
        let mut notice = match is_built_in(to) {
            true => WaitNotice::none(),
            false => WaitNotice::new(vec![to.to_owned()], Goal::Ready, false),
        };
        let response = session.ask_and_print(&request, &mut notice, &mut Output::default(), |_, _| Ok(()))?;
        match response.status {
            Status::Error(failure) if is_about_the_module(failure.code) => {
                let halt = Halt::Answered { subject: to.to_owned(), failure, log: Vec::new() };
                Err(last_lines::add_to(halt, socket.clone(), Asked::Work))
            }
            _ => Ok(response),
        }
    }

    fn print(&self, output: &mut Output, (number, times): (u32, u32), response: &Response) -> Result<(), Halt> {
        let end = &self.record.end;
        if self.sending.json {
            let recorded = Recorded { reason: &end.reason, exit: &end.exit, answered: end.answered.as_deref() };
            let line = Line {
                schema: 1,
                record: self.given,
                to: self.to(),
                number,
                r#type: self.record.message.kind.name(),
                end: compare(end, &response.status),
                recorded,
                response: whole(response)?,
            };
            output.json_line(Json::of(&line).as_str())?;
        } else {
            let records = if self.sending.private { Records::Gone } else { Records::Of(self.to()) };
            let sentence = sentence(end, &response.status, records);
            output.line(&if times == 1 { sentence } else { format!("{number}: {sentence}") })?;
        }
        output.flush()
    }
}

/// Whether an error says that the message did not reach a module, now or the next time.
fn is_about_the_module(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownModule | ErrorCode::ModuleUnavailable)
}
