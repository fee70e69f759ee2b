//! Drives a module's functions in the test's own process. Frames, order and batching are not simulated here;
//! [`super::Program`] has them.

use super::{Scratch, Store};
use crate::dispatch::dispatch;
use crate::{Barrier, Context, Description, Error, Module};
use bulkhead_child::{Ask, Host, RequestBody, event_payload};
use bulkhead_protocol::{Json, RequestType};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// A module under test, and what it did to its host.
///
/// ```
/// # use bulkhead_module::{Context, Description, Error, Init, Json, Module, json};
/// # struct Echo;
/// # impl Module for Echo {
/// #     fn describe() -> Description { Description::new("echo", "1") }
/// #     fn init(_: &Init) -> Result<Self, Error> { Ok(Echo) }
/// #     fn command(&mut self, _: &mut Context<'_>, _: &str, args: &Json) -> Result<Json, Error> { Ok(args.clone()) }
/// # }
/// let mut echo = bulkhead_module::testing::Harness::<Echo>::start(json!({}))?;
/// assert_eq!(echo.command("say", json!({"a": 1}))?["a"], 1);
/// # Ok::<(), Error>(())
/// ```
pub struct Harness<M: Module> {
    module: M,
    barrier: Option<Barrier>,
    description: Description,
    script: Script,
    deadline: Option<Duration>,
    key: Option<String>,
    next_id: u64,
    /// Only kept so that it lives as long as the module.
    _scratch: Option<Scratch>,
}

/// A request that the module sent to its host.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// `command`, `query` or `mutation`.
    pub kind: String,
    /// The module it is for.
    pub to: Option<String>,
    /// The payload.
    pub payload: Value,
}

/// The host's answers, as the test wrote them.
#[derive(Default)]
struct Script {
    answers: VecDeque<Result<Value, Error>>,
    store: Option<Box<dyn Store>>,
    asked: Vec<Asked>,
    emitted: Vec<(String, Value)>,
    progress: Vec<Value>,
    checks_until_cancel: Option<u32>,
    id: u64,
    deadline: Option<Instant>,
    key: Option<String>,
}

impl<M: Module> Harness<M> {
    /// Starts the module with this configuration and a data folder of its own.
    ///
    /// # Errors
    /// What the module's `init` failed with.
    pub fn start(config: Json) -> Result<Harness<M>, Error> {
        let scratch = Scratch::new();
        let mut harness = Harness::start_in(scratch.path(), config)?;
        harness._scratch = Some(scratch);
        Ok(harness)
    }

    /// Starts the module on a data folder that may have been used before.
    ///
    /// # Errors
    /// What the module's `init` failed with.
    pub fn start_in(data_dir: &Path, config: Json) -> Result<Harness<M>, Error> {
        let description = M::describe();
        let module = M::init(&super::init(&description.name, config, data_dir))?;
        let barrier = module.barrier();
        let script = Script::default();
        Ok(Harness { module, barrier, description, script, deadline: None, key: None, next_id: 1, _scratch: None })
    }

    /// Sends a command and returns its answer.
    ///
    /// # Errors
    /// What the module answered.
    pub fn command(&mut self, name: &str, args: Json) -> Result<Value, Error> {
        let args: Value = args.read()?;
        self.request(RequestType::Command, json!({ "name": name, "args": args }))
    }

    /// Sends a query and returns its answer.
    ///
    /// # Errors
    /// What the module answered.
    pub fn query(&mut self, payload: Json) -> Result<Value, Error> {
        self.request(RequestType::Query, payload.read()?)
    }

    /// Sends a mutation and returns its answer.
    ///
    /// # Errors
    /// What the module answered.
    pub fn mutation(&mut self, payload: Json) -> Result<Value, Error> {
        self.request(RequestType::Mutation, payload.read()?)
    }

    /// Sends an event.
    ///
    /// # Errors
    /// What the module failed with.
    pub fn event(&mut self, event: &str, data: Json) -> Result<(), Error> {
        let data: Value = data.read()?;
        self.request(RequestType::Event, json!({ "event": event, "data": data })).map(drop)
    }

    /// Shuts the module down.
    ///
    /// # Errors
    /// What the module failed with.
    pub fn shutdown(mut self) -> Result<(), Error> {
        self.request(RequestType::Shutdown, Value::Null).map(drop)
    }

    /// The next request has this idempotency key.
    pub fn with_key(&mut self, key: &str) -> &mut Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The next request has this deadline.
    pub fn with_deadline(&mut self, deadline: Duration) -> &mut Self {
        self.deadline = Some(deadline);
        self
    }

    /// The next request is cancelled when its handler has looked `checks` times.
    pub fn cancelled_after(&mut self, checks: u32) -> &mut Self {
        self.script.checks_until_cancel = Some(checks);
        self
    }

    /// What the host answers to the module's next request that has no answer yet; without one it gets the error that
    /// the host is gone.
    pub fn host_answers(&mut self, answer: Result<Json, Error>) -> &mut Self {
        self.script.answers.push_back(answer.map(|data| data.read().expect("a Json is JSON")));
        self
    }

    /// From here on, requests of the module to the host's data store without an answer by [`Harness::host_answers`] go
    /// to this one. What a request changes there is committed when its handler succeeds; when it fails, its changes and
    /// its events are undone.
    pub fn with_store(mut self, store: impl Store + 'static) -> Self {
        self.script.store = Some(Box::new(store));
        self
    }

    /// What the module reports about itself: its answer to `init`.
    pub fn described(&self) -> Json {
        Json::of(&self.description.ready())
    }

    /// The module's requests to the host since the last call.
    pub fn asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.script.asked)
    }

    /// The events that the module published since the last call.
    pub fn emitted(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.script.emitted)
    }

    /// The progress that the module reported since the last call.
    pub fn progress(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.script.progress)
    }

    /// The module itself.
    pub fn module(&mut self) -> &mut M {
        &mut self.module
    }

    /// Sends a request of any type with its payload as it is on the wire, `{"name","args"}` of a command, and returns the
    /// text of the answer: no digit is changed on the way.
    ///
    /// # Errors
    /// What the module answered.
    pub fn send(&mut self, kind: RequestType, payload: &Json) -> Result<Json, Error> {
        self.script.deadline = self.deadline.take().map(|deadline| Instant::now() + deadline);
        self.script.key = self.key.take();
        self.script.id = self.next_id;
        self.next_id += 1;
        let emitted = self.script.emitted.len();
        let mut ctx = Context { host: &mut self.script };
        let mut result = dispatch(&mut self.module, &self.description, &mut ctx, &kind, payload);
        self.script.checks_until_cancel = None;
        if let Some(store) = &mut self.script.store {
            match &result {
                Ok(_) => result = store.commit(self.script.id).and(result),
                Err(_) => store.undo(self.script.id),
            }
            if result.is_err() {
                self.script.emitted.truncate(emitted);
            }
        }
        if let Some(barrier) = &mut self.barrier {
            barrier()?;
        }
        result
    }

    fn request(&mut self, kind: RequestType, payload: Value) -> Result<Value, Error> {
        self.send(kind, &Json::of(&payload)).map(|data| data.read().expect("a Json is JSON"))
    }
}

impl Host for Script {
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error> {
        self.asked.push(Asked {
            kind: ask.what.kind().name().to_owned(),
            to: ask.to.map(str::to_owned),
            payload: ask.what.payload().read()?,
        });
        if let Some(answer) = self.answers.pop_front() {
            return answer.map(Json::from);
        }
        let is_for_store = ask.to.is_none_or(|to| to == "layer1");
        match (&mut self.store, ask.what) {
            (Some(store), RequestBody::Query(payload) | RequestBody::Mutation(payload)) if is_for_store => {
                store.ask(self.id, &ask.what.kind(), payload)
            }
            (Some(_), RequestBody::Command { name: "flush", .. }) if is_for_store => Ok(Json::null()),
            _ => Err(Error::failed("the test gave the host no answer to this")),
        }
    }

    fn emit(&mut self, event: &str, data: &Json) -> Result<(), Error> {
        event_payload(event, data)?;
        self.emitted.push((event.to_owned(), data.read()?));
        Ok(())
    }

    fn progress(&mut self, data: &Json) -> Result<(), Error> {
        self.progress.push(data.read()?);
        Ok(())
    }

    fn wait(&mut self, _: Duration) -> bool {
        match &mut self.checks_until_cancel {
            None => false,
            Some(0) => true,
            Some(checks) => {
                *checks -= 1;
                false
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn id(&self) -> Option<u64> {
        Some(self.id)
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}
