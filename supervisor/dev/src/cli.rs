//! The command line.

use bulkhead_protocol::Json;
use clap::Parser;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Without --join the modules run under a private host, whose state is removed at the end; another terminal reaches it \
with the socket that is printed. A save builds the module, reloads it with a hand-over, and then those that require \
it. If the build or the new process fails, the old process goes on answering. The [dev] section of module.toml says \
how a module is built and which files are watched; docs/developing.md says more.

Environment:
  BULKHEAD_SOCKET  with --join: the control socket, where --socket names none
  NO_COLOR         if it is set and not empty: no colour, even on a terminal

Exit codes:
    0  ended by Ctrl-C or SIGTERM, or the reader of the output is gone
    1  the host cannot be started or joined, or it has ended
    2  usage, or a manifest that does not check
  130  ended at once, by a second Ctrl-C (128 and the number of the signal)

Examples:
  bulkhead dev
  bulkhead dev modules/shop modules/stock
  bulkhead dev --once 'greet {\"name\":\"Ada\"}'
  bulkhead dev --inspect=shop --inspect-type command modules/shop modules/stock
  bulkhead dev --debug shop modules/shop modules/stock
  bulkhead dev --join modules/shop";

/// The types of requests.
const INSPECTED_TYPES: [&str; 8] = ["init", "command", "query", "mutation", "event", "ping", "cancel", "shutdown"];

/// Builds modules and reloads them when a file changes, and shows what they print.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-dev", bin_name = "bulkhead dev", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// Folders of modules: each is a module, with its module.toml, or has modules as its folders.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folders: Vec<PathBuf>,

    /// Works with the daemon that runs, which must know these modules, and loads nothing before the first save.
    #[arg(long)]
    pub(crate) join: bool,

    /// With --join, the daemon's control socket.
    #[arg(long, value_name = "PATH", requires = "join")]
    pub(crate) socket: Option<PathBuf>,

    /// Keeps the folder of the private host, with its data, logs and crash records, and prints where it is.
    #[arg(long, conflicts_with = "join")]
    pub(crate) keep: bool,

    /// A call to the first module after each reload, of which the difference to the last answer is shown: a command
    /// and, as JSON, its arguments.
    #[arg(long, value_name = "COMMAND ARGS", value_parser = once)]
    pub(crate) once: Option<Once>,

    /// Shows a line for each message to and from the modules, or to and from these of them only: which way it goes, what
    /// it is, its length, and how long an answer took. What is in a message is not shown.
    #[arg(long, value_name = "MODULE,…", num_args = 0..=1, require_equals = true, value_delimiter = ',',
          default_missing_value = "")]
    pub(crate) inspect: Option<Vec<String>>,

    /// With --inspect: only requests of this type, and their answers; may be given many times.
    #[arg(long = "inspect-type", value_name = "TYPE", requires = "inspect", value_parser = INSPECTED_TYPES)]
    pub(crate) inspected_types: Vec<String>,

    /// Runs this module in a debugger on this terminal: gdb or lldb, python -m pdb, node --inspect, or what `debug` in
    /// its manifest names. Ctrl-] ends it all.
    #[arg(long, value_name = "MODULE", conflicts_with = "join")]
    pub(crate) debug: Option<String>,

    /// The number of a user whose files are trusted as root's are, as with `bulkhead run`.
    #[arg(long = "trust-user", value_name = "NUMBER", conflicts_with = "join")]
    pub(crate) trusted_users: Vec<u32>,
}

/// The call of `--once`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Once {
    pub(crate) command: String,
    pub(crate) args: Json,
}

fn once(text: &str) -> Result<Once, String> {
    let text = text.trim();
    let (command, args) = text.split_once(char::is_whitespace).unwrap_or((text, "{}"));
    if command.is_empty() || command.starts_with(['{', '[', '"']) {
        return Err(format!(
            "expected a command and its arguments, found {text:?}; write 'greet {{\"name\":\"Ada\"}}'"
        ));
    }
    let args = args.trim();
    let json = Json::parse(args).map_err(|error| format!("expected JSON as arguments, found {args:?}: {error}"))?;
    Ok(Once { command: command.to_owned(), args: json })
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
    fn a_call_is_a_command_and_json() {
        let found = once(" greet  {\"name\": \"Ada\"} ").unwrap();
        assert_eq!((&*found.command, found.args.as_str()), ("greet", "{\"name\": \"Ada\"}"));
        assert_eq!(once("ping").unwrap().args.as_str(), "{}");
        for (text, expected) in
            [("", "expected a command"), ("{\"a\":1}", "expected a command"), ("greet name=Ada", "expected JSON")]
        {
            let refused = once(text).unwrap_err();
            assert!(refused.contains(expected), "{text:?}: {refused}");
        }
    }
}
