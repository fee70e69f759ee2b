//! The command line.

use super::ledger::{CALLS_MAX, Twice};
use super::observe::Observed;
use super::schedule::Act;
use crate::problem::Problem;
use bulkhead_command_line::parse_duration;
use clap::{ArgGroup, Parser, ValueEnum};
use std::time::Duration;

/// Most calls in flight. More would not be begun by the module, but wait in the daemon.
const IN_FLIGHT_MAX: u64 = 1024;

/// Most calls a second.
const RATE_MAX: u64 = 100_000;

/// The shortest time between two disturbances of one kind.
const EVERY_MIN: Duration = Duration::from_millis(10);

/// Most disturbances of one kind.
const DISTURBANCES_MAX: u128 = 100_000;

const AFTER_HELP: &str = "\
The program calls the command again and again and keeps a ledger of its calls. Meanwhile it kills processes of the module \
(SIGKILL), stops them for a time (SIGSTOP, SIGCONT) or slows them, at moments that follow from --seed. A process is named \
by a descriptor, and only after it was found to be the module's. A module whose next start would be more than 2 seconds \
away, as after many kills, is started.

A command that is not idempotent is called with keys, so that a call that may have been begun can be sent again: with \
--keys never it cannot. A call that failed with a retryable error is sent again where that is safe. In the arguments, {id} \
stands for the id of the call, which no other call has.

At the end it says what became of the calls. Every call must have one answer before its deadline and --grace. With \
--observe or --observe-events the effects are compared as well: a call that succeeded has one effect (an idempotent one at \
least one), a call of which nothing was begun has none, and a call that failed otherwise has none or one. Each place \
at which an id stands in the answer of the command of --observe is one effect, and each event with it is one.

Exit codes:
    0  every call had its answer, and the effects that were looked for
    1  a promise was broken, the calls are listed; or the run cannot be judged
    2  usage
    3  the module is not running
    4  no such module
  125  the daemon cannot be reached, or went away
  130  interrupted (128 and the number of the signal); what was done until then is judged

Environment:
  BULKHEAD_SOCKET  the control socket, where --socket before the command names none

Examples:
  bulkhead chaos research-log add_entry text={id} --kill-every 1s --for 1m --observe-events ResearchEntry.created
  bulkhead chaos shop order item={id} --kill-every 2s --stop-every 10s --stop-for 1s --observe 'orders'";

/// Kills, stops and slows the processes of a module while it is called, and says what was lost, doubled or late.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-chaos", bin_name = "bulkhead chaos", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(group = ArgGroup::new("disturbances").args(["kill_every", "stop_every", "slow_every"]).multiple(true).required(true))]
pub(super) struct Cli {
    /// The module.
    pub(super) name: String,

    /// The command that is called.
    pub(super) command: String,

    /// Its arguments: JSON, - for standard input, @file, or the members of an object one by one, each as
    /// NAME=TEXT or NAME:=JSON; without any, null.
    #[arg(value_name = "JSON | - | @FILE | NAME=TEXT | NAME:=JSON", allow_negative_numbers = true)]
    pub(super) args: Vec<String>,

    /// Kills a process once in this time, on average.
    #[arg(long, value_name = "TIME", value_parser = parse_every)]
    pub(super) kill_every: Option<Duration>,

    /// Stops a process once in this time.
    #[arg(long, value_name = "TIME", value_parser = parse_every)]
    pub(super) stop_every: Option<Duration>,

    /// How long a stopped process is stopped.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    pub(super) stop_for: Duration,

    /// Slows a process once in this time: it runs for a tenth of the time.
    #[arg(long, value_name = "TIME", value_parser = parse_every)]
    pub(super) slow_every: Option<Duration>,

    /// How long a slowed process is slowed.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(super) slow_for: Duration,

    /// How long calls are made.
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    pub(super) duration: Duration,

    /// What the moments and the choice of the process follow from; without it, another one each time, which is printed.
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,

    /// How many calls are in flight at most.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=IN_FLIGHT_MAX))]
    pub(super) in_flight: u64,

    /// How many new calls are made in a second at most.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub(super) rate: u64,

    /// The deadline of a call.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(super) timeout: Duration,

    /// How long after its deadline an answer may come.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(super) grace: Duration,

    /// Which calls have an idempotency key.
    #[arg(long, value_name = "WHEN", value_enum, default_value = "needed")]
    pub(super) keys: Keys,

    /// A command of the module, with arguments as JSON, whose answer lists the effects.
    #[arg(long, value_name = "COMMAND ARGS", conflicts_with = "observe_events", value_parser = Observed::command)]
    pub(super) observe: Option<Observed>,

    /// A pattern of events of which each is an effect.
    #[arg(long, value_name = "PATTERN", value_parser = Observed::events)]
    pub(super) observe_events: Option<Observed>,

    /// Prints one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Which calls have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Keys {
    /// Those of a command that is not idempotent.
    Needed,
    /// All.
    Always,
    /// None.
    Never,
}

impl Cli {
    /// Checks what concerns several options.
    ///
    /// # Errors
    /// A sentence, with the remedy.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let calls = u128::from(self.rate) * self.duration.as_millis() / 1000;
        if calls > u128::from(CALLS_MAX) {
            return Err(Problem::usage(format!(
                "--rate and --for: expected at most {CALLS_MAX} calls, found {calls}; a lower --rate or a shorter --for makes \
                 fewer"
            )));
        }
        for (option, every) in
            [("--kill-every", self.kill_every), ("--stop-every", self.stop_every), ("--slow-every", self.slow_every)]
        {
            let Some(every) = every else { continue };
            // The first one comes after one and a half of it at the latest.
            if every * 3 / 2 > self.duration {
                return Err(Problem::usage(format!(
                    "{option}: expected at most two thirds of --for, which is {:?}, so that there is one; found {every:?}",
                    self.duration
                )));
            }
            if self.duration.as_millis() / every.as_millis().max(1) > DISTURBANCES_MAX {
                return Err(Problem::usage(format!(
                    "{option}: expected at most {DISTURBANCES_MAX} in the time of --for, found more; use a longer time"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn acts(&self) -> Vec<(Act, Duration)> {
        let acts = [
            (Act::Kill, self.kill_every),
            (Act::Stop(self.stop_for), self.stop_every),
            (Act::Slow(self.slow_for), self.slow_every),
        ];
        acts.into_iter().filter_map(|(act, every)| Some((act, every?))).collect()
    }

    pub(super) fn observed(&self) -> Observed {
        self.observe.clone().or_else(|| self.observe_events.clone()).unwrap_or(Observed::Nothing)
    }

    /// What it means to send a call of this command twice.
    pub(super) fn twice(&self, is_idempotent: bool) -> Twice {
        match (self.keys, is_idempotent) {
            (Keys::Always, _) | (Keys::Needed, false) => Twice::Keyed,
            (Keys::Needed | Keys::Never, true) => Twice::Idempotent,
            (Keys::Never, false) => Twice::OtherWork,
        }
    }
}

fn parse_every(text: &str) -> Result<Duration, String> {
    let every = parse_duration(text)?;
    match every < EVERY_MIN {
        true => Err(format!("expected a time of at least 10ms, found {text:?}")),
        false => Ok(every),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["bulkhead-chaos", "m", "c"], words].concat())
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn something_must_be_disturbed_and_each_option_has_its_bounds() {
        for (words, expected) in [
            (&["a={id}"][..], "required"),
            (&["--kill-every", "1ms"], "at least 10ms"),
            (&["--kill-every", "1s", "--rate", "0"], "0 is not in"),
            (&["--kill-every", "1s", "--observe", "x", "--observe-events", "y"], "cannot be used with"),
            (&["--kill-every", "1s", "--observe", "{}"], "expected a command"),
        ] {
            let refused = read(words).unwrap_err().to_string();
            assert!(refused.contains(expected), "{words:?}: {refused}");
        }
        for (words, expected) in [
            (&["--kill-every", "1s", "--for", "1h"][..], "expected at most 1000000 calls, found 3600000"),
            (&["--kill-every", "50s"], "--kill-every: expected at most two thirds of --for, which is 60s"),
        ] {
            let refused = read(words).unwrap().check().unwrap_err().to_string();
            assert!(refused.contains(expected), "{words:?}: {refused}");
        }
        let cli = read(&["a={id}", "--kill-every", "1s", "--slow-every", "9s"]).unwrap();
        cli.check().unwrap();
        let acts = [(Act::Kill, Duration::from_secs(1)), (Act::Slow(Duration::from_secs(1)), Duration::from_secs(9))];
        assert_eq!((&cli.acts()[..], cli.observed()), (&acts[..], Observed::Nothing));
    }

    #[test]
    fn keys_are_for_commands_that_are_not_idempotent_unless_all_or_none_shall_have_one() {
        for (keys, idempotent, other) in [
            ("needed", Twice::Idempotent, Twice::Keyed),
            ("always", Twice::Keyed, Twice::Keyed),
            ("never", Twice::Idempotent, Twice::OtherWork),
        ] {
            let cli = read(&["--kill-every", "1s", "--keys", keys]).unwrap();
            assert_eq!((cli.twice(true), cli.twice(false)), (idempotent, other), "{keys}");
        }
    }
}
