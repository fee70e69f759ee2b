//! `start`, `stop`, `restart`, `reload` and `wait`: requests about modules to the built-in address `supervisor`,
//! several at once where several are named.

use crate::cli::{Condition, Targets, Wait};
use crate::exit::{Exit, Halt};
use crate::last_lines;
use crate::output::{Output, complain, with_schema};
use crate::session::{ANSWER_GRACE, Session, Timeout, UNREAD_BYTES_MAX, WaitEvent, Watch};
use crate::waiting::{Goal, WaitNotice};
use bulkhead_client::{ClientError, ConnectError, command_payload};
use bulkhead_protocol::{ErrorCode, Json, Message, Request, RequestType, Status};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the command checks whether the daemon is there.
const DAEMON_INTERVAL: Duration = Duration::from_millis(50);

/// Names that go into one request: a command to the supervisor has at most 4096 bytes, and a name 64.
const NAMES_AT_ONCE_MAX: usize = 48;

/// The operations on modules.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// See [`crate::cli::Command::Start`].
    Start,
    /// See [`crate::cli::Command::Stop`].
    Stop,
    /// See [`crate::cli::Command::Restart`].
    Restart,
    /// See [`crate::cli::Command::Reload`].
    Reload,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
            Action::Reload => "reload",
        }
    }

    fn goal(self) -> Goal {
        match self {
            Action::Start | Action::Restart | Action::Reload => Goal::Ready,
            Action::Stop => Goal::Stopped,
        }
    }
}

/// A request to the host itself.
pub(crate) fn to_supervisor(command: &str, args: &Json) -> Request {
    Request::new(None, RequestType::Command, command_payload(command, args.as_str())).to("supervisor")
}

/// The answer's data, or the answer's error.
pub(crate) fn data_of(status: Status, subject: &str) -> Result<Json, Halt> {
    match status {
        Status::Success(data) | Status::Progress(data) => Ok(data),
        Status::Error(failure) => Err(Halt::Answered { subject: subject.to_owned(), failure, log: Vec::new() }),
    }
}

/// Applies an operation to all targets at once, reports each, and ends with the worst of their exit codes.
pub(crate) fn act(socket: Option<PathBuf>, action: Action, targets: Targets) -> Result<Exit, Halt> {
    let mut session = Session::open(socket.clone())?;
    // What each of several reloads would read again is read once for all of them.
    let reads_files = matches!(action, Action::Reload) && targets.names.len() > 1;
    if targets.all {
        return act_on_several(&mut session, &socket, action, &targets, &[]);
    }
    if reads_files {
        let parts = targets.names.chunks(NAMES_AT_ONCE_MAX);
        let ends = parts.map(|names| act_on_several(&mut session, &socket, action, &targets, names));
        return ends.collect::<Result<Vec<Exit>, Halt>>().map(|ends| ends.into_iter().max().unwrap_or(Exit::Done));
    }
    let names = targets.names;
    let mut waiting = Vec::with_capacity(names.len());
    for name in names {
        let mut request = to_supervisor(action.name(), &named(&name));
        request.deadline_ms = Some(targets.timeout.as_millis() as u64);
        waiting.push((session.queue_request(&request)?, name));
    }
    let waited_for = waiting.iter().map(|(_, name): &(u64, String)| name.clone()).collect();
    let mut notice = WaitNotice::new(waited_for, action.goal(), targets.json);
    let mut timeout = Timeout::until(Some(Instant::now() + targets.timeout + ANSWER_GRACE));
    let mut output = Output::default();
    let mut worst = Exit::Done;
    while !waiting.is_empty() {
        let deaf = output.len() > UNREAD_BYTES_MAX;
        // While the socket is not read, no answer counts as late.
        let until = if deaf { None } else { timeout.end().into_iter().chain(notice.due()).min() };
        notice.ask(&mut session, Instant::now())?;
        let response = match session.wait_event(&Watch { until, room: !output.is_empty(), deaf, ..Watch::default() }) {
            Ok(WaitEvent::Response(response)) => response,
            Ok(WaitEvent::TimedOut) if timeout.is_over(Instant::now()) => {
                return Err(unanswered(&waiting, ClientError::TimedOut.into()));
            }
            Ok(WaitEvent::Room) => {
                output.try_flush()?;
                continue;
            }
            Ok(
                WaitEvent::TimedOut
                | WaitEvent::Ready
                | WaitEvent::Input
                | WaitEvent::ReaderGone
                | WaitEvent::Signal(_),
            ) => continue,
            Err(halt) => return Err(unanswered(&waiting, halt)),
        };
        if notice.takes(&response) {
            continue;
        }
        let Some(at) = waiting.iter().position(|(id, _)| Some(*id) == response.id) else { continue };
        if matches!(response.status, Status::Progress(_)) {
            continue;
        }
        let (_, name) = waiting.swap_remove(at);
        notice.is_done(&name);
        match data_of(response.status, &name) {
            Ok(data) => {
                push_report(&mut output, &data, &name, targets.json);
                output.try_flush()?;
            }
            Err(halt) => {
                let halt = last_lines::add_if_unready(halt, &socket, action.goal());
                complain(&halt);
                worst = worst.max(halt.exit());
            }
        }
    }
    output.flush()?;
    Ok(worst)
}

/// Applies an operation to several modules by one request, whose progress reports each as it is done.
fn act_on_several(
    session: &mut Session,
    socket: &Option<PathBuf>,
    action: Action,
    targets: &Targets,
    names: &[String],
) -> Result<Exit, Halt> {
    #[derive(Deserialize)]
    struct One {
        name: String,
        answer: Json,
    }
    #[derive(Deserialize)]
    struct All {
        modules: usize,
        /// What a reload reports about files beside modules.
        #[serde(default)]
        passed_over: Vec<String>,
    }
    let args = match targets.all {
        true => serde_json::json!({ "all": true }),
        false => serde_json::json!({ "names": names }),
    };
    let mut request = to_supervisor(action.name(), &args.into());
    request.deadline_ms = Some(targets.timeout.as_millis() as u64);
    let (mut output, mut worst) = (Output::default(), Exit::Done);
    let mut notice = WaitNotice::new(names.to_vec(), action.goal(), targets.json);
    let answer = session.ask_and_print(&request, &mut notice, &mut output, |data, output| {
        let decoded = data.read::<One>().ok().and_then(|one| match Message::decode(one.answer.as_str().as_bytes()) {
            Ok(Message::Response(response)) => Some((one.name, response.status)),
            _ => None,
        });
        let Some((name, status)) = decoded else { return Ok(()) };
        match data_of(status, &name) {
            Ok(data) => push_report(output, &data, &name, targets.json),
            Err(halt) => {
                let halt = last_lines::add_if_unready(halt, socket, action.goal());
                complain(&halt);
                worst = worst.max(halt.exit());
            }
        }
        Ok(())
    })?;
    output.flush()?;
    let All { modules, passed_over } = data_of(answer.status, "all modules")?
        .read()
        .map_err(|error| Halt::Failed(format!("the host's answer is not understood: {error}")))?;
    passed_over.iter().for_each(|line| complain(&crate::output::printable(line)));
    if modules == 0 {
        complain(&"there are no modules");
    }
    Ok(worst)
}

/// Reports which modules are without an answer, before the reason ends the command.
fn unanswered(waiting: &[(u64, String)], halt: Halt) -> Halt {
    for (_, name) in waiting {
        complain(&format_args!("{name}: no answer"));
    }
    halt
}

/// `bulkhead wait`. A daemon that is not there yet is waited for as well.
pub(crate) fn wait(socket: Option<PathBuf>, Wait { name, condition, timeout, json }: &Wait) -> Result<Exit, Halt> {
    let (condition, goal) = match condition {
        Condition::Ready => ("ready", Goal::Ready),
        Condition::Stopped => ("stopped", Goal::Stopped),
    };
    let mut output = Output::default();
    let mut notice = WaitNotice::new(vec![name.clone()], goal, *json);
    let args = serde_json::json!({ "name": name, "for": condition });
    let mut request = to_supervisor("wait", &args.into());
    let until = Instant::now() + *timeout;
    let mut left = *timeout;
    let status = loop {
        request.deadline_ms = Some(left.as_millis() as u64);
        notice.is_reconnected();
        let asked = Session::open(socket.clone())
            .and_then(|mut session| session.ask_and_print(&request, &mut notice, &mut output, |_, _| Ok(())));
        left = until.saturating_duration_since(Instant::now());
        match asked {
            Ok(response) => break response.status,
            Err(halt) if left.is_zero() || !is_daemon_to_come(&halt) => return Err(halt),
            Err(halt) => {
                notice.report_instead(&format!("waiting for the daemon: {halt}"));
                std::thread::sleep(left.min(DAEMON_INTERVAL));
            }
        }
    };
    let data = data_of(status, name).map_err(|halt| last_lines::add_if_unready(halt, &socket, goal))?;
    report(&mut output, &data, name, *json)?;
    Ok(Exit::Done)
}

/// Whether a daemon may answer later: it does not listen yet, or it is ending and another one begins.
fn is_daemon_to_come(halt: &Halt) -> bool {
    match halt {
        Halt::Connect(ConnectError::Missing(_) | ConnectError::NotListening(_)) => true,
        Halt::Client(ClientError::Closed | ClientError::Broken(_) | ClientError::Unreachable(_)) => true,
        Halt::Client(ClientError::Refused(failure)) => failure.code == ErrorCode::Overloaded,
        _ => false,
    }
}

/// Prints what was reached, and waits for the reader.
fn report(output: &mut Output, data: &Json, name: &str, json: bool) -> Result<(), Halt> {
    push_report(output, data, name, json);
    output.flush()
}

fn push_report(output: &mut Output, data: &Json, name: &str, json: bool) {
    #[derive(Deserialize)]
    struct Reached {
        state: String,
        #[serde(default)]
        remarks: Vec<String>,
    }
    if json {
        output.push_json_line(&with_schema(data.as_str()));
    } else {
        let (state, remarks) =
            data.read().map_or_else(|_| ("done".into(), Vec::new()), |Reached { state, remarks }| (state, remarks));
        output.push_line(&format!("{name}: {}", crate::output::printable(&state)));
        for notice in remarks {
            output.push_line(&format!("  {}", crate::output::printable(&notice)));
        }
    }
}

fn named(name: &str) -> Json {
    serde_json::json!({ "name": name }).into()
}
