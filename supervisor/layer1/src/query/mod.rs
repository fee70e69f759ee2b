//! Queries: from the grammar to a statement of SQL, and from its rows to an answer.

mod answer;
mod compile;
mod cursor;
mod include;
mod overlay;
mod select;

pub(crate) use overlay::Overlay;
pub(crate) use select::{Answering, Overlaid, answer};
