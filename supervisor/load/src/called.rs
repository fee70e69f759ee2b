//! What is called: one command of a module, again and again. Each call has a number, and an id that no call of another
//! run has: keys are kept for days, and a key of an earlier run would be answered without any work.

use crate::problem::Problem;
use bulkhead_protocol::{Json, Request, RequestType};
use std::time::Duration;

/// The text that stands for the id of a call in its arguments.
const PLACEHOLDER: &str = "{id}";

/// Random bytes of a run's name.
const RUN_BYTES: usize = 5;

/// Whether each call has a key, which is its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keying {
    Keyed,
    Plain,
}

/// The name of one run of the program: hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run(String);

impl Run {
    /// A name that no other run has.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub(crate) fn new() -> Result<Run, Problem> {
        let mut bytes = [0; RUN_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| Problem::failed(format!("no random numbers: {error}")))?;
        Ok(Run(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Run {
        Run(name.to_owned())
    }

    /// The id of a call.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.0)
    }

    /// The numbers of all calls whose ids stand in a text, in their order.
    pub(crate) fn numbers_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = u64> + 'a {
        text.match_indices(&self.0).filter_map(|(at, name)| {
            let rest = text[at + name.len()..].strip_prefix('-')?;
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest[..digits].parse().ok()
        })
    }
}

/// A command with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    module: String,
    /// The payload up to the arguments.
    before_args: String,
    args: String,
    has_ids: bool,
    keying: Keying,
    deadline_ms: u64,
    run: Run,
}

impl Called {
    pub(crate) fn new(
        module: &str,
        command: &str,
        args: &Json,
        keying: Keying,
        deadline: Duration,
        run: Run,
    ) -> Called {
        Called {
            module: module.to_owned(),
            before_args: format!("{{\"name\":{},\"args\":", Json::of(command).as_str()),
            args: args.as_str().to_owned(),
            has_ids: args.as_str().contains(PLACEHOLDER),
            keying,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            run,
        }
    }

    /// Whether the arguments have the id of their call.
    pub(crate) fn has_ids(&self) -> bool {
        self.has_ids
    }

    pub(crate) fn module(&self) -> &str {
        &self.module
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// The request of a call.
    pub(crate) fn request(&self, number: u64) -> Request {
        let mut text = self.before_args.clone();
        match self.has_ids {
            // Outside of a text, JSON has no such braces; and an id needs no escape inside of one.
            true => text.push_str(&self.args.replace(PLACEHOLDER, &self.run.id(number))),
            false => text.push_str(&self.args),
        }
        text.push('}');
        let mut request = Request::new(None, RequestType::Command, Json::of_checked_buffer(text)).to(&self.module);
        request.deadline_ms = Some(self.deadline_ms);
        request.key = matches!(self.keying, Keying::Keyed).then(|| self.run.id(number));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(args: &str, keying: Keying) -> Called {
        let args = Json::parse(args).unwrap();
        Called::new("log", "add", &args, keying, Duration::from_secs(2), Run::named("ab12"))
    }

    #[test]
    fn each_call_has_its_id_in_the_arguments_and_as_its_key() {
        let request = called(r#"{"text":"call {id}, {id}","n":[1.0]}"#, Keying::Keyed).request(7);
        let expected = r#"{"name":"add","args":{"text":"call ab12-7, ab12-7","n":[1.0]}}"#;
        assert_eq!(request.payload.as_str(), expected);
        assert_eq!((request.key.as_deref(), request.deadline_ms), (Some("ab12-7"), Some(2000)));
        let plain = called("null", Keying::Plain);
        assert!(!plain.has_ids());
        assert_eq!(plain.request(7).payload.as_str(), r#"{"name":"add","args":null}"#);
        assert_eq!(plain.request(7).key, None);
    }

    #[test]
    fn ids_are_found_in_a_text_whole_and_only_those_of_this_run() {
        let run = Run::named("ab12");
        let numbers = |text: &str| run.numbers_in(text).collect::<Vec<_>>();
        assert_eq!(numbers(r#"["ab12-17","x ab12-170, ab12-17",{"id":"ff00-3"}]"#), [17, 170, 17]);
        assert_eq!(numbers("ab12 ab12- ab12-x ab12-99999999999999999999999"), [0; 0]);
    }

    #[test]
    fn two_runs_have_two_names() {
        assert_ne!(Run::new().unwrap(), Run::new().unwrap());
    }
}
