//! The command line of `layer1`: what is done to the data store as a whole.

use crate::amount::parse_duration;
use clap::{Args, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Commands about the data store.
#[derive(Debug, Subcommand)]
pub(crate) enum Layer1 {
    /// Show what the data store holds, and how far each subscribing module is.
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write all entities as JSON lines, as of one moment; the daemon may go on meanwhile.
    #[command(after_help = EXPORT_HELP)]
    Export(Export),
    /// Bring back the entities of an export, into a running daemon or into a state directory.
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Check that the data is whole; the daemon may go on meanwhile.
    #[command(after_help = "\
What is wrong is listed on standard output, and the exit code is 1 then.

Examples:
  bulkhead layer1 check
  bulkhead layer1 check --state /var/lib/bulkhead")]
    Check {
        #[command(flatten)]
        location: Location,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Copy the whole database to a new file; the daemon may go on meanwhile.
    #[command(after_help = "\
The copy has everything: entities, events, keys, how far each module is. To restore it, stop the daemon, \
take away STATE/layer1/layer1.db and what begins with its name, and put the copy in its place.

Example:
  bulkhead layer1 backup /backup/layer1-$(date +%F).db")]
    Backup {
        /// The file to make; it must not be there.
        file: PathBuf,
        #[command(flatten)]
        location: Location,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write the database anew, without free pages and with the tables of this version; the daemon must be stopped.
    #[command(after_help = COMPACT_HELP)]
    Compact(Compact),
    /// Events that a module kept failing on: list them, hand them to their module again, or drop them.
    SetAside {
        /// What to do; without it, they are listed.
        #[command(subcommand)]
        command: Option<SetAside>,
    },
    /// Forget a module that is gone for good: how far it was with its events, and those set aside for it.
    #[command(after_help = FORGET_HELP)]
    Forget(Forget),
}

const COMPACT_HELP: &str = "\
For a database of an older version that is too long to be changed when the daemon starts, and to give back the pages of \
what was removed. The new file is made beside the old one and takes its name when it is whole and on the disk: stopped \
or killed at any moment, or after a power cut, the old one or the new one is there, whole. Needs as much free space as \
the data takes, three times that for an older version.

Example:
  bulkhead layer1 compact --state /var/lib/bulkhead";

/// Options of `layer1 compact`.
#[derive(Args, Debug)]
pub(crate) struct Compact {
    /// The state directory with the data.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

const FORGET_HELP: &str = "\
Events wait for a module also after it was removed, since it may be back. This ends that. A module that is loaded is \
refused: take its manifest away and let the daemon read its files again (SIGHUP) first. With --state the data must not \
be in use: the daemon is stopped. The entities that the module created stay. If the module comes back, it begins with \
the events from then on.

Examples:
  bulkhead layer1 forget old-mirror
  bulkhead layer1 forget old-mirror --state /var/lib/bulkhead";

/// Options of `layer1 forget`.
#[derive(Args, Debug)]
pub(crate) struct Forget {
    /// The module, or several.
    #[arg(required = true, value_name = "MODULE")]
    pub(crate) modules: Vec<String>,
    #[command(flatten)]
    pub(crate) location: Location,
    /// One JSON object a line for each module.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the data is.
#[derive(Args, Debug)]
pub(crate) struct Location {
    /// The state directory with the data; without it, the running daemon is asked.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

const EXPORT_HELP: &str = "\
The first line says what it is and how many entities follow. Each other line is an entity: \
{\"entity\",\"id\",\"version\",\"created_at\",\"updated_at\",\"owner\",\"data\"}. Events and keys are not exported; a backup has everything.

Examples:
  bulkhead layer1 export data.jsonl
  bulkhead layer1 export --entity Log | tail -n +2 | jq -r .data.text
  bulkhead layer1 export --state /var/lib/bulkhead data.jsonl";

/// Options of `layer1 export`.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// Only entities of this type.
    #[arg(long, value_name = "TYPE")]
    pub(crate) entity: Option<String>,
    /// The file to make, which must not be there; without it, or as -, standard output.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) location: Location,
}

const IMPORT_HELP: &str = "\
With --state the data must not be in use: the daemon is stopped. Lines are imported in groups of up to 1000, each \
group whole or not at all. At a broken line the command ends with its number; the groups before it are in. Mend the \
line and run it again: an entity that is there already, exactly so, is passed over. An import makes no events.

The exit code is 2 if nothing was begun, since the file is no export, and 1 if it was broken off.

Examples:
  bulkhead layer1 import data.jsonl
  ssh other bulkhead layer1 export | bulkhead layer1 import - --existing keep
  bulkhead layer1 import data.jsonl --state /var/lib/bulkhead";

/// Options of `layer1 import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The export, or - for standard input.
    pub(crate) file: PathBuf,
    /// What happens to an entity that is there already and differs.
    #[arg(long, value_enum, default_value = "refuse")]
    pub(crate) existing: Existing,
    #[command(flatten)]
    pub(crate) location: Location,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What an import does with an entity that is there already and differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Existing {
    /// The import is broken off.
    Refuse,
    /// What is there stays.
    Keep,
    /// The import's takes its place.
    Replace,
}

/// Commands about events that were set aside.
#[derive(Debug, Subcommand)]
pub(crate) enum SetAside {
    /// List set-aside events, oldest first.
    List {
        /// Only this module's.
        module: Option<String>,
        /// One JSON object a line, with the event's data.
        #[arg(long)]
        json: bool,
    },
    /// Hand set-aside events to their module once more; what it handles is set aside no longer.
    #[command(
        after_help = "The message that a module had in hand at a crash is sent again by `bulkhead replay`.\n\nExamples:\n  bulkhead layer1 set-aside replay 17\n  bulkhead layer1 set-aside replay --all research-log"
    )]
    Replay(Which),
    /// Forget set-aside events.
    Drop(Which),
}

/// Which set-aside events something is done to.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Their numbers, as the list has them; with --all, the module whose they are.
    #[arg(required_unless_present = "all", value_name = "ID | MODULE")]
    pub(crate) names: Vec<String>,
    /// All of them, or all of the modules that are named.
    #[arg(long)]
    pub(crate) all: bool,
    /// How long each may take: seconds, or a time such as 500ms or 2m.
    #[arg(long, value_name = "S", default_value = "60", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// One JSON object a line for each event.
    #[arg(long)]
    pub(crate) json: bool,
}
