//! Clears away what has expired or is too much: keys, events and set-aside events, a few rows at a time,
//! between the groups of the thread that writes.

use super::writer::Writer;
use crate::{
    failure::breakage,
    held::Amount,
    limits::{CLEARED_ROWS_MAX, CLOCK_WRITTEN_AFTER, CLOCK_WRITTEN_IDLE_AFTER},
    settings::micros,
    tables::{
        clock,
        events::{self, Kept},
        keys, set_aside,
        usage::{self, Account},
    },
};
use std::time::{Duration, Instant};

/// How long after the last one the next step of clearing comes, when there is little to clear.
const CLEAR_INTERVAL: Duration = Duration::from_secs(1);

/// How long one step of clearing takes at most.
const CLEAR_TIME_MAX: Duration = Duration::from_millis(10);

impl Writer {
    /// Removes a little of what has expired. While there is much, it goes on after the next group.
    pub(super) fn clear(&mut self) {
        let begun = Instant::now();
        let mut more = false;
        if self.shared.broken().is_none() {
            loop {
                match self.clear_step() {
                    Ok(removed) => more = removed,
                    Err(error) => {
                        self.undo();
                        more = false;
                        if let Some(reason) = breakage(&error) {
                            self.shared.set_broken(reason);
                        }
                    }
                }
                if !more || begun.elapsed() >= CLEAR_TIME_MAX {
                    break;
                }
            }
        }
        self.clear_next = if more { Instant::now() } else { Instant::now() + CLEAR_INTERVAL };
    }

    /// Removes a few rows, and says whether there may be more.
    fn clear_step(&self) -> rusqlite::Result<bool> {
        let settings = &self.shared.settings;
        let age = self.shared.time.now().age;
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let keys = self.clear_keys(age)?;
        let number = |most: u64| i64::try_from(most).unwrap_or(i64::MAX);
        let kept = Kept {
            oldest_age: age.saturating_sub(micros(settings.event_ttl)),
            most: Amount { bytes: number(settings.events_bytes_max), rows: number(settings.events_max) },
        };
        let events = self.clear_events(&kept)? || self.clear_over_quota()?;
        let set_aside = match self.has_set_aside.get() {
            true => set_aside::clear(&self.connection, settings.set_aside_max, settings.set_aside_bytes_max)?,
            false => 0,
        };
        self.usage.borrow_mut().write(&self.connection)?;
        let writes = keys || events || set_aside > 0;
        let due = self.clock_due(age, if writes { CLOCK_WRITTEN_AFTER } else { CLOCK_WRITTEN_IDLE_AFTER });
        if !writes && due.is_none() {
            // A commit of nothing would have a number of its own, and so be flushed, each second.
            self.has_set_aside.set(false);
            return self.connection.execute_batch("ROLLBACK").map(|()| false);
        }
        due.map_or(Ok(()), |due| clock::write(&self.connection, due))?;
        self.commit_transaction()?;
        self.clock_written.set(due.unwrap_or(self.clock_written.get()));
        self.shared.durability.rouse();
        self.carry_over();
        self.has_set_aside.set(set_aside > 0);
        if set_aside > 0 {
            self.shared.dropped_set_aside(set_aside as u64);
        }
        Ok(writes)
    }

    fn clear_keys(&self, age: i64) -> rusqlite::Result<bool> {
        let removed = keys::clear(&self.connection, age)?;
        for (caller, amount) in removed.iter() {
            self.usage.borrow_mut().add(&self.connection, caller, Account::of_keys(amount.negative()))?;
        }
        Ok(removed.iter().next().is_some())
    }

    fn clear_events(&self, kept: &Kept) -> rusqlite::Result<bool> {
        let Some((removed, last)) = events::clear(&self.connection, kept)? else { return Ok(false) };
        self.oldest.borrow_mut().gone_upto(last);
        for (source, amount) in removed.iter() {
            self.usage.borrow_mut().add(&self.connection, source, Account::of_events(amount.negative()))?;
        }
        Ok(true)
    }

    /// Removes a few events of sources that are over their quotas: these may have been lowered.
    fn clear_over_quota(&self) -> rusqlite::Result<bool> {
        let mut any = false;
        for owner in usage::list(&self.connection)? {
            let held = i64::try_from(owner.event_bytes).unwrap_or(i64::MAX);
            let Some(over) = self.shared.quotas.events_over(&owner.owner, held) else { continue };
            let (_, newest) = events::ends(&self.connection)?;
            let (connection, last) = (&self.connection, newest.saturating_sub(1));
            let removed =
                self.oldest.borrow_mut().remove(connection, &owner.owner, over, CLEARED_ROWS_MAX as i64, last)?;
            let account = Account::of_events(removed.negative());
            self.usage.borrow_mut().add(connection, &owner.owner.as_str().into(), account)?;
            any |= removed.rows > 0;
        }
        Ok(any)
    }
}
