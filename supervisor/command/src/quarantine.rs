//! `quarantine`: messages that killed processes and are not tried again, listed, shown, sent again, or dropped.

use crate::amount;
use crate::cli::{Drop, Quarantine, QuarantineReplay};
use crate::exit::{Exit, Halt};
use crate::lenient::{list as lenient_list, or_empty};
use crate::lifecycle::{data_of, to_supervisor};
use crate::output::{Output, complain, printable, with_schema};
use crate::records::with_location;
use crate::replay::{KeyChoice, Quarantined, Refused, Replays};
use crate::session::Session;
use crate::status::ask_supervisor;
use crate::style::{Colour, Style, width_of_stdout};
use crate::table::{Align, Table};
use bulkhead_protocol::{ErrorCode, Failure, Json, Status};
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;

/// How many are requested at once.
const PAGE: u64 = 1000;

/// `bulkhead quarantine`.
pub(crate) fn run(socket: Option<PathBuf>, command: Option<Quarantine>) -> Result<Exit, Halt> {
    match command {
        None => list(socket, None, false),
        Some(Quarantine::List { name, json }) => list(socket, name.as_deref(), json),
        Some(Quarantine::Show { id, json }) => show(socket, &id, json),
        Some(Quarantine::Replay(options)) => return replay(socket, &options),
        Some(Quarantine::Drop(which)) => drop_all(socket, &which),
    }
    .map_err(with_location)
}

#[derive(Deserialize)]
struct Page {
    quarantined: Vec<Json>,
    #[serde(default, deserialize_with = "or_empty")]
    next: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    remarks: Vec<String>,
}

/// A message of the list, or a whole one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(deserialize_with = "or_empty")]
    id: String,
    #[serde(deserialize_with = "or_empty")]
    module: String,
    #[serde(deserialize_with = "or_empty")]
    time: String,
    #[serde(rename = "type", deserialize_with = "or_empty")]
    kind: String,
    #[serde(deserialize_with = "or_empty")]
    command: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    bytes: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    payload: Json,
    #[serde(deserialize_with = "or_empty")]
    key: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    from: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    delivery: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    crashes: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    reason: String,
    #[serde(deserialize_with = "or_empty")]
    file: String,
}

fn misunderstood(error: impl std::fmt::Display) -> Halt {
    Halt::Failed(format!("the host's answer about quarantined messages is not understood: {error}"))
}

fn list(socket: Option<PathBuf>, module: Option<&str>, json: bool) -> Result<Exit, Halt> {
    use Align::{Left, Right};
    let mut session = Session::open(socket)?;
    let mut output = Output::default();
    let mut table = Table::new([
        ("ID", Left),
        ("MESSAGE", Left),
        ("SIZE", Right),
        ("KEY", Left),
        ("FROM", Left),
        ("CRASHES", Right),
        ("QUARANTINED", Left),
        ("LAST END", Left),
    ])
    .with_sentences()
    .with_expendable(&[6, 4, 2, 3]);
    let (mut after, mut remarks): (Option<String>, Vec<String>) = (None, Vec::new());
    loop {
        let mut args = serde_json::Map::new();
        args.extend(module.map(|module| ("name".to_owned(), module.into())));
        args.extend(after.clone().map(|after| ("after".to_owned(), after.into())));
        args.insert("limit".into(), PAGE.into());
        let args = serde_json::Value::Object(args).into();
        let page: Page = ask_supervisor(&mut session, "quarantine", &args, module)?.read().map_err(misunderstood)?;
        for message in &page.quarantined {
            match json {
                true => output.json_line(&with_schema(message.as_str()))?,
                false => table.row(row(message.read().map_err(misunderstood)?)),
            }
        }
        remarks.extend(page.remarks);
        match page.next {
            // A page without a message goes no further.
            Some(next) if !page.quarantined.is_empty() => after = Some(next),
            _ => break,
        }
    }
    if !json {
        let text = table.render(Style::of_stdout(), width_of_stdout(), |at, _| (at == 7).then_some(Colour::Faint));
        output.buffer().extend_from_slice(if text.is_empty() {
            b"no message is quarantined\n"
        } else {
            text.as_bytes()
        });
    }
    output.flush()?;
    remarks.iter().for_each(|remark| complain(&printable(remark)));
    Ok(Exit::Done)
}

fn row(message: Message) -> [String; 8] {
    let Message { id, kind, command, bytes: size, key, from, crashes, time, reason, .. } = message;
    let what = command.map_or(kind.clone(), |command| format!("{kind} {command}"));
    let crashes = crashes.map(|crashes| crashes.to_string()).unwrap_or_default();
    let size = size.map(amount::size).unwrap_or_default();
    [id, what, size, key.unwrap_or_default(), from.unwrap_or_default(), crashes, time, reason]
}

fn show(socket: Option<PathBuf>, id: &str, json: bool) -> Result<Exit, Halt> {
    let whole = whole(&mut Session::open(socket)?, id)?;
    let mut output = Output::default();
    match json {
        true => output.json_line(&with_schema(whole.as_str()))?,
        false => output.line(&render(&whole.read().map_err(misunderstood)?, Style::of_stdout()))?,
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn whole(session: &mut Session, id: &str) -> Result<Json, Halt> {
    let request = to_supervisor("quarantine_show", &serde_json::json!({ "id": id }).into());
    data_of(session.ask(&request, |_| {})?.status, id).map_err(|halt| in_own_words(halt, id))
}

/// An id that no message has, as a person at a shell looks for it.
fn in_own_words(halt: Halt, id: &str) -> Halt {
    match halt {
        Halt::Answered { failure, log, .. } if failure.code == ErrorCode::NotFound => {
            let reason =
                format!("there is no quarantined message {:?}; `bulkhead quarantine` lists them", printable(id));
            let failure = Box::new(Failure::new(ErrorCode::NotFound, reason));
            Halt::Answered { subject: id.to_owned(), failure, log }
        }
        other => other,
    }
}

fn render(message: &Message, style: Style) -> String {
    let id = style.paint(Colour::Strong, &printable(&message.id));
    let mut text = format!("{id}  {}", style.paint(Colour::Faint, &printable(&message.time)));
    let mut add = |label: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(text, "\n  {} {}", style.paint(Colour::Faint, &format!("{label:<10}")), printable(value));
        }
    };
    add("module", Some(&message.module));
    add("from", message.from.as_deref());
    let payload = message.payload.as_str().replace(['\n', '\r'], " ");
    add("message", Some(&format!("{} {payload}", message.kind)));
    add("key", message.key.as_deref());
    add("delivery", message.delivery.as_deref());
    add("crashes", message.crashes.map(|crashes| crashes.to_string()).as_deref());
    add("last end", Some(&message.reason));
    add("file", Some(&message.file));
    add("again", Some(&format!("bulkhead quarantine replay {}", message.id)));
    add("forget", Some(&format!("bulkhead quarantine drop {}", message.id)));
    text.push('\n');
    text
}

/// Sends a message again, and removes its record if that was answered with success where it belongs.
fn replay(socket: Option<PathBuf>, options: &QuarantineReplay) -> Result<Exit, Halt> {
    let QuarantineReplay { id, sending, without_key } = options;
    let mut session = Session::open(socket.clone()).map_err(with_location)?;
    let refused = |Refused(why)| Halt::Usage(format!("{}: {why}", printable(id)));
    let mut quarantined = Quarantined::read(&whole(&mut session, id)?).map_err(refused)?;
    let choice = if *without_key { KeyChoice::Left } else { KeyChoice::Used };
    let key = quarantined.key_for(sending, choice).map_err(refused)?;
    let replays = Replays { given: id, record: &quarantined.record, key, sending };
    let is_its_own = !sending.private && replays.to() == quarantined.record.module;
    let exit = replays.run(socket.clone(), Some(session))?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    if !is_its_own {
        complain(&format_args!("{}: it stays quarantined: this was not its module under the daemon", printable(id)));
        return Ok(exit);
    }
    match drop_one(&mut Session::open(socket)?, id) {
        Ok(_) => complain(&format_args!("{}: it is quarantined no longer", printable(id))),
        // Another has removed it meanwhile, which comes to the same.
        Err(Halt::Answered { failure, .. }) if failure.code == ErrorCode::NotFound => {}
        Err(halt) => return Err(halt),
    }
    Ok(exit)
}

fn drop_one(session: &mut Session, id: &str) -> Result<Json, Halt> {
    let request = to_supervisor("quarantine_drop", &serde_json::json!({ "id": id }).into());
    let status: Status = session.ask(&request, |_| {})?.status;
    data_of(status, id).map_err(|halt| in_own_words(halt, id))
}

/// Forgets messages; ends with the worst of their exit codes.
fn drop_all(socket: Option<PathBuf>, which: &Drop) -> Result<Exit, Halt> {
    let mut session = Session::open(socket)?;
    let mut output = Output::default();
    let mut worst = Exit::Done;
    for id in &which.ids {
        match drop_one(&mut session, id) {
            Ok(data) if which.json => output.json_line(&with_schema(data.as_str()))?,
            Ok(_) => output.line(&format!("{}: dropped", printable(id)))?,
            Err(halt @ Halt::Answered { .. }) => {
                complain(&halt);
                worst = worst.max(halt.exit());
            }
            Err(halt) => return Err(halt),
        }
        output.flush()?;
    }
    Ok(worst)
}
