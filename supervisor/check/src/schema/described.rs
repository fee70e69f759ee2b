//! What a command says of itself in its answer to `init`, as far as it can be read.

use super::Schema;
use bulkhead_protocol::Command;
use bulkhead_protocol::details::Detail;
use serde_json::Value;

/// The schemas and examples of a command.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) args: Option<Schema>,
    pub(crate) returns: Option<Schema>,
    pub(crate) examples: Vec<Example>,
}

/// One example. What is absent is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Example {
    pub(crate) args: Option<Value>,
    pub(crate) returns: Option<Value>,
}

impl Described {
    /// `None` if the command says no more than its name.
    pub(crate) fn of(command: &Command) -> Option<Described> {
        let details = command.details.as_ref()?;
        let read = |wanted: Detail| -> Option<Value> {
            let (_, json) = details.kept().find(|(detail, _)| *detail == wanted)?;
            json.read().ok()
        };
        let schema = |wanted: Detail| read(wanted).map(Schema::new);
        let listed = match read(Detail::Examples) {
            Some(Value::Array(listed)) => listed,
            Some(_) | None => Vec::new(),
        };
        let examples = listed.into_iter().map(|mut example| {
            let mut member = |name: &str| example.as_object_mut().and_then(|example| example.remove(name));
            Example { args: member("args"), returns: member("returns") }
        });
        Some(Described { args: schema(Detail::Args), returns: schema(Detail::Returns), examples: examples.collect() })
    }
}
