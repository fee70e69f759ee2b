//! What a module is: the trait that its author implements. How requests reach it is not decided here, so that the same
//! implementation can run in a process, behind a C ABI or in WebAssembly.

use crate::{Barrier, Context, Error};
use bulkhead_protocol::init::{FEATURE_KEYS, Ready};
use bulkhead_protocol::{Command, Details, Init, Json, PROTOCOL_VERSION};

/// A module. One value lives from `init` to the end of its process; its functions are called one at
/// a time, in the order in which the requests came.
///
/// The attribute `module` writes the implementation. By hand it is:
///
/// ```no_run
/// use bulkhead_module::{Context, Description, Error, Init, Json, Module, json};
///
/// struct Greeter;
///
/// impl Module for Greeter {
///     fn describe() -> Description {
///         Description::new("greeter", "1.0.0").idempotent("greet", "says hello to {\"name\"}")
///     }
///
///     fn init(_: &Init) -> Result<Self, Error> {
///         Ok(Greeter)
///     }
///
///     fn command(&mut self, _: &mut Context<'_>, _name: &str, args: &Json) -> Result<Json, Error> {
///         #[derive(serde::Deserialize)]
///         struct Greet {
///             name: String,
///         }
///         let greet: Greet = bulkhead_module::arguments(args)?;
///         Ok(json!({ "hello": greet.name }))
///     }
/// }
///
/// bulkhead_module::main!(Greeter);
/// ```
///
/// If a handler panics, its caller gets `module_error`, and the process ends: after a panic the state of the value is
/// unknown, and the host starts a fresh process at once. A manifest with `on_panic = "continue"` keeps the value
/// instead.
pub trait Module: Sized {
    /// The module's name, version and commands.
    fn describe() -> Description;

    /// Makes the module from its configuration. The host takes the return as readiness, so what
    /// must be open before the first request is opened here.
    ///
    /// # Errors
    /// The process ends and is started again by the restart policy; an error marked
    /// [`permanent`](Error::permanent) says that this would not help.
    fn init(init: &Init) -> Result<Self, Error>;

    /// Does the command `name`. Where the description lists commands, only those arrive. `args` is
    /// an object `{}` where the caller gave none.
    ///
    /// # Errors
    /// The caller gets the error as the answer.
    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error>;

    /// Reads data.
    ///
    /// # Errors
    /// The caller gets the error as the answer; `unknown_type` unless the module overrides this.
    fn query(&mut self, _ctx: &mut Context<'_>, _payload: &Json) -> Result<Json, Error> {
        Err(Error::unknown_type("this module answers no queries"))
    }

    /// Changes data.
    ///
    /// # Errors
    /// The caller gets the error as the answer; `unknown_type` unless the module overrides this.
    fn mutation(&mut self, _ctx: &mut Context<'_>, _payload: &Json) -> Result<Json, Error> {
        Err(Error::unknown_type("this module makes no mutations"))
    }

    /// Something happened that the manifest subscribes to.
    ///
    /// # Errors
    /// The error is logged, and is the answer where the sender wants one.
    fn event(&mut self, _ctx: &mut Context<'_>, _event: &str, _data: &Json) -> Result<(), Error> {
        Ok(())
    }

    /// The last call, after everything that came before is answered.
    ///
    /// # Errors
    /// The error is the answer to the host, and the exit code is 1.
    fn shutdown(&mut self, _ctx: &mut Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// What must be done before answers leave the process, such as flushing a file; asked for once,
    /// after `init`. See [`Barrier`].
    fn barrier(&self) -> Option<Barrier> {
        None
    }
}

/// What a module reports about itself when it is ready.
#[derive(Clone, Debug)]
pub struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) about: String,
    pub(crate) commands: Vec<Command>,
    pub(crate) features: Vec<String>,
    pub(crate) batches: bool,
}

impl Description {
    /// A module of this name and version that knows no commands yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Description {
        let (name, version) = (name.into(), version.into());
        Description { name, version, about: String::new(), commands: Vec::new(), features: Vec::new(), batches: false }
    }

    /// What the module is for, in a line or a few, for people; of it the host keeps 4096 bytes.
    pub fn about(mut self, text: &str) -> Description {
        text.clone_into(&mut self.about);
        self
    }

    /// A command that is not safe to do twice: after a crash, a caller whose request had begun is informed, and the
    /// request is not sent again.
    pub fn command(self, name: &str, description: &str) -> Description {
        self.with(name, description, false)
    }

    /// A command of which doing it twice is the same as doing it once: after a crash the host sends
    /// it again, and the caller notices nothing.
    pub fn idempotent(self, name: &str, description: &str) -> Description {
        self.with(name, description, true)
    }

    /// The command that was named last changes nothing. The host passes that on; `bulkhead mcp --read-only` shows only
    /// such commands.
    ///
    /// # Panics
    /// When no command was named before.
    pub fn read_only(mut self) -> Description {
        self.last_command().read_only = true;
        self
    }

    /// The JSON Schema (2020-12) of the arguments of the command that was named last: an object or a boolean.
    /// `bulkhead describe` and completions show it; the host checks no arguments by it. It and what
    /// [`Description::returns`] and [`Description::examples`] say have at most 64 KiB each, and 256 KiB
    /// for all commands together; the host leaves out what is longer, and says so in the module's log.
    ///
    /// # Panics
    /// When no command was named before.
    pub fn args(mut self, schema: Json) -> Description {
        self.last_details().args = Some(schema);
        self
    }

    /// The JSON Schema (2020-12) of the data that the command which was named last answers with: an
    /// object or a boolean.
    ///
    /// # Panics
    /// When no command was named before.
    pub fn returns(mut self, schema: Json) -> Description {
        self.last_details().returns = Some(schema);
        self
    }

    /// A list of examples of the command that was named last, each `{"args","returns","description"}`.
    ///
    /// # Panics
    /// When no command was named before.
    pub fn examples(mut self, list: Json) -> Description {
        self.last_details().examples = Some(list);
        self
    }

    /// The module recognises a request's key ([`Context::key`]) and does the work of one key once, also across a crash.
    /// This is information for people: the host sends keyed requests again in any case. It is for effects outside of
    /// the host's data store: those inside it happen once without the module's help.
    pub fn keys(mut self) -> Description {
        self.features.push(FEATURE_KEYS.to_owned());
        self
    }

    /// The answers to requests that are safe to repeat may be written together, which saves system
    /// calls and lets one [`Barrier`] serve many. An answer may then wait for the handlers of
    /// requests that came with it, so this is for modules whose handlers are short.
    pub fn batch_answers(mut self) -> Description {
        self.batches = true;
        self
    }

    fn with(mut self, name: &str, description: &str, idempotent: bool) -> Description {
        let (name, description) = (name.to_owned(), description.to_owned());
        self.commands.push(Command { name, idempotent, description, ..Command::default() });
        self
    }

    fn last_details(&mut self) -> &mut Details {
        self.last_command().details.get_or_insert_default()
    }

    fn last_command(&mut self) -> &mut Command {
        self.commands.last_mut().expect("a command is named before it is described")
    }

    pub(crate) fn ready(&self) -> Ready {
        Ready {
            name: self.name.clone(),
            version: self.version.clone(),
            description: self.about.clone(),
            protocol: PROTOCOL_VERSION,
            commands: self.commands.clone(),
            features: self.features.clone(),
        }
    }

    /// What a library reports about itself before `init`.
    pub(crate) fn metadata(&self) -> Json {
        #[derive(serde::Serialize)]
        struct Metadata {
            #[serde(flatten)]
            ready: Ready,
            batch_answers: bool,
        }
        Json::of(&Metadata { ready: self.ready(), batch_answers: self.batches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_sent_with_what_the_description_says_of_it() {
        let json = |text| Json::parse(text).unwrap();
        let description = Description::new("x", "1")
            .about("for tests")
            .command("bare", "")
            .idempotent("read", "reads")
            .read_only()
            .args(json(r#"{"type": "object"}"#))
            .returns(json("true"))
            .examples(json(r#"[{"args":{}}]"#));
        let expected = r#"{"name":"x","version":"1","description":"for tests","protocol":1,"commands":[{"name":"bare","idempotent":false},{"name":"read","idempotent":true,"read_only":true,"description":"reads","args":{"type": "object"},"returns":true,"examples":[{"args":{}}]}],"features":[]}"#;
        assert_eq!(Json::of(&description.ready()).as_str(), expected);
        assert!(description.metadata().as_str().contains(r#""args":{"type": "object"}"#));
    }

    #[test]
    #[should_panic(expected = "a command is named before it is described")]
    fn a_description_of_no_command_is_a_fault_of_the_program() {
        let _ = Description::new("x", "1").args(Json::null());
    }
}
