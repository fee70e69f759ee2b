//! Logs by their names, and the one that is active.

use crate::limits;
use crate::record::{LOG, Log};
use bulkhead_module::layer1::{Change, Entity, Query};
use bulkhead_module::{Context, Error, json, nearest};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The type of the one entity that says which log is active.
const BOOK: &str = "ResearchBook";

/// Its id. There is one, made by the first process that needs it.
const BOOK_ID: &str = "7265736c-6f67-4000-8000-000000000001";

/// How many logs are compared with a misspelt title.
const HINT_LOGS_MAX: u32 = 1000;

/// The state of all logs together. Each creation of a log changes it, so of two at the same time one gets a conflict,
/// and no title is given twice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    /// The id of the log where entries go that name none.
    pub(crate) active: Option<String>,
    /// How many logs there are.
    pub(crate) logs: usize,
}

/// The book, if anything was written yet.
pub(crate) fn book(ctx: &mut Context<'_>) -> Result<Option<Book>, Error> {
    Ok(ctx.entity_if_any(BOOK, BOOK_ID)?.map(|book| book.data))
}

/// Writes the book; `known` says whether there was one.
pub(crate) fn write_book(ctx: &mut Context<'_>, known: Option<&Book>, book: &Book) -> Result<(), Error> {
    let change = match known {
        Some(_) => Change::update(BOOK, BOOK_ID, book),
        None => Change::create(BOOK, book).with_id(BOOK_ID),
    };
    ctx.change(change).map(drop)
}

/// Makes the log with this id the active one.
pub(crate) fn activate(ctx: &mut Context<'_>, id: &str) -> Result<(), Error> {
    let known = book(ctx)?;
    let active = Some(id.to_owned());
    let book = Book { active, ..known.clone().unwrap_or(Book { active: None, logs: 1 }) };
    write_book(ctx, known.as_ref(), &book)
}

/// The log with this title.
pub(crate) fn titled(ctx: &mut Context<'_>, title: &str) -> Result<Option<Entity<Log>>, Error> {
    Ok(ctx.find(&Query::of(LOG).eq("title", title).limit(1))?.entities.pop())
}

/// The log that an argument names, by its id or its title.
pub(crate) fn named(ctx: &mut Context<'_>, name: &str) -> Result<Entity<Log>, Error> {
    if limits::is_id(name)
        && let Some(log) = ctx.entity_if_any(LOG, name)?
    {
        return Ok(log);
    }
    if let Some(log) = titled(ctx, name)? {
        return Ok(log);
    }
    let newest = Query::of(LOG).order("-$id").limit(HINT_LOGS_MAX).count();
    let newest = ctx.find::<Log>(&newest)?;
    let shown: String = name.chars().take(100).collect();
    let hint = match nearest(name, newest.entities.iter().map(|log| log.data.title.as_str())) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => String::new(),
    };
    Err(Error::not_found(format!("no log has the id or the title {shown:?}{hint}"))
        .with_data(json!({ "logs": newest.count })))
}

/// What an entry needs of its log.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) researcher: Option<String>,
}

/// Logs that were named before. This module never renames, changes or deletes a log, so what was read of it stays
/// valid, and an entry that names its log needs nothing read before it is stored. A log that another client deletes in
/// the store is known until the process ends.
#[derive(Default)]
pub(crate) struct Known(HashMap<String, Place>);

impl Known {
    const MAX: usize = 1024;

    /// The log that an argument names.
    pub(crate) fn named(&mut self, ctx: &mut Context<'_>, name: &str) -> Result<Place, Error> {
        if let Some(place) = self.0.get(name) {
            return Ok(place.clone());
        }
        let Entity { id, data, .. } = named(ctx, name)?;
        let place = Place { id, researcher: data.researcher };
        if self.0.len() >= Known::MAX {
            self.0.clear();
        }
        self.0.insert(name.to_owned(), place.clone());
        Ok(place)
    }

    /// The log that is active. It is read each time: another process of the module may have changed it.
    pub(crate) fn active(&mut self, ctx: &mut Context<'_>) -> Result<Place, Error> {
        match book(ctx)?.and_then(|book| book.active) {
            Some(id) => self.named(ctx, &id),
            None => Err(Error::not_found(
                "no log is active; name one, choose one with set_active_log, or begin one with create_log",
            )),
        }
    }
}
