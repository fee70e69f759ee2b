//! One request, one answer: `call`, `query`, `mutate` and `emit`.

use crate::arguments;
use crate::cli::{Call, Data, Emit, RequestOptions};
use crate::commands;
use crate::exit::{Exit, Halt};
use crate::failure::is_built_in;
use crate::json_argument;
use crate::last_lines::{self, Asked};
use crate::output::{Output, push_json_line};
use crate::progress::ProgressLine;
use crate::session::Session;
use crate::waiting::{Goal, WaitNotice};
use bulkhead_client::command_payload;
use bulkhead_protocol::event::check_event_name;
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_HIGHEST, KEY_BYTES_MAX, LENGTH_PREFIX_BYTES};
use bulkhead_protocol::{Json, Request, RequestType, Response, Status};
use std::path::PathBuf;
use std::time::Duration;

/// `bulkhead call`.
pub(crate) fn call(socket: Option<PathBuf>, call: &Call) -> Result<Exit, Halt> {
    let Some(command) = &call.command else { return commands::list(socket, &call.name, &call.options) };
    let args = arguments::read(&call.args)?;
    let payload = command_payload(command, args.as_str());
    send(socket, RequestType::Command, &call.name, payload, &call.options)
}

/// `bulkhead query` and `bulkhead mutate`.
pub(crate) fn data(socket: Option<PathBuf>, kind: RequestType, data: &Data) -> Result<Exit, Halt> {
    send(socket, kind, &data.name, json_argument::read(&data.json)?, &data.options)
}

/// `bulkhead emit`.
pub(crate) fn emit(socket: Option<PathBuf>, Emit { event, json }: &Emit) -> Result<Exit, Halt> {
    check_event_name(event).map_err(|error| Halt::Usage(error.to_string()))?;
    let data = json.as_deref().map_or(Ok(Json::null()), json_argument::read)?;
    let text = format!("{{\"event\":{},\"data\":{}}}", Json::of(event).as_str(), data.as_str());
    let payload = Json::parse(&text).expect("its parts are JSON");
    let options = RequestOptions { full: false, timeout: EMIT_TIMEOUT, key: None };
    send_request(socket, Request::new(None, RequestType::Event, payload), event, &options)
}

/// Publishing waits for the host only.
const EMIT_TIMEOUT: Duration = Duration::from_secs(10);

fn send(
    socket: Option<PathBuf>,
    kind: RequestType,
    name: &str,
    payload: Json,
    options: &RequestOptions,
) -> Result<Exit, Halt> {
    if let Some(key) = options.key.as_ref().filter(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
        return Err(Halt::Usage(format!("--key: expected 1 to {KEY_BYTES_MAX} bytes, found {}", key.len())));
    }
    send_request(socket, Request::new(None, kind, payload).to(name), name, options)
}

fn send_request(
    socket: Option<PathBuf>,
    mut request: Request,
    subject: &str,
    options: &RequestOptions,
) -> Result<Exit, Halt> {
    request.deadline_ms = Some(options.timeout.as_millis() as u64);
    request.key.clone_from(&options.key);
    let mut session = Session::open(socket.clone())?;
    let mut output = Output::default();
    let mut line = ProgressLine::on_stderr();
    // The host's own addresses have no state to report.
    let module = request.to.as_deref().filter(|to| !is_built_in(to));
    let mut notice =
        module.map_or_else(WaitNotice::none, |name| WaitNotice::new(vec![name.to_owned()], Goal::Ready, false));
    let is_module = module.is_some();
    let answer = session.ask_and_print(&request, &mut notice, &mut output, |data, output| {
        if options.full {
            let progress = Response::new(1, Status::Progress(data.clone()));
            return push_whole(output, &progress);
        }
        line.show_data(data);
        Ok(())
    });
    line.clear();
    let (response, interruption) = match answer {
        Ok(response) => (response, None),
        Err(Halt::Interrupted { signal, answer: Some(answer) }) => {
            ((*answer).clone(), Some(Halt::Interrupted { signal, answer: Some(answer) }))
        }
        Err(halt) => return Err(halt),
    };
    let exit = print(&mut output, response, subject, options.full, interruption.is_some());
    match (interruption, exit) {
        (Some(interruption), _) => Err(interruption),
        (None, exit) if is_module => exit.map_err(|halt| last_lines::add_to(halt, socket, Asked::Work)),
        (None, exit) => exit,
    }
}

/// Prints the answer; what goes wrong with that is an error of its own.
fn print(output: &mut Output, response: Response, subject: &str, full: bool, interrupted: bool) -> Result<Exit, Halt> {
    let exit = match &response.status {
        Status::Error(failure) => failure.code.into(),
        Status::Success(_) | Status::Progress(_) => Exit::Done,
    };
    if full {
        push_whole(output, &response)?;
    } else {
        match response.status {
            Status::Success(data) | Status::Progress(data) => output.json_line(data.as_str())?,
            // The person who interrupts gets the outcome, and the answer is part of it.
            Status::Error(_) if interrupted => {}
            Status::Error(failure) => {
                return Err(Halt::Answered { subject: subject.to_owned(), failure, log: Vec::new() });
            }
        }
    }
    output.flush()?;
    Ok(exit)
}

fn push_whole(output: &mut Output, response: &Response) -> Result<(), Halt> {
    push_json_line(output.buffer(), whole(response)?.as_str());
    Ok(())
}

/// The response as one JSON object.
pub(crate) fn whole(response: &Response) -> Result<Json, Halt> {
    let mut frame = Vec::new();
    let encoded = response.encode(&mut frame, FRAME_BYTES_MAX_HIGHEST);
    encoded.map_err(|error| Halt::Failed(format!("the response cannot be printed: {error}")))?;
    let json = std::str::from_utf8(&frame[LENGTH_PREFIX_BYTES..]).expect("a message is UTF-8");
    Ok(Json::of_checked(json))
}
