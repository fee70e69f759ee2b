//! Prints what is in force and where each value came from.

use crate::Loaded;

/// What is in force and where each value came from: TOML with comments, or with `json` one object a line.
pub fn show(_loaded: &Loaded, _json: bool) -> String {
    String::new()
}
