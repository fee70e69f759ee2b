//! What a module declares of itself when it is ready: what of that is kept, and what its log says of the rest. What
//! is too long to be kept is found where the answer is read, in the protocol.

use crate::limits::{DECLARED_DESCRIPTION_BYTES_MAX, DECLARED_VERSION_BYTES_MAX, DROPPED_TOLD_MAX};
use bulkhead_protocol::{Command, ModuleName, Ready, limits::NAME_BYTES_MAX};

/// What a module has declared in its answer to `init`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its own version.
    pub version: String,
    /// What it is for; empty if it does not say so.
    pub description: String,
    /// The commands that it knows.
    pub commands: Vec<Command>,
}

impl Declared {
    pub(crate) fn of(ready: Ready) -> Declared {
        let Ready { name: _, version, description, protocol: _, mut commands, features: _ } = ready;
        commands.shrink_to_fit();
        Declared {
            version: cut(version, DECLARED_VERSION_BYTES_MAX),
            description: cut(description, DECLARED_DESCRIPTION_BYTES_MAX),
            commands,
        }
    }

    /// Whether it is safe to do this command twice.
    pub(crate) fn is_idempotent(&self, name: &str) -> bool {
        self.commands.iter().any(|command| command.idempotent && command.name == name)
    }

    /// A line for the log of the module for each member that is not kept; of many there is one that counts the rest.
    pub(crate) fn notices(&self, module: &ModuleName) -> Vec<String> {
        let dropped = || {
            let all = self.commands.iter().flat_map(|command| command.details.iter().map(move |it| (command, it)));
            all.flat_map(|(command, details)| details.dropped.iter().map(move |dropped| (command, dropped)))
        };
        let line = |(command, dropped): (&Command, _)| {
            let name = &command.name[..command.name.floor_char_boundary(NAME_BYTES_MAX)];
            format!("{module}: the command {name:?} is kept without its {dropped}")
        };
        let mut lines: Vec<String> = dropped().take(DROPPED_TOLD_MAX).map(line).collect();
        let count = dropped().count();
        if count > lines.len() {
            let more = count - lines.len();
            lines.push(format!("{module}: {more} more members of commands are not kept; `describe` names them"));
        }
        lines
    }
}

/// A text with at most so many bytes.
fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    fn declared(members: &str) -> Declared {
        let text = format!(r#"{{"name":"x","protocol":1,{members}}}"#);
        Declared::of(Ready::read_bounded(&Json::parse(&text).unwrap()).unwrap())
    }

    #[test]
    fn each_member_that_is_not_kept_has_a_line_with_module_command_member_found_and_limit() {
        let long = "x".repeat(70_000);
        let declared = declared(&format!(
            r#""version":"1","commands":[{{"name":"add","args":{{"title":"{long}"}},"returns":7}},{{"name":"get","args":{{}}}}]"#
        ));
        let name = ModuleName::new("log").unwrap();
        let expected = [
            "log: the command \"add\" is kept without its args: expected at most 65536 bytes, found 70012",
            "log: the command \"add\" is kept without its returns: expected an object or a boolean, found a number",
        ];
        assert_eq!(declared.notices(&name), expected);
    }

    #[test]
    fn of_many_members_that_are_not_kept_the_first_are_named_and_the_rest_are_counted() {
        let entry = format!(r#"{{"name":"{}","args":1}}"#, "long".repeat(1000));
        let declared = declared(&format!(r#""version":"1","commands":[{}]"#, vec![entry; 10_000].join(",")));
        let notices = declared.notices(&ModuleName::new("log").unwrap());
        assert_eq!(notices.len(), DROPPED_TOLD_MAX + 1);
        assert!(notices.iter().all(|line| line.len() < 256), "{notices:?}");
        let last = notices.last().unwrap();
        assert_eq!(last, "log: 9984 more members of commands are not kept; `describe` names them");
    }

    #[test]
    fn a_version_and_a_description_are_cut_to_what_is_kept() {
        let long = "é".repeat(10_000);
        let declared = declared(&format!(r#""version":"{long}","description":"{long}""#));
        assert_eq!(declared.version, "é".repeat(128));
        assert_eq!(declared.description, "é".repeat(2048));
    }
}
