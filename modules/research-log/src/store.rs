//! The journal and its index, always in step: the one place where a change becomes true.

use crate::index::Index;
use crate::journal::{Journal, Lock, Place};
use crate::record::{Change, Entry};
use bulkhead_module::{Barrier, Error};
use std::path::Path;

pub(crate) struct Store {
    pub(crate) index: Index,
    journal: Journal,
}

impl Store {
    /// Opens what is kept in this folder.
    pub(crate) fn open(folder: &Path) -> Result<Store, Error> {
        let mut store = Store { index: Index::default(), journal: Journal::open(folder)? };
        let lock = store.up_to_date()?;
        store.journal.begin(&lock)?;
        Ok(store)
    }

    /// The store as of now, also where another process wrote.
    pub(crate) fn read(&mut self) -> Result<&Store, Error> {
        if self.journal.has_news()? {
            self.up_to_date()?;
        }
        Ok(self)
    }

    /// Does one change: `decide` sees the store as of now and says what the change is. A key that
    /// is known leads to the change that was done under it, and nothing is done.
    pub(crate) fn change(
        &mut self,
        key: Option<&str>,
        asked: u128,
        decide: impl FnOnce(&Index) -> Result<Change, Error>,
    ) -> Result<Change, Error> {
        let lock = self.up_to_date()?;
        if let Some(keyed) = key.and_then(|key| self.index.keyed(key)) {
            if keyed.asked != asked {
                return Err(Error::conflict("another request was done under this key already"));
            }
            return self.read_change(keyed.place);
        }
        let mut change = decide(&self.index)?;
        if let Some(key) = key {
            change.key = Some(key.to_owned());
            change.asked = Some(format!("{asked:032x}"));
        }
        let line = serde_json::to_string(&change).map_err(|error| Error::failed(error.to_string()))?;
        let place = self.journal.append(&lock, &line)?;
        self.index.apply(place, &change).map_err(Error::failed)?;
        Ok(change)
    }

    /// An entry with its text.
    pub(crate) fn entry(&self, at: usize) -> Result<Entry, Error> {
        let change = self.read_change(self.index.entries[at].place)?;
        change.entry.ok_or_else(|| Error::failed("the journal changed while it was in use"))
    }

    /// Makes everything durable that was done or seen.
    pub(crate) fn barrier(&self) -> Barrier {
        Box::new(self.journal.sync())
    }

    fn up_to_date(&mut self) -> Result<Lock, Error> {
        let lock = self.journal.lock()?;
        let index = &mut self.index;
        self.journal.catch_up(&lock, |place, line| {
            let change = serde_json::from_str(line).map_err(|error| format!("expected a change: {error}"))?;
            index.apply(place, &change)
        })?;
        Ok(lock)
    }

    fn read_change(&self, place: Place) -> Result<Change, Error> {
        let line = self.journal.read(place)?;
        serde_json::from_str(&line).map_err(|error| Error::failed(format!("the journal changed while in use: {error}")))
    }
}
