//! The command line. What the options mean is done elsewhere.

use bulkhead_config::LogLevel;
use clap::{ArgGroup, Parser};
use std::path::PathBuf;

/// Runs a module for a test, with the real host and its data store.
#[derive(Debug, Parser)]
#[command(
    name = "bulkhead-test-host",
    bin_name = "bulkhead test-host",
    version,
    group = ArgGroup::new("module").required(true).args(["dir", "command"]),
    override_usage = "bulkhead test-host [OPTIONS] DIR\n       bulkhead test-host [OPTIONS] -- COMMAND [ARGS]...",
    after_help = "The test speaks the wire over standard input and output: frames of a length of 4 bytes, most \
                  significant byte first, and a JSON object. The end of standard input ends the host and its modules, \
                  and removes what they stored. docs/testing-a-module.md says how a test is written.\n\n\
                  Exit codes:\n  0  the test ended it\n  1  a module did not start, or the host failed\n  \
                  2  the command line, a manifest or a setting has a fault"
)]
pub(crate) struct Options {
    /// The folder of the module, with its module.toml
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// The program of a module that has no manifest yet, and its arguments; --print-manifest shows the manifest that
    /// is made for it
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// Name of the module that COMMAND is (default: the name of its script or program)
    #[arg(long, value_name = "NAME", requires = "command")]
    pub(crate) name: Option<String>,

    /// What the module that COMMAND is may do, as in `[capabilities]` of a manifest: entity_read=Item,Shelf; nothing
    /// after the = grants nothing (default: every type and event, and calls to all other modules of the test)
    #[arg(long = "capability", value_name = "KEY=PATTERNS", requires = "command")]
    pub(crate) capabilities: Vec<String>,

    /// JSON object whose members replace those of the module's `[config]`
    #[arg(long, value_name = "JSON")]
    pub(crate) config: Option<String>,

    /// Another value for a key of the manifest, as the host's file could set it: limits.deadline_default=1s,
    /// env.LEVEL=debug, restart.policy=never
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,

    /// Folder of another module, or of several, that run beside it
    #[arg(long = "with", value_name = "DIR")]
    pub(crate) with: Vec<PathBuf>,

    /// Name of a module that the test itself answers: requests for it come over the wire
    #[arg(long = "fake", value_name = "NAME")]
    pub(crate) fakes: Vec<String>,

    /// Do not start the module under test; the test asks for it with the command `start` of `supervisor`
    #[arg(long)]
    pub(crate) no_start: bool,

    /// Wait as in production: without it, restarts, stops and hangs that the manifest does not set take less time
    #[arg(long)]
    pub(crate) real_waits: bool,

    /// Folder for the private folder of this host (default: /dev/shm if it is in memory, else $TMPDIR or /tmp)
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Number of a user whose files may be run as well; those who own the way to DIR, COMMAND and the folders of $PATH
    /// may be in any case
    #[arg(long = "trust-user", value_name = "UID")]
    pub(crate) trusted_users: Vec<u32>,

    /// Also listen on this control socket, so that `bulkhead --socket PATH` can look at the host
    #[arg(long, value_name = "PATH")]
    pub(crate) listen: Option<PathBuf>,

    /// Level of the host's own log on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "error", value_parser = level)]
    pub(crate) log: LogLevel,

    /// Print nothing that the test is sent over the wire
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Print the manifest of the module, and run nothing
    #[arg(long)]
    pub(crate) print_manifest: bool,
}

fn level(text: &str) -> Result<LogLevel, String> {
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        .into_iter()
        .find(|level| level.name() == text)
        .ok_or_else(|| "expected error, warn, info, debug or trace".into())
}
