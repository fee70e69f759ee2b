//! A module under the real host, in a process of its own: [`TestHost`] starts the program `bulkhead test-host` and speaks
//! the wire to it. What the host does is not done here again.

mod builder;
mod fakes;
mod link;

pub use builder::TestHostBuilder;
pub use fakes::Asked;
pub use link::Call;

use crate::Error;
use bulkhead_protocol::{Json, Pattern, Request, RequestType};
use fakes::Fakes;
use link::Link;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long is waited for anything, unless a test says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two looks at something that no event announces.
const LOOK: Duration = Duration::from_millis(2);

/// Lines of a log that are looked at.
const LINES_MAX: usize = 10_000;

/// Events that say that a process has ended.
const ENDS: [&str; 5] = ["module.crashed", "module.failed", "module.finished", "module.exited", "module.lost"];

/// A module that runs under a host of its own, with its data store. Dropping it ends the host with all modules, and
/// removes what they stored.
///
/// ```no_run
/// use bulkhead_module::testing::TestHost;
/// use serde_json::json;
///
/// # fn test() -> Result<(), bulkhead_module::Error> {
/// let host = TestHost::of_program("target/debug/stock").config(json!({ "low": 2 })).start()?;
/// assert_eq!(host.call("put", json!({ "item": "bolt", "count": 5 }))?, json!({ "left": 5 }));
/// assert_eq!(host.entities("StockItem")?[0]["data"]["left"], 5);
/// # Ok(())
/// # }
/// ```
pub struct TestHost {
    link: Link,
    fakes: Arc<Fakes>,
    module: String,
    timeout: Duration,
}

impl TestHost {
    /// A module that is this program, without a manifest, usually `env!("CARGO_BIN_EXE_…")`.
    pub fn of_program(path: impl AsRef<Path>) -> TestHostBuilder {
        TestHost::of_command([path.as_ref().as_os_str()])
    }

    /// A module that is this command, without a manifest.
    pub fn of_command<I>(words: I) -> TestHostBuilder
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let separator = std::iter::once("--".into());
        TestHostBuilder::new(separator.chain(words.into_iter().map(Into::into)).collect())
    }

    /// The module whose manifest is in this folder, of any kind.
    pub fn of_folder(folder: impl AsRef<Path>) -> TestHostBuilder {
        TestHostBuilder::new(vec![folder.as_ref().into()])
    }

    /// The name of the module under test.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The process of the host.
    pub fn pid(&self) -> u32 {
        self.link.pid()
    }

    /// Calls a command of the module under test.
    ///
    /// # Errors
    /// What it answers.
    pub fn call(&self, name: &str, args: Value) -> Result<Value, Error> {
        self.begin(name, args)?.result()
    }

    /// Sends it a command and does not wait.
    ///
    /// # Errors
    /// When the host ended.
    pub fn begin(&self, name: &str, args: Value) -> Result<Call, Error> {
        self.send(self.command_to(&self.module, name, args))
    }

    /// Calls a command of another module, or of `supervisor`.
    ///
    /// # Errors
    /// What it answers.
    pub fn call_to(&self, to: &str, name: &str, args: Value) -> Result<Value, Error> {
        self.send(self.command_to(to, name, args))?.result()
    }

    /// Sends any request, such as one with a key or with a deadline of its own.
    ///
    /// # Errors
    /// When the host ended.
    pub fn send(&self, request: Request) -> Result<Call, Error> {
        self.link.ask(request)
    }

    /// Sends the module a query.
    ///
    /// # Errors
    /// What it answers.
    pub fn query(&self, payload: Value) -> Result<Value, Error> {
        self.send(self.request(RequestType::Query, &self.module, payload))?.result()
    }

    /// Sends the module a mutation.
    ///
    /// # Errors
    /// What it answers.
    pub fn mutate(&self, payload: Value) -> Result<Value, Error> {
        self.send(self.request(RequestType::Mutation, &self.module, payload))?.result()
    }

    /// A query of the data store.
    ///
    /// # Errors
    /// What the store answers.
    pub fn query_store(&self, payload: Value) -> Result<Value, Error> {
        self.send(self.request(RequestType::Query, "layer1", payload))?.result()
    }

    /// A mutation of the data store.
    ///
    /// # Errors
    /// What the store answers.
    pub fn mutate_store(&self, payload: Value) -> Result<Value, Error> {
        self.send(self.request(RequestType::Mutation, "layer1", payload))?.result()
    }

    /// Creates an entity, and returns its id.
    ///
    /// # Errors
    /// What the store answers.
    pub fn create(&self, entity: &str, data: Value) -> Result<String, Error> {
        let made = self.mutate_store(json!({ "entity": entity, "operation": "create", "data": data }))?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    /// The entity with this id.
    ///
    /// # Errors
    /// `not_found`, and whatever else the store answers.
    pub fn entity(&self, entity: &str, id: &str) -> Result<Value, Error> {
        Ok(self.query_store(json!({ "entity": entity, "id": id }))?["entities"][0].take())
    }

    /// All entities of this type.
    ///
    /// # Errors
    /// What the store answers.
    pub fn entities(&self, entity: &str) -> Result<Vec<Value>, Error> {
        let (mut all, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut page = self.query_store(json!({ "entity": entity, "after": after }))?;
            all.extend(page["entities"].as_array_mut().into_iter().flatten().map(Value::take));
            after = page["next"].take();
            if after.is_null() {
                return Ok(all);
            }
        }
    }

    /// Publishes an event, and returns its cursor.
    ///
    /// # Errors
    /// What the host answers.
    pub fn emit(&self, event: &str, data: Value) -> Result<u64, Error> {
        let payload = Json::of(&json!({ "event": event, "data": data }));
        let answer = self.send(Request::new(None, RequestType::Event, payload))?.result()?;
        Ok(answer["cursor"].as_u64().unwrap_or_default())
    }

    /// Publishes an event, and waits until the module under test has handled it.
    ///
    /// # Errors
    /// What the host answers; when the module subscribes to nothing, or has not handled it in time.
    pub fn deliver(&self, event: &str, data: Value) -> Result<(), Error> {
        let (until, cursor) = (Instant::now() + self.timeout, self.emit(event, data)?);
        loop {
            let status = self.call_to("supervisor", "layer1", Value::Null)?;
            let all = status["subscriptions"].as_array();
            let own = all.into_iter().flatten().find(|found| found["module"] == *self.module);
            let at = own.and_then(|own| own["cursor"].as_u64()).ok_or_else(|| {
                Error::failed(format!("{} subscribes to no events; event_subscribe says to which", self.module))
            })?;
            if at >= cursor {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Error::deadline_exceeded(format!("{} has not handled {event} in time", self.module)));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// All stored events of this pattern so far, as `{"event","data","cursor","source",…}`; those of all that was
    /// answered are among them.
    ///
    /// # Errors
    /// When the host ended.
    pub fn events(&self, pattern: &str) -> Result<Vec<Value>, Error> {
        let status = self.call_to("supervisor", "status", Value::Null)?;
        let newest = status["host"]["layer1"]["cursor"].as_u64().unwrap_or_default();
        if newest > 0 {
            let has_it = |event: &Value| event["cursor"].as_u64().is_some_and(|cursor| cursor >= newest);
            self.link.wait_event(0, self.timeout, "the newest event", has_it)?;
        }
        let pattern = checked(pattern);
        Ok(self.link.events(0, |event| is_stored(event) && is_of(event, &pattern)))
    }

    /// The host's own events so far, such as `module.ready` and `module.crashed`.
    ///
    /// # Errors
    /// When the host ended.
    pub fn host_events(&self, pattern: &str) -> Result<Vec<Value>, Error> {
        // What the host has announced before it answers comes before the answer.
        self.send(Request::new(None, RequestType::Ping, Json::null()))?.result()?;
        let pattern = checked(pattern);
        Ok(self.link.events(0, |event| event["live"] == true && is_of(event, &pattern)))
    }

    /// Waits for an event of this pattern, of the host's own too: the first one since the start that `choose` chooses.
    ///
    /// # Errors
    /// When there is none in time, or the host ended.
    pub fn wait_event(&self, pattern: &str, choose: impl Fn(&Value) -> bool) -> Result<Value, Error> {
        let of = checked(pattern);
        let what = format!("an event {pattern}");
        Ok(self.link.wait_event(0, self.timeout, &what, |event| is_of(event, &of) && choose(event))?.1)
    }

    /// What was asked of a fake so far.
    pub fn asked(&self, fake: &str) -> Vec<Asked> {
        self.fakes.asked_of(fake)
    }

    /// The status of the module under test.
    ///
    /// # Errors
    /// When the host ended.
    pub fn status(&self) -> Result<Value, Error> {
        self.call_to("supervisor", "status", json!({ "name": self.module }))
    }

    /// The records of its crashes, the oldest first.
    ///
    /// # Errors
    /// When the host ended.
    pub fn crashes(&self) -> Result<Vec<Value>, Error> {
        let mut answer = self.call_to("supervisor", "crashes", json!({ "name": self.module }))?;
        Ok(answer["crashes"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The last lines of its log, the oldest first. A line may come a moment after the answer to the call that has
    /// printed it: [`TestHost::wait_log`] waits for one.
    ///
    /// # Errors
    /// When the host ended.
    pub fn logs(&self) -> Result<Vec<String>, Error> {
        let call = self.send(self.command_to("supervisor", "logs", json!({ "name": self.module, "lines": 1000 })))?;
        // All lines come before the answer.
        let lines = call.wait_progress(usize::MAX, self.timeout)?;
        call.result()?;
        Ok(lines.iter().filter_map(|line| line["line"].as_str()).map(str::to_owned).collect())
    }

    /// Waits for a line that has this text in it; the first one since the start.
    ///
    /// # Errors
    /// When there is none in time, or the host ended.
    pub fn wait_log(&self, text: &str) -> Result<String, Error> {
        let args = json!({ "name": self.module, "lines": LINES_MAX, "follow": true });
        let call = self.send(self.command_to("supervisor", "logs", args))?;
        let line = call.wait_for(self.timeout, &format!("a line with {text:?}"), |data| {
            data["line"].as_str().filter(|line| line.contains(text)).map(str::to_owned)
        })?;
        call.cancel()?;
        Ok(line)
    }

    /// Kills the process of the module, once it is ready, and waits until it is gone; returns its number. The host
    /// starts another one by the module's rules: the next call waits for it.
    ///
    /// # Errors
    /// When it is not ready by itself, or the host ended.
    pub fn kill(&self) -> Result<u64, Error> {
        let (status, pid) = self.process()?;
        let all = status["instances"].as_array();
        let own = all.into_iter().flatten().find(|instance| instance["pid"] == pid);
        let instance = own.map(|own| own["instance"].clone()).unwrap_or_default();
        let begin = self.link.event_count();
        let killed = Command::new("/bin/sh").args(["-c", &format!("kill -s KILL {pid}")]).status()?;
        if !killed.success() {
            return Err(Error::failed(format!("cannot kill process {pid}")));
        }
        let is_its_end = |event: &Value| {
            event["event"].as_str().is_some_and(|name| ENDS.contains(&name)) && event["data"]["instance"] == instance
        };
        self.link.wait_event(begin, self.timeout, &format!("the end of process {pid}"), is_its_end)?;
        Ok(pid)
    }

    /// The status with the number of its process, once it is ready. The host learns that number apart from the
    /// readiness, and may learn it later.
    fn process(&self) -> Result<(Value, u64), Error> {
        let until = Instant::now() + self.timeout;
        loop {
            self.wait_ready()?;
            let status = self.status()?;
            if let Some(pid) = status["pid"].as_u64() {
                return Ok((status, pid));
            }
            if Instant::now() > until {
                return Err(Error::deadline_exceeded(format!("{} has no process", self.module)));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the module is ready.
    ///
    /// # Errors
    /// When it will not be by itself.
    pub fn wait_ready(&self) -> Result<(), Error> {
        self.call_to("supervisor", "wait", json!({ "name": self.module, "for": "ready" })).map(drop)
    }

    /// Starts the module, after [`TestHostBuilder::no_start`] or a stop.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(&self) -> Result<(), Error> {
        self.call_to("supervisor", "start", json!({ "name": self.module })).map(drop)
    }

    fn command_to(&self, to: &str, name: &str, args: Value) -> Request {
        let args = if args.is_null() { json!({ "name": name }) } else { json!({ "name": name, "args": args }) };
        self.request(RequestType::Command, to, args)
    }

    fn request(&self, kind: RequestType, to: &str, payload: Value) -> Request {
        let mut request = Request::new(None, kind, Json::of(&payload)).to(to);
        request.deadline_ms = u64::try_from(self.timeout.as_millis()).ok();
        request
    }
}

/// Whether it is one that the store has.
fn is_stored(event: &Value) -> bool {
    event["cursor"].is_u64() && event["live"] != true
}

fn is_of(event: &Value, pattern: &Pattern) -> bool {
    event["event"].as_str().is_some_and(|name| pattern.matches(name))
}

fn checked(pattern: &str) -> Pattern {
    Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern:?}: {error}"))
}
