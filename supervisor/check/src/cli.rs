//! The command line.

use bulkhead_command_line::parse_duration;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
The module is run, in a process of its own and under a private host whose state directory is removed afterwards. Its \
commands are really called: those that it declares idempotent, unless an option says otherwise. A filter has no names \
of commands, and is given whatever is sent. What a module does elsewhere than in the host's data store stays done.

Exit codes:
  0  every rule that applies is kept
  1  one is not
  2  usage
  3  the check could not be made

Interrupted by SIGINT, SIGTERM or SIGHUP, it stops the module, removes what it made, and ends with 128 and the number \
of the signal.";

/// Checks a module, of any kind and language, against the rules of PROTOCOL.md.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-check", bin_name = "bulkhead check", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The folder of the module, with its module.toml.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// Calls no command and sends no query: for a module whose work has effects elsewhere.
    #[arg(long, conflicts_with = "all_commands")]
    pub(crate) skip_commands: bool,

    /// Calls all commands, also those that are not declared idempotent.
    #[arg(long)]
    pub(crate) all_commands: bool,

    /// What the arguments of commands follow from; the same seed makes the same arguments. By default by the clock.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// How long an answer may take where the manifest has no time for it: seconds, or a time such as 500ms or 2m.
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// How long a process may take to end by itself with its channel, and after it has refused to start: a time as
    /// with --timeout. That is to be at once; a slow machine or runtime is given this.
    #[arg(long, value_name = "TIME", default_value = "3", value_parser = parse_duration)]
    pub(crate) end_timeout: Duration,

    /// Prints the report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    /// Writes the report to this file as JUnit XML too, which CI systems show.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// The number of a user whose files are trusted as root's are, as with `bulkhead run`.
    #[arg(long = "trust-user", value_name = "NUMBER")]
    pub(crate) trusted_users: Vec<u32>,
}
