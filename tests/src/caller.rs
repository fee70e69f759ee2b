//! A client for tests: JSON values in, an answer or a failure out, and a deadline on every wait.

use crate::timeout;
use bulkhead_client::{Client, command_payload};
use bulkhead_protocol::{Failure, Json, Request, RequestType, Response, Status};
use serde_json::{Value, json};
use std::ops::{Deref, DerefMut};

/// How a request ended.
pub type Answer = Result<Value, Box<Failure>>;

/// A client.
#[derive(Debug)]
pub struct Caller(pub Client);

impl Caller {
    /// Calls a command and waits for the answer.
    ///
    /// # Errors
    /// What the request was answered with.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn call(&mut self, to: &str, name: &str, args: Value) -> Answer {
        let id = self.send_command(to, name, args);
        self.answer(id)
    }

    /// Calls a command with a deadline and waits for the answer.
    ///
    /// # Errors
    /// What the request was answered with.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn call_within(&mut self, ms: u64, to: &str, name: &str, args: Value) -> Answer {
        let mut request = Caller::command(to, name, args);
        request.deadline_ms = Some(ms);
        self.ask(&request)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// What the request was answered with.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&mut self, request: &Request) -> Answer {
        let id = self.0.send(request).expect("a request can be sent");
        self.answer(id)
    }

    /// A command as a request.
    pub fn command(to: &str, name: &str, args: Value) -> Request {
        Request::new(None, RequestType::Command, command_payload(name, &args.to_string())).to(to)
    }

    /// Sends a command and returns its number.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn send_command(&mut self, to: &str, name: &str, args: Value) -> u64 {
        self.0.send(&Caller::command(to, name, args)).expect("a request can be sent")
    }

    /// Waits for the one answer to a request.
    ///
    /// # Errors
    /// What the request was answered with.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn answer(&mut self, id: u64) -> Answer {
        let response = self.0.wait(id, Some(timeout()));
        outcome(response.unwrap_or_else(|error| panic!("expected the answer to request {id}, found: {error}")))
    }

    /// The data of the next progress of a request.
    ///
    /// # Panics
    /// When something else comes, or nothing.
    pub fn progress(&mut self, id: u64) -> Value {
        match self.0.next(id, Some(timeout())).expect("a request is answered").status {
            Status::Progress(data) => data.read().expect("it is JSON"),
            other => panic!("expected progress of request {id}, found {other:?}"),
        }
    }

    /// A command to the supervisor that has to succeed.
    ///
    /// # Panics
    /// When it fails.
    pub fn supervisor(&mut self, name: &str, args: Value) -> Value {
        self.call("supervisor", name, args.clone())
            .unwrap_or_else(|failure| panic!("supervisor {name} {args}: {failure:?}"))
    }

    /// The status of a module.
    pub fn status(&mut self, name: &str) -> Value {
        self.supervisor("status", json!({ "name": name }))
    }

    /// Waits until a module is ready.
    pub fn wait_ready(&mut self, name: &str) {
        self.wait_for(name, "ready");
    }

    /// Waits until a module is `ready` or `stopped`.
    ///
    /// # Panics
    /// When that does not come true.
    pub fn wait_for(&mut self, name: &str, state: &str) {
        let timeout = u64::try_from(timeout().as_millis()).expect("it is short") - 1000;
        let answer = self.call_within(timeout, "supervisor", "wait", json!({ "name": name, "for": state }));
        if let Err(failure) = answer {
            let status = self.status(name);
            panic!("{name} is not {state}: {failure:?}; its status is {status:#}");
        }
    }

    /// Polls a module's status until `holds` accepts it.
    pub fn until_status(&mut self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = std::time::Instant::now() + timeout();
        while std::time::Instant::now() < deadline {
            last = self.status(name);
            if holds(&last) {
                return last;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        panic!("{name} should come to this: {what}; its status is {last:#}")
    }

    /// The process id of a module. A module may be ready a moment before the host learns its process id.
    ///
    /// # Panics
    /// When it has none for too long.
    pub fn pid(&mut self, name: &str) -> i64 {
        let status = self.until_status(name, "it has a process", |status| status["pid"].is_i64());
        status["pid"].as_i64().expect("it was just seen")
    }

    /// The process id of the host's guardian.
    ///
    /// # Panics
    /// When it has none.
    pub fn guardian_pid(&mut self) -> i64 {
        self.supervisor("status", json!(null))["host"]["guardian_pid"].as_i64().expect("it has one")
    }

    /// Waits until the host knows a module of this name.
    pub fn until_known(&mut self, name: &str) {
        crate::until(&format!("{name} is known"), || self.call("supervisor", "status", json!({ "name": name })).ok());
    }

    /// Waits until the host knows no module of this name.
    pub fn until_unknown(&mut self, name: &str) {
        crate::until(&format!("{name} is unknown"), || {
            self.call("supervisor", "status", json!({ "name": name })).err()
        });
    }

    /// Follows events from now on; they come as [`Caller::progress`] of the number.
    pub fn follow(&mut self, pattern: &str) -> u64 {
        let id = self.send_command("supervisor", "events", json!({ "pattern": pattern }));
        assert_eq!(self.progress(id)["following"], true);
        id
    }

    /// The next event of this name among those that are followed.
    pub fn event(&mut self, following: u64, name: &str) -> Value {
        loop {
            let event = self.progress(following);
            if event["event"] == name {
                return event;
            }
        }
    }
}

fn outcome(response: Response) -> Answer {
    match response.status {
        Status::Success(data) => Ok(value(&data)),
        Status::Error(failure) => Err(failure),
        Status::Progress(data) => panic!("expected an answer, found progress {data:?}"),
    }
}

/// Answers may be nested more deeply than a JSON value of the test can be; then their text is used.
fn value(data: &Json) -> Value {
    data.read().unwrap_or_else(|_| Value::String(data.as_str().to_owned()))
}

impl Deref for Caller {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl DerefMut for Caller {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.0
    }
}
