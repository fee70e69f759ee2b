//! What the host reports: lines of logs, what happens to modules, crash records, answers.

use crate::crash::{self, Record};
use crate::link::Purpose;
use crate::messages;
use crate::plan::{Id, Work};
use crate::screen::Kind;
use crate::session::{Health, Log, Session, Stop};
use bulkhead_protocol::{Json, Response, Status};
use serde::Deserialize;

/// A line of a log.
#[derive(Deserialize)]
struct Line {
    stream: String,
    line: String,
}

/// An event of the host's own.
#[derive(Deserialize)]
struct Event {
    event: String,
    data: About,
}

#[derive(Deserialize)]
struct About {
    module: String,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Crashes {
    crashes: Vec<Json>,
}

#[derive(Deserialize)]
struct File {
    file: Option<String>,
}

impl Session {
    /// Takes in an answer of the host.
    pub(crate) fn handle_answer(&mut self, response: Response) -> Result<(), Stop> {
        match self.link.purpose(&response) {
            Some(Purpose::Reload(id)) => self.reload_ended(id, response.status),
            Some(Purpose::Call) => self.call_ended(response.status),
            Some(Purpose::Log(id)) => self.log_line(id, response.status),
            Some(Purpose::Events) => self.event(response.status),
            Some(Purpose::Crash(id)) => self.crash(id, response.status),
            Some(Purpose::Messages) => self.message(response.status),
            None => match response.status {
                // It is about the connection.
                Status::Error(failure) if response.id.is_none() => self.say(Kind::Bad, &failure.error),
                Status::Progress(_) | Status::Success(_) | Status::Error(_) => Ok(()),
            },
        }
    }

    fn log_line(&mut self, id: Id, status: Status) -> Result<(), Stop> {
        match status {
            Status::Progress(data) => {
                let Ok(Line { stream, line }) = data.read() else { return Ok(()) };
                let kind = if stream == "host" { Kind::Host } else { Kind::Output };
                self.say_of(id, kind, &line)
            }
            // The module was removed, or the daemon that was joined does not know it yet.
            Status::Success(_) | Status::Error(_) => {
                self.states[id].log = Log::Unknown;
                Ok(())
            }
        }
    }

    /// A message of a module, or why there are none.
    fn message(&mut self, status: Status) -> Result<(), Stop> {
        match status {
            Status::Progress(data) => match messages::line(&data) {
                // A daemon that was joined has other modules, too.
                Some(messages::Line::Of(module, _)) if !self.projects.iter().any(|it| it.name == module) => Ok(()),
                Some(messages::Line::Of(module, text)) => Ok(self.screen.line(&module, Kind::Message, &text)?),
                Some(messages::Line::LeftOut(count)) => self
                    .say(Kind::Note, &format!("{count} messages are not shown: they came faster than they were read")),
                None => Ok(()),
            },
            Status::Success(_) => Ok(()),
            Status::Error(failure) => self.say(Kind::Bad, &format!("messages are not shown: {}", failure.error)),
        }
    }

    fn event(&mut self, status: Status) -> Result<(), Stop> {
        let data = match status {
            Status::Progress(data) => data,
            Status::Success(_) => return Ok(()),
            Status::Error(failure) => {
                return self.say(Kind::Bad, &format!("crashes are not shown any more: {}", failure.error));
            }
        };
        // What begins the stream is none.
        let Ok(Event { event, data: About { module, detail } }) = data.read() else { return Ok(()) };
        let Some(id) = self.projects.iter().position(|project| project.name == module) else { return Ok(()) };
        let detail = detail.unwrap_or_default();
        match &*event {
            "module.crashed" | "module.failed" => {
                self.states[id].health = Health::Crashed;
                self.link.last_crash(id, &module)?;
                Ok(())
            }
            "module.ready" if self.states[id].health == Health::Crashed => {
                self.states[id].health = Health::Well;
                self.say_of(id, Kind::Good, "ready again")
            }
            "module.finished" => self.say_of(id, Kind::Note, &format!("it has ended by itself {detail}")),
            "module.reload_failed" if self.plan.doing() != Some(Work::Reload(id)) => {
                self.say_of(id, Kind::Bad, &detail)
            }
            "module.quarantined" | "module.event_set_aside" | "module.strange_answer" => {
                self.say_of(id, Kind::Bad, &format!("{}: {detail}", event.trim_start_matches("module.")))
            }
            _ => Ok(()),
        }
    }

    fn crash(&mut self, id: Id, status: Status) -> Result<(), Stop> {
        let record = match status {
            Status::Progress(_) => return Ok(()),
            Status::Success(data) => data.read::<Crashes>().ok().and_then(|mut answer| answer.crashes.pop()),
            Status::Error(failure) => {
                return self.say_of(id, Kind::Bad, &format!("its crash record cannot be had: {}", failure.error));
            }
        };
        let Some(record) = record else {
            return self.say_of(id, Kind::Bad, "crashed, and there is no record of it");
        };
        let file = record.read::<File>().ok().and_then(|file| file.file);
        // Two crashes in a row may find the record of the second one each.
        if file.is_some() && self.states[id].last_record == file {
            return Ok(());
        }
        self.states[id].last_record = file;
        let record: Record = record.read().unwrap_or_default();
        let page = crash::page(&record, &self.command);
        let shown = crash::after(&self.states[id].last_page, &page);
        self.screen.crash(&self.projects[id].name, &shown)?;
        self.states[id].last_page = page;
        Ok(())
    }
}
