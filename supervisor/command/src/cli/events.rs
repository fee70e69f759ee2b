//! The command line of `events`.

use clap::Args;

pub(super) const HELP: &str = "\
What modules and clients publish is stored, and so are changes of the data (Log.created); the daemon's own events \
(module.ready) come as they happen only. --json has the cursor of each event, and the epoch: which history of the \
data store it belongs to, as one that is restored from a backup gives cursors again.

Examples:
  bulkhead events
  bulkhead events 'module.*' --json | jq .data
  bulkhead events 'Log.*' --from-beginning --reconnect --json
  bulkhead events --after 1234@5f0c9a1e";

/// Options of `events`.
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// An event's name, or the beginning of one and a star; without it, all events.
    pub(crate) pattern: Option<String>,
    /// Begin after this cursor, to miss nothing since the event that carried it. With the epoch of that event,
    /// what was stored since is reported also if the data store was restored from a backup meanwhile.
    #[arg(long, value_name = "CURSOR[@EPOCH]", value_parser = crate::follow::parse_position)]
    pub(crate) after: Option<crate::follow::Position>,
    /// Begin with the oldest event that is kept.
    #[arg(long, conflicts_with = "after")]
    pub(crate) from_beginning: bool,
    /// When the daemon goes away, wait for it and go on after the last event.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}
