//! One job of the thread that writes, in a transaction that is open: it is decided before anything of it is
//! written, so that a job that is refused leaves no trace in what the others share.

use super::{queue::Write, writer::Writer};
use crate::{
    clock::Moment,
    failure::{conflict, refusal},
    held::Amount,
    job::{Also, Job, Keyed, NewEvent},
    limits::EVENTS_REMOVED_BYTES,
    operations::{NotDone, World, run},
    outcome::{Cursor, Forgotten, KeyState, Outcome, StoredEvent},
    settings::micros,
    staged::Author,
    statements::Statements,
    tables::{
        entities::{self, OfEntity},
        event_quota,
        events::{self, Cursors},
        keys, set_aside, subscriptions,
        usage::Account,
    },
    tools::import,
    unit::{Emitted, Unit},
};
use bulkhead_protocol::{ErrorCode, Failure, Json};

impl Writer {
    /// Does one job.
    pub(super) fn perform(&self, statements: &mut Statements<'_>, write: &Write) -> Result<Outcome, NotDone> {
        let now = self.shared.time.now();
        self.age.set(now.age);
        let connection = &self.connection;
        match &write.task.job {
            Job::Mutate { owner, mutation, key, .. } => {
                if let Some(taken) = self.taken(statements, key.as_ref(), now.age)? {
                    return Ok(taken);
                }
                if let Some(Keyed { caller, .. }) = key {
                    let used = self.usage.borrow_mut().of(connection, &caller.as_str().into())?.keys;
                    self.shared.quotas.check_keys(caller, used.bytes)?;
                }
                let unit = &mut *self.own_unit.borrow_mut();
                unit.begin_anew();
                let mut world = World {
                    find: &mut |key| entities::find(statements, key),
                    used: &mut |owner| self.usage.borrow_mut().of(connection, owner).map(|held| held.entities),
                    quotas: &self.shared.quotas,
                    ids: &self.shared.ids,
                };
                let author = Author { owner: owner.as_str().into(), now: now.wall };
                let reply = run(unit, mutation, &author, &mut world)?;
                let events = self.write(statements, unit, now.age)?;
                self.keep(statements, key.as_ref().map(|key| (key, &reply)), now)?;
                Ok(Outcome::Mutated { reply, events })
            }
            Job::Emit { source, event, data, .. } => {
                let mut unit = Unit::default();
                unit.emit(event, data, &Author { owner: source.as_str().into(), now: now.wall })?;
                Ok(Outcome::Committed { events: self.write(statements, &unit, now.age)? })
            }
            Job::Commit { key, events, also, .. } => {
                let empty = Unit::default();
                let mut emitted = Unit::default();
                for NewEvent { source, event, data } in events {
                    emitted.emit(event, data, &Author { owner: source.as_str().into(), now: now.wall })?;
                }
                let unit = write.unit.as_deref().unwrap_or(&empty);
                self.commit(statements, unit, &emitted.events, key.as_ref(), also, now)
            }
            Job::Also(also) => self.also(also, now.wall).map(|()| Outcome::Done),
            Job::Subscribe { module } => {
                Ok(Outcome::Subscription(subscriptions::find_or_begin(connection, module, now.wall)?))
            }
            Job::Forget { module } => {
                let (oldest, _) = events::ends(connection)?;
                let subscription = subscriptions::remove(connection, module)?.map(|it| it.with_gone(oldest));
                let set_aside = set_aside::remove_all(connection, module)? as u64;
                Ok(Outcome::Forgotten(Forgotten { subscription, set_aside }))
            }
            Job::Import { lines, first, existing } => {
                let (unit, imported) = import::prepare(statements, &self.shared.ids, lines, *first, *existing)??;
                self.write(statements, &unit, now.age)?;
                Ok(Outcome::Imported(imported))
            }
            job => Err(refusal(
                ErrorCode::Internal,
                format!("a job of another thread came to the one that writes: {job:?}"),
            )
            .into()),
        }
    }

    fn commit(
        &self,
        statements: &mut Statements<'_>,
        unit: &Unit,
        emitted: &[Emitted],
        key: Option<&(Keyed, Json)>,
        also: &[Also],
        now: Moment,
    ) -> Result<Outcome, NotDone> {
        // There was room for the key when it was looked up, and its work was done since.
        if let Some(taken) = self.taken(statements, key.map(|(keyed, _)| keyed), now.age)? {
            return Ok(taken);
        }
        if let Some(((entity, id), found)) = entities::changed_since(statements, unit)? {
            let base = unit.changes[&(entity.clone(), id)].base.as_ref();
            return Ok(Outcome::Conflict(conflict(&entity, &id, base.map(|base| base.version), found)));
        }
        if let Some(failure) = self.is_too_early(also)? {
            return Ok(Outcome::Conflict(failure));
        }
        for (owner, amount) in unit.held.iter() {
            let used = self.usage.borrow_mut().of(&self.connection, owner)?.entities;
            self.shared.quotas.check(owner, used, amount)?;
        }
        let mut events = self.write(statements, unit, now.age)?;
        events.extend(self.emit(statements, emitted, now.age)?);
        self.keep(statements, key.map(|(keyed, reply)| (keyed, reply)), now)?;
        self.also(also, now.wall)?;
        Ok(Outcome::Committed { events })
    }

    /// Why an event cannot be committed: one before it was not.
    fn is_too_early(&self, also: &[Also]) -> rusqlite::Result<Option<Failure>> {
        for one in also {
            let Also::Advance { module, cursor, after } = one else { continue };
            if *after == Cursor(0) {
                continue;
            }
            let found = subscriptions::find(&self.connection, module)?;
            if let Some(found) = found.filter(|found| found.cursor < *after) {
                let reason = format!(
                    "{module}'s event {cursor} follows {after}, which is not committed: it has got to {}",
                    found.cursor
                );
                return Ok(Some(Failure::new(ErrorCode::Conflict, reason)));
            }
        }
        Ok(None)
    }

    /// The outcome for a key that is not vacant.
    fn taken(
        &self,
        statements: &mut Statements<'_>,
        keyed: Option<&Keyed>,
        age: i64,
    ) -> Result<Option<Outcome>, NotDone> {
        let Some(keyed) = keyed else { return Ok(None) };
        Ok(match keys::find(statements, keyed, age)? {
            KeyState::Vacant => None,
            taken => Some(Outcome::Key(taken)),
        })
    }

    fn keep(&self, statements: &mut Statements<'_>, key: Option<(&Keyed, &Json)>, now: Moment) -> Result<(), NotDone> {
        let Some((keyed, reply)) = key else { return Ok(()) };
        let ttl = micros(self.shared.settings.key_ttl);
        let more = keys::store(statements, &mut self.names.borrow_mut(), keyed, reply, now, ttl)?;
        let caller = keyed.caller.as_str().into();
        self.usage.borrow_mut().add(&self.connection, &caller, Account::of_keys(more))?;
        Ok(())
    }

    /// Writes what a unit has changed and emitted, at this age of the store.
    fn write(&self, statements: &mut Statements<'_>, unit: &Unit, age: i64) -> Result<Vec<StoredEvent>, NotDone> {
        let cursors = self.cursors_for(&unit.events)?;
        let of_entities = entities::write(statements, &self.shared.declarations, &self.rows, unit, &cursors)?;
        let mut usage = self.usage.borrow_mut();
        for (owner, amount) in unit.held.iter() {
            usage.add(&self.connection, owner, Account::of_entities(amount))?;
        }
        drop(usage);
        Ok(self.store_events(statements, &unit.events, age, &cursors, &of_entities)?)
    }

    /// Stores events that are of no entity.
    fn emit(
        &self,
        statements: &mut Statements<'_>,
        events: &[Emitted],
        age: i64,
    ) -> rusqlite::Result<Vec<StoredEvent>> {
        let cursors = self.cursors_for(events)?;
        self.store_events(statements, events, age, &cursors, &[])
    }

    fn store_events(
        &self,
        statements: &mut Statements<'_>,
        events: &[Emitted],
        age: i64,
        cursors: &Cursors,
        of_entities: &[OfEntity],
    ) -> rusqlite::Result<Vec<StoredEvent>> {
        let stored = events::store(statements, &mut self.names.borrow_mut(), events, age, cursors, of_entities)?;
        self.newest.set(Some(cursors.first + events.len() as u64 - 1));
        Ok(stored)
    }

    /// The cursor of the newest event.
    fn newest(&self) -> rusqlite::Result<u64> {
        match self.newest.get() {
            Some(newest) => Ok(newest),
            None => Ok(events::ends(&self.connection)?.1),
        }
    }

    /// Which cursors events get. Where a source has more than its quota by them, its oldest go before they are stored,
    /// so that the file grows by nothing that goes at once.
    fn cursors_for(&self, events: &[Emitted]) -> rusqlite::Result<Cursors> {
        let newest = self.newest()?;
        let first = newest + 1;
        let (quotas, connection) = (&self.shared.quotas, &self.connection);
        let mut usage = self.usage.borrow_mut();
        let mut sources = self.sources.borrow_mut();
        sources.clear();
        for event in events {
            sources.add(&event.source, Amount { bytes: events::bytes(event), rows: 1 });
        }
        let mut is_over = false;
        for (source, amount) in sources.iter() {
            let held = usage.add(connection, source, Account::of_events(amount))?.events;
            is_over |= quotas.events_over(source, held.bytes).is_some();
        }
        if !is_over {
            return Ok(Cursors { first, kept: None });
        }
        let mut kept = vec![true; events.len()];
        for (source, amount) in sources.iter() {
            let dropped = event_quota::keep_last(events, source, quotas.events(source), events::bytes, &mut kept);
            let held = usage.add(connection, source, Account::of_events(dropped.negative()))?.events;
            let Some(over) = quotas.events_over(source, held.bytes) else { continue };
            // What has piled up otherwise goes piece by piece.
            let over = over.min(amount.bytes.saturating_add(EVENTS_REMOVED_BYTES));
            let removed = self.oldest.borrow_mut().remove(connection, source, over, i64::MAX, newest)?;
            usage.add(connection, source, Account::of_events(removed.negative()))?;
        }
        Ok(Cursors { first, kept: Some(kept) })
    }

    fn also(&self, also: &[Also], now: i64) -> Result<(), NotDone> {
        for one in also {
            match one {
                Also::Advance { module, cursor, after: _ } => {
                    subscriptions::advance(&self.connection, module, *cursor)?
                }
                Also::Missed { module, events } => subscriptions::missed(&self.connection, module, *events)?,
                Also::SetAside { module, cursor, attempts, error } => {
                    set_aside::add(&self.connection, module, *cursor, *attempts, error, now)?;
                    self.has_set_aside.set(true);
                    subscriptions::advance(&self.connection, module, *cursor)?;
                }
                Also::RemoveSetAside { id } => set_aside::remove(&self.connection, *id)?,
            }
        }
        Ok(())
    }
}
