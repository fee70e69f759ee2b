//! Where a value came from: kept beside the values, so that the values themselves stay plain.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

/// Where one value came from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// The default; the documentation names it.
    #[default]
    Default,
    /// A line of a file.
    File {
        /// The file, as the person who started the host named it.
        path: Arc<Path>,
        /// The line of the key, counted from 1.
        line: usize,
    },
    /// A flag of the command line, such as `--state`.
    Flag(&'static str),
    /// A variable of the environment, without its `$`.
    Environment(&'static str),
    /// The program that embeds the host.
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Environment(variable) => write!(f, "${variable}"),
            Origin::Program => f.write_str("the program"),
        }
    }
}

/// Where each value of one configuration came from, by the full name of its key (`limits.queue`).
///
/// Origins are not part of a configuration's value: two of these are always equal, so that a configuration that only
/// moved to another line counts as unchanged.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where the value of `key` came from.
    pub fn of(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Notes where the value of `key` came from.
    pub fn note(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }
}

impl PartialEq for Origins {
    fn eq(&self, _: &Origins) -> bool {
        true
    }
}

impl Eq for Origins {}
