//! A thread that reads: queries, and everything of a unit before its commit. It never waits for the
//! thread that writes.

use super::{
    Shared,
    queue::Task,
    run::Finished,
    watch::{Limits, Watch},
};
use crate::{
    failure::{gone, of_sqlite, refusal},
    job::{Job, Subscriber, UnitId},
    limits::{EVENTS_COUNTED_MAX, EVENTS_SCANNED_MAX, UNITS_BYTES_MAX},
    operations::{World, run},
    outcome::{Cursor, KeyState, Outcome, SubscriptionStatus},
    query::{Answering, Overlaid, Overlay, answer},
    staged::{Author, Key, Seen},
    statements::Statements,
    tables::{entities, events, keys, set_aside, subscriptions, usage},
    unit::Unit,
};
use bulkhead_protocol::{
    ErrorCode, Failure,
    layer1::{CommitNumber, EntityState, Query},
};
use rusqlite::Connection;
use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::Instant,
};

/// The state of one thread that reads.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    connection: Connection,
    overlay: Overlay,
    watch: Watch,
    /// The state of the entity that the last job has read, if it was a query for one alone.
    entity: Option<EntityState>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, mut connection: Connection) -> rusqlite::Result<Reader> {
        let watch = Watch::new(Arc::clone(&shared.log_waits));
        watch.attach(&mut connection)?;
        Ok(Reader { shared, connection, overlay: Overlay::default(), watch, entity: None })
    }

    /// Works until the store closes.
    pub(crate) fn work(mut self) {
        loop {
            let (task, mut unit) = {
                let mut queue = self.shared.queue();
                loop {
                    if let Some(next) = queue.next_read() {
                        break next;
                    }
                    if queue.closing {
                        return;
                    }
                    queue = self.shared.for_readers.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let outcome = self.attempt(&task, unit.as_mut().map(|(id, unit)| (*id, &mut **unit)));
            let seen = self.shared.durability.seen();
            let wake = self.shared.queue().done_reading(&task);
            self.shared.rouse(wake);
            let entity = self.entity.take();
            let mut finished = vec![Finished { entity, ..task.finished(seen, outcome) }];
            if let Some((id, unit)) = unit {
                let (wake, discarded) = self.shared.queue().check_in(id, unit);
                self.shared.rouse(wake);
                let sentence = "the unit of work that this belongs to was discarded";
                let failed = |task: Task| {
                    task.finished(CommitNumber(0), Outcome::Failed(refusal(ErrorCode::Cancelled, sentence)))
                };
                finished.extend(discarded.into_iter().map(failed));
            }
            self.shared.finish(finished);
        }
    }

    /// Does one job. A fault of this program fails the job, not the store.
    fn attempt(&mut self, task: &Task, unit: Option<(UnitId, &mut Unit)>) -> Outcome {
        let latest = Instant::now() + self.shared.settings.query_time_max;
        let deadline = task.limits.deadline.unwrap_or(latest);
        let limits = Limits { deadline: Some(deadline), cancelled: task.limits.cancelled.clone() };
        if let Some(failure) = limits.passed() {
            return Outcome::Failed(failure);
        }
        if let Some(reason) = self.shared.gone() {
            return Outcome::Failed(gone(&reason));
        }
        self.watch.set(Some(limits));
        let done = catch_unwind(AssertUnwindSafe(|| self.perform(&task.job, unit)));
        let passed = self.watch.passed();
        self.watch.set(None);
        // What SQLite broke off leaves the transaction open.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        match done {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) if failure.code == ErrorCode::Internal => Outcome::Failed(passed.unwrap_or(failure)),
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_) => {
                self.overlay = Overlay::unknown();
                Outcome::Failed(refusal(ErrorCode::Internal, "the store met a fault of its own; the host's log has it"))
            }
        }
    }

    fn perform(&mut self, job: &Job, unit: Option<(UnitId, &mut Unit)>) -> Result<Outcome, Failure> {
        let time = &self.shared.time;
        let connection = &self.connection;
        let sqlite = |error: rusqlite::Error| of_sqlite(&error);
        match (job, unit) {
            (Job::Query { query, .. }, None) if query.one_alone().is_none() => self.query(query, None, None),
            (Job::Query { query, .. }, unit) => {
                let seen = RefCell::default();
                let unit = unit.map(|(_, unit)| unit);
                let answered = self.query(query, unit.as_deref(), Some(&seen))?;
                let seen = seen.into_inner();
                if query.one_alone().is_some() {
                    self.entity = seen.first().map(|(_, state)| *state);
                }
                unit.into_iter().for_each(|unit| unit.note_seen(seen.clone()));
                Ok(answered)
            }
            (Job::Mutate { owner, mutation, .. }, Some((_, unit))) => {
                self.has_room()?;
                let author = Author { owner: owner.as_str().into(), now: time.now().wall };
                let mut world = World {
                    find: &mut |key| entities::find(&mut Statements::new(connection), key),
                    used: &mut |owner| usage::find(connection, owner).map(|held| held.entities),
                    quotas: &self.shared.quotas,
                    ids: &self.shared.ids,
                };
                let reply = run(unit, mutation, &author, &mut world)?;
                Ok(Outcome::Mutated { reply, events: Vec::new() })
            }
            (Job::Emit { source, event, data, .. }, Some((_, unit))) => {
                self.has_room()?;
                unit.emit(event, data, &Author { owner: source.as_str().into(), now: time.now().wall })?;
                Ok(Outcome::Emitted)
            }
            (Job::LookUpKey(keyed), _) => {
                let found = keys::find(&mut Statements::new(connection), keyed, time.now().age).map_err(sqlite)?;
                if found == KeyState::Vacant {
                    let used = usage::find(connection, &keyed.caller).map_err(sqlite)?.keys;
                    self.shared.quotas.check_keys(&keyed.caller, used.bytes)?;
                }
                Ok(Outcome::Key(found))
            }
            (Job::ReadEvents { after, patterns, limit, bytes_max }, _) => {
                let page = events::read(connection, *after, patterns, *limit, *bytes_max);
                page.map(Outcome::Events).map_err(sqlite)
            }
            (Job::EventEnds, _) => {
                let (oldest, newest) = events::ends(connection).map_err(sqlite)?;
                Ok(Outcome::Ends { oldest: Cursor(oldest), newest: Cursor(newest) })
            }
            (Job::Subscriptions { known }, _) => {
                subscription_statuses(connection, known).map(Outcome::Subscriptions).map_err(sqlite)
            }
            (Job::ListSetAside { module, after, limit }, _) => {
                let listed = set_aside::list(connection, module.as_deref(), *after, *limit);
                listed.map(Outcome::SetAside).map_err(sqlite)
            }
            (Job::CountSetAside, _) => set_aside::count(connection).map(Outcome::SetAsideCount).map_err(sqlite),
            (Job::Usage, _) => usage::list(connection).map(Outcome::Usage).map_err(sqlite),
            (job, _) => {
                Err(refusal(ErrorCode::Internal, format!("a job of another thread came to one that reads: {job:?}")))
            }
        }
    }

    fn has_room(&self) -> Result<(), Failure> {
        match self.shared.queue().units.bytes() > UNITS_BYTES_MAX {
            true => Err(refusal(
                ErrorCode::Overloaded,
                "the messages in progress have too many changes that are not committed yet",
            )),
            false => Ok(()),
        }
    }

    fn query(
        &mut self,
        query: &Query,
        unit: Option<&Unit>,
        seen: Option<&RefCell<Vec<(Key, Seen)>>>,
    ) -> Result<Outcome, Failure> {
        let sqlite = |error: rusqlite::Error| of_sqlite(&error);
        let declarations = &self.shared.declarations;
        let touches = |unit: &Unit| {
            let types: Vec<_> = query.needs().into_iter().map(|need| need.entity).collect();
            unit.touched.iter().any(|(entity, _)| types.contains(entity))
        };
        let overlay = match unit.filter(|unit| touches(unit)) {
            Some(unit) => {
                let followed = self.overlay.follow(&self.connection, declarations, unit, &query.entity);
                followed.map_err(|error| {
                    self.overlay = Overlay::unknown();
                    sqlite(error)
                })?;
                Overlaid::Yes
            }
            None => Overlaid::No,
        };
        let bytes_max = self.shared.settings.answer_bytes_max;
        let from = Answering { connection: &self.connection, declarations, overlay, bytes_max, seen };
        // One by id is one statement, and so of one moment by itself.
        if query.one_alone().is_some() && overlay == Overlaid::No {
            return answer(query, &from).map(Outcome::Rows).map_err(Failure::from);
        }
        self.connection.execute_batch("BEGIN").map_err(sqlite)?;
        let answered = answer(query, &from).map(Outcome::Rows).map_err(Failure::from);
        let _ = self.connection.execute_batch("COMMIT");
        answered
    }
}

/// How far each module is, and what waits for those that are known.
fn subscription_statuses(connection: &Connection, known: &[Subscriber]) -> rusqlite::Result<Vec<SubscriptionStatus>> {
    let all = subscriptions::list(connection)?;
    let scanned_max = (EVENTS_COUNTED_MAX / all.len().max(1)).clamp(1, EVENTS_SCANNED_MAX);
    let (oldest, _) = events::ends(connection)?;
    all.into_iter()
        .map(|subscription| {
            let subscription = subscription.with_gone(oldest);
            let subscriber = known.iter().find(|subscriber| subscriber.module == subscription.module);
            let count = |it: &Subscriber| events::count(connection, subscription.cursor, &it.patterns, scanned_max);
            let waiting = subscriber.map(count).transpose()?;
            Ok(SubscriptionStatus { subscription, waiting })
        })
        .collect()
}
