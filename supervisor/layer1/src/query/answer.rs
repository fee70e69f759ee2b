//! The text of an answer: `{"entities":[…],"next":…}`, with what an entity holds put in as the text that
//! it is.

use crate::stored_id::StoredId;
use bulkhead_protocol::{Json, time};
use rusqlite::Row;
use std::fmt::Write;

/// Bytes that an answer may have beside its entities and its cursor.
const FRAME_BYTES: usize = 64;

/// An answer that is being written.
pub(super) struct Answer {
    text: String,
    bytes_max: usize,
    entities: usize,
}

impl Answer {
    pub(super) fn new(bytes_max: usize) -> Answer {
        Answer { text: String::from("{\"entities\":["), bytes_max, entities: 0 }
    }

    /// Adds an entity if it fits beside a cursor of `cursor_bytes`.
    pub(super) fn push(&mut self, entity: &str, cursor_bytes: usize) -> Fit {
        if self.text.len() + entity.len() + cursor_bytes + FRAME_BYTES > self.bytes_max {
            return Fit::Full;
        }
        if self.entities > 0 {
            self.text.push(',');
        }
        self.text.push_str(entity);
        self.entities += 1;
        Fit::Fits
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entities == 0
    }

    /// How many bytes there still are.
    pub(super) fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.text.len() + FRAME_BYTES)
    }

    pub(super) fn end(mut self, next: Option<&str>, count: Option<u64>) -> Json {
        match next {
            Some(next) => write!(self.text, "],\"next\":\"{next}\""),
            None => write!(self.text, "],\"next\":null"),
        }
        .and_then(|()| count.map_or(Ok(()), |count| write!(self.text, ",\"count\":{count}")))
        .expect("writing to a String never fails");
        self.text.push('}');
        Json::parse(&self.text).expect("an answer is made of checked JSON")
    }
}

/// Whether something fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is in.
    Fits,
    /// There is no room for it.
    Full,
}

/// The columns of an entity, in the order in which [`entity`] reads them, and its row.
pub(super) const COLUMNS: &str = "e.id, e.version, e.created_at, e.updated_at, e.data, e.rowid";

/// How many columns these are.
pub(super) const COLUMN_COUNT: usize = 6;

/// The text of the entity in a row that begins with [`COLUMNS`], without its closing brace.
pub(super) fn entity(name: &str, row: &Row<'_>) -> rusqlite::Result<String> {
    let data = row.get_ref(4)?.as_str()?;
    let mut text = String::with_capacity(data.len() + 256);
    write!(
        text,
        r#"{{"id":"{}","entity":"{name}","version":{},"created_at":"{}","updated_at":"{}","data":{data}"#,
        row.get::<_, StoredId>(0)?.id(),
        row.get::<_, u64>(1)?,
        time::format(row.get(2)?),
        time::format(row.get(3)?),
    )
    .expect("writing to a String never fails");
    Ok(text)
}
