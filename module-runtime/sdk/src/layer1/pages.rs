//! All entities of a query, of which the memory holds one page at a time.

use super::{Entity, Page, Query};
use crate::{Context, Error, Json};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::vec::IntoIter;

/// The entities of a query, page by page. It ends after an error.
///
/// A loop that also asks the host other things reaches it through [`Entities::context`]:
///
/// ```
/// # use bulkhead_module::{Context, Error, Json, json, layer1::Query};
/// # fn f(ctx: &mut Context<'_>) -> Result<(), Error> {
/// let mut found = ctx.entities::<Json>(Query::of("Book").missing("lent_to"));
/// while let Some(book) = found.next() {
///     let book = book?;
///     found.context().emit("library.idle", json!({ "book": book.id }))?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Entities<'c, T> {
    /// The same request, borrowed: one lifetime is enough.
    ctx: Context<'c>,
    query: Query,
    page: IntoIter<Entity<Json>>,
    state: State,
    held: PhantomData<fn() -> T>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    More,
    Last,
}

impl<'c, T> Entities<'c, T> {
    pub(super) fn new(ctx: &'c mut Context<'_>, query: Query) -> Entities<'c, T> {
        let ctx = Context { host: &mut *ctx.host };
        Entities { ctx, query, page: Vec::new().into_iter(), state: State::More, held: PhantomData }
    }

    /// The context that the pages are asked for with.
    pub fn context(&mut self) -> &mut Context<'c> {
        &mut self.ctx
    }

    fn next_page(&mut self) -> Result<(), Error> {
        let Page { entities, next, .. } = self.ctx.find::<Json>(&self.query)?;
        self.page = entities.into_iter();
        self.state = if next.is_some() { State::More } else { State::Last };
        self.query.after = next;
        Ok(())
    }
}

impl<T: DeserializeOwned> Iterator for Entities<'_, T> {
    type Item = Result<Entity<T>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entity) = self.page.next() {
                let read = entity.read();
                if read.is_err() {
                    self.page = Vec::new().into_iter();
                    self.state = State::Last;
                }
                return Some(read);
            }
            if self.state == State::Last {
                return None;
            }
            if let Err(error) = self.next_page() {
                self.state = State::Last;
                return Some(Err(error));
            }
        }
    }
}
