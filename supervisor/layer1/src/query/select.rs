//! One query from its grammar to its answer, on a connection whose transaction is open, so that the
//! page, the count and what is included are of one moment.

use super::{
    answer::{Answer, COLUMN_COUNT, COLUMNS, Fit, entity},
    compile::{Compiler, Piece, Source},
    cursor::{Cursor, segments},
    include::include,
};
use crate::{
    declarations::Declarations,
    failure::{not_found, of_sqlite, refusal},
    staged::{Key, Seen},
    stored_id::StoredId,
};
use bulkhead_protocol::{
    ErrorCode, Failure, Json,
    layer1::{Count, EntityId, EntityName, Filter, Many, Order, Query, Selection},
};
use rusqlite::{Connection, Row, params_from_iter, types::Value as Sql};
use std::cell::RefCell;

/// Why a query has no answer: a refusal with a message, or an error of SQLite, which may be a deadline.
pub(crate) enum QueryError {
    Refused(Box<Failure>),
    Sqlite(rusqlite::Error),
}

impl From<Failure> for QueryError {
    fn from(failure: Failure) -> QueryError {
        QueryError::Refused(Box::new(failure))
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> QueryError {
        QueryError::Sqlite(error)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Failure {
        match error {
            QueryError::Refused(failure) => *failure,
            QueryError::Sqlite(error) => of_sqlite(&error),
        }
    }
}

/// Where a query is answered from.
pub(crate) struct Answering<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) declarations: &'a Declarations,
    /// Whether the temporary table of the connection has changes that the query is to see.
    pub(crate) overlay: Overlaid,
    pub(crate) bytes_max: usize,
    /// Takes note of what is read, for the unit that the query belongs to, if it belongs to one.
    pub(crate) seen: Option<&'a RefCell<Vec<(Key, Seen)>>>,
}

/// Whether a unit's changes are to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlaid {
    No,
    Yes,
}

impl Answering<'_> {
    pub(super) fn sources(&self) -> &'static [Source] {
        match self.overlay {
            Overlaid::No => &[Source::Committed],
            Overlaid::Yes => &[Source::Beneath, Source::Overlay],
        }
    }

    pub(super) fn compiler<'b>(
        &'b self,
        entity: &'b EntityName,
        filters: &'b [Filter],
        order: &'b [Order],
    ) -> Compiler<'b> {
        Compiler { declarations: self.declarations, entity, filters, search: None, order }
    }
}

/// Answers a query.
pub(crate) fn answer(query: &Query, from: &Answering<'_>) -> Result<Json, QueryError> {
    match &query.selection {
        Selection::One(id) => one(query, id, from),
        Selection::Many(many) => page(query, many, from),
    }
}

fn one(query: &Query, id: &EntityId, from: &Answering<'_>) -> Result<Json, QueryError> {
    let compiler = from.compiler(&query.entity, &[], &[]);
    for source in from.sources() {
        let mut piece = Piece::new(format!("SELECT {COLUMNS}"));
        piece.append(&compiler.body(*source)).push(" AND e.id = ").bind(StoredId::of(id).to_value());
        let mut statement = from.connection.prepare_cached(&piece.sql)?;
        let mut rows = statement.query(params_from_iter(piece.values))?;
        if let Some(row) = rows.next()? {
            let mut answer = Answer::new(from.bytes_max);
            push(&mut answer, query, row, from, 0)?;
            return Ok(answer.end(None, None));
        }
    }
    Err(not_found(&query.entity, id).into())
}

fn page(query: &Query, many: &Many, from: &Answering<'_>) -> Result<Json, QueryError> {
    if many.search.is_some() && from.declarations.search(&query.entity).is_none() {
        return Err(no_search(&query.entity).into());
    }
    let compiler = Compiler {
        declarations: from.declarations,
        entity: &query.entity,
        filters: &many.filters,
        search: many.search.as_ref(),
        order: &many.order,
    };
    let after = many.after.as_deref().map(|text| Cursor::read(text, &compiler)).transpose()?;
    let count = if many.count == Count::Yes { Some(count(&compiler, from)?) } else { None };
    let mut answer = Answer::new(from.bytes_max);
    let mut last: Option<String> = None;
    let mut taken = 0;
    let asked = if many.limit == 0 { Vec::new() } else { segments(&compiler, after.as_ref()) };
    for segment in asked {
        let piece = statement(&compiler, from, &segment, many.limit - taken + 1);
        let mut statement = from.connection.prepare_cached(&piece.sql)?;
        let mut rows = statement.query(params_from_iter(piece.values))?;
        while let Some(row) = rows.next()? {
            if taken == many.limit {
                return Ok(answer.end(last.as_deref(), count));
            }
            let next = cursor_of(row, &many.order)?.write(&compiler)?;
            if push(&mut answer, query, row, from, next.len())? == Fit::Full {
                return Ok(answer.end(last.as_deref(), count));
            }
            last = Some(next);
            taken += 1;
        }
    }
    Ok(answer.end(None, count))
}

/// One range of the page, from one source or merged from two.
fn statement(compiler: &Compiler<'_>, from: &Answering<'_>, segment: &Piece, limit: u32) -> Piece {
    let mut piece = Piece::default();
    for (index, source) in from.sources().iter().enumerate() {
        piece.push(if index > 0 { " UNION ALL " } else { "" });
        piece.push(&format!("SELECT {COLUMNS}")).append(&compiler.order_columns());
        piece.append(&compiler.body(*source)).append(segment);
    }
    piece.push(&compiler.order_by(COLUMN_COUNT + 1)).push(" LIMIT ").bind(Sql::Integer(limit.into()));
    piece
}

fn count(compiler: &Compiler<'_>, from: &Answering<'_>) -> Result<u64, QueryError> {
    let mut counted = 0;
    for source in from.sources() {
        let mut piece = Piece::new("SELECT count(*)");
        piece.append(&compiler.body(*source));
        let mut statement = from.connection.prepare_cached(&piece.sql)?;
        counted += statement.query_row(params_from_iter(piece.values), |row| row.get::<_, u64>(0))?;
    }
    Ok(counted)
}

fn cursor_of(row: &Row<'_>, order: &[Order]) -> Result<Cursor, QueryError> {
    let id = row.get::<_, StoredId>(0)?.id();
    let values: Result<Vec<Sql>, _> = (0..order.len()).map(|index| row.get(COLUMN_COUNT + index)).collect();
    Ok(Cursor { values: values?, id })
}

impl Answering<'_> {
    /// Takes note of an entity that goes into the answer.
    pub(super) fn note(&self, entity: &EntityName, row: &Row<'_>) -> Result<(), QueryError> {
        let Some(seen) = self.seen else { return Ok(()) };
        let id = row.get::<_, StoredId>(0)?.id();
        let state = Seen { rowid: row.get(5)?, version: row.get(1)? };
        seen.borrow_mut().push(((entity.clone(), id), state));
        Ok(())
    }
}

/// Adds the entity of a row, with what is included.
fn push(
    answer: &mut Answer,
    query: &Query,
    row: &Row<'_>,
    from: &Answering<'_>,
    cursor_bytes: usize,
) -> Result<Fit, QueryError> {
    let mut text = entity(query.entity.as_str(), row)?;
    let id = row.get::<_, StoredId>(0)?.id();
    if !query.include.is_empty() {
        let room = answer.room().saturating_sub(text.len() + cursor_bytes);
        let fit = include(&query.include, id.as_str(), from, room, &mut text)?;
        // In an answer of its own, there is room for more of what refers to it.
        if fit == Fit::Full && !answer.is_empty() {
            return Ok(Fit::Full);
        }
    }
    text.push('}');
    from.note(&query.entity, row)?;
    let fit = answer.push(&text, cursor_bytes);
    if fit == Fit::Full && answer.is_empty() {
        let sentence = format!(
            "the {} with the id {id} takes {} bytes, and an answer has at most {}; raise frame_bytes_max",
            query.entity,
            text.len(),
            from.bytes_max
        );
        return Err(refusal(ErrorCode::FrameTooLarge, sentence).into());
    }
    Ok(fit)
}

fn no_search(entity: &EntityName) -> Failure {
    let sentence = format!(
        "at search: no members of {entity} are declared for search; declare them, as in [layer1] search = {{ {entity} = [\"title\"] }}"
    );
    refusal(ErrorCode::BadRequest, sentence)
}
