//! A module's program with the data store: what the program requests while it works is answered, and what it changes is
//! committed before its success is passed on, as by a host.

use crate::Layer1;
use bulkhead_module::testing::{Program, RequestType, Store};
use bulkhead_module::{Error, Json};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// A running program and its store.
pub struct Hosted {
    program: Program,
    layer1: Layer1,
    /// The requests whose handlers have used the store, and which are not answered yet.
    open: BTreeSet<u64>,
    answers: HashMap<u64, Result<Value, Value>>,
    events: Vec<(String, Value)>,
}

impl Hosted {
    /// Connects the store to the program.
    pub fn new(program: Program, layer1: &Layer1) -> Hosted {
        Hosted { program, layer1: layer1.clone(), open: BTreeSet::new(), answers: HashMap::new(), events: Vec::new() }
    }

    /// The program, so that the test can send messages, kill it and wait for it.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Sends a command and returns what its caller would get.
    ///
    /// # Errors
    /// The error response, as JSON.
    ///
    /// # Panics
    /// When the program ends without an answer.
    pub fn command(&mut self, name: &str, args: Value) -> Result<Value, Value> {
        let id = self.program.send_command(name, args);
        self.answer(id).expect("the program answers")
    }

    /// What the caller of `id` would get; `None` when the program ended without an answer.
    pub fn answer(&mut self, id: u64) -> Option<Result<Value, Value>> {
        while !self.answers.contains_key(&id) {
            match self.program.message() {
                Ok(message) => self.take(&message),
                Err(_) => {
                    self.undo_open();
                    return None;
                }
            }
        }
        self.answers.remove(&id)
    }

    /// The events of requests whose answer was taken by [`Hosted::answer`], with success or error.
    pub fn events(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.events)
    }

    /// What was not answered is undone.
    fn undo_open(&mut self) {
        for request in std::mem::take(&mut self.open) {
            self.layer1.undo(request);
        }
    }

    fn take(&mut self, message: &Value) {
        let id = message["id"].as_u64();
        match (message["type"].as_str(), message["status"].as_str(), id) {
            (Some("event"), ..) => {
                let payload = &message["payload"];
                self.events.push((payload["event"].as_str().unwrap_or_default().to_owned(), payload["data"].clone()));
            }
            (Some(kind), _, Some(id)) => {
                let of = message["of"].as_u64().expect("a module says of which request it asks");
                self.open.insert(of);
                let payload = Json::of(&message["payload"]);
                match self.layer1.ask(of, &RequestType::from_name(kind), &payload) {
                    Ok(data) => self.program.succeed(id, data.read().expect("a Json is JSON")),
                    Err(error) => self.program.fail(id, &error),
                }
            }
            (None, Some("success"), Some(id)) => {
                self.open.remove(&id);
                let answer = self.layer1.commit(id).map(|()| message["data"].clone());
                self.answers.insert(id, answer.map_err(|error| as_json(&error)));
            }
            (None, Some("error"), Some(id)) => {
                self.open.remove(&id);
                self.layer1.undo(id);
                self.answers.insert(id, Err(message.clone()));
            }
            _ => {}
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.undo_open();
    }
}

fn as_json(error: &Error) -> Value {
    json!({ "status": "error", "error": error.to_string(), "code": error.code().name() })
}
