//! `crashes`: what modules were doing when they crashed.

use crate::amount::{count, span};
use crate::exit::{Exit, Halt};
use crate::lenient::{list, or_empty};
use crate::output::{Output, complain, printable, with_schema};
use crate::replay;
use crate::session::Session;
use crate::style::{Colour, Style};
use bulkhead_command_line::shell_word;
use bulkhead_protocol::Json;
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;

/// The host's answer. An older host does not report what it leaves out.
#[derive(Default, Deserialize)]
pub(crate) struct Crashes {
    /// The records, the newest last.
    pub(crate) crashes: Vec<Json>,
    /// How many there are before them.
    #[serde(default)]
    pub(crate) older: u64,
    #[serde(default)]
    remarks: Vec<String>,
}

/// `bulkhead crashes`.
pub(crate) fn show(socket: Option<PathBuf>, name: Option<&str>, limit: Option<u64>, json: bool) -> Result<Exit, Halt> {
    let bulkhead = match &socket {
        Some(named) => format!("bulkhead --socket {}", shell_word(&named.to_string_lossy())),
        None => "bulkhead".to_owned(),
    };
    let Crashes { crashes, older, remarks } = ask(&mut Session::open(socket)?, name, limit)?;
    let mut output = Output::default();
    for crash in &crashes {
        if json {
            output.json_line(&with_schema(crash.as_str()))?;
        } else {
            output.line(&render(&crash.read().map_err(misunderstood)?, again(&bulkhead, crash), Style::of_stdout()))?;
        }
    }
    if crashes.is_empty() && remarks.is_empty() && !json {
        output.line("no crash is on record")?;
    }
    output.flush()?;
    // Not data, and after it, so that it is seen.
    if older > 0 {
        let records = if older == 1 { "record is" } else { "records are" };
        complain(&format_args!("{} older {records} not shown; --limit N shows up to 1000", count(older)));
    }
    remarks.iter().for_each(|notice| complain(&printable(notice)));
    Ok(Exit::Done)
}

/// The records of a module, or of all modules.
pub(crate) fn ask(session: &mut Session, name: Option<&str>, limit: Option<u64>) -> Result<Crashes, Halt> {
    let mut args = serde_json::Map::new();
    args.extend(name.map(|name| ("name".to_owned(), name.into())));
    args.extend(limit.map(|limit| ("limit".to_owned(), limit.into())));
    let args = serde_json::Value::Object(args).into();
    crate::status::ask_supervisor(session, "crashes", &args, name)?.read().map_err(misunderstood)
}

fn misunderstood(error: serde_json::Error) -> Halt {
    Halt::Failed(format!("the host's list of crashes is not understood: {error}"))
}

/// The command that sends its message again, of a record that has one, to the daemon that this command reaches.
fn again(bulkhead: &str, record: &Json) -> Option<String> {
    replay::Record::read(record).ok()?;
    Some(format!("{bulkhead} replay {}", replay::name_of(record)?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Crash {
    #[serde(deserialize_with = "or_empty")]
    module: String,
    #[serde(deserialize_with = "or_empty")]
    instance: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    time: String,
    #[serde(deserialize_with = "or_empty")]
    reason: String,
    #[serde(deserialize_with = "or_empty")]
    exit: Json,
    #[serde(deserialize_with = "or_empty")]
    pid: Option<u32>,
    #[serde(deserialize_with = "or_empty")]
    uptime_ms: Option<u64>,
    #[serde(deserialize_with = "list")]
    stderr: Vec<String>,
    #[serde(deserialize_with = "list")]
    in_flight: Vec<InFlight>,
    #[serde(deserialize_with = "or_empty")]
    file: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    earlier: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InFlight {
    #[serde(rename = "type", deserialize_with = "or_empty")]
    kind: String,
    #[serde(deserialize_with = "or_empty")]
    payload: Json,
    #[serde(deserialize_with = "or_empty")]
    delivery: Option<String>,
    answered: Option<String>,
}

/// How a process ended: the wire's own form, or words.
fn exit_text(exit: &Json) -> Option<String> {
    if exit.as_str() == "null" {
        return None;
    }
    let as_exit = exit.read::<bulkhead_protocol::Exit>().map(|exit| exit.to_string());
    Some(as_exit.or_else(|_| exit.read::<String>()).unwrap_or_else(|_| exit.as_str().to_owned()))
}

fn render(crash: &Crash, again: Option<String>, style: Style) -> String {
    let module = style.paint(Colour::Strong, &printable(&crash.module));
    let mut text = format!("{module}  {}", style.paint(Colour::Faint, &printable(&crash.time)));
    if crash.earlier {
        text.push_str(&style.paint(Colour::Faint, "  earlier daemon"));
    }
    let mut add = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, "\n  {} {}", style.paint(Colour::Faint, &format!("{label:<10}")), printable(&value));
        }
    };
    add("why", Some(crash.reason.clone()));
    add("exit", exit_text(&crash.exit));
    let uptime = crash.uptime_ms.map(|ms| format!(", up {}", span(ms))).unwrap_or_default();
    let instance = crash.instance.as_ref().map(|instance| format!(", instance {instance}")).unwrap_or_default();
    add("process", crash.pid.map(|pid| format!("pid {pid}{instance}{uptime}")));
    for request in &crash.in_flight {
        let InFlight { kind, payload, delivery, answered } = request;
        let text = match payload.as_str() {
            "null" => kind.clone(),
            payload => format!("{kind} {}", payload.replace(['\n', '\r'], " ")),
        };
        let delivery = delivery.as_ref().map(|delivery| format!("{delivery}: ")).unwrap_or_default();
        match answered {
            // It was answered, as the last answer of the process.
            Some(_) => add("ended by", Some(text)),
            None => add("in flight", Some(format!("{delivery}{text}"))),
        }
    }
    for (index, line) in crash.stderr.iter().enumerate() {
        add(if index == 0 { "stderr" } else { "" }, Some(format!("| {line}")));
    }
    add("file", crash.file.clone());
    add("again", again);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_shown_with_what_it_was_doing() {
        let json = r#"{"module":"misbehave","instance":"misbehave#3","time":"2026-11-22T10:00:00Z","reason":"killed by SIGSEGV",
            "exit":{"signal":"SIGSEGV"},"pid":48,"uptime_ms":5000,"stderr":["one","two"],
            "in_flight":[{"type":"command","payload":{"name":"ink"},"delivery":"started","answered":"no ink"},
            {"type":"command","payload":{"name":"segv"},"delivery":"started"}],"file":"/s/crash-1.json","earlier":true}"#;
        let expected = "\
misbehave  2026-11-22T10:00:00Z  earlier daemon
  why        killed by SIGSEGV
  exit       SIGSEGV
  process    pid 48, instance misbehave#3, up 5.0s
  ended by   command {\"name\":\"ink\"}
  in flight  started: command {\"name\":\"segv\"}
  stderr     | one
             | two
  file       /s/crash-1.json
  again      bulkhead replay crash-1
";
        let record = Json::parse(json).unwrap();
        assert_eq!(render(&record.read().unwrap(), again("bulkhead", &record), Style::Plain), expected);
        let empty = Json::parse(r#"{"module":"m","file":"/s/m-1.json","in_flight":[]}"#).unwrap();
        assert_eq!(again("bulkhead", &empty), None, "there is nothing to send");
    }
}
