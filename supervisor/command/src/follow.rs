//! `events` and `logs`: a request whose answers are progress, printed as they come.

use crate::amount::count;
use crate::cli::Events;
use crate::columns::padded_right;
use crate::exit::{Exit, Halt};
use crate::lifecycle::to_supervisor;
use crate::output::{Output, complain, printable, with_schema};
use crate::session::{RECONNECT_INTERVAL, Session, WaitEvent, Watch, wait_for_reader};
use crate::style::{Colour, Style};
use bulkhead_client::ConnectError;
use bulkhead_protocol::{Json, Pattern, Request, Status};
use serde::Deserialize;
use std::path::PathBuf;

/// After which event a follower continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    cursor: u64,
    /// Which history of the data store the cursor belongs to, where that is known.
    epoch: Option<String>,
}

/// Reads `CURSOR` or `CURSOR@EPOCH`.
pub(crate) fn parse_position(text: &str) -> Result<Position, String> {
    let (cursor, epoch) = match text.split_once('@') {
        Some((_, "")) => return Err("expected an epoch after the @, or no @".into()),
        Some((cursor, epoch)) => (cursor, Some(epoch.to_owned())),
        None => (text, None),
    };
    let cursor = cursor.parse().map_err(|_| format!("expected a cursor, a number, found {cursor:?}"))?;
    Ok(Position { cursor, epoch })
}

/// `bulkhead events`.
pub(crate) fn events(socket: Option<PathBuf>, options: Events) -> Result<Exit, Halt> {
    let Events { pattern, after, from_beginning, reconnect, json } = options;
    if let Some(pattern) = &pattern {
        Pattern::new(pattern).map_err(|error| Halt::Usage(error.to_string()))?;
    }
    let mut after = if from_beginning { Some(Position { cursor: 0, epoch: None }) } else { after };
    let style = Style::of_stdout();
    let mut session = Session::open(socket.clone())?;
    loop {
        let request = to_supervisor("events", &event_args(pattern.as_deref(), after.as_ref()));
        let ended = follow(&mut session, request, "events", |data, output| match data.read::<Event>() {
            // Not data, but a script that must not miss anything waits for this line before acting.
            Ok(Event { following: true, cursor, epoch, lost, .. }) => {
                output.flush()?;
                print_begin(after.as_ref(), cursor, epoch.as_deref(), lost);
                // An earlier position stays, with its epoch, until an event is printed: what is lost is reported again.
                after.get_or_insert(Position { cursor, epoch });
                Ok(())
            }
            Ok(mut event) => {
                after = Some(Position { cursor: event.cursor, epoch: event.epoch.take() });
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

fn event_args(pattern: Option<&str>, after: Option<&Position>) -> Json {
    let mut args = serde_json::Map::new();
    args.extend(pattern.map(|pattern| ("pattern".to_owned(), pattern.into())));
    if let Some(Position { cursor, epoch }) = after {
        args.insert("after".to_owned(), (*cursor).into());
        args.extend(epoch.as_deref().map(|epoch| ("epoch".to_owned(), epoch.into())));
    }
    serde_json::Value::Object(args).into()
}

/// Prints where it begins, and what is missing. The host sends this again when a slow reader has lost something.
fn print_begin(after: Option<&Position>, newest: u64, epoch: Option<&str>, lost: u64) {
    match after {
        Some(Position { cursor, .. }) if *cursor < newest => {
            complain(&format_args!("following events after cursor {cursor}; the newest is {newest}"));
        }
        Some(_) | None => complain(&format_args!("following events after cursor {newest}")),
    }
    if lost > 0 {
        let events = if lost == 1 { "1 event is" } else { &format!("{} events are", count(lost)) };
        let is_of_another = |position: &Position| {
            position.cursor > newest || (position.epoch.is_some() && position.epoch.as_deref() != epoch)
        };
        match after.filter(|position| is_of_another(position)) {
            Some(position) => complain(&format_args!(
                "{events} lost: cursor {} is of another past of the data store, which was restored or made anew, \
                 or they are not kept any more",
                position.cursor
            )),
            None => complain(&format_args!("{events} lost: they are not kept any more")),
        }
    }
}

/// Connects to the daemon as soon as it is there, unless the reader goes away first.
fn open_again(socket: &Option<PathBuf>) -> Result<Session, Halt> {
    loop {
        // Also before the first try: a daemon that refuses clients still accepts connections.
        wait_for_reader(RECONNECT_INTERVAL, &mut Output::default())?;
        match Session::open(socket.clone()) {
            // Waiting does not help with these.
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
    let mut is_earlier = false;
    let ended = follow(&mut Session::open(socket)?, to_supervisor("logs", &args.into()), name, |data, output| {
        if json {
            return output.json_line(&with_schema(data.as_str()));
        }
        let Age { earlier } = data.read().unwrap_or_default();
        if std::mem::replace(&mut is_earlier, earlier) && !earlier {
            output.flush()?;
            print_earlier();
        }
        output.line(&log_text(data, style))
    });
    if is_earlier && ended.is_ok() {
        print_earlier();
    }
    ended
}

/// Not data, and below the lines that it is about.
fn print_earlier() {
    complain(&"the lines above are of an earlier daemon");
}

/// The module of the line.
#[derive(Default, Deserialize)]
struct Age {
    #[serde(default)]
    earlier: bool,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    following: bool,
    #[serde(default)]
    cursor: u64,
    /// An older daemon has none.
    #[serde(default)]
    epoch: Option<String>,
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
    match event.data.as_str() {
        // An event may have no data beyond its name.
        "null" => format!("{time} {name}"),
        data => format!("{time} {name} {}", printable(&data.replace(['\n', '\r'], " "))),
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct LogLine {
    time: Option<String>,
    stream: String,
    level: Option<String>,
    line: String,
}

/// One line of a log for a person; lines of the host are marked, to distinguish them from the module's.
pub(crate) fn log_text(data: &Json, style: Style) -> String {
    if let Ok(line) = data.read::<String>() {
        return printable(&line);
    }
    let Ok(line) = data.read::<LogLine>() else { return printable(data.as_str()) };
    let time = match &line.time {
        Some(time) => style.paint(Colour::Faint, &printable(time)),
        // As long as the others.
        None => format!("{:27}", "-"),
    };
    let source = printable(line.level.as_deref().unwrap_or(&line.stream));
    let colour = match source.as_str() {
        "error" => Colour::Bad,
        "warn" | "host" => Colour::Busy,
        _ => Colour::Faint,
    };
    format!("{time} {} {}", style.paint(colour, &padded_right(&source, 6)), printable(&line.line))
}

/// Sends the request and prints each progress, until the answer comes or the reader goes away. A signal ends it like
/// any filter: the host drops what a closed connection followed.
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
            // Nothing more has arrived: what was collected is shown before the wait, and before an error is reported.
            Ok(None) => {
                output.flush()?;
                match session.wait_event(&watch)? {
                    WaitEvent::Response(response) => response,
                    WaitEvent::ReaderGone => return Err(Halt::ReaderGone),
                    WaitEvent::Ready
                    | WaitEvent::Room
                    | WaitEvent::Input
                    | WaitEvent::TimedOut
                    | WaitEvent::Signal(_) => continue,
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
                return Err(Halt::Answered { subject: subject.to_owned(), failure, log: Vec::new() });
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
    fn a_position_is_a_cursor_with_or_without_its_epoch() {
        let position = |cursor, epoch: Option<&str>| Ok(Position { cursor, epoch: epoch.map(str::to_owned) });
        assert_eq!(parse_position("12"), position(12, None));
        assert_eq!(parse_position("12@5f0c9a1e"), position(12, Some("5f0c9a1e")));
        assert_eq!(parse_position("0@a@b"), position(0, Some("a@b")));
        for (text, words) in
            [("", "a cursor"), ("x", "found \"x\""), ("-1", "a cursor"), ("@a", "a cursor"), ("1@", "after the @")]
        {
            let refused = parse_position(text).unwrap_err();
            assert!(refused.contains(words), "{text:?}: {refused}");
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let json = Json::parse("{\"time\":\"T\",\"event\":\"module.ready\",\"data\":{\n\"name\":\"a\"}}").unwrap();
        assert_eq!(event_line(&json.read().unwrap(), Style::Plain), "T module.ready { \"name\":\"a\"}");
        let bare = Json::parse(r#"{"time":"T","event":"tick","data":null}"#).unwrap();
        assert_eq!(event_line(&bare.read().unwrap(), Style::Plain), "T tick");
    }
}
