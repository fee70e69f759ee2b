//! A module as the macro declares it: its description, which is made once, and the faults that only show when it is.

use super::command::{Command, Source};
use super::refusal::{CONFIG, PAYLOAD};
use super::schema::{SchemaOf, Way};
use super::shape::{Others, Shape};
use super::value::{Argument, Expected};
use crate::{Description, Error, Init, Json};
use bulkhead_protocol::limits::{DETAIL_BYTES_MAX, DETAILS_BYTES_MAX};

/// What a module is, and how it reads what comes.
#[derive(Debug)]
pub struct Declared {
    description: Description,
    commands: Vec<Command>,
    fault: Option<String>,
}

impl Declared {
    /// Describes `commands` in `description`.
    pub fn new(description: Description, commands: Vec<Source>) -> Declared {
        let mut declared = Declared { description, commands: Vec::new(), fault: None };
        for source in commands {
            match Command::new(source) {
                Ok(command) => declared.commands.push(command),
                Err(fault) => {
                    declared.fault = Some(fault);
                    return declared;
                }
            }
        }
        declared.description.commands = declared
            .commands
            .iter()
            .map(|command| bulkhead_protocol::Command {
                name: command.name.to_owned(),
                idempotent: command.is_idempotent,
                read_only: command.is_read_only,
                description: command.about.to_owned(),
                details: Some(Box::new(command.details.clone())),
            })
            .collect();
        declared.fault = too_long(&declared.commands);
        declared
    }

    /// What the module reports about itself.
    pub fn description(&self) -> Description {
        self.description.clone()
    }

    /// Whether the module can be described as it is written.
    ///
    /// # Errors
    /// Permanent: a schema or examples that are too long, or an example that its command would refuse.
    pub fn check(&self) -> Result<(), Error> {
        match &self.fault {
            Some(fault) => Err(Error::failed(fault.as_str()).permanent()),
            None => Ok(()),
        }
    }

    /// The error for a command that there is not.
    pub fn unknown_command(&self, name: &str) -> Error {
        crate::dispatch::unknown_command(&self.description, name)
    }

    /// The command that was declared at this place.
    #[inline]
    pub fn command(&self, at: usize) -> &Command {
        &self.commands[at]
    }
}

fn too_long(commands: &[Command]) -> Option<String> {
    let mut all = 0;
    for Command { name, details, .. } in commands {
        for (part, value) in [("args", &details.args), ("returns", &details.returns), ("examples", &details.examples)] {
            let bytes = value.as_ref().map_or(0, |value| value.as_str().len());
            if bytes > DETAIL_BYTES_MAX {
                let expected = format!("expected at most {DETAIL_BYTES_MAX} bytes, found {bytes}");
                return Some(format!("{part} of the command `{name}`: {expected}"));
            }
            all += bytes;
        }
    }
    let expected = format!("expected at most {DETAILS_BYTES_MAX} bytes, found {all}");
    (all > DETAILS_BYTES_MAX).then(|| format!("args, returns and examples of all commands: {expected}"))
}

/// What a handler takes as a whole: a payload, the data of an event, or the configuration.
#[derive(Debug)]
pub struct Payload(Expected);

impl Payload {
    /// One that is read as the type that has this schema.
    pub fn new(schema: SchemaOf) -> Payload {
        Payload(Expected::of_all(&[schema], Way::Read).0.remove(0))
    }

    /// The manifest's `[config]`, of which a misspelt key is refused also where the type would pass it over.
    pub fn config(schema: SchemaOf) -> Payload {
        let Payload(mut expected) = Payload::new(schema);
        if let Shape::Object { members, others: others @ Others::Ignored } = &mut expected.shapes.root
            && !members.is_empty()
        {
            *others = Others::Refused;
        }
        Payload(expected)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// `bad_request` where it does not fit.
    pub fn read<T: Argument<How>, How>(&self, payload: &Json) -> Result<T, Error> {
        let read = || self.0.read(payload.as_str()).map_err(|refusal| refusal.error(PAYLOAD));
        T::as_sent(payload).map_or_else(read, Ok)
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// As [`Payload::read`], and permanent: the manifest stays as it is until its author corrects it.
    pub fn read_config<T: Argument<How>, How>(&self, init: &Init) -> Result<T, Error> {
        self.0.read(init.config.as_str()).map_err(|refusal| refusal.error(CONFIG).permanent())
    }
}
