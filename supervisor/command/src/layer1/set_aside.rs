//! `layer1 set-aside`: events that a module kept failing on, listed, sent to it again, or dropped.

use crate::cli::{SetAside, Which};
use crate::exit::{Exit, Halt};
use crate::lifecycle::{data_of, to_supervisor};
use crate::output::{Output, complain, printable, with_schema};
use crate::session::Session;
use crate::status::ask_supervisor;
use crate::style::{Colour, Style, width_of_stdout};
use crate::table::{Align, Table};
use bulkhead_protocol::Json;
use serde::Deserialize;
use std::path::PathBuf;

/// How many events are requested at once.
const PAGE: u64 = 1000;

/// `bulkhead layer1 set-aside`.
pub(super) fn run(socket: Option<PathBuf>, command: Option<SetAside>) -> Result<Exit, Halt> {
    match command {
        None => list(socket, None, false),
        Some(SetAside::List { module, json }) => list(socket, module.as_deref(), json),
        Some(SetAside::Replay(which)) => each(socket, "replay", "handled by", &which),
        Some(SetAside::Drop(which)) => each(socket, "drop", "dropped, of", &which),
    }
}

#[derive(Deserialize)]
struct Page {
    set_aside: Vec<Json>,
    #[serde(default)]
    next: Option<i64>,
}

#[derive(Deserialize)]
struct Event {
    id: i64,
    module: String,
    cursor: u64,
    event: String,
    attempts: u64,
    error: String,
    set_aside_at: Json,
}

fn misunderstood(error: impl std::fmt::Display) -> Halt {
    Halt::Failed(format!("the host's list of events is not understood: {error}"))
}

/// Shows every event of the list, piece by piece.
fn pages(
    session: &mut Session,
    module: Option<&str>,
    mut show: impl FnMut(&Json, Event) -> Result<(), Halt>,
) -> Result<(), Halt> {
    let mut after = None;
    loop {
        let mut args = serde_json::Map::new();
        args.extend(module.map(|module| ("name".to_owned(), module.into())));
        args.extend(after.map(|after: i64| ("after".to_owned(), after.into())));
        args.insert("limit".into(), PAGE.into());
        let args = serde_json::Value::Object(args).into();
        let data = ask_supervisor(session, "set_aside", &args, Some(module.unwrap_or("layer1")))?;
        let Page { set_aside, next } = data.read().map_err(misunderstood)?;
        for event in &set_aside {
            show(event, event.read().map_err(misunderstood)?)?;
        }
        match next {
            Some(next) if after.is_none_or(|after| after < next) => after = Some(next),
            _ => return Ok(()),
        }
    }
}

fn list(socket: Option<PathBuf>, module: Option<&str>, json: bool) -> Result<Exit, Halt> {
    use Align::{Left, Right};
    let mut session = Session::open(socket)?;
    let mut output = Output::default();
    let mut table = Table::new([
        ("ID", Right),
        ("MODULE", Left),
        ("EVENT", Left),
        ("CURSOR", Right),
        ("TRIES", Right),
        ("SET ASIDE", Left),
        ("ERROR", Left),
    ])
    .with_sentences()
    .with_expendable(&[5, 3, 4]);
    pages(&mut session, module, |json_event, event| {
        if json {
            return output.json_line(&with_schema(json_event.as_str()));
        }
        let when = event.set_aside_at.read::<String>().unwrap_or_else(|_| event.set_aside_at.as_str().to_owned());
        let Event { id, module, cursor, event, attempts, error, .. } = event;
        table.row([id.to_string(), module, event, cursor.to_string(), attempts.to_string(), when, error]);
        Ok(())
    })?;
    if !json {
        let text = table.render(Style::of_stdout(), width_of_stdout(), |at, _| (at == 6).then_some(Colour::Faint));
        output.buffer().extend_from_slice(if text.is_empty() { b"no event is set aside\n" } else { text.as_bytes() });
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// Applies an operation to each event, one after the other, since a module may need their order; ends with the worst of
/// their exit codes.
fn each(socket: Option<PathBuf>, command: &str, done: &str, which: &Which) -> Result<Exit, Halt> {
    let ids = if which.all { Vec::new() } else { numbers(&which.names)? };
    let mut session = Session::open(socket)?;
    let ids = if which.all { all(&mut session, &which.names)? } else { ids };
    let mut output = Output::default();
    let mut worst = Exit::Done;
    for id in ids {
        let mut request = to_supervisor(command, &serde_json::json!({ "id": id }).into());
        request.deadline_ms = Some(which.timeout.as_millis() as u64);
        match data_of(session.ask(&request, |_| {})?.status, &id.to_string()) {
            Ok(data) if which.json => output.json_line(&with_schema(data.as_str()))?,
            Ok(data) => output.line(&format!("{id}: {done} {}", module_of(&data)))?,
            Err(halt) => {
                complain(&halt);
                worst = worst.max(halt.exit());
            }
        }
        output.flush()?;
    }
    Ok(worst)
}

fn module_of(data: &Json) -> String {
    #[derive(Deserialize)]
    struct Done {
        module: String,
    }
    data.read().map_or_else(|_| "its module".into(), |Done { module }| printable(&module))
}

fn numbers(names: &[String]) -> Result<Vec<i64>, Halt> {
    let number = |name: &String| {
        let wrong = || {
            Halt::Usage(format!(
                "expected the number of a set-aside event, found {name:?}; for all of a module, add --all"
            ))
        };
        name.parse().map_err(|_| wrong())
    };
    names.iter().map(number).collect()
}

/// The numbers of all events, or of those of the modules that are named.
fn all(session: &mut Session, modules: &[String]) -> Result<Vec<i64>, Halt> {
    let mut ids = Vec::new();
    if modules.is_empty() {
        pages(session, None, |_, event| {
            ids.push(event.id);
            Ok(())
        })?;
    }
    for module in modules {
        pages(session, Some(module), |_, event| {
            ids.push(event.id);
            Ok(())
        })?;
    }
    Ok(ids)
}
