//! Cursors: a position in the order of a query, as text. A cursor holds the values that the last entity of
//! an answer was ordered by, so it means the same whatever is created or deleted before or after it, and
//! also when that entity itself is gone.
//!
//! The text is hexadecimal, of a check sum and the values. The check sum also covers the type of entity
//! and the order, so a cursor of another query is refused and not misunderstood.

use super::compile::{Compiler, Piece};
use crate::{
    failure::bad_request,
    stored_id::{StoredId, of_text, text_of},
};
use bulkhead_protocol::{
    Failure,
    layer1::{Column, Direction, EntityId, Order, Path, limits::CURSOR_BYTES_MAX},
};
use rusqlite::types::Value as Sql;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A position in an order: the values of the paths, and the id.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) values: Vec<Sql>,
    pub(super) id: EntityId,
}

/// Bytes of the check sum.
const SUM_BYTES: usize = 8;

/// What is ordered by as a text in a cursor, and is none in the tables.
const ID: Path = Path::Column(Column::Id);

impl Cursor {
    /// The cursor as text.
    pub(super) fn write(&self, compiler: &Compiler<'_>) -> Result<String, Failure> {
        let mut bytes = self.id.as_str().as_bytes().to_vec();
        for (value, order) in self.values.iter().zip(compiler.order) {
            let id = if order.by == ID { text_of(value) } else { None };
            let (tag, content): (u8, &[u8]) = match value {
                _ if let Some(id) = &id => (3, id.as_bytes()),
                Sql::Null => (0, &[]),
                Sql::Integer(integer) => (1, &integer.to_be_bytes()),
                Sql::Real(real) => (2, &real.to_bits().to_be_bytes()),
                Sql::Text(text) => (3, text.as_bytes()),
                Sql::Blob(blob) => (4, blob),
            };
            bytes.push(tag);
            bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(content);
        }
        let length = 2 * (bytes.len() + SUM_BYTES);
        if length > CURSOR_BYTES_MAX {
            let reason = format!(
                "the values that the last entity is ordered by make a cursor of {length} bytes, and it may have {CURSOR_BYTES_MAX}; order by something shorter"
            );
            return Err(bad_request("order", reason));
        }
        let mut text = String::with_capacity(length);
        for byte in sum(compiler, &bytes).iter().chain(&bytes) {
            write!(text, "{byte:02x}").expect("writing to a String never fails");
        }
        Ok(text)
    }

    /// Reads the text of a cursor of the same query.
    pub(super) fn read(text: &str, compiler: &Compiler<'_>) -> Result<Cursor, Failure> {
        let wrong = |what| {
            bad_request("after", format!("expected the \"next\" of an earlier answer to the same query, found {what}"))
        };
        let bytes = hexadecimal(text).ok_or_else(|| wrong("another text"))?;
        let (found, mut rest) = bytes.split_at_checked(SUM_BYTES).ok_or_else(|| wrong("another text"))?;
        if found != sum(compiler, rest) {
            return Err(wrong("that of another query, or a changed one"));
        }
        read_parts(&mut rest, compiler.order).ok_or_else(|| wrong("another text"))
    }
}

fn read_parts(rest: &mut &[u8], order: &[Order]) -> Option<Cursor> {
    let id = EntityId::new(std::str::from_utf8(take(rest, 36)?).ok()?).ok()?;
    let mut values = Vec::new();
    for order in order {
        let tag = take(rest, 1)?[0];
        let length = u32::from_be_bytes(take(rest, 4)?.try_into().ok()?);
        let content = take(rest, usize::try_from(length).ok()?)?;
        values.push(match tag {
            0 => Sql::Null,
            1 => Sql::Integer(i64::from_be_bytes(content.try_into().ok()?)),
            2 => Sql::Real(f64::from_bits(u64::from_be_bytes(content.try_into().ok()?))),
            3 if order.by == ID => of_text(std::str::from_utf8(content).ok()?),
            3 => Sql::Text(String::from_utf8(content.to_vec()).ok()?),
            4 => Sql::Blob(content.to_vec()),
            _ => return None,
        });
    }
    rest.is_empty().then_some(Cursor { values, id })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

fn sum(compiler: &Compiler<'_>, bytes: &[u8]) -> [u8; SUM_BYTES] {
    let mut hash = Sha256::new();
    hash.update(format!("1 {} {:?} ", compiler.entity, compiler.order));
    hash.update(bytes);
    let full: [u8; 32] = hash.finalize().into();
    *full.first_chunk().expect("a check sum is a part of the hash")
}

/// What follows a position, as conditions that one after the other give all of it in order. Each is a
/// range of the first path of the order, so that an index on it leads there at once.
pub(super) fn segments(compiler: &Compiler<'_>, after: Option<&Cursor>) -> Vec<Piece> {
    let Some(cursor) = after else { return vec![Piece::default()] };
    let Some((first, value)) = compiler.order.first().zip(cursor.values.first()) else {
        return vec![after_id(compiler, cursor)];
    };
    let with_path = |rest: &str, value: Option<&Sql>| {
        let mut piece = Piece::new(" AND ");
        compiler.path(&first.by, &mut piece);
        piece.push(rest);
        if let Some(value) = value {
            piece.bind(value.clone());
        }
        piece
    };
    let is_null = *value == Sql::Null;
    let mut alike = if is_null { with_path(" IS NULL", None) } else { with_path(" = ", Some(value)) };
    alike.append(&after_rest(compiler, cursor, 1));
    let mut segments = vec![alike];
    match (first.direction, is_null) {
        (Direction::Ascending, true) => segments.push(with_path(" IS NOT NULL", None)),
        (Direction::Ascending, false) => segments.push(with_path(" > ", Some(value))),
        (Direction::Descending, true) => {}
        (Direction::Descending, false) => {
            segments.push(with_path(" < ", Some(value)));
            segments.push(with_path(" IS NULL", None));
        }
    }
    segments
}

/// After the position by the paths from `index` on, and the id.
fn after_rest(compiler: &Compiler<'_>, cursor: &Cursor, index: usize) -> Piece {
    let Some((order, value)) = compiler.order.get(index).zip(cursor.values.get(index)) else {
        return after_id(compiler, cursor);
    };
    let mut path = Piece::default();
    compiler.path(&order.by, &mut path);
    let mut piece = Piece::new(" AND (");
    match (order.direction, value) {
        (Direction::Ascending, Sql::Null) => drop(piece.append(&path).push(" IS NOT NULL OR ")),
        (Direction::Ascending, value) => drop(piece.append(&path).push(" > ").bind(value.clone()).push(" OR ")),
        (Direction::Descending, Sql::Null) => {}
        (Direction::Descending, value) => {
            piece.append(&path).push(" < ").bind(value.clone()).push(" OR ").append(&path).push(" IS NULL OR ");
        }
    }
    piece.append(&path).push(" IS ").bind(value.clone()).append(&after_rest(compiler, cursor, index + 1)).push(")");
    piece
}

fn after_id(compiler: &Compiler<'_>, cursor: &Cursor) -> Piece {
    let mut piece = Piece::new(match compiler.last_direction() {
        Direction::Ascending => " AND e.id > ",
        Direction::Descending => " AND e.id < ",
    });
    piece.bind(StoredId::of(&cursor.id).to_value());
    piece
}
