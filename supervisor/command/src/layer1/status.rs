//! `layer1 status`: what the data store holds, and how far each subscribing module is.

use crate::amount::{count, size};
use crate::exit::{Exit, Halt};
use crate::output::{Output, printable, with_schema};
use crate::session::Session;
use crate::status::ask_supervisor;
use crate::style::{Colour, Style, width_of_stdout};
use crate::table::{Align, Table};
use bulkhead_protocol::Json;
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;

/// `bulkhead layer1 status`.
pub(super) fn show(socket: Option<PathBuf>, json: bool) -> Result<Exit, Halt> {
    let mut session = Session::open(socket)?;
    let data = ask_supervisor(&mut session, "layer1", &Json::null(), Some("layer1"))?;
    let mut output = Output::default();
    if json {
        output.json_line(&with_schema(data.as_str()))?;
    } else {
        let misunderstood = |error| Halt::Failed(format!("the host's answer is not understood: {error}"));
        let status: Status = data.read().map_err(misunderstood)?;
        output.buffer().extend_from_slice(render(&status, Style::of_stdout(), width_of_stdout()).as_bytes());
    }
    output.flush()?;
    Ok(Exit::Done)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    file: String,
    bytes: u64,
    log_bytes: u64,
    broken: Option<String>,
    restart_needed: Option<String>,
    events: Events,
    subscriptions: Vec<Subscription>,
    owners: Vec<Owner>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Events {
    oldest: u64,
    newest: u64,
}

#[derive(Deserialize)]
struct Subscription {
    module: String,
    cursor: u64,
    #[serde(default)]
    missed: u64,
}

#[derive(Deserialize)]
struct Owner {
    owner: String,
    bytes: u64,
    entities: u64,
}

fn render(status: &Status, style: Style, width: Option<usize>) -> String {
    use Align::{Left, Right};
    let mut text = String::new();
    let mut add = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{} {}", style.paint(Colour::Faint, &format!("{label:<8}")), printable(&value));
        }
    };
    add("file", Some(status.file.clone()));
    add("size", Some(format!("{}, and {} of log", size(status.bytes), size(status.log_bytes))));
    let Events { oldest, newest } = status.events;
    add("events", Some(if newest == 0 { "none".into() } else { format!("cursors {oldest} to {newest}") }));
    add("broken", status.broken.clone());
    add("restart", status.restart_needed.clone());
    let mut owners = Table::new([("OWNER", Left), ("ENTITIES", Right), ("DATA", Right)]);
    for Owner { owner, bytes, entities } in &status.owners {
        let name = if owner.is_empty() { "(clients)".into() } else { owner.clone() };
        owners.row([name, count(*entities), size(*bytes)]);
    }
    let mut subscribers = Table::new([("SUBSCRIBER", Left), ("CURSOR", Right), ("BEHIND", Right), ("MISSED", Right)]);
    for Subscription { module, cursor, missed } in &status.subscriptions {
        subscribers.row([module.clone(), cursor.to_string(), count(newest.saturating_sub(*cursor)), count(*missed)]);
    }
    let tables = [owners.render(style, width, |_, _| None), subscribers.render(style, width, |_, _| None)];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        let _ = write!(text, "\n{table}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_store_is_shown_with_its_owners_and_its_subscribers() {
        let json = r#"{"file":"/s/layer1/layer1.db","bytes":12600,"log_bytes":0,"broken":null,"restart_needed":null,
            "events":{"oldest":1,"newest":1234},"subscriptions":[{"module":"mirror","cursor":34,"missed":0}],
            "owners":[{"owner":"","bytes":2048,"entities":7},{"owner":"research-log","bytes":512,"entities":1200}]}"#;
        let expected = "\
file     /s/layer1/layer1.db
size     12.3 KiB, and 0 B of log
events   cursors 1 to 1234

OWNER         ENTITIES     DATA
(clients)            7  2.0 KiB
research-log     1,200    512 B

SUBSCRIBER  CURSOR  BEHIND  MISSED
mirror          34   1,200       0
";
        assert_eq!(render(&Json::parse(json).unwrap().read().unwrap(), Style::Plain, None), expected);
    }
}
