//! Doing a mutation inside a unit: all of its operations, or none. The caller says what is stored for an
//! entity that the unit has not touched yet.

use crate::{
    failure::{of_sqlite, with_data},
    held::Amount,
    ids::IdMaker,
    quotas::Quotas,
    staged::{Author, Key, Stored},
    unit::{DONE_BYTES_MAX, Done, Mark, Unit, write_done},
};
use bulkhead_protocol::{
    Failure, Json,
    layer1::{Change, EntityId, Form, Mutation, Operation},
};
use std::sync::Arc;

/// What a mutation needs to know of what is outside its unit.
pub(crate) struct World<'a> {
    /// What the database has under a key.
    pub(crate) find: &'a mut dyn FnMut(&Key) -> rusqlite::Result<Option<Stored>>,
    /// What an owner's entities hold in the database.
    pub(crate) used: &'a mut dyn FnMut(&Arc<str>) -> rusqlite::Result<Amount>,
    /// How much they may hold.
    pub(crate) quotas: &'a Quotas,
    /// What makes new ids.
    pub(crate) ids: &'a IdMaker,
}

/// Why a mutation, or another job of the thread that writes, was not done.
pub(crate) enum NotDone {
    /// It is refused; the unit is as it was.
    Refused(Box<Failure>),
    /// The database could not be read.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for NotDone {
    fn from(error: rusqlite::Error) -> NotDone {
        NotDone::Sqlite(error)
    }
}

impl From<Failure> for NotDone {
    fn from(failure: Failure) -> NotDone {
        NotDone::Refused(Box::new(failure))
    }
}

impl From<NotDone> for Failure {
    fn from(error: NotDone) -> Failure {
        match error {
            NotDone::Refused(failure) => *failure,
            NotDone::Sqlite(error) => of_sqlite(&error),
        }
    }
}

/// Does the mutation in the unit, and gives its answer.
pub(crate) fn run(
    unit: &mut Unit,
    mutation: &Mutation,
    author: &Author,
    world: &mut World<'_>,
) -> Result<Json, NotDone> {
    let mut mark = unit.mark();
    match run_all(unit, mutation, author, world, &mut mark) {
        Ok(done) => Ok(reply(mutation.form, &done)),
        Err(error) => {
            unit.undo(mark);
            Err(error)
        }
    }
}

fn run_all(
    unit: &mut Unit,
    mutation: &Mutation,
    author: &Author,
    world: &mut World<'_>,
    mark: &mut Mark,
) -> Result<Vec<Done>, NotDone> {
    let mut done = Vec::with_capacity(mutation.operations.len());
    for (index, operation) in mutation.operations.iter().enumerate() {
        let id = id_of(operation, author, world.ids);
        let key = (operation.entity.clone(), id);
        // An id that was made this moment has no entity yet.
        let new = matches!(operation.change, Change::Create { id: None, .. });
        let stored = if new || unit.changes.contains_key(&key) { None } else { (world.find)(&key)? };
        let outcome = unit.apply(operation, id, stored, author, mark);
        done.push(outcome.map_err(|failure| at_operation(failure, mutation.form, index))?);
    }
    for (owner, amount) in unit.held.iter() {
        world.quotas.check(owner, (world.used)(owner)?, amount)?;
    }
    Ok(done)
}

/// The id that the operation names, or a new one.
fn id_of(operation: &Operation, author: &Author, ids: &IdMaker) -> EntityId {
    match operation.change {
        Change::Create { id: Some(id), .. } | Change::Update { id, .. } | Change::Delete { id, .. } => id,
        Change::Create { id: None, .. } => ids.next(author.now),
    }
}

/// Says which operation of a list it was.
fn at_operation(mut failure: Failure, form: Form, index: usize) -> Failure {
    if form == Form::Single {
        return failure;
    }
    failure.error = format!("at operations.{index}: {}", failure.error.strip_prefix("at ").unwrap_or(&failure.error));
    let mut data: serde_json::Map<String, serde_json::Value> =
        failure.data.as_ref().and_then(|data| data.read().ok()).unwrap_or_default();
    data.insert("operation".into(), index.into());
    with_data(failure, &data)
}

fn reply(form: Form, done: &[Done]) -> Json {
    let list = form == Form::List || done.len() != 1;
    let mut text = String::with_capacity(32 + done.len() * DONE_BYTES_MAX);
    text.push_str(if list { "{\"results\":[" } else { "" });
    for (index, done) in done.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        write_done(&done.id, done.version, &mut text);
        text.push('}');
    }
    text.push_str(if list { "]}" } else { "" });
    Json::of_checked(&text)
}
