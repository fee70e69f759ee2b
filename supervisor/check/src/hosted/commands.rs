//! The module's commands, called with arguments that their schemas take, and with some that they exclude.

use super::{Hosted, Outcome, Running};
use crate::chance::Chance;
use crate::rules::Rule;
use crate::schema::{Described, Example, Fits, Schema};
use crate::verdicts::{Holds, cut};
use anyhow::Result;
use bulkhead_client::command_payload;
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

impl Hosted<'_> {
    pub(super) fn commands(&mut self, running: &mut Running) -> Result<()> {
        let rules = [Rule::Commands, Rule::Returns, Rule::WrongArguments];
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
            let described = Described::of(command);
            let returns = described.as_ref().and_then(|described| described.returns.as_ref());
            match described.as_ref().and_then(|described| Some((described.args.as_ref()?, &described.examples))) {
                Some((args, examples)) => {
                    self.right(running, command, (args, examples), returns, &mut chance);
                    self.wrong(running, command, args, &mut chance);
                }
                None => self.call_as_described(running, command, "null", returns),
            }
        }
        self.verdicts.leave_out(Rule::Returns, "no command that was called and succeeded says what it returns");
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

    fn right(
        &mut self,
        running: &mut Running,
        command: &Command,
        (args, examples): (&Schema, &[Example]),
        returns: Option<&Schema>,
        chance: &mut Chance,
    ) {
        // An example that its own schema excludes fails a rule of its own.
        let of_examples = examples.iter().filter_map(|example| example.args.clone());
        let mut values: Vec<Value> = of_examples.filter(|value| args.fits(value) != Fits::No).collect();
        values.extend(args.least(chance));
        values.extend((0..BY_CHANCE).filter_map(|_| args.some(chance)));
        values.dedup();
        if values.is_empty() {
            let remark = format!("{}: no arguments can be made from its schema, and it has no examples", command.name);
            self.verdicts.remarks.push(remark);
        }
        for value in values {
            self.call_as_described(running, command, &value.to_string(), returns);
        }
    }

    /// Calls a command with arguments that it takes; the data of a success is to be what the command says it returns.
    fn call_as_described(&mut self, running: &mut Running, command: &Command, args: &str, returns: Option<&Schema>) {
        let outcome = self.call(running, Rule::Commands, &command.name, args, "an answer", Outcome::is_answered);
        let (Some(schema), Outcome::Answered(Status::Success(data))) = (returns, &outcome) else { return };
        let holds = match data.read().map(|value: Value| schema.fits(&value)) {
            Ok(Fits::Yes) => Holds::Yes,
            Ok(Fits::No) => Holds::No,
            Ok(Fits::Unknown) | Err(_) => return,
        };
        let sent = format!("command {}", command_payload(&command.name, args).as_str());
        self.verdicts.judge(Rule::Returns, holds, &sent, "data that its schema returns describes", &outcome.shown());
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
    ) -> Outcome {
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
        outcome
    }
}
