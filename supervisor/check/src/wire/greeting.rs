//! The first message: its answer, its time, what the commands say of themselves, another version.

use super::{VERSION, Wire, shown};
use crate::rules::Rule;
use crate::schema::{Described, Fits};
use crate::session::{Missing, Session};
use crate::verdicts::Holds;
use anyhow::Result;
use bulkhead_protocol::{Command, Ready, Status};
use std::time::{Duration, Instant};

/// No module speaks this version.
const OTHER_VERSION: u32 = 9999;

impl Wire<'_> {
    /// The first start. Without one that succeeds, nothing else can be checked.
    pub(super) fn greet(&mut self) -> Result<Option<(Session, Ready, Duration)>> {
        let mut session = Session::start(self.subject, self.timeout)?;
        let began = Instant::now();
        let answer = session.init(self.subject, VERSION);
        let took = began.elapsed();
        let timeout = self.subject.config.limits.start_timeout;
        match &answer {
            Err(Missing::Late(_) | Missing::Unread) => {
                let expected = format!("an answer within {} s (start_timeout)", timeout.as_secs_f64());
                self.verdicts.fail(Rule::InitTime, "init", &expected, &shown(&answer));
            }
            _ => self.verdicts.keep(Rule::InitTime),
        }
        let expected = "a success with name, version and protocol, or an error";
        let ready = match &answer {
            Ok(Status::Success(data)) => match Ready::read_bounded(data) {
                Ok(ready) if ready.protocol == VERSION => Some(ready),
                Ok(ready) => {
                    let expected = format!("the version {VERSION} of the wire");
                    self.verdicts.fail(Rule::Init, "init", &expected, &format!("the version {}", ready.protocol));
                    None
                }
                Err(error) => {
                    self.verdicts.fail(Rule::Init, "init", expected, &format!("{error}: {}", data.as_str()));
                    None
                }
            },
            _ => {
                let exit = session.process.exit(Duration::from_millis(200))?;
                let exit = exit.map(|exit| format!("; it ended with {exit}")).unwrap_or_default();
                let line = session.process.last_line();
                let line = if line.is_empty() { line } else { format!("; it printed {line:?} last") };
                self.verdicts.fail(Rule::Init, "init", expected, &format!("{}{exit}{line}", shown(&answer)));
                None
            }
        };
        let Some(ready) = ready else {
            self.close_account(&mut session);
            return Ok(None);
        };
        self.verdicts.keep(Rule::Init);
        self.described(&ready);
        Ok(Some((session, ready, took)))
    }

    fn described(&mut self, ready: &Ready) {
        let described: Vec<_> =
            ready.commands.iter().filter_map(|command| Some((command, command.details.as_ref()?))).collect();
        if described.is_empty() {
            let reason = if ready.commands.is_empty() {
                "it declares no commands"
            } else {
                "its commands say no more than their names"
            };
            [Rule::Described, Rule::Examples].iter().for_each(|rule| self.verdicts.leave_out(*rule, reason));
            return;
        }
        self.verdicts.keep(Rule::Described);
        for (command, details) in described {
            for dropped in &details.dropped {
                let sent = format!("init; command {}, member {}", command.name, dropped.detail.name());
                self.verdicts.fail(
                    Rule::Described,
                    &sent,
                    "a member of the right type and length",
                    &dropped.fault.to_string(),
                );
            }
        }
        ready.commands.iter().for_each(|command| self.examples(command));
        self.verdicts.leave_out(Rule::Examples, "no command has an example of what a schema of it describes");
    }

    /// What an example says of the arguments and of the answer, beside the command's schema of each.
    fn examples(&mut self, command: &Command) {
        let Some(described) = Described::of(command) else { return };
        for (number, example) in (1..).zip(&described.examples) {
            let parts = [
                (&described.args, &example.args, "args", "takes"),
                (&described.returns, &example.returns, "returns", "describes"),
            ];
            for (schema, value, member, verb) in parts {
                let (Some(schema), Some(value)) = (schema, value) else { continue };
                let holds = match schema.fits(value) {
                    Fits::Yes => Holds::Yes,
                    Fits::No => Holds::No,
                    Fits::Unknown => continue,
                };
                let sent = format!("init; command {}, example {number}, {member}", command.name);
                let expected = format!("a value that its own schema {member} {verb}");
                self.verdicts.judge(Rule::Examples, holds, &sent, &expected, &value.to_string());
            }
        }
    }

    /// Another version is refused, by an error and an exit, or by an answer with the module's own.
    pub(super) fn other_version(&mut self) -> Result<()> {
        let mut session = Session::start(self.subject, self.timeout)?;
        let answer = session.init(self.subject, OTHER_VERSION);
        let sent = format!("init with \"protocol\":{OTHER_VERSION}");
        let expected = "an error and an exit, or an answer with the module's own version";
        let own = |data: &bulkhead_protocol::Json| {
            Ready::read_bounded(data).is_ok_and(|ready| ready.protocol != OTHER_VERSION)
        };
        match &answer {
            Ok(Status::Success(data)) => {
                self.verdicts.judge(Rule::OtherVersion, own(data).into(), &sent, expected, &shown(&answer));
            }
            Ok(Status::Error(_)) | Err(Missing::Ended | Missing::Leaving) => {
                let exit = session.process.exit(self.end_timeout)?;
                let is_in_order = matches!(exit, Some(bulkhead_protocol::Exit::Code(code)) if code != 0);
                let found = exit.map_or_else(|| "it lives on".to_owned(), |exit| format!("it ended with {exit}"));
                let expected = "an error, and an exit with another code than 0";
                self.verdicts.judge(Rule::OtherVersion, Holds::from(is_in_order), &sent, expected, &found);
            }
            _ => self.verdicts.fail(Rule::OtherVersion, &sent, expected, &shown(&answer)),
        }
        self.close_account(&mut session);
        Ok(())
    }
}
