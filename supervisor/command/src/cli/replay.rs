//! The command line of `replay`.

use crate::{amount::parse_duration, user::parse_user};
use clap::Args;
use std::{path::PathBuf, time::Duration};

pub(super) const HELP: &str = "\
The message is the one that the process had in hand: the one that its last answer was to, or else the first that had \
begun. It goes to the module as `bulkhead call` would send it, without a key: a message that is not safe to do twice does \
its work again, and each crash counts as any other. A query or an idempotent command is sent again by the \
daemon itself, so one replay of it may be two crashes and end as quarantined.

How it ends is compared with the record: the exit and its reason, or the last answer of the process. An end after an \
answer does not show in the answer: `bulkhead crashes` has it.

With --private the message goes to a fresh process of the module, which the command starts from its folder under a host \
of its own, and nothing of it is left afterwards: the daemon and its data are not touched. That host has the modules that \
the module requires and no others, and follows the manifests alone, not what the daemon's file sets for them.

A message that was in flight at several crashes is quarantined: `bulkhead quarantine replay` sends it again. An event is \
not sent, as only the daemon hands events to modules: it does so again by itself, and \
`bulkhead layer1 set-aside replay` is for those that it has set aside.

Exit codes: 0 if each replay was answered with success, however the record ended; 1 if one ended in a crash or an error, \
2 if the record cannot be used, and otherwise those of `bulkhead call`; of several the highest.

Examples:
  bulkhead replay greeter-20261130T221536.088Z-000000000001
  bulkhead crashes greeter -n 1 --json | jq -r .file | xargs bulkhead replay
  bulkhead replay greeter-20261130T221536.088Z-000000000001 --to greeter-debug
  bulkhead replay greeter-20261130T221536.088Z-000000000001 --private
  bulkhead replay greeter-20261130T221536.088Z-000000000001 \\
    --until-crash --times 1000";

/// Options of `replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// The record: its name, as `bulkhead crashes` shows it, or its file: a path with a slash, or one that ends in
    /// .json.
    #[arg(value_name = "RECORD | FILE")]
    pub(crate) record: String,
    #[command(flatten)]
    pub(crate) sending: Sending,
}

/// How a message of a record is sent.
#[derive(Args, Debug)]
pub(crate) struct Sending {
    /// The module that the message goes to; without it, the one that crashed.
    #[arg(long, value_name = "NAME")]
    pub(crate) to: Option<String>,
    /// How often it is sent, one after the other, at most 10000; without it once, or with --until-crash up to 100
    /// times.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) times: Option<u32>,
    /// Send it until it ends in a crash, or as in the record.
    #[arg(long)]
    pub(crate) until_crash: bool,
    /// Send it to a fresh process of the module under a private host with a data store of its own, which is empty; the
    /// daemon is not disturbed.
    #[arg(long)]
    pub(crate) private: bool,
    /// With --private: a folder of modules in which the module is, and those that it requires; may be given many times.
    /// Without it, the daemon says where they are.
    #[arg(long, value_name = "DIR", num_args = 1.., requires = "private")]
    pub(crate) modules: Vec<PathBuf>,
    /// With --private: a user, by name or number, whose files are trusted as root's are, as with `bulkhead run`.
    #[arg(long = "trust-user", value_name = "USER", value_parser = parse_user, requires = "private")]
    pub(crate) trusted_users: Vec<u32>,
    /// The deadline of each: seconds, or a time such as 500ms or 2m. A module that is starting is waited for.
    #[arg(long, value_name = "S", default_value = "30", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// One JSON object a line for each: whether its `end` is the `same`, `another` or the `same_answer`, what the
    /// record has, and the whole response.
    #[arg(long)]
    pub(crate) json: bool,
}
