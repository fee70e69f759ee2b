//! The rules that are checked under a host: a private one inside this program, whose state directory is removed with
//! the check.

mod commands;
mod kills;
mod processes;

use crate::rules::Rule;
use crate::session::UNKNOWN_COMMAND;
use crate::subject::Subject;
use crate::verdicts::{Holds, Verdicts};
use anyhow::{Context, Result};
use bulkhead_client::{Client, ClientError, command_payload};
use bulkhead_config::{HostConfig, ModuleConfig};
use bulkhead_host::{Handle, Host, Options};
use bulkhead_protocol::{Failure, Json, Ready, Request, RequestType, Response, Status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) use commands::Which;
use processes::{processes_with, tree_of};

/// What the checks under a host share.
pub(crate) struct Hosted<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) verdicts: &'a mut Verdicts,
    /// How long an answer may take where the manifest has no time for it.
    pub(crate) timeout: Duration,
    /// What the module says of itself.
    pub(crate) ready: &'a Ready,
    /// How long a start takes.
    pub(crate) start_took: Duration,
    pub(crate) which: Which,
    pub(crate) seed: u64,
}

/// A host with the module, and a client of it.
struct Running {
    client: Client,
    name: String,
    timeout: Duration,
    /// How long a start may take.
    start: Duration,
    /// How many restarts were explained.
    restarts_seen: u64,
    handle: Handle,
    /// Dropped last: nothing of the module is left then.
    host: Host,
}

impl Hosted<'_> {
    /// Checks all of them.
    ///
    /// # Errors
    /// When the check itself cannot go on.
    pub(crate) fn check(&mut self) -> Result<()> {
        let mut running = self.run("state", self.subject.config.clone())?;
        let began = running.supervisor("start");
        let holds = Holds::from(began.is_ok());
        let found = began.err().unwrap_or_default();
        self.verdicts.judge(Rule::Ready, holds, "start", "a process that is ready", &found);
        let mut tree = None;
        if holds == Holds::Yes {
            tree = running.pid().and_then(tree_of);
            self.query(&mut running);
            self.commands(&mut running)?;
            self.kill_when_idle(&mut running);
            self.kill_in_request(&mut running);
            self.kill_in_shutdown(&mut running);
            self.stop(&mut running);
        }
        drop(running.host);
        self.nothing_left(tree.as_deref());
        if holds == Holds::Yes {
            self.kill_in_init()?;
        }
        Ok(())
    }

    /// Starts a host with this module alone, in a state directory of this name.
    fn run(&self, state: &str, config: ModuleConfig) -> Result<Running> {
        let folder = self.subject.path(state);
        let mut host = HostConfig::new(&folder, folder.join("control.sock"));
        host.trusted_users.clone_from(&self.subject.trusted_users);
        let name = config.name.to_string();
        let compile = match &config.kind {
            bulkhead_config::ModuleKind::Wasm { compile_timeout, .. } => *compile_timeout,
            _ => Duration::ZERO,
        };
        let start = config.limits.start_timeout + compile + self.timeout;
        let options = Options { runtime: Some(self.subject.starter.guardian().to_owned()), ..Options::default() };
        let host = Host::start(host, vec![config], options).context("cannot start a host")?;
        self.subject.interrupt.add_host(host.handle());
        let client = host.client().context("cannot connect to the host")?;
        Ok(Running { client, name, timeout: self.timeout, start, restarts_seen: 0, handle: host.handle(), host })
    }

    /// The last stop, which needs no signal, and the account of the whole.
    fn stop(&mut self, running: &mut Running) {
        let status = running.status();
        let strange = status["strange_answers"].as_u64().unwrap_or_default();
        let found = format!("{strange} answers to nothing, as the host has counted");
        self.verdicts.judge(
            Rule::OneAnswer,
            Holds::from(strange == 0),
            "all requests under a host",
            "one answer to each",
            &found,
        );
        let stopped = running.supervisor("stop");
        let is_plain =
            stopped.as_ref().is_ok_and(|answer| answer["state"] == "stopped" && answer.get("remarks").is_none());
        let found = stopped.map_or_else(|error| error, |answer| answer.to_string());
        let expected = "an end by itself, within stop_timeout";
        self.verdicts.judge(Rule::Stop, is_plain.into(), "stop", expected, &found);
    }

    /// After the end of the host no process has the mark of its trees.
    fn nothing_left(&mut self, tree: Option<&str>) {
        let Some(tree) = tree else {
            return self.verdicts.leave_out(Rule::NothingLeft, "the environment of its process cannot be read");
        };
        let left = processes_with(tree);
        let found = left.iter().map(|pid| format!("process {pid}")).collect::<Vec<_>>().join(", ");
        self.verdicts.judge(Rule::NothingLeft, left.is_empty().into(), "the end of the host", "no process", &found);
    }

    fn query(&mut self, running: &mut Running) {
        if self.which == Which::None {
            return self.verdicts.leave_out(Rule::Query, "--skip-commands leaves out queries");
        }
        let outcome = running.request(&Request::new(None, RequestType::Query, json!({}).into()).to(&*running.name));
        let expected = "data, or an error";
        self.verdicts.judge(Rule::Query, outcome.is_answered().into(), "query {}", expected, &outcome.shown());
        // The rules after this one need a process.
        let _ = running.until_ready();
    }
}

/// What a request came to.
pub(crate) enum Outcome {
    Answered(Status),
    /// The host answered in the module's place.
    Lost(Box<Failure>),
    Failed(String),
}

impl Outcome {
    fn of(response: Result<Response, ClientError>) -> Outcome {
        match response {
            // What a module answers has no delivery.
            Ok(Response { status: Status::Error(failure), .. }) if failure.delivery.is_some() => Outcome::Lost(failure),
            Ok(Response { status, .. }) => Outcome::Answered(status),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Outcome::Answered(_))
    }

    pub(crate) fn shown(&self) -> String {
        match self {
            Outcome::Answered(status) => crate::session::shown(status),
            Outcome::Failed(error) => error.clone(),
            Outcome::Lost(failure) => {
                let delivery =
                    failure.delivery.map(|delivery| format!(", delivery {}", delivery.name())).unwrap_or_default();
                let line = failure.stderr.iter().rfind(|line| !line.trim().is_empty());
                let last = line.map(|line| format!("; it printed {line:?} last")).unwrap_or_default();
                format!("{}: {}{delivery}{last}", failure.code, failure.error)
            }
        }
    }
}

impl Running {
    fn request(&mut self, request: &Request) -> Outcome {
        let mut request = request.clone();
        request.deadline_ms = Some(u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX));
        // The host answers at the deadline; if it does not, the check goes on all the same.
        Outcome::of(self.client.request(&request, Some(self.timeout + self.timeout)))
    }

    /// Sends a command that no module has.
    fn probe(&mut self) -> Outcome {
        let request = self.probe_request();
        self.request(&request)
    }

    fn probe_request(&self) -> Request {
        let payload = command_payload(UNKNOWN_COMMAND, "{}");
        Request::new(None, RequestType::Command, payload).to(&*self.name)
    }

    fn wait(&mut self, id: u64) -> Outcome {
        Outcome::of(self.client.wait(id, Some(self.start)))
    }

    /// An order to the host about the module.
    fn supervisor(&mut self, command: &str) -> Result<Value, String> {
        let args = Json::of(&json!({ "name": self.name }));
        let data =
            self.client.call("supervisor", command, args, Some(self.start)).map_err(|error| error.to_string())?;
        data.read().map_err(|error| error.to_string())
    }

    /// Sends such an order, and does not wait for its answer.
    fn send_order(&mut self, command: &str) -> Result<u64, String> {
        let payload = command_payload(command, Json::of(&json!({ "name": self.name })).as_str());
        let mut request = Request::new(None, RequestType::Command, payload).to("supervisor");
        request.deadline_ms = Some(u64::try_from(self.start.as_millis()).unwrap_or(u64::MAX));
        self.client.send(&request).map_err(|error| error.to_string())
    }

    fn status(&mut self) -> Value {
        self.supervisor("status").unwrap_or_default()
    }

    fn restarts(&mut self) -> u64 {
        self.status()["restarts"].as_u64().unwrap_or_default()
    }

    fn pid(&mut self) -> Option<i32> {
        self.status()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
    }

    /// Waits for a status.
    fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let until = Instant::now() + self.start;
        loop {
            if self.handle.has_ended() {
                return Err("the host has ended".to_owned());
            }
            let status = self.status();
            if holds(&status) {
                return Ok(status);
            }
            if Instant::now() > until {
                let part = |member: &str| status[member].to_string();
                return Err(format!(
                    "state {}, last_exit {}, reason {}",
                    part("state"),
                    part("last_exit"),
                    part("reason")
                ));
            }
            // Not every state has an event; the pause only spares the processor.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn until_ready(&mut self) -> Result<Value, String> {
        self.until(|status| status["state"] == "ready" && status["pid"].is_i64())
    }

    /// Waits for a ready process that is another one.
    fn until_another(&mut self, pid: i32) -> Result<Value, String> {
        self.until(|status| status["state"] == "ready" && status["pid"].is_i64() && status["pid"] != pid)
    }
}
