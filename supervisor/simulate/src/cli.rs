//! The command line.

use clap::Parser;
use std::{path::PathBuf, time::Duration};

/// Longest time that is simulated: 366 days.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const HELP: &str = "\
The list of ends has one for each process, in the order in which they start, separated by commas; after its last one, \
the last one is repeated. An end is

  code N [after TIME]       it exits with this code, 0 to 255
  signal S [after TIME]     a signal ends it: a number from 1 to 31, or a name such as KILL
  silent                    it never answers init
  lives                     it does not end by itself

TIME counts from the start of the process and is 1s where it is left out. A process is ready --ready-after its start, \
unless it ends before that. One that lives answers its pings.

What happens is decided by the code that decides in the daemon. Delays are spread by up to a quarter, by --seed. Times \
of a kill, of an exit and of the clearing of processes are none here. No more than 10000 processes are played, and 500 \
lines are shown.

Exit codes:
  0  it was played
  2  usage, or a file that does not check

Examples:
  bulkhead simulate ./flaky --exits 'signal 9 after 2s, code 1 after 30ms'
  bulkhead simulate flaky --modules ./modules --exits 'code 1' --for 1d";

/// Plays what the daemon would do when a module's processes end like this: starts, backoff, breaker, giving up.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-simulate", bin_name = "bulkhead simulate", version, after_help = HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// The folder of a module, written with a slash, as ./flaky; or the name of a module that the daemon would load.
    #[arg(value_name = "NAME | DIR")]
    pub(crate) module: String,

    /// How the processes end, one after the other.
    #[arg(long, value_name = "LIST")]
    pub(crate) exits: String,

    /// How much time is simulated, at most 366d.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    pub(crate) duration: Duration,

    /// How long after its start a process is ready.
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_time)]
    pub(crate) ready_after: Duration,

    /// What the spread of the delays follows from; the same seed spreads them alike.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) seed: u64,

    /// The host's file, for a NAME; $BULKHEAD_CONFIG names it, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A folder of modules, for a NAME; may be given many times, and replaces the file's list.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) modules: Vec<PathBuf>,

    /// The number of a user whose files are trusted as root's are, as with `bulkhead run`.
    #[arg(long = "trust-user", value_name = "NUMBER")]
    pub(crate) trusted_users: Vec<u32>,

    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads a time such as `500ms` or `2h`, with its bound.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = bulkhead_config::parse_duration(text);
    let time = time.ok_or_else(|| format!("expected a time such as 30ms, 2s, 5min or 1h, found {}", quoted(text)))?;
    if time > TIME_MAX {
        return Err(format!("expected a time of at most 366d, found {}", quoted(text)));
    }
    Ok(time)
}

/// A text in quotes, cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(64).collect();
    let mark = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{mark}")
}
