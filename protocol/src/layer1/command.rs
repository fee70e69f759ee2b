//! The payload of a `command` to `layer1`. There is one, `flush`.

use super::{
    Fault,
    fields::{Fields, nearest},
};
use crate::{Delivery, ErrorCode, Failure, Json};
use bulkhead_json::{Kind, Raw};

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// An answer when everything that is committed is on the disk.
    Flush,
}

/// The names of the commands.
const NAMES: &[&str] = &["flush"];

impl Command {
    /// Reads the payload of a command.
    ///
    /// # Errors
    /// `bad_request` with the path inside the payload, `unknown_command` when there is none of that name.
    pub fn read(payload: &Json) -> Result<Command, Failure> {
        let fields = Fields::read(Raw::from(payload), "a command", &["name", "args"])?;
        let name = fields.read_required("name", |raw| match raw.text() {
            Some(text) => Ok((text.into_owned(), raw.quote())),
            None => Err(Fault::new(format!("expected the name of a command, found {}", raw.quote()))),
        });
        let (name, quoted) = name?;
        if name != "flush" {
            let near = nearest(&name, NAMES).map(|near| format!("; did you mean {near:?}?"));
            let rest =
                near.unwrap_or_else(|| format!("; it has {}, and takes queries and mutations", NAMES.join(", ")));
            let reason = format!("layer1 has no command {quoted}{rest}");
            return Err(Failure::new(ErrorCode::UnknownCommand, reason).delivery(Delivery::NotStarted));
        }
        fields.read_optional("args", |raw| match raw.kind() == Kind::Object && raw.members().next().is_none() {
            true => Ok(()),
            false => Err(Fault::new(format!("expected no arguments, found {}", raw.quote()))),
        })?;
        Ok(Command::Flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> Result<Command, String> {
        Command::read(&Json::parse(payload).unwrap()).map_err(|failure| format!("{:?} {}", failure.code, failure.error))
    }

    #[test]
    fn flush_is_the_only_command_and_takes_nothing() {
        for payload in [r#"{"name":"flush"}"#, r#"{"name":"flush","args":null}"#, r#"{"args":{},"name":"flush"}"#] {
            assert_eq!(read(payload), Ok(Command::Flush), "{payload}");
        }
        let refused = [
            (r#"{"name":"flsh"}"#, "UnknownCommand layer1 has no command \"flsh\"; did you mean \"flush\"?"),
            (
                r#"{"name":"vacuum"}"#,
                "UnknownCommand layer1 has no command \"vacuum\"; it has flush, and takes queries and mutations",
            ),
            (r#"{"name":7}"#, "BadRequest at name: expected the name of a command, found 7"),
            (r#"{}"#, "BadRequest expected the member \"name\", found none"),
            (r#"{"name":"flush","args":{"a":1}}"#, "BadRequest at args: expected no arguments, found {\"a\":1}"),
            (r#"{"name":"flush","args":[]}"#, "BadRequest at args: expected no arguments, found []"),
        ];
        for (payload, expected) in refused {
            assert_eq!(read(payload), Err(expected.to_owned()), "{payload}");
        }
    }
}
