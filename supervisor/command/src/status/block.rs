//! One module in full: every field, its instances, the last lines of its log, the next planned step.

use super::model::{Instance, Module, colour_of};
use crate::amount::{size, span};
use crate::follow::log_text;
use crate::output::printable;
use crate::style::{Colour, Style};
use std::fmt::Write;

/// The block.
pub(super) fn render(module: &Module, style: Style) -> String {
    let mut text = String::new();
    let name = style.paint(Colour::Strong, &printable(&module.name));
    let state = style.paint(colour_of(&module.state), &printable(&module.state));
    let _ = writeln!(text, "{name}  {state}");
    for (label, value) in fields(module) {
        let _ = writeln!(text, "  {} {}", style.paint(Colour::Faint, &format!("{label:<12}")), printable(&value));
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
    // Answers that nobody asked for are worth a line only when there are any.
    add("strange", (module.strange_answers > 0).then(|| format!("{} answers to nothing", module.strange_answers)));
    fields
}

fn instance_line(instance: &Instance) -> String {
    let mut line = format!("{} {} {}", instance.instance.as_str(), instance.role, instance.state);
    for (label, value) in [
        ("pid", instance.pid.map(|pid| pid.to_string())),
        ("up", instance.uptime_ms.map(span)),
        ("in flight", Some(instance.in_flight.to_string())),
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
            "instances":[{"instance":2,"role":"active","state":"ready","pid":48,"uptime_ms":5000,"in_flight":1,
            "memory_bytes":1048576}],
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
  2 active ready, pid 48, up 5.0s, in flight 1, memory 1.0 MiB

log
  2026-11-22T10:00:00Z stderr bad pointer
";
        assert_eq!(render(&Json::parse(json).unwrap().read().unwrap(), Style::Plain), expected);
    }
}
