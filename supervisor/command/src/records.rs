//! Where daemons leave their log files and records of crashes, for a person who requests them while no daemon runs. It
//! reads none of them.

use crate::exit::Halt;
use bulkhead_client::ConnectError;
use bulkhead_config::{Flags, HostConfig};

/// Adds the location of the records to a failure to reach the daemon.
pub(crate) fn with_location(halt: Halt) -> Halt {
    match halt {
        Halt::Connect(error @ (ConnectError::Missing(_) | ConnectError::NotListening(_))) => {
            Halt::NoHostForRecords { error, location: location() }
        }
        other => other,
    }
}

/// Only the state directory of a daemon that is started here without flags is known.
fn location() -> String {
    let by_default = HostConfig::load(Flags::default()).ok().map(|loaded| loaded.host.state_dir);
    match by_default.filter(|folder| folder.is_dir()) {
        Some(folder) => {
            let folder = folder.display();
            format!(
                "{folder}/logs and {folder}/crashes; those of one that ran with --state DIR are in DIR/logs and \
                 DIR/crashes"
            )
        }
        None => "the folders logs and crashes of its state directory, which the first line of its log names".into(),
    }
}
