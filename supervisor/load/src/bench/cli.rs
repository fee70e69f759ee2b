//! The command line.

use super::round::{Length, Plan};
use crate::called::Keying;
use bulkhead_command_line::parse_duration;
use clap::Parser;
use std::time::Duration;

/// Most calls in flight: a client may have no more requests unanswered.
const IN_FLIGHT_MAX: usize = 4096;

const AFTER_HELP: &str = "\
A call is sent as soon as another one is answered, so that as many as --in-flight says are always in flight. With \
several numbers, one row after the other is measured. Before each row calls are made for the time of --warm-up, which \
do not count, and their answers are waited for. The row counts from its first call to its last answer. Times are from \
the moment in which a call is queued to that in which its answer is read, and are those of successes; a slow answer \
delays the next call, so a row shows what N callers see who wait for their answers.

Every call is made as it is given, also of a command that changes something. In its arguments, {id} stands for the id of \
the call, which no other call has. With --keyed that is its key as well: keys and their answers are stored for days, \
and count for the quota of the clients.

If the module or the command is not there, may not be called or is stopped, the rest is not measured.

Environment:
  BULKHEAD_SOCKET  the control socket, where --socket before the command names none

Exit codes:
    0  all calls succeeded
    1  a call failed
    2  usage
    3  the module is not running
    4  no such module
  125  the daemon cannot be reached, or went away
  130  interrupted (128 and the number of the signal); what was measured until then is printed

Examples:
  bulkhead bench test-minimal ping
  bulkhead bench test-minimal ping --in-flight 1,64,1024 --for 5s
  bulkhead bench research-log add_entry text='call {id}' --keyed --calls 10000 --in-flight 32";

/// Measures calls of a command: how many are answered in a second, and how long one takes.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-bench", bin_name = "bulkhead bench", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Cli {
    /// The module.
    pub(super) name: String,

    /// The command.
    pub(super) command: String,

    /// Its arguments: JSON, - for standard input, @file, or the members of an object one by one, each as
    /// NAME=TEXT or NAME:=JSON; without any, null.
    #[arg(value_name = "JSON | - | @FILE | NAME=TEXT | NAME:=JSON", allow_negative_numbers = true)]
    pub(super) args: Vec<String>,

    /// How many calls are in flight, at most 4096; several numbers make several rows.
    #[arg(long, value_name = "N,...", default_value = "1", value_delimiter = ',', value_parser = parse_in_flight)]
    pub(super) in_flight: Vec<usize>,

    /// How long each row is measured.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", conflicts_with = "calls", value_parser = parse_duration)]
    pub(super) duration: Duration,

    /// How many calls are measured in each row, instead of a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) calls: Option<u64>,

    /// How long calls are made before each row; 0s for none.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_warm_up)]
    pub(super) warm_up: Duration,

    /// The deadline of a call.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) timeout: Duration,

    /// Gives each call an idempotency key of its own.
    #[arg(long)]
    pub(super) keyed: bool,

    /// Prints one JSON object, at the end.
    #[arg(long)]
    pub(super) json: bool,
}

impl Cli {
    pub(super) fn keying(&self) -> Keying {
        if self.keyed { Keying::Keyed } else { Keying::Plain }
    }

    pub(super) fn plan(&self, in_flight: usize) -> Plan {
        let length = self.calls.map_or(Length::Time(self.duration), Length::Calls);
        Plan { in_flight, warm_up: self.warm_up, length }
    }
}

fn parse_in_flight(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=IN_FLIGHT_MAX).contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {IN_FLIGHT_MAX}, found {text:?}"))
}

fn parse_warm_up(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { parse_duration(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_options_may_stand_after_the_arguments_and_each_has_its_bounds() {
        let read = |words: &[&str]| Cli::try_parse_from([&["bulkhead-bench", "m", "c"], words].concat());
        let cli = read(&["a=1", "--in-flight", "1,64", "--calls", "10", "--warm-up", "0s"]).unwrap();
        assert_eq!((&cli.args[..], &cli.in_flight[..]), (&["a=1".to_owned()][..], &[1, 64][..]));
        let plan = Plan { in_flight: 64, warm_up: Duration::ZERO, length: Length::Calls(10) };
        assert_eq!(cli.plan(64), plan);
        for (words, expected) in [
            (&["--in-flight", "0"][..], "expected a number from 1 to 4096, found \"0\""),
            (&["--in-flight", "1,4097"], "found \"4097\""),
            (&["--for", "5s", "--calls", "5"], "cannot be used with"),
            (&["--calls", "0"], "0 is not in 1.."),
            (&["--for", "0s"], "at least one millisecond"),
        ] {
            let refused = read(words).unwrap_err().to_string();
            assert!(refused.contains(expected), "{words:?}: {refused}");
        }
    }
}
