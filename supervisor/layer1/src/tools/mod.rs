//! What is done to the store as a whole: export, import, backup and check. Each takes its time on the
//! caller's thread, tells how far it is, and stops when the caller says so; the store goes on meanwhile.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod import;

use crate::threads::Shared;
use std::{io, ops::ControlFlow, path::PathBuf, sync::Arc};

/// Export, import, backup and check of an open store.
#[derive(Clone)]
pub struct Tools {
    pub(crate) shared: Arc<Shared>,
}

/// How far a tool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
}

/// Told how far a tool is, and says whether it is to go on.
pub type Watcher<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Why a tool did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The caller said so.
    #[error("it was stopped")]
    Stopped,
    /// The store refused.
    #[error("{0}")]
    Refused(String),
    /// A line of an import is wrong. Lines before it may have been imported.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The file to be written is there already.
    #[error("{0} is there already; name another file, or remove it")]
    Exists(PathBuf),
    /// Reading or writing the caller's side failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// SQLite failed.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl Tools {
    pub(crate) fn new(shared: Arc<Shared>) -> Tools {
        Tools { shared }
    }
}

/// Asks the watcher.
pub(crate) fn tell(
    watcher: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    done: u64,
    total: Option<u64>,
) -> Result<(), ToolError> {
    match watcher(Progress { done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ToolError::Stopped),
    }
}
