//! The table `names`: texts that many rows have, each once, under a number. A row has the number in the place of the
//! text, or the text itself where it has no number. A name keeps its number for good, so there are no more than so
//! many of those that callers make up, and each module has one.

use crate::limits::{EVENT_NAMES_MAX, NAMES_MAX};
use rusqlite::{
    Connection, OptionalExtension, ToSql,
    types::{ToSqlOutput, Value as Sql, ValueRef},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// A name as a row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Number(i64),
    Text(Arc<str>),
}

impl ToSql for Name {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Name::Number(number) => ToSqlOutput::Owned(Sql::Integer(*number)),
            Name::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// How many there may be of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of modules, which are as many as there are modules.
    Module,
    /// Of events, which callers make up.
    Event,
}

/// The numbers that the connection which writes has looked up, in its transactions.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    known: HashMap<Box<str>, i64>,
    /// The last few that were asked for: mostly they are asked for again, and a list of few is searched faster.
    last: VecDeque<(Box<str>, i64)>,
}

/// How many of the last ones are in the list.
const LAST: usize = 4;

impl Numbers {
    /// The name as a new row has it. It gets a number, if there is room for one more.
    pub(crate) fn of(&mut self, connection: &Connection, text: &str, kind: Kind) -> rusqlite::Result<Name> {
        if text.is_empty() {
            return Ok(Name::Text("".into()));
        }
        if let Some((_, number)) = self.last.iter().find(|(known, _)| **known == *text) {
            return Ok(Name::Number(*number));
        }
        let number = match self.known.get(text) {
            Some(number) => *number,
            None => match self.find_or_give(connection, text, kind)? {
                Some(number) => number,
                None => return Ok(Name::Text(text.into())),
            },
        };
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back((text.into(), number));
        Ok(Name::Number(number))
    }

    fn find_or_give(&mut self, connection: &Connection, text: &str, kind: Kind) -> rusqlite::Result<Option<i64>> {
        let number = match number(connection, text)? {
            Some(number) => number,
            None if kind == Kind::Event && count(connection)? >= EVENT_NAMES_MAX => return Ok(None),
            None => connection.prepare_cached("INSERT INTO names (name) VALUES (?1)")?.insert([text])?,
        };
        if self.known.len() >= NAMES_MAX {
            self.known.clear();
        }
        self.known.insert(text.into(), number);
        Ok(Some(number))
    }

    /// Forgets everything, after a transaction that was undone.
    pub(crate) fn forget(&mut self) {
        *self = Numbers::default();
    }
}

fn number(connection: &Connection, text: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM names WHERE name = ?1")?
        .query_row([text], |row| row.get(0))
        .optional()
}

fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT ifnull(max(number), 0) FROM names")?.query_row([], |row| row.get(0))
}

/// The name as a row has it, if any row can have it, for one who only reads.
pub(crate) fn find(connection: &Connection, text: &str) -> rusqlite::Result<Name> {
    let found = if text.is_empty() { None } else { number(connection, text)? };
    Ok(found.map_or_else(|| Name::Text(text.into()), Name::Number))
}

/// The texts of the names in the rows of one reading.
pub(crate) struct Texts<'c> {
    connection: &'c Connection,
    known: HashMap<i64, Arc<str>>,
}

impl<'c> Texts<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Texts<'c> {
        Texts { connection, known: HashMap::new() }
    }

    /// The text of a name that a row has.
    pub(crate) fn of(&mut self, value: ValueRef<'_>) -> rusqlite::Result<Arc<str>> {
        let ValueRef::Integer(number) = value else { return Ok(value.as_str()?.into()) };
        if let Some(text) = self.known.get(&number) {
            return Ok(Arc::clone(text));
        }
        let mut statement = self.connection.prepare_cached("SELECT name FROM names WHERE number = ?1")?;
        let text: Arc<str> = statement.query_row([number], |row| Ok(row.get_ref(0)?.as_str()?.into()))?;
        self.known.insert(number, Arc::clone(&text));
        Ok(text)
    }
}

/// The text of a name in a column, as an expression.
macro_rules! text_of {
    ($column:literal) => {
        concat!(
            "CASE typeof(",
            $column,
            ") WHEN 'integer' THEN (SELECT name FROM names WHERE number = ",
            $column,
            ") ELSE ",
            $column,
            " END"
        )
    };
}
pub(crate) use text_of;
