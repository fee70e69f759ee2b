//! Which of a source's events are removed when they are over its quota: its own oldest, also those that were not read
//! yet. The newest event of all stays, since the next cursor follows from it. How much each source's events take is
//! in the table `usage`; which are the oldest of a source is found out here, without an index that every event would
//! pay for: the table is scanned once from its beginning, as far as is needed.

use super::names::Texts;
use crate::{held::Amount, unit::Emitted};
use rusqlite::{Connection, params};
use std::collections::{HashMap, VecDeque};

/// Rows of one look.
const LOOKED_ROWS: usize = 1000;

/// The oldest events of each source, with what they take, up to where the table was scanned. It takes 16
/// bytes for each event there, and there are as many of these as lie before the oldest one that goes next.
#[derive(Debug, Default)]
pub(crate) struct Oldest {
    upto: u64,
    sources: HashMap<Box<str>, VecDeque<(u64, i64)>>,
}

impl Oldest {
    /// Removes events of a source, its oldest first, none after `last`, until they took as many bytes, or so many
    /// are gone. Says what they took.
    pub(crate) fn remove(
        &mut self,
        connection: &Connection,
        source: &str,
        bytes: i64,
        rows_max: i64,
        last: u64,
    ) -> rusqlite::Result<Amount> {
        let mut statement = connection.prepare_cached("DELETE FROM events WHERE cursor = ?1")?;
        let mut of_copy = connection.prepare_cached("DELETE FROM event_copies WHERE cursor = ?1")?;
        let mut removed = Amount::default();
        while removed.bytes < bytes && removed.rows < rows_max {
            let Some((cursor, bytes)) = self.next(connection, source, last)? else { break };
            statement.execute([cursor])?;
            of_copy.execute([cursor])?;
            removed = removed.plus(Amount { bytes, rows: 1 });
        }
        Ok(removed)
    }

    fn next(&mut self, connection: &Connection, source: &str, last: u64) -> rusqlite::Result<Option<(u64, i64)>> {
        loop {
            if let Some(found) = self.sources.get_mut(source)
                && let Some((cursor, _)) = found.front()
            {
                return Ok(if *cursor > last { None } else { found.pop_front() });
            }
            if self.look(connection)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Looks at a few rows more, and says how many there were.
    fn look(&mut self, connection: &Connection) -> rusqlite::Result<usize> {
        let mut statement = connection
            .prepare_cached("SELECT cursor, source, bytes FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2")?;
        let mut rows = statement.query(params![self.upto, LOOKED_ROWS])?;
        let mut names = Texts::new(connection);
        let mut looked = 0;
        while let Some(row) = rows.next()? {
            let source = names.of(row.get_ref(1)?)?;
            let found = match self.sources.get_mut(&*source) {
                Some(found) => found,
                None => self.sources.entry(source.as_ref().into()).or_default(),
            };
            self.upto = row.get(0)?;
            found.push_back((self.upto, row.get(2)?));
            looked += 1;
        }
        Ok(looked)
    }

    /// Everything up to this cursor was removed elsewhere.
    pub(crate) fn gone_upto(&mut self, cursor: u64) {
        self.sources.retain(|_, found| {
            while found.pop_front_if(|(first, _)| *first <= cursor).is_some() {}
            !found.is_empty()
        });
    }
}

/// Of the events of a source that come together and are more than its quota, only the last ones are kept: these are
/// noted in `kept`, and what the others would have taken is returned. The last of all is kept whatever it takes.
pub(crate) fn keep_last(
    events: &[Emitted],
    source: &str,
    quota: i64,
    bytes: impl Fn(&Emitted) -> i64,
    kept: &mut [bool],
) -> Amount {
    let (mut left, mut dropped) = (quota, Amount::default());
    for (index, event) in events.iter().enumerate().rev().filter(|(_, event)| *event.source == *source) {
        let bytes = bytes(event);
        left = left.saturating_sub(bytes);
        if left < 0 && index + 1 < events.len() {
            kept[index] = false;
            dropped = dropped.plus(Amount { bytes, rows: 1 });
        }
    }
    dropped
}
