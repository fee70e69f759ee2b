//! What is wrong with a payload, and where. Answers of the store that have other reasons are not here.

use crate::{Delivery, ErrorCode, Failure, Json};
use serde::Serialize;
use std::fmt;

/// Why a payload cannot be understood: the path inside it, what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The steps of the path, outermost first, as in `filters`, `when`, `gte`.
    pub at: Vec<String>,
    /// What was expected and what was found.
    pub reason: String,
}

impl Fault {
    /// A fault at the payload itself.
    pub fn new(reason: impl Into<String>) -> Fault {
        Fault { at: Vec::new(), reason: reason.into() }
    }

    /// The same fault, seen from one step further out.
    pub fn inside(mut self, step: impl fmt::Display) -> Fault {
        self.at.insert(0, step.to_string());
        self
    }

    /// The path as one text, like `filters.when.gte`; empty for the payload itself.
    pub fn path(&self) -> String {
        self.at.join(".")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            return f.write_str(&self.reason);
        }
        write!(f, "at {}: {}", self.path(), self.reason)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        #[derive(Serialize)]
        struct At {
            at: String,
        }
        let mut failure = Failure::new(ErrorCode::BadRequest, fault.to_string()).delivery(Delivery::NotStarted);
        failure.data = Some(Json::of(&At { at: fault.path() }));
        failure
    }
}

/// Adds the step to a fault on its way out.
pub(super) trait Inside<T> {
    /// The same result, its fault seen from one step further out.
    fn inside(self, step: impl fmt::Display) -> Result<T, Fault>;
}

impl<T> Inside<T> for Result<T, Fault> {
    fn inside(self, step: impl fmt::Display) -> Result<T, Fault> {
        self.map_err(|fault| fault.inside(step))
    }
}
