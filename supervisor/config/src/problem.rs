//! What is wrong with the configuration: every fault of one run, each with its position.

use bulkhead_protocol::escape;
use std::{fmt, path::PathBuf};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file that has it; none for a fault of a flag, of the environment or of a program.
    pub file: Option<PathBuf>,
    /// Line and column, both counted from 1, the column in characters; none where the file as a
    /// whole is at fault.
    pub position: Option<(usize, usize)>,
    /// What was expected, what was found and, where a person can act, what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            // A folder may have any name, also one that looks like another problem.
            write!(f, "{}:", escape(&file.to_string_lossy()))?;
            if let Some((line, column)) = self.position {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&escape(&self.message))
    }
}

/// All faults of one run, at least one, sorted by file and line. Displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// A fault that a program has found itself, in no file.
    pub fn of_program(message: impl Into<String>) -> Problems {
        Problems(vec![Problem { file: None, position: None, message: message.into() }])
    }

    /// Returns `value` when no fault was found.
    pub(crate) fn none_or<T>(found: Vec<Problem>, value: impl FnOnce() -> T) -> Result<T, Problems> {
        match Problems::of(found) {
            None => Ok(value()),
            Some(problems) => Err(problems),
        }
    }

    /// These faults; none if there are none.
    pub(crate) fn of(mut found: Vec<Problem>) -> Option<Problems> {
        found.sort();
        found.dedup();
        (!found.is_empty()).then_some(Problems(found))
    }

    /// Each fault.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}
