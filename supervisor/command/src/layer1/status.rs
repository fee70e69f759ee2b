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
    readable: Option<bool>,
    restart_needed: Option<String>,
    events: Events,
    subscriptions: Vec<Subscription>,
    set_aside: SetAside,
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
    #[serde(default)]
    loaded: bool,
    /// What a module that is not loaded subscribes to is not known.
    #[serde(default)]
    behind: Option<u64>,
    /// Whether there may be more than were counted.
    #[serde(default)]
    more: bool,
}

impl Subscription {
    fn waiting_events(&self) -> String {
        match self.behind {
            Some(waiting) => format!("{}{}", count(waiting), if self.more { "+" } else { "" }),
            None => "-".into(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SetAside {
    events: u64,
    max: u64,
    dropped: u64,
}

impl SetAside {
    fn line(&self) -> Option<String> {
        let SetAside { events, max, dropped } = self;
        let gone = match dropped {
            0 => String::new(),
            dropped => format!("; dropped since the start, the oldest first: {}", count(*dropped)),
        };
        let any = *events > 0 || *dropped > 0;
        any.then(|| format!("{} of at most {}{gone}; see layer1 set-aside", count(*events), count(*max)))
    }
}

#[derive(Deserialize)]
struct Owner {
    owner: String,
    bytes: u64,
    entities: u64,
    #[serde(default)]
    storage_quota: Option<u64>,
    #[serde(default)]
    event_bytes: u64,
    #[serde(default)]
    events_quota: Option<u64>,
    #[serde(default)]
    key_bytes: u64,
    #[serde(default)]
    keys_quota: Option<u64>,
}

/// The amount, and its limit, if there is one.
fn within(bytes: u64, quota: Option<u64>) -> String {
    quota.map_or_else(|| size(bytes), |quota| format!("{} of {}", size(bytes), size(quota)))
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
    if status.readable != Some(false) {
        let Events { oldest, newest } = status.events;
        add("events", Some(if newest == 0 { "none".into() } else { format!("cursors {oldest} to {newest}") }));
        add("aside", status.set_aside.line());
    }
    add("broken", status.broken.clone());
    add("restart", status.restart_needed.clone());
    let mut owners =
        Table::new([("OWNER", Left), ("ENTITIES", Right), ("DATA", Right), ("EVENTS", Right), ("KEYS", Right)])
            .with_expendable(&[1, 4, 3]);
    for one in &status.owners {
        let name = if one.owner.is_empty() { "(clients)".into() } else { one.owner.clone() };
        let data = within(one.bytes, one.storage_quota);
        let events = within(one.event_bytes, one.events_quota);
        owners.row([name, count(one.entities), data, events, within(one.key_bytes, one.keys_quota)]);
    }
    let mut subscribers = Table::new([("SUBSCRIBER", Left), ("CURSOR", Right), ("BEHIND", Right), ("MISSED", Right)]);
    for one in &status.subscriptions {
        subscribers.row([one.module.clone(), one.cursor.to_string(), one.waiting_events(), count(one.missed)]);
    }
    let tables = [owners.render(style, width, |_, _| None), subscribers.render(style, width, |_, _| None)];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        let _ = write!(text, "\n{table}");
    }
    for Subscription { module, .. } in status.subscriptions.iter().filter(|one| !one.loaded) {
        let module = printable(module);
        let _ = writeln!(
            text,
            "\n{module} is not loaded, and events wait for it; if it is gone for good: bulkhead layer1 forget {module}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_store_is_shown_with_its_owners_and_its_subscribers() {
        let json = r#"{"file":"/s/layer1/layer1.db","bytes":12600,"log_bytes":0,"broken":null,"restart_needed":null,
            "events":{"oldest":1,"newest":1234},"set_aside":{"events":12,"max":10000,"dropped":0},"subscriptions":[
            {"module":"mirror","cursor":34,"missed":0,"loaded":true,"behind":1100,"more":false},
            {"module":"gone","cursor":3,"missed":7,"loaded":false,"behind":null,"more":false},
            {"module":"slow","cursor":3,"missed":0,"loaded":true,"behind":20,"more":true}],
            "owners":[{"owner":"","bytes":2048,"entities":7},{"owner":"research-log","bytes":512,"entities":1200,
            "storage_quota":1048576,"event_bytes":2048,"events":3,"events_quota":4194304,"key_bytes":0,"keys":0,
            "keys_quota":null}]}"#;
        let expected = "\
file     /s/layer1/layer1.db
size     12.3 KiB, and 0 B of log
events   cursors 1 to 1234
aside    12 of at most 10,000; see layer1 set-aside

OWNER         ENTITIES              DATA              EVENTS  KEYS
(clients)            7           2.0 KiB                 0 B   0 B
research-log     1,200  512 B of 1.0 MiB  2.0 KiB of 4.0 MiB   0 B

SUBSCRIBER  CURSOR  BEHIND  MISSED
mirror          34   1,100       0
gone             3       -       7
slow             3     20+       0

gone is not loaded, and events wait for it; if it is gone for good: bulkhead layer1 forget gone
";
        assert_eq!(render(&Json::parse(json).unwrap().read().unwrap(), Style::Plain, None), expected);
    }

    #[test]
    fn set_aside_events_that_were_dropped_are_reported() {
        let line = SetAside { events: 10_000, max: 10_000, dropped: 3 }.line().unwrap();
        let expected = "10,000 of at most 10,000; dropped since the start, the oldest first: 3; see layer1 set-aside";
        assert_eq!(line, expected);
        assert_eq!(SetAside::default().line(), None);
    }
}
