//! How effects are seen, at the end of a run: in what a command of the module answers, or in the events that were stored
//! meanwhile.

use super::control::{Control, Newest};
use super::effects::Effects;
use crate::called::Run;
use crate::problem::Problem;
use bulkhead_protocol::{Json, Pattern};
use std::time::Duration;

/// Where effects are looked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Observed {
    /// In the answer of this command.
    Command { command: String, args: Json },
    /// In the events whose names match.
    Events(Pattern),
    /// Nowhere.
    Nothing,
}

impl Observed {
    /// Reads `COMMAND ARGS`.
    ///
    /// # Errors
    /// A sentence, when it is something else.
    pub(super) fn command(text: &str) -> Result<Observed, String> {
        let text = text.trim();
        let (command, args) = text.split_once(char::is_whitespace).unwrap_or((text, "null"));
        if command.is_empty() || command.starts_with(['{', '[', '"']) {
            return Err(format!(
                "expected a command and its arguments as JSON, found {text:?}; write 'list {{\"all\":true}}'"
            ));
        }
        let args = args.trim();
        let args = Json::parse(args).map_err(|error| format!("expected JSON as arguments, found {args:?}: {error}"))?;
        Ok(Observed::Command { command: command.to_owned(), args })
    }

    /// Reads the pattern of events.
    ///
    /// # Errors
    /// A sentence, when it is none.
    pub(super) fn events(text: &str) -> Result<Observed, String> {
        Pattern::new(text).map(Observed::Events).map_err(|error| error.to_string())
    }
}

/// Looks for the effects of so many calls. `since` is the newest event before the first one.
///
/// # Errors
/// When they cannot be seen whole.
pub(super) fn effects(
    control: &mut Control,
    observed: &Observed,
    since: &Newest,
    run: &Run,
    calls: usize,
    timeout: Duration,
) -> Result<Option<Effects>, Problem> {
    let mut effects = Effects::new(run, calls);
    match observed {
        Observed::Nothing => return Ok(None),
        Observed::Command { command, args } => {
            control.wait_until_ready(timeout)?;
            effects.add_list(control.call(command, args, timeout)?.as_str());
        }
        Observed::Events(pattern) => {
            let newest = control.newest()?;
            if newest.epoch != since.epoch {
                return Err(Problem::failed(
                    "the data store was restored or made anew, so its events cannot be compared",
                ));
            }
            let lost = control.events(since, newest.cursor, |event, data| {
                if pattern.matches(event) {
                    effects.add_one(data.as_str());
                }
            })?;
            if lost > 0 {
                return Err(Problem::failed(format!(
                    "{lost} events of the run are not kept any more: make fewer calls, or raise events_quota of the module or \
                     events_max of the host"
                )));
            }
        }
    }
    Ok(Some(effects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_json_as_its_arguments() {
        let read = |text| Observed::command(text);
        let command =
            |name: &str, args: &str| Observed::Command { command: name.to_owned(), args: Json::parse(args).unwrap() };
        assert_eq!(read(" list "), Ok(command("list", "null")));
        assert_eq!(read("list {\"n\": 1}"), Ok(command("list", "{\"n\": 1}")));
        assert!(read("{\"n\":1}").unwrap_err().starts_with("expected a command"));
        assert!(read("list n=1").unwrap_err().starts_with("expected JSON"));
        assert!(Observed::events("two words").is_err());
    }
}
