//! All modules in a table, one a line, and the host below.

use super::model::{Host, Module, Status, colour_of};
use crate::amount::{size, span};
use crate::output::printable;
use crate::style::{Colour, Style};

const HEADINGS: [&str; 10] =
    ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT", "IN-FLIGHT", "QUEUE", "MEMORY", "WHY"];

/// Which columns hold numbers, and stand at the right of their column.
const NUMBERS: [bool; 10] = [false, false, true, true, true, false, true, true, true, false];

const STATE: usize = 1;
const WHY: usize = 9;

/// The table; with a width, lines are cut to it.
pub(super) fn render(status: &Status, style: Style, width: Option<usize>) -> String {
    let mut text = String::new();
    let rows: Vec<[String; 10]> = status.modules.iter().map(row).collect();
    if !rows.is_empty() {
        let mut widths = HEADINGS.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        line(&mut text, &HEADINGS.map(str::to_owned), &widths, width, |_, cell| style.paint(Colour::Strong, cell));
        for row in &rows {
            let colour = colour_of(&row[STATE]);
            line(&mut text, row, &widths, width, |at, cell| match at {
                STATE => style.paint(colour, cell),
                WHY => style.paint(Colour::Faint, cell),
                _ => cell.to_owned(),
            });
        }
        text.push('\n');
    }
    text.push_str(&style.paint(Colour::Faint, &summary(status)));
    text.push('\n');
    text
}

fn row(module: &Module) -> [String; 10] {
    let dash = || "-".to_owned();
    // A module that is ready waits for nothing; its next check is in `status NAME`.
    let next = module.next.as_ref().filter(|_| module.state != "ready").map(super::model::Next::text);
    let why: Vec<String> = module.reason.iter().cloned().chain(next).collect();
    [
        module.name.clone(),
        module.state.clone(),
        module.pid.map_or_else(dash, |pid| pid.to_string()),
        module.uptime_ms.map_or_else(dash, span),
        module.restarts.to_string(),
        module.last_exit_text().unwrap_or_else(dash),
        module.in_flight.to_string(),
        module.queue.to_string(),
        module.memory_bytes.map_or_else(dash, size),
        why.join("; "),
    ]
    .map(|cell| printable(&cell))
}

/// Adds one line. The cells are padded and cut before they are painted: escape sequences have no width.
fn line(
    text: &mut String,
    cells: &[String; 10],
    widths: &[usize; 10],
    width: Option<usize>,
    paint: impl Fn(usize, &str) -> String,
) {
    let mut left = width.unwrap_or(usize::MAX);
    for (at, cell) in cells.iter().enumerate() {
        let gap = if at == 0 { "" } else { "  " };
        let padded = match (at, NUMBERS[at]) {
            (WHY, _) => cell.clone(),
            (_, true) => format!("{cell:>0$}", widths[at]),
            (_, false) => format!("{cell:<0$}", widths[at]),
        };
        let needed = padded.chars().count();
        if left <= gap.len() + 1 || padded.is_empty() {
            break;
        }
        left -= gap.len();
        text.push_str(gap);
        if needed > left {
            let cut: String = padded.chars().take(left - 1).chain(['…']).collect();
            text.push_str(&paint(at, &cut));
            break;
        }
        text.push_str(&paint(at, &padded));
        left -= needed;
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn summary(status: &Status) -> String {
    let ready = status.modules.iter().filter(|module| module.state == "ready").count();
    let Host { version, pid, uptime_ms, containment, clients, state_dir } = &status.host;
    let modules = match status.modules.len() {
        0 => "no modules".to_owned(),
        1 => format!("1 module, {ready} ready"),
        many => format!("{many} modules, {ready} ready"),
    };
    let clients = if *clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
    printable(&format!(
        "{modules}; bulkhead {version}, pid {pid}, up {}, containment {containment}, {clients}, state in {state_dir}",
        span(*uptime_ms)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    const STATUS: &str = r#"{"schema":1,
        "host":{"version":"0.1.0","pid":4711,"guardian_pid":4712,"uptime_ms":192000,"state_dir":"/var/lib/bulkhead",
            "socket":"/run/bulkhead/control.sock","containment":"cgroup","clients":1,"modules":2,"ready":1},
        "modules":[
        {"name":"research-log","type":"process","version":"0.1.0","desired":"running","state":"ready","reason":null,
         "pid":4801,"uptime_ms":190000,"restarts":1,"last_exit":"SIGSEGV","last_exit_ago_ms":190500,"next":null,
         "in_flight":12,"queue":0,"memory_bytes":2097152,"containment":"cgroup","strange_answers":0,"instances":[]},
        {"name":"misbehave","type":"process","version":null,"desired":"running","state":"waiting","reason":"crashed",
         "pid":null,"uptime_ms":null,"restarts":14,"last_exit":"exit code 3","last_exit_ago_ms":300,
         "next":{"action":"restart","in_ms":3200,"why":"the 6th failure in a row"},"in_flight":0,"queue":7,
         "memory_bytes":null,"containment":"cgroup","strange_answers":0,"instances":[]}]}"#;

    fn table(style: Style, width: Option<usize>) -> String {
        render(&Json::parse(STATUS).unwrap().read().unwrap(), style, width)
    }

    #[test]
    fn modules_stand_in_columns() {
        let expected = "\
NAME          STATE     PID  UPTIME  RESTARTS  LAST EXIT             IN-FLIGHT  QUEUE   MEMORY  WHY
research-log  ready    4801   3m10s         1  SIGSEGV 3m10s ago            12      0  2.0 MiB
misbehave     waiting     -       -        14  exit code 3 0.3s ago          0      7        -  crashed; restart in 3.2s: the 6th failure in a row

2 modules, 1 ready; bulkhead 0.1.0, pid 4711, up 3m12s, containment cgroup, 1 client, state in /var/lib/bulkhead
";
        assert_eq!(table(Style::Plain, None), expected);
    }

    #[test]
    fn lines_are_cut_to_the_terminal() {
        let table = table(Style::Plain, Some(60));
        let lines: Vec<&str> = table.lines().take(3).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{lines:#?}");
        assert_eq!(lines[2], "misbehave     waiting     -       -        14  exit code 3 …");
    }

    #[test]
    fn colour_does_not_move_the_columns() {
        let coloured = table(Style::Coloured, None);
        assert!(coloured.contains("\x1b[32mready  \x1b[0m"), "{coloured}");
        assert!(coloured.contains("\x1b[33mwaiting\x1b[0m"), "{coloured}");
    }

    #[test]
    fn a_host_without_modules_says_so() {
        let status = Json::parse(r#"{"modules":[]}"#).unwrap().read().unwrap();
        assert!(render(&status, Style::Plain, None).starts_with("no modules; "));
    }
}
