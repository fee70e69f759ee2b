//! All modules in a table, and the host below. Without a terminal, one line a module.

use super::model::{Host, Module, Next, Status, colour_of};
use crate::amount::{size, span};
use crate::columns::{shortened, wrapped};
use crate::output::printable;
use crate::style::{Colour, Style};
use crate::table::{Align, Table};

const STATE: usize = 1;
const WHY: usize = 9;

/// The order in which columns are dropped on a terminal that is too narrow: PID, MEMORY, UPTIME, IN-FLIGHT, RESTARTS,
/// QUEUE. The state, the last exit and the reason stay.
const EXPENDABLE: &[usize] = &[2, 8, 3, 6, 4, 7];

/// Columns of how a module ended last: enough for every exit and signal. A module's own sentence is shown as the
/// reason, and in full in `status NAME`.
const LAST_EXIT_WIDTH: usize = 32;

/// The same on a terminal of less than `WIDE`.
const LAST_EXIT_WIDTH_NARROW: usize = 16;
const WIDE: usize = 120;

/// The table; with a width, no line is longer.
pub(super) fn render(status: &Status, style: Style, width: Option<usize>) -> String {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("NAME", Left),
        ("STATE", Left),
        ("PID", Right),
        ("UPTIME", Right),
        ("RESTARTS", Right),
        ("LAST EXIT", Left),
        ("IN-FLIGHT", Right),
        ("QUEUE", Right),
        ("MEMORY", Right),
        ("WHY", Left),
    ])
    .with_sentences()
    .with_expendable(EXPENDABLE);
    let exit_width = if width.is_none_or(|width| width >= WIDE) { LAST_EXIT_WIDTH } else { LAST_EXIT_WIDTH_NARROW };
    status.modules.iter().for_each(|module| table.row(row(module, exit_width)));
    let mut text = table.render(style, width, |at, row| match at {
        STATE => Some(colour_of(&row[STATE])),
        WHY => Some(Colour::Faint),
        _ => None,
    });
    if !text.is_empty() {
        text.push('\n');
    }
    let troubles = status.host.troubles().into_iter().map(|trouble| (Colour::Bad, printable(&trouble)));
    for (colour, sentence) in std::iter::once((Colour::Faint, summary(status))).chain(troubles) {
        let lines = width.map_or_else(|| vec![sentence.clone()], |width| wrapped(&sentence, width));
        for line in lines {
            text.push_str(&style.paint(colour, &line));
            text.push('\n');
        }
    }
    text
}

fn row(module: &Module, exit_width: usize) -> [String; 10] {
    let dash = || "-".to_owned();
    let last_exit = match (&module.last_exit, module.last_exit_ago_ms) {
        (None, _) => dash(),
        (Some(exit), None) => shortened(exit, exit_width),
        (Some(exit), Some(ago)) => format!("{} {} ago", shortened(exit, exit_width), span(ago)),
    };
    [
        module.name.clone(),
        module.state.clone(),
        module.pid.map_or_else(dash, |pid| pid.to_string()),
        module.uptime_ms.map_or_else(dash, span),
        module.restarts.to_string(),
        last_exit,
        module.in_flight.to_string(),
        module.queue.to_string(),
        module.memory_bytes.map_or_else(dash, size),
        why(module),
    ]
}

/// The reason, and the next step; what both contain is printed once.
fn why(module: &Module) -> String {
    // A ready module has no next step here; its next check is in `status NAME`.
    let next = module.next.as_ref().filter(|_| module.state != "ready").map(|next| match &module.reason {
        Some(reason) if *reason == next.why => next.step(),
        Some(_) | None => Next::text(next),
    });
    module.reason.iter().cloned().chain(next).collect::<Vec<_>>().join("; ")
}

fn summary(status: &Status) -> String {
    let ready = status.modules.iter().filter(|module| module.state == "ready").count();
    let Host { version, pid, uptime_ms, containment, clients, state_dir, .. } = &status.host;
    let modules = match status.modules.len() {
        0 => "no modules".to_owned(),
        1 => format!("1 module, {ready} ready"),
        many => format!("{many} modules, {ready} ready"),
    };
    let host = [
        Some(version.as_ref().map_or_else(|| "bulkhead".into(), |version| format!("bulkhead {version}"))),
        pid.map(|pid| format!("pid {pid}")),
        uptime_ms.map(|ms| format!("up {}", span(ms))),
        containment.as_ref().map(|containment| format!("containment {containment}")),
        clients.map(|clients| if clients == 1 { "1 client".into() } else { format!("{clients} clients") }),
        state_dir.as_ref().map(|folder| format!("state in {folder}")),
    ];
    printable(&format!("{modules}; {}", host.into_iter().flatten().collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::width_of;
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
    fn the_reason_is_below_its_module_and_columns_are_dropped_in_their_order() {
        let of_120 = "\
NAME          STATE     PID  UPTIME  RESTARTS  LAST EXIT             IN-FLIGHT  QUEUE   MEMORY
research-log  ready    4801   3m10s         1  SIGSEGV 3m10s ago            12      0  2.0 MiB
misbehave     waiting     -       -        14  exit code 3 0.3s ago          0      7        -
    crashed; restart in 3.2s: the 6th failure in a row

2 modules, 1 ready; bulkhead 0.1.0, pid 4711, up 3m12s, containment cgroup, 1 client, state in /var/lib/bulkhead
";
        assert_eq!(table(Style::Plain, Some(120)), of_120);
        let of_80 = "\
NAME          STATE    UPTIME  RESTARTS  LAST EXIT             IN-FLIGHT  QUEUE
research-log  ready     3m10s         1  SIGSEGV 3m10s ago            12      0
misbehave     waiting       -        14  exit code 3 0.3s ago          0      7
    crashed; restart in 3.2s: the 6th failure in a row
not shown in 80 columns: PID, MEMORY (--json shows all)

2 modules, 1 ready; bulkhead 0.1.0, pid 4711, up 3m12s, containment cgroup, 1
client, state in /var/lib/bulkhead
";
        assert_eq!(table(Style::Plain, Some(80)), of_80);
        let of_60 = "\
NAME          STATE    RESTARTS  LAST EXIT             QUEUE
research-log  ready           1  SIGSEGV 3m10s ago         0
misbehave     waiting        14  exit code 3 0.3s ago      7
    crashed; restart in 3.2s: the 6th failure in a row
not shown in 60 columns: PID, UPTIME, IN-FLIGHT, MEMORY
(--json shows all)

2 modules, 1 ready; bulkhead 0.1.0, pid 4711, up 3m12s,
containment cgroup, 1 client, state in /var/lib/bulkhead
";
        assert_eq!(table(Style::Plain, Some(60)), of_60);
        assert_eq!(table(Style::Plain, Some(200)), table(Style::Plain, None));
    }

    #[test]
    fn at_every_width_no_line_is_longer_and_the_reason_is_shown() {
        let why = "the disk 磁盘 is full: give it room, or set [limits] storage_quota in its manifest, then start it";
        let exit = format!("init failed: {why}");
        let status = serde_json::json!({ "modules": [
            { "name": "a", "state": "ready", "pid": 7, "memory_bytes": 1 << 20, "queue": 3 },
            { "name": "a-name-that-is-as-long-as-the-longest", "state": "failed", "reason": why, "queue": 7,
              "last_exit": exit, "last_exit_ago_ms": 300 },
        ], "host": { "state_dir": "/var/lib/bulkhead", "problems": [why] } });
        let status: Status = Json::of(&status).read().unwrap();
        for width in (60..=240).chain([1000]) {
            let table = render(&status, Style::Plain, Some(width));
            assert!(table.lines().all(|line| width_of(line) <= width), "{width}\n{table}");
            // Once as the reason, and once as a problem of the host.
            let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words.matches(why).count(), 2, "{width}\n{table}");
            for (heading, cell) in [("MEMORY", "1.0 MiB"), ("QUEUE", " 7"), ("LAST EXIT", "init failed")] {
                assert!(table.contains(heading) && (table.contains("not shown") || table.contains(cell)), "{table}");
            }
        }
        assert_eq!(render(&status, Style::Plain, None).lines().count(), 6, "piped: a line for each");
    }

    #[test]
    fn what_waits_says_once_why_and_a_long_end_does_not_widen_the_column() {
        let why = "backoff after 2 failures in a row";
        let exit = format!("init failed: {}", "no ".repeat(200));
        let status = serde_json::json!({ "modules": [
            { "name": "a", "state": "waiting", "reason": why, "next": { "action": "next start", "in_ms": 50, "why": why } },
            { "name": "b", "state": "failed", "reason": exit, "last_exit": exit, "last_exit_ago_ms": 300 },
        ]});
        let table = render(&Json::of(&status).read().unwrap(), Style::Plain, None);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].ends_with("  backoff after 2 failures in a row; next start in 0.0s"), "{table}");
        assert!(lines[2].contains("  init failed: no no no no no no … 0.3s ago  "), "{table}");
        assert!(lines[2].ends_with(exit.trim_end()), "{table}");
    }

    #[test]
    fn a_data_store_that_writes_no_more_is_reported_below() {
        let status = r#"{"modules":[],"host":{"layer1":{"broken":"the disk failed","restart_needed":null}}}"#;
        let table = render(&Json::parse(status).unwrap().read().unwrap(), Style::Plain, None);
        assert!(table.ends_with("\ndata store: the disk failed\n"), "{table}");
    }

    #[test]
    fn what_the_host_lacks_around_it_is_reported_below() {
        let status = r#"{"modules":[],"host":{"problems":["the control socket has gone","b\u001b[2J"]}}"#;
        let table = render(&Json::parse(status).unwrap().read().unwrap(), Style::Plain, None);
        assert!(table.contains("\nhost: the control socket has gone\nhost: b"), "{table}");
        assert!(!table.contains('\x1b'), "{table}");
    }

    #[test]
    fn a_guardian_that_is_not_there_is_reported_below() {
        let last = |host: &str| {
            let status = format!(r#"{{"modules":[],"host":{host}}}"#);
            let table = render(&Json::parse(&status).unwrap().read().unwrap(), Style::Plain, None);
            table.lines().last().unwrap().to_owned()
        };
        let fault = r#"{"guardian_pid":null,"containment":null,"guardian_fault":"not running: no such file"}"#;
        assert_eq!(last(fault), "guardian: not running: no such file");
        let of_an_older_host = r#"{"guardian_pid":null,"containment":null}"#;
        assert_eq!(last(of_an_older_host), "guardian: not running, so no module can start");
        let starting = r#"{"guardian_pid":7,"containment":null,"guardian_fault":null}"#;
        assert_eq!(last(starting), "no modules; bulkhead");
        assert_eq!(last("{}"), "no modules; bulkhead");
    }

    #[test]
    fn whatever_another_version_says_the_rest_is_shown() {
        for host in ["null", "7", r#"{"version":1,"pid":"x","uptime_ms":-1,"clients":null,"layer1":[]}"#] {
            let status =
                format!(r#"{{"schema":9,"new":{{}},"host":{host},"modules":[7,{{"name":"a","state":"ready"}}]}}"#);
            let table = render(&Json::parse(&status).unwrap().read().unwrap(), Style::Plain, None);
            let rows: Vec<&str> = table.lines().collect();
            assert!(rows[1].starts_with("a     ready    -       -         0  -"), "{table}");
            assert_eq!(rows.last(), Some(&"1 module, 1 ready; bulkhead"), "{table}");
        }
        // Each member of a module, of another type or null.
        let whole: serde_json::Value = serde_json::from_str(STATUS).unwrap();
        let module = whole["modules"][1].as_object().unwrap();
        for name in module.keys().map(String::as_str).chain(["log_tail", "guardian_fault"]) {
            for value in [serde_json::Value::Null, 7.into(), "x".into(), serde_json::json!([[], {}])] {
                let mut other = module.clone();
                other.insert(name.to_owned(), value);
                let status = serde_json::json!({ "modules": [other] });
                let table = render(&Json::of(&status).read().unwrap(), Style::Plain, None);
                assert_eq!(table.lines().count(), 4, "{name}: {table}");
            }
        }
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
