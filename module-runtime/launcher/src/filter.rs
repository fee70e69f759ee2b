//! `module-runtime filter`: a module made of any program that turns a line of JSON into a line of
//! JSON. The host speaks its wire with this process, and this process speaks lines with the program.
//!
//! A program that stays (`stream.rs`) gets lines ahead of its answers, and its answers are matched
//! by their order. A program for each message (`single.rs`) gets one line and the end of its input.
//! Either way each caller learns what happened to its own message. Restarting the program is deliberately not done
//! here: the wrapper ends with it, and the host's policy is in force as for any other module.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | shut down, or the host is gone |
//! | 1 | the program ended or was ended, the program could not be started just now, or the channel broke |
//! | 2 | wrong usage, or there is no host |
//! | 125 | the program is not there or cannot be executed |

mod backlog;
mod children;
mod leftovers;
mod line;
mod lines;
mod program;
mod single;
mod stream;
mod tail;

use crate::failure::Failure;
use bulkhead_child::{
    Channel, EXIT_FAILURE, EXIT_PERMANENT, EXIT_USAGE, End, Error, QueuedRequest, Wire, log, read_init,
};
use bulkhead_protocol::guardian::Fault;
use bulkhead_protocol::init::FEATURE_CONCURRENT;
use bulkhead_protocol::{Init, Json, PROTOCOL_VERSION, Ready, Request};
use children::Children;
use line::Form;
use std::process::ExitCode;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    form: Form,
    life: Life,
    /// The program and its arguments; never empty.
    command: Vec<String>,
}

/// How long a process of the program lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// As long as the module.
    Module,
    /// As long as one message.
    Message,
}

impl Settings {
    /// Reads the arguments after `module-runtime filter`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(arguments: &[&str]) -> Result<Settings, String> {
        let (mut form, mut life) = (None, Life::Module);
        let mut arguments = arguments.iter();
        loop {
            match arguments.next() {
                Some(&"--line") => {
                    let name = arguments.next().ok_or("--line needs a value, expected args or message")?;
                    form = Some(Form::from_name(name)?);
                }
                Some(&"--per-message") => life = Life::Message,
                Some(&"--") => break,
                Some(other) => {
                    return Err(format!("unknown argument '{other}' of filter, expected '--' and a program"));
                }
                None => return Err("filter needs '--' and a program after its options".to_owned()),
            }
        }
        let form = form.ok_or("filter needs --line, expected args or message")?;
        let command: Vec<String> = arguments.map(|argument| (*argument).to_owned()).collect();
        if command.is_empty() {
            return Err("filter needs a program after '--', found nothing".to_owned());
        }
        Ok(Settings { form, life, command })
    }

    /// What the host gets. A program that stays has several lines at once, and only it knows how far it got with each;
    /// so the module reports that it is concurrent, and after an end the host answers `unknown` for what was sent
    /// ahead, which is exact. A process for each message gets one after the other, and the host knows how far each got.
    fn ready(&self, init: &Init) -> Ready {
        let features = match self.life {
            Life::Module => vec![FEATURE_CONCURRENT.to_owned()],
            Life::Message => Vec::new(),
        };
        let (name, version, description) = (init.module.clone(), String::new(), String::new());
        Ready { name, version, description, protocol: PROTOCOL_VERSION, commands: Vec::new(), features }
    }
}

/// Wraps a program until the host says `shutdown` or is gone, or the program ends.
pub(crate) fn main(settings: &Settings) -> ExitCode {
    let wire = match Channel::open() {
        Ok(channel) => Wire::new(channel),
        Err(reason) => {
            crate::sys::say(&format!("filter: {reason}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    ExitCode::from(serve(settings, wire))
}

fn serve(settings: &Settings, mut wire: Wire) -> u8 {
    let QueuedRequest { request, .. } = match wire.next() {
        Ok(pending) => pending,
        Err(End::Closed) => {
            crate::sys::say("filter: the channel ended before a first message");
            return EXIT_USAGE;
        }
        Err(End::Broken(reason)) => {
            log!(error, "{reason}");
            return 1;
        }
    };
    match start(settings, &mut wire, &request) {
        Ok((ready, served)) => {
            wire.answer(request.id, Ok(Json::of(&ready)));
            wire.flush();
            match served {
                Served::Stream(stream) => stream.serve(wire),
                Served::Single(single) => single.serve(wire),
            }
        }
        Err(error) => {
            log!(error, "the filter cannot start: {error}");
            let code = if error.is_permanent() { EXIT_PERMANENT } else { EXIT_FAILURE };
            wire.answer(request.id, Err(error));
            wire.flush();
            code
        }
    }
}

/// What is ready to take requests.
enum Served {
    Stream(stream::Stream),
    Single(single::Single),
}

fn start(settings: &Settings, wire: &mut Wire, request: &Request) -> Result<(Ready, Served), Error> {
    let init = read_init(request)?;
    let frame_bytes_max = init.limits.frame_bytes_max;
    wire.limit(frame_bytes_max);
    let children = Children::watch()?;
    let served = match settings.life {
        Life::Module => {
            Served::Stream(stream::Stream::start(&settings.command, settings.form, frame_bytes_max, children)?)
        }
        Life::Message => {
            Served::Single(single::Single::prepare(&settings.command, settings.form, frame_bytes_max, children)?)
        }
    };
    Ok((settings.ready(&init), served))
}

/// The same reason as the answer to a message.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let error = Error::failed(failure.message);
        if failure.fault == Fault::Lasting { error.permanent() } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_its_arguments_come_after_two_dashes() {
        let settings = Settings::read(&["--line", "args", "--", "/bin/jq", "--line", "--"]).unwrap();
        assert_eq!((settings.form, settings.life), (Form::Args, Life::Module));
        assert_eq!(settings.command, ["/bin/jq", "--line", "--"]);
        let settings = Settings::read(&["--per-message", "--line", "message", "--", "/bin/cat"]).unwrap();
        assert_eq!((settings.form, settings.life), (Form::Message, Life::Message));
    }

    #[test]
    fn a_wrong_command_line_is_named() {
        for (arguments, expected) in [
            (&[][..], "needs '--'"),
            (&["--", "/bin/cat"], "needs --line"),
            (&["--line"], "needs a value"),
            (&["--line", "words", "--", "/bin/cat"], "found 'words'"),
            (&["--line", "args", "--"], "found nothing"),
            (&["--line", "args", "/bin/cat"], "unknown argument '/bin/cat'"),
        ] {
            let problem = Settings::read(arguments).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
