//! For tests: modules from a few lines of text, and a host that answers from a script.

use crate::arguments::Options;
use crate::guest::WasmGuest;
use bulkhead_child::{Ask, Error, Greeting, Guest, Host, Outcome};
use bulkhead_module::testing::{self, Scratch};
use bulkhead_protocol::{Json, RequestType};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The exports that every module needs, but `handle_message`. Strings are never freed: memory grows.
/// `{}` with its NUL is at 16, and 1024 to 4095 is free for the test.
const BORDER: &str = r#"
  (memory (export "memory") 1)
  (data (i32.const 16) "{}\00")
  (global $top (mut i32) (i32.const 4096))
  (func (export "create_module") (result i32) (i32.const 1))
  (func (export "destroy_module") (param i32))
  (func (export "free_string") (param i32))
  (func $alloc (export "alloc_string") (param $length i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (global.get $top) (local.get $length)))
    (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.div_u (local.get $length) (i32.const 65536)) (i32.const 1))))))
    (global.get $top)
    (global.set $top (local.get $end)))
"#;

/// A module whose `handle_message` is `body`, which ends with a pointer on the stack; to `init` it answers `{}`. It has
/// two locals, `$length` and `$errno`. `outside` is the rest of the module.
pub(crate) fn module(imports: &str, body: &str, outside: &str) -> String {
    format!(
        r#"(module {imports} {BORDER} {outside}
  (func $handle (export "handle_message") (param $module i32) (param $type i32) (param $payload i32) (result i32)
    (local $length i32) (local $errno i32)
    (if (i32.eq (i32.load8_u (local.get $type)) (i32.const 105)) (then (return (i32.const 16))))
    {body}))"#
    )
}

/// A module on the disk and what it is started with.
pub(crate) struct Kit {
    pub(crate) scratch: Scratch,
    pub(crate) options: Options,
}

impl Kit {
    pub(crate) fn new(text: &str) -> Kit {
        Kit::of(&wat::parse_str(text).expect("the test's module is WebAssembly"))
    }

    pub(crate) fn of(wasm: &[u8]) -> Kit {
        let scratch = Scratch::new();
        let module = scratch.path().join("module.wasm");
        std::fs::write(&module, wasm).unwrap();
        Kit { scratch, options: Options { module, ..Options::default() } }
    }

    pub(crate) fn with(mut self, set: impl FnOnce(&mut Options)) -> Kit {
        set(&mut self.options);
        self
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.scratch.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// What the module answers to `init`.
    pub(crate) fn init(&self) -> (WasmGuest, Result<Greeting, Error>) {
        self.init_with(json!({}))
    }

    /// The same with more members in the payload.
    pub(crate) fn init_with(&self, more: Value) -> (WasmGuest, Result<Greeting, Error>) {
        let mut guest = WasmGuest::new(self.options.clone());
        let data = self.folder("data");
        let init = testing::init("under-test", json!({}).into(), &data);
        let mut payload = serde_json::to_value(&init).unwrap();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let payload = Json::from(payload);
        let init = payload.read().unwrap();
        let prepared = guest.prepare(&mut Script::default(), &init);
        let greeting = prepared.and_then(|()| guest.init(&init, &payload));
        (guest, greeting)
    }

    /// The module, ready.
    pub(crate) fn ready(&self) -> WasmGuest {
        self.ready_with(json!({}))
    }

    pub(crate) fn ready_with(&self, more: Value) -> WasmGuest {
        let (guest, greeting) = self.init_with(more);
        if let Err(error) = greeting {
            panic!("the module is not ready: {error}");
        }
        guest
    }

    /// Why the module cannot start.
    pub(crate) fn refused(&self) -> Error {
        match self.init().1 {
            Ok(greeting) => panic!("the module is ready: {:?}", greeting.ready),
            Err(error) => error,
        }
    }
}

/// Sends a query with this payload.
pub(crate) fn query(guest: &mut WasmGuest, host: &mut Script, payload: Value) -> Outcome {
    guest.handle(host, &RequestType::Query, &payload.into())
}

/// Sends a query that is answered with data.
pub(crate) fn data(guest: &mut WasmGuest, payload: Value) -> Value {
    match query(guest, &mut Script::default(), payload) {
        Outcome::Answer(Ok(data)) => data.read().unwrap(),
        other => panic!("expected data, found {other:?}"),
    }
}

/// The error and the exit code of a message that ended the process.
pub(crate) fn last(outcome: Outcome) -> (Error, u8) {
    match outcome {
        Outcome::Last(Err(error), code) => (error, code),
        other => panic!("expected the last answer, found {other:?}"),
    }
}

/// The error of a message after which the module goes on.
pub(crate) fn failed(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Answer(Err(error)) => error,
        other => panic!("expected an error, found {other:?}"),
    }
}

/// A host that records its requests and gives the test's answers.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) asked: Vec<Value>,
    pub(crate) answer: Option<Result<Json, Error>>,
    pub(crate) cancelled: bool,
    pub(crate) left: Option<Duration>,
    pub(crate) key: Option<String>,
    /// What is done while the module waits for an answer.
    pub(crate) meanwhile: Option<Box<dyn FnMut() -> Result<(), Error>>>,
}

impl Host for Script {
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error> {
        let (kind, payload) = (ask.what.kind().name().to_owned(), ask.what.payload());
        let payload: Value = payload.read()?;
        let timeout = ask.timeout.map(|timeout| timeout.as_millis() as u64);
        self.asked.push(json!({ "type": kind, "to": ask.to, "payload": payload, "timeout": timeout }));
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile()?;
        }
        self.answer.clone().unwrap_or_else(|| Ok(Json::of("asked")))
    }

    fn emit(&mut self, event: &str, data: &Json) -> Result<(), Error> {
        self.asked.push(json!({ "event": event, "data": data.read::<Value>()? }));
        Ok(())
    }

    fn progress(&mut self, data: &Json) -> Result<(), Error> {
        self.asked.push(json!({ "progress": data.read::<Value>()? }));
        Ok(())
    }

    fn wait(&mut self, duration: Duration) -> bool {
        self.asked.push(json!({ "wait": duration.as_millis() as u64 }));
        self.cancelled
    }

    fn deadline(&self) -> Option<Duration> {
        self.left
    }

    fn id(&self) -> Option<u64> {
        Some(7)
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}
