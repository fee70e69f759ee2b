//! Clearing away what has expired or is too much: keys, events and set-aside events, a few rows at a time,
//! between the groups of the thread that writes.

use super::writer::Writer;
use crate::{
    failure::breakage,
    limits::{CLOCK_WRITTEN_AFTER, CLOCK_WRITTEN_IDLE_AFTER},
    settings::micros,
    tables::{clock, events, keys, set_aside},
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
        let keys = keys::clear(&self.connection, age)?;
        let oldest = age.saturating_sub(micros(settings.event_ttl));
        let events = events::clear(&self.connection, oldest, settings.events_max)?;
        let set_aside = match self.has_set_aside.get() {
            true => set_aside::clear(&self.connection, settings.set_aside_max)?,
            false => 0,
        };
        let writes = keys > 0 || events > 0 || set_aside > 0;
        let due = self.clock_due(age, if writes { CLOCK_WRITTEN_AFTER } else { CLOCK_WRITTEN_IDLE_AFTER });
        due.map_or(Ok(()), |due| clock::write(&self.connection, due))?;
        self.connection.execute_batch("COMMIT")?;
        self.clock_written.set(due.unwrap_or(self.clock_written.get()));
        self.note_checkpoint();
        self.has_set_aside.set(set_aside > 0);
        if set_aside > 0 {
            self.shared.dropped_set_aside(set_aside as u64);
        }
        Ok(writes)
    }
}
