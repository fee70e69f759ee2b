//! What `bulkhead dev` does with a module while it is written. The host reads these keys and does nothing with them.

use std::path::PathBuf;
use std::time::Duration;

/// How a module is built and watched.
#[derive(Clone, Debug)]
pub struct Dev {
    /// The command that builds it, in the module's folder; empty: what its language needs (empty).
    pub build: Vec<String>,
    /// How long the command may take (5 min).
    pub build_timeout: Duration,
    /// Files and folders whose changes build it again; empty: the module's folder (empty).
    pub watch: Vec<PathBuf>,
    /// The debugger of `--debug`, before the command line of the module; empty: what its language has (empty).
    pub debug: Vec<String>,
}

impl Default for Dev {
    fn default() -> Dev {
        Dev { build: Vec::new(), build_timeout: Duration::from_secs(5 * 60), watch: Vec::new(), debug: Vec::new() }
    }
}

/// No module notices these values: all are equal, so that a change of them replaces no process.
impl PartialEq for Dev {
    fn eq(&self, _: &Dev) -> bool {
        true
    }
}

impl Eq for Dev {}
