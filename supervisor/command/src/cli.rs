//! The command line: every command, flag and help text. Completions and man pages are made from it.
//! How it is read without defining all of it first is in `quick`.

mod events;
mod layer1;
mod quarantine;
mod quick;
mod replay;
mod requests;
mod why;

pub(crate) use events::Events;
pub(crate) use layer1::{Compact, Existing, Export, Forget, Import, Layer1, Location, SetAside, Which};
pub(crate) use quarantine::{Drop, Quarantine, QuarantineReplay};
pub(crate) use replay::{Replay, Sending};
pub(crate) use requests::{Call, Data, Describe, Emit, RequestOptions};
pub(crate) use why::Why;

use crate::{amount::parse_duration, user::parse_user};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

const PLACES: &str = "\
Where nothing else is said, the daemon uses

  host's file  $XDG_CONFIG_HOME/bulkhead/bulkhead.toml
  modules      $XDG_DATA_HOME/bulkhead/modules
  state        $XDG_STATE_HOME/bulkhead
  socket       $XDG_RUNTIME_DIR/bulkhead/control.sock

and as root

  host's file  /etc/bulkhead/bulkhead.toml
  modules      /usr/local/lib/bulkhead/modules
  state        /var/lib/bulkhead
  socket       /run/bulkhead/control.sock

Where the variable is not set, the first three are in ~/.config, ~/.local/share and ~/.local/state. The host's file \
need not be there, and is not read by default with --modules. `run` makes the folders that are missing, and says so.";

const PLACES_AND_EXIT_CODES: &str = "\
Data goes to standard output, everything else to standard error.

A NAME that is none of these commands runs the program bulkhead-NAME, from the folder of this \
program or an absolute folder of $PATH, with all that follows; --socket before it becomes \
$BULKHEAD_SOCKET, and $BULKHEAD_SOCKET_ORIGIN is then --socket. `bulkhead help NAME` asks it for --help.

Environment:
  BULKHEAD_SOCKET  the control socket, where --socket names none
  PATH             where programs such as bulkhead-NAME are found
  XDG_RUNTIME_DIR  where the control socket of a user other than root is
  NO_COLOR         if it is set and not empty: no colour, even on a terminal

Exit codes:
    0  done; the condition holds
    1  the module answered with an error, or it failed; pipe: a line failed
    2  usage, or a file that does not check
    3  the module is not running
    4  no such module
  124  the deadline passed
  125  the daemon cannot be reached
  130  interrupted (128 and the number of the signal)";

/// Runs modules as supervised child processes, and reaches them from the shell.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, after_help = PLACES_AND_EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) host: Host,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which daemon is meant.
#[derive(Args, Debug)]
pub(crate) struct Host {
    /// The daemon's control socket [default: $BULKHEAD_SOCKET, else /run/bulkhead/control.sock for root and
    /// $XDG_RUNTIME_DIR/bulkhead/control.sock for other users].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon, in the foreground.
    #[command(after_help = PLACES)]
    Run(Files),
    /// Show all modules, or one of them in full.
    #[command(after_help = "\
The exit code is 0 whatever the state is; `bulkhead wait` asks for a state.

Examples:
  bulkhead status
  bulkhead status research-log
  bulkhead status --json | jq -r 'select(.state != \"ready\") | .name'")]
    Status(Shown),
    /// Explain why a module is in its state: what happened, by which settings, and what comes next.
    #[command(after_help = why::HELP)]
    Why(Why),
    /// Start modules, and wait until they are ready.
    Start(Targets),
    /// Stop modules, and wait until their whole process trees are gone.
    Stop(Targets),
    /// Stop and start modules; clears the count of crashes and skips any wait.
    Restart(Targets),
    /// Replace modules by fresh instances without a gap; if the new one fails, the old one stays.
    Reload(Targets),
    /// Call a command of a module and print the data of its answer; without a command, list them.
    #[command(after_help = "\
The list has what the module declared; `bulkhead call NAME COMMAND --help` shows the arguments of one command, and \
`bulkhead describe NAME` those of all. NAME=TEXT is a text as it stands, NAME:=JSON any other value; one JSON value \
and pairs cannot be mixed. An idempotent command is sent again after a crash, as doing it twice is the \
same as doing it once; any other only with a --key.

Examples:
  bulkhead call test-minimal
  bulkhead call test-minimal ping
  bulkhead call research-log create_log '{\"title\":\"Monday\"}'
  bulkhead call research-log create_log title=Monday 'tags:=[\"ink\"]'
  bulkhead call research-log add_entry @entry.json --key entry-17
  jq -n '{log: 1}' | bulkhead call research-log export_data - --timeout 2m")]
    Call(Call),
    /// Show what a module is for and what its commands take and answer, as it describes itself.
    #[command(after_help = DESCRIBE_HELP)]
    Describe(Describe),
    /// Send a query to a module and print the data of its answer.
    #[command(after_help = QUERY_HELP)]
    Query(Data),
    /// Send a mutation to a module and print the data of its answer.
    #[command(
        after_help = MUTATE_HELP,
        mut_arg("json", |json| json.help("The mutation: JSON, - for standard input, or @file"))
    )]
    Mutate(Data),
    /// Send JSON lines to a module: one line out for each line in, in their order.
    #[command(after_long_help = PIPE_HELP)]
    Pipe(Pipe),
    /// Publish an event, and print how many subscribers it has.
    #[command(after_help = "Example:\n  bulkhead emit research_session.started '{\"session\":17}'")]
    Emit(Emit),
    /// Follow events: as they happen, from a cursor, or all that are stored.
    #[command(after_help = events::HELP)]
    Events(Events),
    /// Show the last lines that a module wrote, also those of earlier daemons.
    #[command(after_help = LOGS_HELP)]
    Logs {
        /// The module; one that was removed as well, while its files are there.
        name: String,
        /// Go on with each new line.
        #[arg(short, long)]
        follow: bool,
        /// How many of the last lines, at most 10000.
        #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
        lines: u64,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show what modules were doing when they crashed, also those of earlier daemons, the newest last.
    Crashes {
        /// Only this module's; that of one that was removed as well, while its records are there.
        name: Option<String>,
        /// How many of the newest, at most 1000; without it, 200.
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<u64>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send the message that crashed a module again, from the record of the crash, and compare how it ends.
    #[command(after_help = replay::HELP)]
    Replay(Replay),
    /// Messages that killed processes and are not tried again: list them, show one, send it again, or drop it.
    #[command(after_help = quarantine::HELP)]
    Quarantine {
        /// What to do; without it, they are listed.
        #[command(subcommand)]
        command: Option<Quarantine>,
    },
    /// Wait until a module is ready, or stopped.
    #[command(after_help = WAIT_HELP)]
    Wait(Wait),
    /// Look after the data store: export, import, backup, check, events that were set aside.
    #[command(subcommand)]
    Layer1(Layer1),
    /// Check the configuration, or show what is in force.
    #[command(subcommand)]
    Config(Config),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands to a folder.
    Man {
        /// The folder.
        dir: Option<PathBuf>,
    },
}

const DESCRIBE_HELP: &str = "\
What a command takes and answers is a JSON Schema that the module sends when it is ready. The page shows the first \
level of it, --json all. The daemon checks no arguments: that is the module's business. Of a module that is stopped or \
crashed it is what it said last.

Examples:
  bulkhead describe research-log
  bulkhead describe research-log add_entry
  bulkhead describe supervisor wait
  bulkhead describe research-log --json | jq '.commands[].args'";

const WAIT_HELP: &str = "\
A daemon that is not there yet is waited for as well; if there is none at the end, the exit code is 125. A \
module that nothing will start by itself any more, as it failed for good or has finished, ends the wait for \
ready at once, with the reason and the exit code 1; one that is stopped does not, since it may be started.

Example:
  bulkhead wait research-log --for ready --timeout 10 && echo here";

const LOGS_HELP: &str = "\
The lines are in the state directory too, in logs/NAME.log and, those before, logs/NAME.log.1 and so on.

Examples:
  bulkhead logs research-log
  bulkhead logs research-log -n 1000 | grep -i error
  bulkhead logs research-log -f";

const QUERY_HELP: &str = "\
The data store takes {\"entity\",\"id\"}, or {\"entity\"} with filters, search, order, limit, after, include and \
count; what comes after an answer's last entity has the answer's \"next\" as its \"after\".

Examples:
  bulkhead query layer1 '{\"entity\":\"Log\",\"order\":\"-$created_at\",\"limit\":10}'
  bulkhead query layer1 \\
    '{\"entity\":\"Log\",\"filters\":{\"tags\":{\"contains\":\"ink\"}}}'
  bulkhead query layer1 '{\"entity\":\"Log\",\"limit\":0,\"count\":true}' | jq .count";

const MUTATE_HELP: &str = "\
The data store takes {\"entity\",\"operation\"} with data, id and expected_version as create, update or delete \
need them, or {\"operations\":[…]}, of which all happen or none. With --key it is done once, however often it is sent.

Examples:
  bulkhead mutate layer1 --key monday-1 \\
    '{\"entity\":\"Log\",\"operation\":\"create\",\"data\":{\"text\":\"hi\"}}'
  bulkhead mutate layer1 '{\"entity\":\"Log\",\"operation\":\"update\",
    \"id\":\"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f\",\"expected_version\":1,
    \"data\":{\"text\":\"ho\"}}'";

/// Where the daemon finds its files.
#[derive(Args, Clone, Debug)]
pub(crate) struct Files {
    /// The host's file (bulkhead.toml); $BULKHEAD_CONFIG names it, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A folder of modules; may be given many times, and replaces the file's list.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub(crate) modules: Vec<PathBuf>,
    /// The folder for what outlives the daemon.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// A user, by name or number, whose files are trusted as root's are: the host's file, manifests, programs, and
    /// folders on the way; may be given many times. That user can do whatever the daemon's user may.
    #[arg(long = "trust-user", value_name = "USER", value_parser = parse_user)]
    pub(crate) trusted_users: Vec<u32>,
}

/// Which modules something is done to.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").args(["names", "all"]).required(true)))]
pub(crate) struct Targets {
    /// The modules.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// All modules.
    #[arg(long)]
    pub(crate) all: bool,
    /// How long it may take: seconds, or a time such as 500ms or 2m.
    #[arg(long, value_name = "S", default_value = "60", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// One JSON object a line for each module.
    #[arg(long)]
    pub(crate) json: bool,
}

const PIPE_HELP: &str = "\
Each line is the arguments of COMMAND, or, without --command, a whole payload such as \
{\"name\":\"add_entry\",\"args\":{…}}. For each line there is one line out, in the order of the input: \
the data of the answer or, where a line failed, \
{\"status\":\"error\",\"error\":…,\"code\":…,\"line\":N}. A line that is empty, no JSON, no UTF-8 or longer \
than a message may be is such a failed line, too. The last line needs no line end; CRLF and a byte \
order mark are fine.

With --key-prefix or --key-from each line is sent with a key of its own: the same key means \
the same work, so that after a crash the host may send again what was under way, and a second run over the same \
input does nothing twice. --key-prefix numbers the lines, so the input may grow at its end only. --key-from takes \
what a line says about itself, such as an id, so lines may be added and removed anywhere. A second line with the same \
key and the same content gets the answer of the first, one with other content a conflict. A line in \
which no key is found, or none of 1 to 128 bytes, is a failed line.

A reader of the output that stands still is waited for, whatever the timeout: it is the time that the \
module may take. So many lines are under way as --in-flight says, and fewer where answers are long: at most \
64 MiB of them wait.

When the reader of the output goes away, as head does, what is under way is cancelled and the \
command ends quietly. When the daemon goes away, each line without an answer says so, and the exit \
code is 125.

With --reconnect, or --reconnect=S, a daemon that goes away or is not there yet is waited for, up to 60 seconds, or S. \
That is the time without a connection since its last answer. Then lines that have a key are sent again, and so are lines \
that had not been sent; each has its whole time again. A line without a key that had been sent \
may have been done: it fails, with the delivery unknown. There is still one line out for each line in. If the daemon is \
not back in time, the exit code is 125.

Examples:
  git log --format='{\"text\":\"%h\"}' |
    bulkhead pipe research-log --command add_entry
  bulkhead pipe research-log --command add_entry --key-prefix import-7 \\
    < in.jsonl > out.jsonl
  bulkhead pipe research-log --command add_entry \\
    --key-from /references/0 --reconnect < in.jsonl > out.jsonl
  jq -c '{name: \"ping\", args: .}' < in.jsonl |
    bulkhead pipe test-minimal | head -1";

/// Options of `pipe`.
#[derive(Args, Debug)]
pub(crate) struct Pipe {
    /// The module.
    pub(crate) name: String,
    /// The command that each line is the arguments of.
    #[arg(long)]
    pub(crate) command: Option<String>,
    /// How many lines may be under way at once, 1 to 1024.
    #[arg(long, value_name = "LINES", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) in_flight: u16,
    /// The deadline of each line: seconds, or a time such as 500ms or 2m.
    #[arg(long, value_name = "S", default_value = "30", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Give line N the idempotency key PREFIX-N; with --key-from, PREFIX- goes before what is found there.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) key_prefix: Option<String>,
    /// Give each line the idempotency key that it holds: the text or integer under this name, or at this JSON
    /// Pointer (/order/id). It is looked for in the line as it is: in the arguments of COMMAND, or, without
    /// --command, in the whole payload (/args/id).
    #[arg(long, value_name = "FIELD", value_parser = crate::pipe::parse_field)]
    pub(crate) key_from: Option<crate::pipe::Field>,
    /// When the daemon goes away, or is not there yet, wait for it for at most so long, and send again what is safe:
    /// lines with a key, and lines that had not been sent.
    #[arg(
        long,
        value_name = "S",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = parse_duration
    )]
    pub(crate) reconnect: Option<Duration>,
}

/// Options of `status`.
#[derive(Args, Debug)]
pub(crate) struct Shown {
    /// Only this module: every field, its last log lines and the next planned step.
    pub(crate) name: Option<String>,
    /// One JSON object a line for each module.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `wait`.
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// The module.
    pub(crate) name: String,
    /// What to wait for.
    #[arg(long = "for", value_name = "STATE")]
    pub(crate) condition: Condition,
    /// How long: seconds, or a time such as 500ms or 2m.
    #[arg(long, value_name = "S", default_value = "30", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Condition {
    /// It answers requests.
    Ready,
    /// No process of it is left.
    Stopped,
}

const SCHEMA_HELP: &str = "\
An editor that knows TOML takes it from the first line of a file, and then completes keys, shows what they mean and \
marks what does not fit. `bulkhead new` writes that line.

Example:
  bulkhead config schema > module.schema.json
  sed -i '1i #:schema ./module.schema.json' module.toml";

/// Commands about the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check all files, and say what is wrong with file, line and column.
    Check(Files),
    /// Print what is in force and where each value came from.
    Show {
        #[command(flatten)]
        files: Files,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of a file, for editors.
    #[command(after_help = SCHEMA_HELP)]
    Schema {
        /// Which file: module.toml, or the host's bulkhead.toml.
        #[arg(value_enum, default_value_t = SchemaOf::Module)]
        of: SchemaOf,
    },
}

/// The kinds of file that have a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A manifest, module.toml.
    Module,
    /// The host's file, bulkhead.toml.
    Host,
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
    fn a_trusted_user_is_a_name_or_a_number_and_there_may_be_several() {
        let trusted = |words: &[&str]| -> Result<Vec<u32>, String> {
            let line = ["bulkhead", "run"].into_iter().chain(words.iter().copied());
            match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
                Command::Run(files) => Ok(files.trusted_users),
                other => panic!("expected run, found {other:?}"),
            }
        };
        assert_eq!(trusted(&[]), Ok(Vec::new()));
        assert_eq!(trusted(&["--trust-user", "root", "--trust-user=4294967294"]), Ok(vec![0, 4_294_967_294]));
        for (text, expected) in [
            ("no-such-user-here", "give its number"),
            ("", "expected the name or number of a user"),
            ("-5", "unexpected argument '-5'"),
        ] {
            let found = trusted(&["--trust-user", text]).unwrap_err();
            assert!(found.contains(expected), "{text:?}: {found}");
        }
        for what in ["check", "show"] {
            assert!(Cli::try_parse_from(["bulkhead", "config", what, "--trust-user", "7"]).is_ok());
        }
    }

    #[test]
    fn names_and_all_exclude_each_other_and_one_is_needed() {
        assert!(Cli::try_parse_from(["bulkhead", "stop"]).is_err());
        assert!(Cli::try_parse_from(["bulkhead", "stop", "a", "--all"]).is_err());
        assert!(Cli::try_parse_from(["bulkhead", "stop", "a", "b"]).is_ok());
        assert!(Cli::try_parse_from(["bulkhead", "stop", "--all"]).is_ok());
    }

    #[test]
    fn a_negative_number_is_an_argument() {
        assert!(Cli::try_parse_from(["bulkhead", "call", "a", "b", "-5"]).is_ok());
        assert!(Cli::try_parse_from(["bulkhead", "call", "a", "b", "-"]).is_ok());
    }
}
