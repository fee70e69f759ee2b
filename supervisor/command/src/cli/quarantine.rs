//! The command line of `quarantine`.

use super::Sending;
use clap::{Args, Subcommand};

pub(super) const HELP: &str = "\
A request that was in flight at two crashes of its module, or at five if it has a key, is quarantined: its caller is \
answered with the error quarantined, and the message is kept here. Others that keep what failed: `bulkhead crashes` has a \
record of each crash, and `bulkhead replay` sends the message of one again; `bulkhead layer1 set-aside` has the events \
that a module failed on five times.

Examples:
  bulkhead quarantine
  bulkhead quarantine show stock-20261122T154506.940Z-000000000003
  bulkhead quarantine replay stock-20261122T154506.940Z-000000000003 --private
  bulkhead quarantine replay stock-20261122T154506.940Z-000000000003";

const REPLAY_HELP: &str = "\
It is sent as `bulkhead replay` sends the message of a crash, and its end is compared with the record. If it is answered \
with success by its own module, as after a repair, the record is removed. Otherwise the record stays: after an error or a \
crash, with --private, and with --to another module.

A request of a client that had a key is sent with that key. If its work was done since then, the answer is the stored one, \
and nothing is done twice; and what is answered now is what the key is answered with from then on. A key of a module is \
that module's, and nothing else can use it: such a message is sent only with --without-key.

Exit codes: as of `bulkhead replay`.";

/// Commands about quarantined messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// List quarantined messages, oldest first, also those of earlier daemons.
    List {
        /// Only this module's; that of one that was removed as well, while its records are there.
        name: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show a quarantined message whole.
    Show {
        /// The message, as the list has it.
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Send a quarantined message again; what is answered with success is quarantined no longer.
    #[command(after_help = REPLAY_HELP)]
    Replay(QuarantineReplay),
    /// Forget quarantined messages.
    Drop(Drop),
}

/// Options of `quarantine replay`.
#[derive(Args, Debug)]
pub(crate) struct QuarantineReplay {
    /// The message, as the list has it.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) sending: Sending,
    /// Send a message that had a key without it: its work is done now, and once more if it is sent again with the key.
    #[arg(long)]
    pub(crate) without_key: bool,
}

/// Options of `quarantine drop`.
#[derive(Args, Debug)]
pub(crate) struct Drop {
    /// The messages, as the list has them.
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// One JSON object a line for each message.
    #[arg(long)]
    pub(crate) json: bool,
}
