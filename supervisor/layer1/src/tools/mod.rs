//! What is done to the store as a whole: export, import, backup, check and compact. Each takes its time on the
//! caller's thread, reports its progress, and stops when the caller says so; the store goes on meanwhile.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod export;
pub(crate) mod import;

use crate::open::{OpenError, look};
use rusqlite::ErrorCode;
use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Export, backup and check of a database, whether a host has it open or none.
#[derive(Clone, Debug)]
pub struct Tools {
    pub(crate) path: PathBuf,
}

/// How far a tool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
}

/// Gets the progress of a tool, and says whether it is to go on.
pub type Watcher<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Why a tool did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The caller stopped it.
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
    /// Tools for the database at `path`, which may be in use by a host: they only read it, and see what was
    /// stored at the moment when each of them begins.
    ///
    /// # Errors
    /// When nothing is there, or it is not a database that this program can read.
    pub fn of(path: impl Into<PathBuf>) -> Result<Tools, OpenError> {
        let path = path.into();
        look(&path)?;
        Ok(Tools { path })
    }

    pub(crate) fn of_open(path: &Path) -> Tools {
        Tools { path: path.to_owned() }
    }

    /// The error of a tool, which names the database and what to do where that is damaged.
    pub(crate) fn explained(&self, error: ToolError) -> ToolError {
        match error {
            ToolError::Sqlite(error) if is_damage(&error) => self.damaged(error.to_string()),
            other => other,
        }
    }

    pub(crate) fn damaged(&self, found: String) -> ToolError {
        ToolError::Refused(OpenError::Damaged { path: self.path.clone(), found }.to_string())
    }
}

/// Whether the error says that what is stored is not what was written.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::UserFunctionError(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        other => matches!(other.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)),
    }
}

/// Reports to the watcher, which may stop the tool.
pub(crate) fn report(
    watcher: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    done: u64,
    total: Option<u64>,
) -> Result<(), ToolError> {
    match watcher(Progress { done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ToolError::Stopped),
    }
}
