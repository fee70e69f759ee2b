//! The connection to the host: what was asked, and what an answer is about.

use crate::cli::Once;
use crate::input::{Input, Inputs};
use crate::plan::Id;
use bulkhead_client::{Client, ClientError, Sender, command_payload};
use bulkhead_protocol::{Request, RequestType, Response, Status};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::thread;
use std::time::Duration;

/// How long a reload may take. The module's own limits are shorter, and the host answers when one is passed.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How long the call of `--once` may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Events,
    Log(Id),
    Crash(Id),
    Reload(Id),
    Call,
    Messages,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    sender: Sender,
    asked: HashMap<u64, Purpose>,
}

impl Link {
    /// Reads the answers of a client on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn new(client: Client, inputs: &Inputs) -> io::Result<Link> {
        let (sender, mut receiver) = client.split();
        let inputs = inputs.clone();
        thread::Builder::new().name("answers".into()).spawn(move || {
            loop {
                let (input, is_end) = match receiver.receive(None) {
                    Ok(response) => (Input::Answer(Box::new(response)), false),
                    Err(ClientError::Closed) => (Input::HostGone("it closed the connection".into()), true),
                    Err(error) => (Input::HostGone(error.to_string()), true),
                };
                if inputs.send(input).is_err() || is_end {
                    return;
                }
            }
        })?;
        Ok(Link { sender, asked: HashMap::new() })
    }

    /// Follows what happens to modules.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn follow_events(&mut self) -> Result<(), ClientError> {
        self.order("events", &json!({ "pattern": "module.*" }), None, Purpose::Events)
    }

    /// Follows the log of a module, after so many of its last lines.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn follow_log(&mut self, id: Id, name: &str, lines: u64) -> Result<(), ClientError> {
        self.order("logs", &json!({ "name": name, "lines": lines, "follow": true }), None, Purpose::Log(id))
    }

    /// Follows the messages of modules.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn inspect(&mut self, names: &[String], types: &[String]) -> Result<(), ClientError> {
        self.order("inspect", &json!({ "names": names, "types": types }), None, Purpose::Messages)
    }

    /// Asks for the record of the last crash.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn last_crash(&mut self, id: Id, name: &str) -> Result<(), ClientError> {
        self.order("crashes", &json!({ "name": name, "limit": 1 }), None, Purpose::Crash(id))
    }

    /// Orders a reload, which starts a module that is new to the host.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn reload(&mut self, id: Id, name: &str) -> Result<(), ClientError> {
        self.order("reload", &json!({ "name": name }), Some(RELOAD_TIMEOUT), Purpose::Reload(id))
    }

    /// Makes the call of `--once`.
    ///
    /// # Errors
    /// When the connection broke, or the call is longer than a message may be.
    pub(crate) fn call(&mut self, name: &str, once: &Once) -> Result<(), ClientError> {
        let payload = command_payload(&once.command, once.args.as_str());
        self.send(Request::new(None, RequestType::Command, payload).to(name), Some(CALL_TIMEOUT), Purpose::Call)
    }

    /// What an answer is about; none if it is about nothing that was asked.
    pub(crate) fn purpose(&mut self, response: &Response) -> Option<Purpose> {
        let id = response.id?;
        match response.status {
            Status::Progress(_) => self.asked.get(&id).cloned(),
            Status::Success(_) | Status::Error(_) => self.asked.remove(&id),
        }
    }

    fn order(
        &mut self,
        command: &str,
        args: &Value,
        timeout: Option<Duration>,
        purpose: Purpose,
    ) -> Result<(), ClientError> {
        let payload = command_payload(command, &args.to_string());
        self.send(Request::new(None, RequestType::Command, payload).to("supervisor"), timeout, purpose)
    }

    fn send(&mut self, mut request: Request, timeout: Option<Duration>, purpose: Purpose) -> Result<(), ClientError> {
        request.deadline_ms = timeout.map(|timeout| timeout.as_millis() as u64);
        let id = self.sender.queue_request(&request)?;
        self.sender.flush()?;
        self.asked.insert(id, purpose);
        Ok(())
    }
}
