//! The process and the wire to it: a thread takes what comes, and those who wait are woken.

use super::fakes::Fakes;
use crate::Error;
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_DEFAULT, REWRITE_BYTES_MAX};
use bulkhead_protocol::{Decoder, Failure, Json, Message, Request, RequestType, Response, Status};
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The way to a test host. It ends with the last of its owners.
pub(super) struct Link {
    shared: Arc<Shared>,
    child: Child,
}

struct Shared {
    state: Mutex<State>,
    has_changed: Condvar,
    to_host: Mutex<Option<ChildStdin>>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    calls: HashMap<u64, Progress>,
    events: Vec<Value>,
    final_failure: Option<Failure>,
    has_ended: bool,
}

/// What has come for a request.
#[derive(Default)]
struct Progress {
    progress: Vec<Value>,
    answer: Option<Status>,
}

/// A request on its way.
pub struct Call {
    shared: Arc<Shared>,
    id: u64,
}

impl Link {
    pub(super) fn start(program: &Path, words: &[OsString], fakes: &Arc<Fakes>) -> Result<Link, Error> {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| Error::failed(format!("cannot start {}: {error}", program.display())))?;
        let stdout = child.stdout.take().expect("it was asked for");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            has_changed: Condvar::new(),
            to_host: Mutex::new(child.stdin.take()),
        });
        let (taking, fakes) = (shared.clone(), fakes.clone());
        thread::spawn(move || taking.take_all(stdout, &fakes));
        Ok(Link { shared, child })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request, which gets the next number.
    pub(super) fn ask(&self, mut request: Request) -> Result<Call, Error> {
        let id = {
            let mut state = self.shared.state();
            state.last_id += 1;
            let id = state.last_id;
            state.calls.insert(id, Progress::default());
            id
        };
        request.id = Some(id);
        self.shared.send(&Message::Request(request))?;
        Ok(Call { shared: self.shared.clone(), id })
    }

    /// How many events have come.
    pub(super) fn event_count(&self) -> usize {
        self.shared.state().events.len()
    }

    /// The events after the first `from` that `choose` chooses.
    pub(super) fn events(&self, from: usize, choose: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.shared.state().events.iter().skip(from).filter(|event| choose(event)).cloned().collect()
    }

    /// Waits for an event after the first `from`; with its place.
    pub(super) fn wait_event(
        &self,
        from: usize,
        timeout: Duration,
        what: &str,
        choose: impl Fn(&Value) -> bool,
    ) -> Result<(usize, Value), Error> {
        self.shared.wait(Some(timeout), what, |state| {
            let found = state.events.iter().enumerate().skip(from).find(|(_, event)| choose(event));
            found.map(|(at, event)| (at, event.clone()))
        })
    }

    /// The data of an event of the test host's own. It comes, or the host ends and says why.
    pub(super) fn own_event(&self, name: &str) -> Result<Value, Error> {
        self.shared.wait(None, name, |state| {
            state.events.iter().find(|event| event["event"] == name).map(|event| event["data"].clone())
        })
    }
}

/// Ends the host with its modules.
impl Drop for Link {
    fn drop(&mut self) {
        self.shared.to_host.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.child.wait();
    }
}

impl Call {
    /// The progress so far.
    pub fn progress(&self) -> Vec<Value> {
        self.shared.state().calls.get(&self.id).map(|call| call.progress.clone()).unwrap_or_default()
    }

    /// Waits until it has sent so much progress, or is answered.
    ///
    /// # Errors
    /// When that has not come in `timeout`, or the host ended.
    pub fn wait_progress(&self, count: usize, timeout: Duration) -> Result<Vec<Value>, Error> {
        self.shared.wait(Some(timeout), "progress", |state| {
            let call = state.calls.get(&self.id)?;
            (call.progress.len() >= count || call.answer.is_some()).then(|| call.progress.clone())
        })
    }

    /// Waits for progress in which `choose` finds something.
    pub(super) fn wait_for<T>(
        &self,
        timeout: Duration,
        what: &str,
        choose: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, Error> {
        self.shared.wait(Some(timeout), what, |state| state.calls.get(&self.id)?.progress.iter().find_map(&choose))
    }

    /// Waits for its answer.
    ///
    /// # Errors
    /// What the answer says, with code, delivery, exit and the last lines in [`Error::failure`].
    pub fn result(self) -> Result<Value, Error> {
        let answer = self.shared.wait(None, "an answer", |state| state.calls.get_mut(&self.id)?.answer.take())?;
        match answer {
            Status::Success(data) | Status::Progress(data) => data.read().map_err(Error::from),
            Status::Error(failure) => Err(Error::from(*failure)),
        }
    }

    /// Asks the module to stop working on it. It still gets its answer.
    ///
    /// # Errors
    /// When the host ended.
    pub fn cancel(&self) -> Result<(), Error> {
        let mut state = self.shared.state();
        state.last_id += 1;
        let id = state.last_id;
        drop(state);
        let payload = Json::of(&serde_json::json!({ "id": self.id }));
        self.shared.send(&Message::Request(Request::new(id, RequestType::Cancel, payload)))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.state().calls.remove(&self.id);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &Message) -> Result<(), Error> {
        let mut bytes = Vec::new();
        message
            .encode(&mut bytes, FRAME_BYTES_MAX_DEFAULT)
            .map_err(|error| Error::frame_too_large(error.to_string()))?;
        let mut to_host = self.to_host.lock().unwrap_or_else(PoisonError::into_inner);
        match to_host.as_mut().map(|stream| stream.write_all(&bytes)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.state().ended()),
        }
    }

    fn wait<T>(
        &self,
        timeout: Option<Duration>,
        what: &str,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, Error> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.state();
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            if state.has_ended {
                return Err(state.ended());
            }
            let left = until.map_or(Duration::from_secs(3600), |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Error::deadline_exceeded(format!(
                    "expected {what} within {:?}, found none",
                    timeout.unwrap_or_default()
                )));
            }
            state = self.has_changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take_all(self: Arc<Shared>, mut stdout: ChildStdout, fakes: &Arc<Fakes>) {
        let mut decoder = Decoder::new(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX);
        let mut buffer = vec![0; 64 * 1024];
        // The end of the stream is the end of the host, whatever it is.
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            let mut input = &buffer[..count];
            while let Ok(Some(content)) = decoder.next(&mut input) {
                if let Ok(message) = Message::decode(content) {
                    self.take(message, fakes);
                }
            }
        }
        self.state().has_ended = true;
        self.has_changed.notify_all();
    }

    fn take(self: &Arc<Shared>, message: Message, fakes: &Arc<Fakes>) {
        let mut state = self.state();
        match message {
            Message::Request(request) => match request.id {
                None => state.events.extend(request.payload.read::<Value>().ok()),
                Some(id) => {
                    drop(state);
                    return self.take_asked(id, &request, fakes);
                }
            },
            Message::Response(Response { id: None, status: Status::Error(failure), .. }) => {
                state.final_failure = Some(*failure);
            }
            Message::Response(Response { id, status, .. }) => {
                let call = id.and_then(|id| state.calls.get_mut(&id));
                match (call, status) {
                    (Some(call), Status::Progress(data)) => call.progress.extend(data.read::<Value>().ok()),
                    (Some(call), answer) => call.answer = Some(answer),
                    // The caller has dropped it.
                    (None, _) => {}
                }
            }
        }
        drop(state);
        self.has_changed.notify_all();
    }

    fn take_asked(self: &Arc<Shared>, id: u64, request: &Request, fakes: &Arc<Fakes>) {
        let (shared, fakes) = (self.clone(), fakes.clone());
        match fakes.note(request) {
            // A thread for each: a fake may call the module itself.
            Some(asked) => {
                thread::spawn(move || _ = shared.send(&Message::Response(fakes.answer(id, &asked))));
            }
            None => _ = shared.send(&Message::Response(Response::success(id, Json::null()))),
        }
    }
}

impl State {
    /// Why nothing can be asked any more.
    fn ended(&self) -> Error {
        let Some(failure) = &self.final_failure else {
            return Error::failed("bulkhead test-host has ended without a reason; its standard error may have one");
        };
        let mut failure = failure.clone();
        if !failure.stderr.is_empty() {
            failure.error = format!("{}\nits last lines:\n  {}", failure.error, failure.stderr.join("\n  "));
        }
        Error::from(failure)
    }
}
