//! A conversation with one process: requests with their numbers, which of them are answered, and everything that is not
//! as it must be whatever was asked. It answers the process's own requests as a host that grants nothing.

use crate::process::{Incoming, Process, Unsent};
use crate::subject::Subject;
use anyhow::Result;
use bulkhead_client::command_payload;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{
    ErrorCode, Failure, FrameError, Init, Json, Limits, Message, PROTOCOL_VERSION, Request, RequestType, Response,
    StartPhase, StartProgress, Status, frame,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// The longest frame that the check's sessions allow: long enough for everything that a module says of itself, and
/// quickly sent.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;
const _: () = assert!(FRAME_BYTES_MAX <= FRAME_BYTES_MAX_DEFAULT);

/// How long is waited once the process has left something unanswered.
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

/// A conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) process: Process,
    next_id: u64,
    open: BTreeSet<u64>,
    /// Outcomes that were not asked for yet.
    outcomes: BTreeMap<u64, Status>,
    /// The numbers of requests in the order in which they were answered.
    pub(crate) answered: Vec<u64>,
    /// Answers and progress for what is not open, as they came.
    pub(crate) strange: Vec<String>,
    /// Why nothing that follows can be trusted.
    pub(crate) broken: Option<String>,
    /// What is broken is that text was printed into the channel.
    pub(crate) has_text: bool,
    has_ended: bool,
    /// It has said that it ends on purpose.
    is_leaving: bool,
    timeout: Duration,
    start_deadlines: Option<StartDeadlines>,
}

/// The times of a start.
#[derive(Clone, Copy, Debug)]
struct StartDeadlines {
    start: Duration,
    compile: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Late(Duration),
    Ended,
    Leaving,
    Broken(String),
    Unread,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Late(timeout) => write!(f, "no answer within {:.1} s", timeout.as_secs_f64()),
            Missing::Ended => f.write_str("the channel ended"),
            Missing::Leaving => f.write_str("the process had said by `last` that it ends"),
            Missing::Broken(reason) => f.write_str(reason),
            Missing::Unread => f.write_str("the process does not read its channel"),
        }
    }
}

impl Session {
    /// Starts a process, without sending anything.
    pub(crate) fn start(subject: &Subject, timeout: Duration) -> Result<Session> {
        Ok(Session {
            process: Process::start(subject, FRAME_BYTES_MAX)?,
            next_id: 1,
            open: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            answered: Vec::new(),
            strange: Vec::new(),
            broken: None,
            has_text: false,
            has_ended: false,
            is_leaving: false,
            timeout,
            start_deadlines: None,
        })
    }

    /// Sends `init`, and returns what is answered within the manifest's time.
    pub(crate) fn init(&mut self, subject: &Subject, protocol: u32) -> Result<Status, Missing> {
        let config = &subject.config;
        let init = Init {
            protocol,
            module: config.name.to_string(),
            instance: format!("{}#1", config.name),
            config: config.config.clone(),
            limits: Limits {
                frame_bytes_max: FRAME_BYTES_MAX,
                window: config.limits.window,
                requests_max: config.limits.requests,
            },
            capabilities: config.capabilities.to_wire(),
            data_dir: subject.data_dir().to_string_lossy().into_owned(),
            on_panic: config.kind.on_panic(),
        };
        let start = config.limits.start_timeout;
        let compile = match &config.kind {
            bulkhead_config::ModuleKind::Wasm { compile_timeout, .. } => *compile_timeout,
            _ => Duration::ZERO,
        };
        self.start_deadlines = Some(StartDeadlines { start, compile });
        let id = self.send(RequestType::Init, Json::of(&init))?;
        let answer = self.answer_within(id, start);
        self.start_deadlines = None;
        answer
    }

    /// Starts a process, and brings it to readiness.
    pub(crate) fn ready(subject: &Subject, timeout: Duration) -> Result<Result<Session, Missing>> {
        let mut session = Session::start(subject, timeout)?;
        Ok(match session.init(subject, PROTOCOL_VERSION) {
            Ok(Status::Success(_)) => Ok(session),
            Ok(Status::Error(failure)) => Err(Missing::Broken(format!("init was refused: {}", failure.error))),
            Ok(Status::Progress(_)) => unreachable!("an answer is a success or an error"),
            Err(missing) => Err(missing),
        })
    }

    /// Sends a request, and returns its number.
    pub(crate) fn send(&mut self, kind: RequestType, payload: Json) -> Result<u64, Missing> {
        let id = self.number();
        let mut bytes = Vec::new();
        let request = Message::Request(Request::new(id, kind, payload));
        request.encode(&mut bytes, FRAME_BYTES_MAX).expect("the check's own messages fit");
        self.write(&bytes)?;
        Ok(id)
    }

    /// Sends a command that no module has.
    pub(crate) fn send_unknown_command(&mut self) -> Result<u64, Missing> {
        self.send(RequestType::Command, command_payload(UNKNOWN_COMMAND, "{}"))
    }

    /// A number for a request that is sent as text.
    pub(crate) fn number(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.open.insert(id);
        id
    }

    /// Sends a frame with this text.
    pub(crate) fn send_text(&mut self, text: &str) -> Result<(), Missing> {
        let mut bytes = u32::try_from(text.len()).expect("it is short").to_be_bytes().to_vec();
        bytes.extend(text.as_bytes());
        self.write(&bytes)
    }

    /// Sends bytes, whatever they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Missing> {
        match self.process.send(bytes, Instant::now() + self.timeout) {
            Ok(()) => Ok(()),
            Err(Unsent::Unread) => {
                self.timeout = self.timeout.min(SHORT_TIMEOUT);
                Err(Missing::Unread)
            }
            // Why it has ended may be in what it said before.
            Err(Unsent::Ended) => {
                self.listen(Duration::ZERO);
                Err(self.why_ended())
            }
        }
    }

    /// The outcome of a request, if it comes in time.
    pub(crate) fn answer(&mut self, id: u64) -> Result<Status, Missing> {
        self.answer_within(id, self.timeout)
    }

    fn answer_within(&mut self, id: u64, within: Duration) -> Result<Status, Missing> {
        let (began, mut until) = (Instant::now(), Instant::now() + within);
        loop {
            if let Some(outcome) = self.outcomes.remove(&id) {
                return Ok(outcome);
            }
            if self.has_ended || self.broken.is_some() {
                return Err(self.why_ended());
            }
            match self.process.receive(until) {
                Incoming::Nothing => {
                    self.timeout = self.timeout.min(SHORT_TIMEOUT);
                    return Err(Missing::Late(began.elapsed()));
                }
                incoming => {
                    if let Some(more) = self.take(incoming) {
                        until = Instant::now() + more;
                    }
                }
            }
        }
    }

    /// Takes what comes in this time.
    pub(crate) fn listen(&mut self, within: Duration) {
        let until = Instant::now() + within;
        while !self.has_ended && self.broken.is_none() {
            match self.process.receive(until) {
                Incoming::Nothing => return,
                incoming => drop(self.take(incoming)),
            }
        }
    }

    fn why_ended(&self) -> Missing {
        match &self.broken {
            Some(reason) => Missing::Broken(reason.clone()),
            None if self.is_leaving => Missing::Leaving,
            None => Missing::Ended,
        }
    }

    /// Takes what came. A start that compiles gets more time.
    fn take(&mut self, incoming: Incoming) -> Option<Duration> {
        match incoming {
            Incoming::Nothing => None,
            Incoming::End => {
                self.has_ended = true;
                None
            }
            Incoming::NoFrame(error) => {
                self.has_text = matches!(error, FrameError::Text { .. });
                self.broken = Some(error.to_string());
                None
            }
            Incoming::Frame(frame) => match Message::decode(&frame) {
                Ok(Message::Response(response)) => self.take_response(response, &frame),
                Ok(Message::Request(request)) => {
                    self.take_request(&request);
                    None
                }
                Err(error) => {
                    self.broken = Some(format!("{}: {}", error.reason, frame::quote(&frame)));
                    None
                }
            },
        }
    }

    fn take_response(&mut self, response: Response, frame: &[u8]) -> Option<Duration> {
        let Some(id) = response.id.filter(|id| self.open.contains(id)) else {
            self.strange.push(frame::quote(frame));
            return None;
        };
        self.is_leaving |= response.last;
        if let Status::Progress(data) = &response.status {
            let StartDeadlines { start, compile } = self.start_deadlines?;
            return match data.read::<StartProgress>().ok()?.phase {
                StartPhase::Compiling => Some(start + compile),
                StartPhase::Compiled => Some(start),
            };
        }
        self.open.remove(&id);
        self.answered.push(id);
        self.outcomes.insert(id, response.status);
        None
    }

    fn take_request(&mut self, request: &Request) {
        let Some(id) = request.id else { return };
        let status = match request.kind {
            RequestType::Ping | RequestType::Cancel => Status::Success(Json::null()),
            RequestType::Event => Status::Success(json!({ "subscribers": 0 }).into()),
            _ => Failure::new(ErrorCode::PermissionDenied, "this check grants nothing").into(),
        };
        let mut bytes = Vec::new();
        let response = Message::Response(Response::new(id, status));
        response.encode(&mut bytes, FRAME_BYTES_MAX).expect("the check's own messages fit");
        // That nothing can be written is found by the request that is waited for.
        let _ = self.process.send(&bytes, Instant::now() + SHORT_TIMEOUT);
    }
}

/// A command that no module has.
pub(crate) const UNKNOWN_COMMAND: &str = "bulkhead-check-no-such-command";

/// A status as a report shows it.
pub(crate) fn shown(status: &Status) -> String {
    match status {
        Status::Progress(data) => format!("progress {}", data.as_str()),
        Status::Success(data) => format!("success {}", data.as_str()),
        Status::Error(failure) => format!("{}: {}", failure.code, failure.error),
    }
}
