//! `events` and `logs`: a request whose answers are progress, printed as they come.

use crate::amount::count;
use crate::cli::Events;
use crate::exit::{Exit, Halt};
use crate::lifecycle::to_supervisor;
use crate::output::{Output, complain, printable, with_schema};
use crate::session::{Session, Turn, Watch, wait_unless_reader_is_gone};
use crate::style::{Colour, Style};
use bulkhead_client::ConnectError;
use bulkhead_protocol::{Json, Pattern, Request, Status};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// How often it is looked whether the daemon is back.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(250);

/// `bulkhead events`.
pub(crate) fn events(socket: Option<PathBuf>, options: Events) -> Result<Exit, Halt> {
    let Events { pattern, after, from_beginning, reconnect, json } = options;
    if let Some(pattern) = &pattern {
        Pattern::new(pattern).map_err(|error| Halt::Usage(error.to_string()))?;
    }
    let mut after = if from_beginning { Some(0) } else { after };
    let style = Style::of_stdout();
    let mut session = Session::open(socket.clone())?;
    loop {
        let request = to_supervisor("events", &event_args(pattern.as_deref(), after));
        let ended = follow(&mut session, request, "events", |data, output| match data.read::<Event>() {
            // Not data, but whoever must not miss anything waits for this line before acting.
            Ok(Event { following: true, cursor, lost, .. }) => {
                output.flush()?;
                tell_begin(after, cursor, lost);
                after.get_or_insert(cursor);
                Ok(())
            }
            Ok(event) => {
                after = after.max(Some(event.cursor));
                if json {
                    output.json_line(&with_schema(data.as_str()))
                } else {
                    output.line(&event_line(&event, style))
                }
            }
            Err(_) => output.json_line(&with_schema(data.as_str())),
        });
        match ended {
            Err(Halt::Client(error)) if reconnect => {
                complain(&format_args!("{error}; waiting for the daemon to come back"));
                session = open_again(&socket)?;
            }
            ended => return ended,
        }
    }
}

fn event_args(pattern: Option<&str>, after: Option<u64>) -> Json {
    let mut args = serde_json::Map::new();
    args.extend(pattern.map(|pattern| ("pattern".to_owned(), pattern.into())));
    args.extend(after.map(|after| ("after".to_owned(), after.into())));
    serde_json::Value::Object(args).into()
}

/// Says where it begins, and what is missing. It comes once more when a slow reader has lost something.
fn tell_begin(after: Option<u64>, newest: u64, lost: u64) {
    match after {
        Some(after) if after < newest => {
            complain(&format_args!("following events behind cursor {after}; the newest is {newest}"));
        }
        Some(_) | None => complain(&format_args!("following events behind cursor {newest}")),
    }
    if lost > 0 {
        let events = if lost == 1 { "1 event is" } else { &format!("{} events are", count(lost)) };
        complain(&format_args!("{events} lost: they are not kept any more"));
    }
}

/// Connects to the daemon as soon as it is there, unless the reader goes away first.
fn open_again(socket: &Option<PathBuf>) -> Result<Session, Halt> {
    loop {
        // Also before the first try: a daemon that takes nobody in lets everybody connect.
        wait_unless_reader_is_gone(RECONNECT_INTERVAL)?;
        match Session::open(socket.clone()) {
            // To wait does not help with these.
            Err(halt @ Halt::Connect(ConnectError::Foreign { .. } | ConnectError::TooLong(_))) => return Err(halt),
            Err(Halt::Connect(_)) => {}
            session => return session,
        }
    }
}

/// `bulkhead logs`.
pub(crate) fn logs(socket: Option<PathBuf>, name: &str, lines: u64, go_on: bool, json: bool) -> Result<Exit, Halt> {
    let args = serde_json::json!({ "name": name, "lines": lines, "follow": go_on });
    let style = Style::of_stdout();
    follow(&mut Session::open(socket)?, to_supervisor("logs", &args.into()), name, |data, output| {
        if json { output.json_line(&with_schema(data.as_str())) } else { output.line(&log_text(data, style)) }
    })
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    following: bool,
    #[serde(default)]
    cursor: u64,
    #[serde(default)]
    lost: u64,
    #[serde(default)]
    time: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    data: Json,
}

fn event_line(event: &Event, style: Style) -> String {
    let time = style.paint(Colour::Faint, &printable(&event.time));
    let name = style.paint(Colour::Strong, &printable(&event.event));
    format!("{time} {name} {}", printable(&event.data.as_str().replace(['\n', '\r'], " ")))
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct LogLine {
    time: String,
    stream: String,
    level: Option<String>,
    line: String,
}

/// One line of a log for a person; the host's own remarks stand out from what the module wrote.
pub(crate) fn log_text(data: &Json, style: Style) -> String {
    if let Ok(line) = data.read::<String>() {
        return printable(&line);
    }
    let Ok(line) = data.read::<LogLine>() else { return printable(data.as_str()) };
    let time = style.paint(Colour::Faint, &printable(&line.time));
    let source = printable(line.level.as_deref().unwrap_or(&line.stream));
    let colour = match source.as_str() {
        "error" => Colour::Bad,
        "warn" | "host" => Colour::Busy,
        _ => Colour::Faint,
    };
    format!("{time} {} {}", style.paint(colour, &format!("{source:<6}")), printable(&line.line))
}

/// Sends the request and prints each progress, until the answer comes or the reader goes away. A
/// signal ends it as it ends any filter: the host drops what a closed connection followed.
fn follow(
    session: &mut Session,
    request: Request,
    subject: &str,
    mut print: impl FnMut(&Json, &mut Output) -> Result<(), Halt>,
) -> Result<Exit, Halt> {
    let id = session.queue_request(&request)?;
    let mut output = Output::default();
    let watch = Watch { output: true, ..Watch::default() };
    loop {
        let response = match session.ready() {
            Ok(Some(response)) => response,
            // Nothing more is here: what was collected is shown before the wait, and before a fault is told.
            Ok(None) => {
                output.flush()?;
                match session.turn(&watch)? {
                    Turn::Response(response) => response,
                    Turn::ReaderGone => return Err(Halt::ReaderGone),
                    Turn::Ready | Turn::Room | Turn::Input | Turn::TimedOut | Turn::Signal(_) => continue,
                }
            }
            Err(error) => {
                output.flush()?;
                return Err(error.into());
            }
        };
        if response.id != Some(id) {
            continue;
        }
        match response.status {
            Status::Progress(data) => print(&data, &mut output)?,
            Status::Success(_) => {
                output.flush()?;
                return Ok(Exit::Done);
            }
            Status::Error(failure) => {
                output.flush()?;
                return Err(Halt::Answered { subject: subject.to_owned(), failure });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_shows_its_level_else_its_stream() {
        let plain = r#"{"time":"2026-11-22T10:00:00Z","stream":"stderr","level":null,"line":"hot\u001b[2J"}"#;
        let text = log_text(&Json::parse(plain).unwrap(), Style::Plain);
        assert_eq!(text, "2026-11-22T10:00:00Z stderr hot\\u{1b}[2J");
        let warning = r#"{"time":"2026-11-22T10:00:00Z","stream":"stdout","level":"warn","line":"low"}"#;
        let text = log_text(&Json::parse(warning).unwrap(), Style::Coloured);
        assert_eq!(text, "\x1b[2m2026-11-22T10:00:00Z\x1b[0m \x1b[33mwarn  \x1b[0m low");
    }

    #[test]
    fn an_event_is_one_line() {
        let json = Json::parse("{\"time\":\"T\",\"event\":\"module.ready\",\"data\":{\n\"name\":\"a\"}}").unwrap();
        assert_eq!(event_line(&json.read().unwrap(), Style::Plain), "T module.ready { \"name\":\"a\"}");
    }
}
