//! The command line of `why`.

use clap::Args;

pub(super) const HELP: &str = "\
Each end of a process has what ended it, the settings by which the daemon decided, with the file and line that set \
them (or \"default\"), and what followed. The daemon keeps the newest of this in its memory, up to 8 KiB for each \
module, since its own start.

A request is in the queue, in flight, or waits for the data store, for another request with the same key or for the \
disk. Its number is the one under which the module gets it; without --request, those in the queue and in flight are \
listed. The exit code is 1 if there is no such request, or not any more.

Examples:
  bulkhead why research-log
  bulkhead why research-log --request 17
  bulkhead why research-log --json | jq '.history[].reason'";

/// Options of `why`.
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// The module.
    pub(crate) name: String,
    /// Only this request to it, by its number.
    #[arg(long, value_name = "ID")]
    pub(crate) request: Option<u64>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
