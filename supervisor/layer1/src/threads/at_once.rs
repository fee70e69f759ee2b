//! What needs nothing of the database is done on the caller's thread: a mutation of a unit that only creates
//! entities under new ids, of an owner without a quota. It costs no switch of threads.

use super::Shared;
use crate::{
    job::Job,
    limits::{AT_ONCE_BYTES_MAX, UNITS_BYTES_MAX},
    operations::{World, run},
    outcome::Outcome,
    staged::Author,
};
use bulkhead_protocol::HeldBytes;

impl Shared {
    /// Does a job if it is one of these and no earlier job of its unit is on its way.
    pub(crate) fn at_once(&self, job: &Job) -> Option<Outcome> {
        let Job::Mutate { unit: Some(id), owner, mutation, .. } = job else { return None };
        if !mutation.creates_only_new()
            || mutation.held_bytes() > AT_ONCE_BYTES_MAX
            || self.quotas.has_storage(owner)
            || self.gone().is_some()
        {
            return None;
        }
        let author = Author { owner: owner.as_str().into(), now: self.time.now().wall };
        let mut world = World {
            find: &mut |_| Ok(None),
            used: &mut |_| Ok(Default::default()),
            quotas: &self.quotas,
            ids: &self.ids,
        };
        let mut queue = self.queue();
        if queue.closing || queue.units.bytes() > UNITS_BYTES_MAX {
            return None;
        }
        let done = queue.units.with_idle(*id, |unit| run(unit, mutation, &author, &mut world))?;
        Some(match done {
            Ok(reply) => Outcome::Mutated { reply, events: Vec::new() },
            Err(refused) => Outcome::Failed(refused.into()),
        })
    }
}
