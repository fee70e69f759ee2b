//! The command line.

use bulkhead_command_line::parse_duration;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
It is started by an MCP client, which talks to it over standard input and output; its log goes to standard error. Each \
command that a module describes is a tool, named MODULE__COMMAND. The last lines of the log and the crash records of \
each module are resources. The list of tools follows the modules. The daemon need not run yet: until it does, each \
answer says so.

Environment:
  BULKHEAD_SOCKET  the control socket, where --socket names none

Exit codes:
  0  the MCP client has closed standard input
  1  what came was no MCP
  2  usage

Examples:
  bulkhead mcp
  bulkhead mcp --module research-log --read-only
  claude mcp add bulkhead -- bulkhead mcp --module research-log";

/// Serves the commands of modules as tools to an MCP client.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-mcp", bin_name = "bulkhead mcp", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// A module whose commands are shown; may be given many times. Without it, those of all modules are.
    #[arg(long = "module", value_name = "NAME")]
    pub(crate) modules: Vec<String>,

    /// Shows only commands that say of themselves that they change nothing (`read_only`).
    #[arg(long)]
    pub(crate) read_only: bool,

    /// The deadline of each call; without it, the module's `deadline_default` holds.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// The daemon's control socket.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}
