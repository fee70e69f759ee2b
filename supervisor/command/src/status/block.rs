//! One module in full: every field, its instances, the last lines of its log, the next planned step.

use super::model::{Instance, Module, colour_of};
use crate::amount::{size, span};
use crate::columns::wrapped;
use crate::follow::log_text;
use crate::output::printable;
use crate::style::{Colour, Style};
use std::fmt::Write;

/// The column of the values.
const INDENT: usize = 15;

/// The least width to which values are wrapped.
const VALUE_WIDTH_MIN: usize = 20;

/// The block; with a width, free text is wrapped to it.
pub(super) fn render(module: &Module, style: Style, width: Option<usize>) -> String {
    let mut text = String::new();
    let name = style.paint(Colour::Strong, &printable(&module.name));
    let state = style.paint(colour_of(&module.state), &printable(&module.state));
    let _ = writeln!(text, "{name}  {state}");
    for (label, value) in fields(module) {
        let value = printable(&value);
        let columns = width.map(|width| width.saturating_sub(INDENT).max(VALUE_WIDTH_MIN));
        let lines = columns.map_or_else(|| vec![value.clone()], |columns| wrapped(&value, columns));
        let value = lines.join(&format!("\n{}", " ".repeat(INDENT)));
        let _ = writeln!(text, "  {} {value}", style.paint(Colour::Faint, &format!("{label:<12}")));
    }
    if !module.instances.is_empty() {
        let _ = writeln!(text, "\n{}", style.paint(Colour::Strong, "instances"));
    }
    for instance in &module.instances {
        let _ = writeln!(text, "  {}", printable(&instance_line(instance)));
    }
    if !module.log_tail.is_empty() {
        let _ = writeln!(text, "\n{}", style.paint(Colour::Strong, "log"));
    }
    for line in &module.log_tail {
        let _ = writeln!(text, "  {}", log_text(line, style));
    }
    text
}

fn fields(module: &Module) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let mut add = |label, value: Option<String>| fields.extend(value.map(|value| (label, value)));
    add("type", Some(module.kind.clone()));
    add("version", module.version.clone());
    add("desired", Some(module.desired.clone()));
    add("why", module.reason.clone());
    add("next", module.next.as_ref().map(super::model::Next::text));
    add("pid", module.pid.map(|pid| pid.to_string()));
    add("uptime", module.uptime_ms.map(span));
    add("restarts", Some(module.restarts.to_string()));
    add("last exit", module.last_exit_text());
    add("in flight", Some(module.in_flight.to_string()));
    add("queue", Some(module.queue.to_string()));
    add("memory", module.memory_bytes.map(size));
    add("containment", module.containment.clone());
    add("guardian", module.guardian_fault.clone());
    // Answers without a request get a line only when there are any.
    add("strange", (module.strange_answers > 0).then(|| format!("{} answers to nothing", module.strange_answers)));
    fields
}

fn instance_line(instance: &Instance) -> String {
    // A slot may be without a process: the next one waits for its start.
    let name = instance.instance.as_deref().unwrap_or("(no process)");
    let mut line = format!("{name} {} {}", instance.role, instance.state);
    for (label, value) in [
        ("pid", instance.pid.map(|pid| pid.to_string())),
        ("up", instance.uptime_ms.map(span)),
        ("in flight", instance.instance.as_ref().map(|_| instance.in_flight.to_string())),
        ("memory", instance.memory_bytes.map(size)),
    ] {
        if let Some(value) = value {
            let _ = write!(line, ", {label} {value}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    #[test]
    fn a_module_is_shown_in_full() {
        let json = r#"{"name":"research-log","type":"process","version":"0.1.0","desired":"running","state":"waiting",
            "reason":"crashed while it handled a request","pid":null,"uptime_ms":null,"restarts":2,
            "last_exit":"SIGSEGV","last_exit_ago_ms":1200,
            "next":{"action":"restart","in_ms":400,"why":"the 2nd failure in a row"},"in_flight":0,"queue":3,
            "memory_bytes":null,"containment":"subreaper","strange_answers":1,
            "instances":[{"instance":"research-log#2","role":"active","state":"ready","pid":48,"uptime_ms":5000,
            "in_flight":1,"memory_bytes":1048576},
            {"instance":null,"role":"active","state":"waiting","pid":null,"uptime_ms":null,"in_flight":0,
            "memory_bytes":null}],
            "log_tail":[{"time":"2026-11-22T10:00:00Z","stream":"stderr","level":null,"line":"bad pointer"}]}"#;
        let expected = "\
research-log  waiting
  type         process
  version      0.1.0
  desired      running
  why          crashed while it handled a request
  next         restart in 0.4s: the 2nd failure in a row
  restarts     2
  last exit    SIGSEGV 1.2s ago
  in flight    0
  queue        3
  containment  subreaper
  strange      1 answers to nothing

instances
  research-log#2 active ready, pid 48, up 5.0s, in flight 1, memory 1.0 MiB
  (no process) active waiting

log
  2026-11-22T10:00:00Z stderr bad pointer
";
        assert_eq!(render(&Json::parse(json).unwrap().read().unwrap(), Style::Plain, None), expected);
    }
}
