//! `events` and `logs`: a request whose answers are progress, printed as they come.

use crate::exit::{Exit, Halt};
use crate::lifecycle::to_supervisor;
use crate::output::{Output, complain, printable, with_schema};
use crate::session::{Session, Turn, Watch};
use crate::style::{Colour, Style};
use bulkhead_protocol::{Json, Pattern, Request, Status};
use serde::Deserialize;
use std::path::PathBuf;

/// `bulkhead events`.
pub(crate) fn events(
    socket: Option<PathBuf>,
    pattern: Option<String>,
    after: Option<u64>,
    json: bool,
) -> Result<Exit, Halt> {
    if let Some(pattern) = &pattern {
        Pattern::new(pattern).map_err(|error| Halt::Usage(error.to_string()))?;
    }
    let mut args = serde_json::Map::new();
    args.extend(pattern.map(|pattern| ("pattern".to_owned(), pattern.into())));
    args.extend(after.map(|after| ("after".to_owned(), after.into())));
    let request = to_supervisor("events", &serde_json::Value::Object(args).into());
    let style = Style::of_stdout();
    follow(socket, request, "events", |data, output| {
        match data.read::<Event>() {
            // Not data, but whoever must not miss anything waits for this line before acting.
            Ok(Event { following: true, cursor, .. }) => {
                complain(&format_args!("following events behind cursor {cursor}"));
                Ok(())
            }
            Ok(event) if !json => output.line(&event_line(&event, style)),
            Ok(_) | Err(_) => output.json_line(&with_schema(data.as_str())),
        }
    })
}

/// `bulkhead logs`.
pub(crate) fn logs(socket: Option<PathBuf>, name: &str, lines: u64, go_on: bool, json: bool) -> Result<Exit, Halt> {
    let args = serde_json::json!({ "name": name, "lines": lines, "follow": go_on });
    let style = Style::of_stdout();
    follow(socket, to_supervisor("logs", &args.into()), name, |data, output| {
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
    socket: Option<PathBuf>,
    request: Request,
    subject: &str,
    mut print: impl FnMut(&Json, &mut Output) -> Result<(), Halt>,
) -> Result<Exit, Halt> {
    let mut session = Session::open(socket)?;
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
                    Turn::Ready | Turn::Input | Turn::TimedOut | Turn::Signal(_) => continue,
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
