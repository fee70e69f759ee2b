//! What is printed: a table whose rows come as they are measured, or one JSON object at the end.

use super::cli::Cli;
use super::round::{Length, Measured};
use crate::figures::{counted, grouped, micros, short};
use crate::problem::Problem;
use bulkhead_command_line::columns::{padded_left, padded_right};
use bulkhead_protocol::escape;
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::Duration;

/// The percentiles.
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// Columns of the table, and of one column.
const TITLES: [&str; 8] = ["IN FLIGHT", "CALLS/S", "P50", "P90", "P99", "MAX", "CALLS", "ERRORS"];
const WIDTH: usize = 10;

/// How the measuring ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done,
    Interrupted(Signal),
    /// A further call would have failed, too.
    Refused(Problem),
    /// The daemon went away.
    Disconnected(Problem),
}

/// The report.
#[derive(Debug)]
pub(super) struct Report<'a> {
    cli: &'a Cli,
    rows: Vec<Measured>,
}

impl Report<'_> {
    pub(super) fn new(cli: &Cli) -> Report<'_> {
        Report { cli, rows: Vec::new() }
    }

    /// Prints the head of the table.
    pub(super) fn begin(&self) {
        if !self.cli.json {
            print(&format!("{}\n{}\n", self.title(), line(TITLES.map(str::to_owned))));
        }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: Measured) {
        if !self.cli.json {
            print(&format!("{}\n", text_of(&row)));
        }
        self.rows.push(row);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.rows.iter().any(|row| !row.tally.errors().is_empty())
    }

    /// Prints what is left, and why it ended.
    pub(super) fn end(&self, ended: &Ended) {
        match self.cli.json {
            true => print(&format!("{}\n", self.json(ended))),
            false => print(&self.errors()),
        }
        if let Some(reason) = self.reason(ended) {
            eprintln!("bulkhead bench: {reason}");
        }
    }

    fn title(&self) -> String {
        let Cli { name, command, .. } = self.cli;
        let length = match self.cli.plan(1).length {
            Length::Time(time) => short(time),
            Length::Calls(calls) => counted(calls, "call"),
        };
        let after = match self.cli.warm_up {
            Duration::ZERO => String::new(),
            warm_up => format!(" after {} of warm-up", short(warm_up)),
        };
        format!("{} {}: {length} each{after}", escape(name), escape(command))
    }

    /// The errors of all rows, with one sentence for each code.
    fn errors(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            for (code, errors) in row.tally.errors() {
                let Measured { in_flight, .. } = row;
                let first = escape(&errors.first);
                text.push_str(&format!(
                    "{in_flight} in flight: {} {code}, the first: {first}\n",
                    grouped(errors.count)
                ));
            }
        }
        text
    }

    /// Why not all was measured, with how far it got.
    fn reason(&self, ended: &Ended) -> Option<String> {
        let why = match ended {
            Ended::Done => return None,
            Ended::Interrupted(signal) => format!("interrupted by {signal}"),
            Ended::Refused(problem) => format!("{problem}; every further call would end like this"),
            Ended::Disconnected(problem) => format!("{problem}"),
        };
        let errors = |row: &Measured| row.tally.errors().values().map(|errors| errors.count).sum::<u64>();
        let answered: u64 = self.rows.iter().map(|row| row.tally.successes() + errors(row)).sum();
        let unanswered: u64 = self.rows.iter().map(|row| row.unanswered).sum();
        let rows = format!("{} of {}", self.rows.len(), counted(self.cli.in_flight.len() as u64, "row"));
        let answered = format!("{} measured, {} without an answer", counted(answered, "call"), grouped(unanswered));
        Some(format!("{why}; it got as far as {rows}: {answered}"))
    }

    fn json(&self, ended: &Ended) -> Value {
        let how = match ended {
            Ended::Done => "done",
            Ended::Interrupted(_) => "interrupted",
            Ended::Refused(_) => "refused",
            Ended::Disconnected(_) => "disconnected",
        };
        json!({
            "schema": 1,
            "module": self.cli.name,
            "command": self.cli.command,
            "keyed": self.cli.keyed,
            "warm_up_ms": u64::try_from(self.cli.warm_up.as_millis()).unwrap_or(u64::MAX),
            "rows": self.rows.iter().map(json_of).collect::<Vec<_>>(),
            "ended": how,
            "reason": self.reason(ended),
        })
    }
}

fn text_of(row: &Measured) -> String {
    let time = |time: Option<Duration>| time.map_or_else(|| "-".into(), short);
    let errors = row.tally.errors().values().map(|errors| errors.count).sum();
    let [p50, p90, p99] = SHARES.map(|(_, share)| time(row.tally.quantile(share)));
    line([
        grouped(row.in_flight as u64),
        row.rate().map_or_else(|| "-".into(), |rate| grouped(rate.round() as u64)),
        p50,
        p90,
        p99,
        time(row.tally.max()),
        grouped(row.tally.successes()),
        grouped(errors),
    ])
}

fn line(columns: [String; TITLES.len()]) -> String {
    let mut text = String::new();
    for (at, column) in columns.iter().enumerate() {
        match at {
            0 => text.push_str(&padded_right(column, WIDTH)),
            _ => text.push_str(&format!(" {}", padded_left(column, WIDTH))),
        }
    }
    text
}

fn json_of(row: &Measured) -> Value {
    let time = |time: Option<Duration>| time.map(micros);
    let errors = row.tally.errors().iter();
    let errors: Map<String, Value> = errors
        .map(|(code, errors)| ((*code).into(), json!({ "count": errors.count, "first": errors.first })))
        .collect();
    let mut json = json!({
        "in_flight": row.in_flight,
        "calls": row.tally.successes(),
        "seconds": row.time.as_secs_f64(),
        "calls_per_second": row.rate(),
        "max_us": time(row.tally.max()),
        "errors": errors,
        "unanswered": row.unanswered,
    });
    for (name, share) in SHARES {
        json[format!("{name}_us")] = json!(time(row.tally.quantile(share)));
    }
    json
}

/// A reader that is gone needs no report.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::super::round::{Plan, Round};
    use super::*;
    use bulkhead_protocol::{ErrorCode, Failure};
    use clap::Parser;

    fn cli(words: &[&str]) -> Cli {
        Cli::parse_from([&["bulkhead-bench", "log", "add"], words].concat())
    }

    /// Two successes of 2 ms and an error.
    fn measured() -> Measured {
        let plan = Plan { in_flight: 3, warm_up: Duration::ZERO, length: Length::Calls(4) };
        let mut round = Round::new(plan, Duration::ZERO);
        for id in 0..4 {
            round.handle_sent(id, Duration::ZERO);
        }
        let at = Duration::from_millis(2);
        round.handle_answer(0, at, Ok(()));
        round.handle_answer(1, at, Ok(()));
        round.handle_answer(2, at, Err(&Failure::new(ErrorCode::Overloaded, "the queue\nis full")));
        round.result()
    }

    #[test]
    fn a_row_is_as_wide_as_its_titles_and_errors_are_said_in_words() {
        let cli = cli(&["--calls", "4", "--warm-up", "0s"]);
        let mut report = Report::new(&cli);
        report.rows.push(measured());
        assert_eq!(report.title(), "log add: 4 calls each");
        let [titles, row] = [line(TITLES.map(str::to_owned)), text_of(&report.rows[0])];
        assert_eq!(titles.chars().count(), row.chars().count(), "{titles}\n{row}");
        assert!(row.starts_with("3               1,000    2.00 ms"), "{row}");
        assert_eq!(report.errors(), "3 in flight: 1 overloaded, the first: the queue\\nis full\n");
        assert!(report.has_errors());
    }

    #[test]
    fn what_was_broken_off_says_how_far_it_got() {
        let cli = cli(&["--in-flight", "3,64"]);
        let mut report = Report::new(&cli);
        report.rows.push(measured());
        let reason = report.reason(&Ended::Disconnected(Problem::failed("the host is gone"))).unwrap();
        let expected = "the host is gone; it got as far as 1 of 2 rows: 3 calls measured, 1 without an answer";
        assert_eq!(reason, expected);
        let json = report.json(&Ended::Interrupted(Signal::SIGINT));
        assert_eq!((&json["ended"], &json["rows"][0]["calls"]), (&json!("interrupted"), &json!(2)));
        assert_eq!(json["rows"][0]["errors"]["overloaded"]["count"], 1);
        assert!(json["rows"][0]["p99_us"].as_f64().unwrap() >= 1999.0);
        assert_eq!(report.json(&Ended::Done)["reason"], Value::Null);
    }
}
