//! The JSON Schemas by which a command describes itself (2020-12): which values one takes, and values that it takes or
//! excludes. It knows the keywords that describe types of arguments. Of a schema with others it says that it does not know, and
//! never guesses.

mod described;
mod fits;
mod right;
mod wrong;

pub(crate) use described::{Described, Example};
pub(crate) use fits::Fits;

use serde_json::Value;

/// How far references, and types within types, are followed.
const DEPTH_MAX: usize = 24;

/// The schema of a command's arguments, or of its answer's data.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    root: Value,
}

impl Schema {
    pub(crate) fn new(root: Value) -> Schema {
        Schema { root }
    }

    /// Whether it takes the value.
    pub(crate) fn fits(&self, value: &Value) -> Fits {
        fits::fits(&self.root, &self.root, value, 0)
    }

    /// The schema that a reference leads to; only those within the document are followed.
    fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> Option<&'a Value> {
        for _ in 0..DEPTH_MAX {
            let Some(reference) = schema.get("$ref") else { return Some(schema) };
            schema = root.pointer(reference.as_str()?.strip_prefix('#')?)?;
        }
        None
    }
}
