//! The module's commands, called with arguments that their schemas take, and with some that they exclude.

use super::{Hosted, Outcome, Running};
use crate::chance::Chance;
use crate::rules::Rule;
use crate::schema::{Fits, Schema};
use crate::verdicts::{Holds, cut};
use anyhow::Result;
use bulkhead_client::command_payload;
use bulkhead_protocol::details::Detail;
use bulkhead_protocol::{Command, Json, Request, RequestType, Status};
use serde_json::Value;
use std::time::Duration;

/// Values by chance for each command.
const BY_CHANCE: usize = 4;

/// Commands beyond these are not called.
const COMMANDS_MAX: usize = 500;

/// How long a process is watched after the last command: it may end a little later.
const AFTERMATH: Duration = Duration::from_millis(200);

/// Which commands are really called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    None,
    /// Those that may be done twice.
    Idempotent,
    All,
}

/// A schema of arguments, and the examples beside it.
struct Described {
    schema: Schema,
    examples: Vec<Value>,
}

impl Hosted<'_> {
    pub(super) fn commands(&mut self, running: &mut Running) -> Result<()> {
        let rules = [Rule::Commands, Rule::WrongArguments];
        let why_none = match self.which {
            _ if self.ready.commands.is_empty() => Some("it declares no commands"),
            Which::None => Some("--skip-commands leaves out all"),
            Which::Idempotent if !self.ready.commands.iter().any(|command| command.idempotent) => {
                Some("it declares no command idempotent; --all-commands calls the others")
            }
            Which::Idempotent | Which::All => None,
        };
        if let Some(reason) = why_none {
            rules.iter().for_each(|rule| self.verdicts.leave_out(*rule, reason));
            return Ok(());
        }
        let (called, left): (Vec<&Command>, Vec<&Command>) = self
            .ready
            .commands
            .iter()
            .take(COMMANDS_MAX)
            .partition(|command| self.which == Which::All || command.idempotent);
        if !left.is_empty() {
            let names: Vec<&str> = left.iter().map(|command| &*command.name).collect();
            let names = cut(&names.join(", "));
            self.verdicts.remarks.push(format!("not called, as --all-commands was not given: {names}"));
        }
        let names: Vec<&str> = called.iter().map(|command| &*command.name).collect();
        self.verdicts.remarks.push(format!("really called: {}", cut(&names.join(", "))));
        let before = running.restarts();
        running.restarts_seen = before;
        for command in called {
            let mut chance = Chance::new(self.seed);
            match self.described(command) {
                Some(described) => {
                    self.right(running, command, &described, &mut chance);
                    self.wrong(running, command, &described.schema, &mut chance);
                }
                None => {
                    self.call(running, Rule::Commands, &command.name, "null", "an answer", Outcome::is_answered);
                }
            }
        }
        self.verdicts.leave_out(Rule::WrongArguments, "no command that was called has a schema that excludes anything");
        std::thread::sleep(AFTERMATH);
        let status = running.status();
        let more = running.restarts().saturating_sub(before);
        let holds = Holds::from(more == 0 && status["state"] == "ready");
        let found = format!("{more} restarts; last_exit {}", status["last_exit"]);
        self.verdicts.judge(Rule::Commands, holds, "all commands", "the same process as before", &found);
        // The rules after this one need a process.
        let _ = running.until_ready();
        Ok(())
    }

    /// What a command says of its arguments. Examples that its own schema excludes are noted.
    fn described(&mut self, command: &Command) -> Option<Described> {
        let details = command.details.as_ref()?;
        let member = |wanted: Detail| details.kept().find(|(detail, _)| *detail == wanted).map(|(_, json)| json);
        let schema = Schema::new(member(Detail::Args)?.read().ok()?);
        let mut examples = Vec::new();
        let listed: Vec<Value> = member(Detail::Examples).and_then(|json| json.read().ok()).unwrap_or_default();
        for args in listed.into_iter().filter_map(|mut example| example.get_mut("args").map(Value::take)) {
            if schema.fits(&args) == Fits::No {
                let sent = format!("init; command {}, an example", command.name);
                self.verdicts.fail(Rule::Described, &sent, "args that its own schema takes", &args.to_string());
            } else {
                examples.push(args);
            }
        }
        Some(Described { schema, examples })
    }

    fn right(&mut self, running: &mut Running, command: &Command, described: &Described, chance: &mut Chance) {
        let mut values = described.examples.clone();
        values.extend(described.schema.least(chance));
        values.extend((0..BY_CHANCE).filter_map(|_| described.schema.some(chance)));
        values.dedup();
        if values.is_empty() {
            let remark = format!("{}: no arguments can be made from its schema, and it has no examples", command.name);
            self.verdicts.remarks.push(remark);
        }
        for value in values {
            self.call(running, Rule::Commands, &command.name, &value.to_string(), "an answer", Outcome::is_answered);
        }
    }

    fn wrong(&mut self, running: &mut Running, command: &Command, schema: &Schema, chance: &mut Chance) {
        for value in schema.wrong(chance) {
            let is_refused = |outcome: &Outcome| matches!(outcome, Outcome::Answered(Status::Error(_)));
            self.call(running, Rule::WrongArguments, &command.name, &value.to_string(), "an error", is_refused);
        }
    }

    /// Calls a command, and waits for a process if that was the end of one.
    fn call(
        &mut self,
        running: &mut Running,
        rule: Rule,
        name: &str,
        args: &str,
        expected: &str,
        is_right: impl Fn(&Outcome) -> bool,
    ) {
        let payload = command_payload(name, args);
        let request = Request::new(None, RequestType::Command, Json::clone(&payload)).to(&*running.name);
        let outcome = running.request(&request);
        let sent = format!("command {}", payload.as_str());
        self.verdicts.judge(rule, is_right(&outcome).into(), &sent, expected, &outcome.shown());
        if outcome.is_answered() {
            // What was answered last by its process is known when something else is answered.
            let _ = running.probe();
        }
        // A process that hangs is killed a little later, and must not take the next command with it.
        let _ = running.until(|status| status["state"] == "ready" && status["in_flight"] == 0);
        if outcome.is_answered() && running.restarts() > running.restarts_seen {
            let found = format!("it was answered, and the process ended: {}", running.status()["last_exit"]);
            self.verdicts.fail(rule, &sent, "an answer, and a process that lives on", &found);
        }
        running.restarts_seen = running.restarts();
    }
}
