//! Which commands there are at an address: those that a module declared in its answer to `init`, and those of the
//! host's own addresses. What they do is elsewhere.

use crate::{
    builtin::{
        ANSWER_FRAME_BYTES, OWN,
        schemas::{self, COMMANDS_OF_LAYER1},
    },
    state::HostState,
};
use bulkhead_protocol::{Command, Failure, Json};
use serde::Serialize;

/// Longest list of commands that is sent, in bytes.
pub(crate) const LIST_BYTES_MAX: usize = 1024 * 1024;

/// One command, as callers get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) idempotent: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) description: &'a str,
}

impl<'a> From<&'a Command> for Entry<'a> {
    fn from(command: &'a Command) -> Entry<'a> {
        Entry { name: &command.name, idempotent: command.idempotent, description: &command.description }
    }
}

/// Commands in their order, of which it is known how many there are.
type Entries<'a> = Box<dyn ExactSizeIterator<Item = Entry<'a>> + 'a>;

impl HostState {
    /// The commands of a module or of an address of the host's own.
    pub(crate) fn commands_of(&self, name: &str) -> Result<Json, Failure> {
        let bytes_max = LIST_BYTES_MAX.min(self.config.frame_bytes_max.saturating_sub(ANSWER_FRAME_BYTES));
        let declared;
        let entries: Option<Entries<'_>> = match name {
            "supervisor" => Some(Box::new(OWN.iter().map(|own| own.entry))),
            "layer1" => Some(Box::new(schemas::REQUESTS[..COMMANDS_OF_LAYER1].iter().map(|own| Entry {
                name: own.name,
                idempotent: true,
                description: own.description,
            }))),
            _ => {
                declared = self.core.declared(&self.known(name)?);
                declared.as_ref().map(|declared| -> Entries<'_> { Box::new(declared.commands.iter().map(Entry::from)) })
            }
        };
        Ok(answer(name, entries, bytes_max))
    }
}

/// The answer, with as many commands as fit into so many bytes.
fn answer(name: &str, entries: Option<Entries<'_>>, bytes_max: usize) -> Json {
    let name = Json::of(name);
    let Some(entries) = entries else { return Json::object(&[("name", &name), ("commands", &Json::null())]) };
    let (commands, left_out) = as_many_as_fit(entries.map(|entry| Json::of(&entry)), bytes_max);
    match left_out {
        0 => Json::object(&[("name", &name), ("commands", &commands)]),
        more => Json::object(&[("name", &name), ("commands", &commands), ("left_out", &Json::of(&more))]),
    }
}

/// A list of as many of these, from the first one on, as have room in so many bytes, and how many have none.
pub(crate) fn as_many_as_fit(entries: impl ExactSizeIterator<Item = Json>, bytes_max: usize) -> (Json, usize) {
    let (count, mut bytes) = (entries.len(), 0);
    let shown: Vec<Json> = entries
        .take_while(|entry| {
            bytes += entry.as_str().len() + 1;
            bytes <= bytes_max
        })
        .collect();
    (Json::of(&shown), count - shown.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_as_many_commands_as_fit_and_says_how_many_do_not() {
        let entry = |name, idempotent, description| Entry { name, idempotent, description };
        let entries = || -> Option<Entries<'_>> {
            Some(Box::new([entry("a", false, ""), entry("b", true, "reads")].into_iter()))
        };
        let whole = r#"{"name":"m","commands":[{"name":"a","idempotent":false},{"name":"b","idempotent":true,"description":"reads"}]}"#;
        assert_eq!(answer("m", entries(), 1000).as_str(), whole);
        let part = r#"{"name":"m","commands":[{"name":"a","idempotent":false}],"left_out":1}"#;
        assert_eq!(answer("m", entries(), 40).as_str(), part);
        assert_eq!(answer("m", Some(Box::new(std::iter::empty())), 40).as_str(), r#"{"name":"m","commands":[]}"#);
        assert_eq!(answer("m", None, 40).as_str(), r#"{"name":"m","commands":null}"#);
    }
}
