//! What is asked of the daemon about the module: its state, its processes, its commands. Each question waits for its
//! answer, on a connection of its own.

use crate::problem::Problem;
use bulkhead_client::{Client, command_payload};
use bulkhead_protocol::{Json, Request, RequestType, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long the daemon may take to answer from its own state.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How much longer than a deadline its answer is waited for.
const GRACE: Duration = Duration::from_secs(3);

/// A module in the status.
#[derive(Debug, Deserialize)]
pub(super) struct ModuleStatus {
    pub(super) state: String,
    pub(super) next: Option<Next>,
    instances: Vec<Instance>,
}

/// What the daemon will do next by itself.
#[derive(Debug, Deserialize)]
pub(super) struct Next {
    pub(super) in_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Instance {
    instance: Option<String>,
    pid: Option<i32>,
}

/// A process of the module, by its name and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) instance: String,
    pub(super) pid: i32,
}

impl ModuleStatus {
    /// Its processes.
    pub(super) fn processes(&self) -> Vec<Known> {
        let known = |it: &Instance| Some(Known { instance: it.instance.clone()?, pid: it.pid? });
        self.instances.iter().filter_map(known).collect()
    }
}

/// Where the newest stored event is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Newest {
    pub(super) cursor: u64,
    pub(super) epoch: Option<String>,
}

/// The connection.
#[derive(Debug)]
pub(super) struct Control {
    client: Client,
    module: String,
}

impl Control {
    /// # Errors
    /// When the daemon cannot be reached.
    pub(super) fn connect(socket: &Path, module: &str) -> Result<Control, Problem> {
        Ok(Control { client: Client::connect(socket)?, module: module.to_owned() })
    }

    pub(super) fn module(&self) -> &str {
        &self.module
    }

    /// The state of the module.
    ///
    /// # Errors
    /// When there is no answer, or the module is not there.
    pub(super) fn status(&mut self) -> Result<ModuleStatus, Problem> {
        let data = self.ask("status", &json!({ "name": self.module }), ANSWER_MAX)?;
        data.read().map_err(|error| Problem::failed(format!("the status of {}: {error}", self.module)))
    }

    /// The process that is the parent of all modules; none while there is none.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) fn guardian(&mut self) -> Result<Option<i32>, Problem> {
        let pid = self.host()?["guardian_pid"].as_i64();
        Ok(pid.and_then(|pid| i32::try_from(pid).ok()))
    }

    /// The newest stored event.
    ///
    /// # Errors
    /// When there is no answer, or no data store.
    pub(super) fn newest(&mut self) -> Result<Newest, Problem> {
        let layer1 = self.host()?["layer1"].take();
        serde_json::from_value(layer1).map_err(|error| Problem::failed(format!("the state of the data store: {error}")))
    }

    /// Waits until the module is ready.
    ///
    /// # Errors
    /// When it does not become ready in this time.
    pub(super) fn wait_until_ready(&mut self, timeout: Duration) -> Result<(), Problem> {
        self.ask("wait", &json!({ "name": self.module, "for": "ready" }), timeout).map(|_| ())
    }

    /// Whether a command of the module is declared idempotent.
    ///
    /// # Errors
    /// When there is no such command.
    pub(super) fn is_idempotent(&mut self, command: &str) -> Result<bool, Problem> {
        #[derive(Deserialize)]
        struct Described {
            commands: Vec<Command>,
        }
        #[derive(Deserialize)]
        struct Command {
            idempotent: bool,
        }
        let data = self.ask("describe", &json!({ "name": self.module, "command": command }), ANSWER_MAX)?;
        let described: Described =
            data.read().map_err(|error| Problem::failed(format!("the description of {}: {error}", self.module)))?;
        Ok(described.commands.first().is_some_and(|command| command.idempotent))
    }

    /// Orders a start, which ends any wait for the next one, and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub(super) fn order_start(&mut self) -> Result<(), Problem> {
        self.client.send(&to_supervisor("start", &json!({ "name": self.module })))?;
        Ok(())
    }

    /// Calls a command of the module.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn call(&mut self, command: &str, args: &Json, timeout: Duration) -> Result<Json, Problem> {
        let request = Request::new(None, RequestType::Command, command_payload(command, args.as_str()));
        self.answer(request.to(&self.module), timeout)
    }

    /// Reads all stored events after one of them, up to another, and returns how many are gone.
    ///
    /// # Errors
    /// When they cannot be read, or none comes for too long.
    pub(super) fn events(
        &mut self,
        after: &Newest,
        until: u64,
        mut each: impl FnMut(&str, &Json),
    ) -> Result<u64, Problem> {
        #[derive(Deserialize)]
        struct Item {
            cursor: u64,
            lost: Option<u64>,
            event: Option<String>,
            data: Option<Json>,
            #[serde(default)]
            live: bool,
        }
        let args = json!({ "pattern": "*", "after": after.cursor, "epoch": after.epoch });
        let id = self.client.send(&to_supervisor("events", &args))?;
        let (mut lost, mut reached) = (0, after.cursor);
        while reached < until {
            let item: Item = match self.client.next(id, Some(ANSWER_MAX))?.status {
                Status::Progress(data) => {
                    data.read().map_err(|error| Problem::failed(format!("an event is not understood: {error}")))?
                }
                Status::Error(failure) => return Err(Problem::of_failure("events", &failure)),
                Status::Success(_) => break,
            };
            match (item.lost, item.event, item.data) {
                // It says which event is the newest one, and not that it has been sent.
                (Some(gone), _, _) => lost += gone,
                // It stands at the cursor of another one.
                (None, _, _) if item.live => {}
                (None, Some(event), Some(data)) => {
                    each(&event, &data);
                    reached = item.cursor;
                }
                (None, _, _) => reached = item.cursor,
            }
        }
        // What follows is for nothing, and its answer is dropped with the connection.
        self.client.cancel(id)?;
        Ok(lost)
    }

    fn host(&mut self) -> Result<Value, Problem> {
        let data = self.ask("status", &Value::Null, ANSWER_MAX)?;
        let mut status: Value = data.read().map_err(|error| Problem::failed(format!("the status: {error}")))?;
        Ok(status["host"].take())
    }

    fn ask(&mut self, command: &str, args: &Value, timeout: Duration) -> Result<Json, Problem> {
        self.answer(to_supervisor(command, args), timeout)
    }

    fn answer(&mut self, mut request: Request, timeout: Duration) -> Result<Json, Problem> {
        request.deadline_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        match self.client.request(&request, Some(timeout + GRACE)) {
            Ok(response) => match response.status {
                Status::Success(data) => Ok(data),
                Status::Error(failure) => Err(Problem::of_failure(&self.module, &failure)),
                Status::Progress(_) => unreachable!("a request ends with a success or an error"),
            },
            Err(error) => Err(error.into()),
        }
    }
}

fn to_supervisor(command: &str, args: &Value) -> Request {
    Request::new(None, RequestType::Command, command_payload(command, &args.to_string())).to("supervisor")
}
