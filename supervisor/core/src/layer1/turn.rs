//! Turns: a request whose commits keep losing against others of its module goes before them. From its
//! first question to the store until its unit ends, no other request of the module begins a unit and
//! none is committed, so that what it has read is still so when it is committed itself.
//!
//! It waits for what has a lower number: commits of its module that were answered before. Everything
//! that waits for it began or was answered later, and whoever has been answered waits for no turn. It
//! must not wait for those who wait for it: a call that may come back to its module ends the turn, and
//! what the host cannot see, it ends by time. Operations that wait are looked at in the order in which
//! they came, and the next one of such a request takes the next turn; so each gets one.
//!
//! Other modules and clients are not made to wait: what one module does must not hold up another.

use super::unit::Extent;
use crate::{
    core::Core,
    module::ModuleId,
    pending::{Place, RequestId},
    time::Time,
    timers::Timer,
};
use std::{collections::BTreeSet, time::Duration};

/// Conflicts of one request after which it takes a turn. Fewer would make requests wait that have
/// nothing to do with each other.
const CONFLICTS_BEFORE_TURN: u32 = 3;

/// The longest turn. What answers within it loses against no request of its module.
const TURN_MAX: Duration = Duration::from_secs(1);

/// A request that goes before all others of its module.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) request: RequestId,
    /// Commits with a lower number go first, all others wait.
    pub(crate) since: RequestId,
    pub(crate) until: Time,
    /// Requests that were answered and whose commits wait, in the order in which they came to that.
    pub(crate) waiting: Vec<RequestId>,
}

impl Core {
    /// Whether an operation in the handling of `of` has to wait for the turn of another request. If it
    /// is the first of a request that has lost too often, and nobody has a turn, that is taken.
    pub(super) fn waits_for_turn(&mut self, now: Time, of: RequestId) -> bool {
        let Some(pending) = self.requests.get(&of) else { return false };
        let has_begun = self.opened_unit(of).is_some_and(|open| open.id.is_some());
        if has_begun || !matches!(pending.place, Place::InFlight { .. }) {
            return false;
        }
        let (module_id, loses) = (pending.module, pending.conflicts >= CONFLICTS_BEFORE_TURN);
        match &self.modules[&module_id].turn {
            Some(turn) => turn.request != of,
            None if loses => {
                self.take_turn(now, module_id, of);
                false
            }
            None => false,
        }
    }

    fn take_turn(&mut self, now: Time, module_id: ModuleId, request: RequestId) {
        let (since, until) = (self.new_request_id(), now + TURN_MAX);
        let module = self.modules.get_mut(&module_id).expect("a module outlives its requests");
        module.turn = Some(Turn { request, since, until, waiting: Vec::new() });
        self.timers.set(until, Timer::Turn(module_id));
    }

    /// Whether a request goes before all others of its module.
    pub(super) fn has_turn(&self, id: RequestId) -> bool {
        let module = self.requests.get(&id).map(|pending| &self.modules[&pending.module]);
        module.and_then(|module| module.turn.as_ref()).is_some_and(|turn| turn.request == id)
    }

    /// The newest commit of a module that an operation in the handling of `of` builds on. Whoever has
    /// the turn does not wait for those that wait for it.
    pub(super) fn newest_commit(&self, module_id: ModuleId, of: Option<RequestId>) -> Option<RequestId> {
        let module = &self.modules[&module_id];
        match &module.turn {
            Some(turn) if Some(turn.request) == of => module.commits.range(..turn.since).next_back().copied(),
            Some(_) | None => module.commits.last().copied(),
        }
    }

    /// Whether the commit of a request that its module has answered waits for another's turn; if so, it
    /// is remembered.
    pub(super) fn commit_waits(&mut self, id: RequestId, ticket: RequestId) -> bool {
        let (has_key, open) = (self.requests[&id].message.key.is_some(), self.opened_unit(id));
        let commits = open.map_or(has_key, |open| (has_key || open.extent == Extent::Changes) && open.doom.is_none());
        let module = self.modules.get_mut(&self.requests[&id].module).expect("a module outlives its requests");
        let Some(turn) = module.turn.as_mut().filter(|turn| turn.request != id && turn.since < ticket) else {
            return false;
        };
        if commits {
            turn.waiting.push(id);
        }
        commits
    }

    /// A request calls a module. If that may call the module of the request in turn, the call could
    /// wait for those who wait for the request.
    pub(crate) fn calls_out(&mut self, now: Time, of: RequestId, to: ModuleId) {
        let module_id = self.requests[&of].module;
        if self.has_turn(of) && self.may_reach(to, module_id) {
            self.end_turn(now, of);
        }
    }

    /// Whether a call to one module may lead to a call to another, by what their manifests allow.
    fn may_reach(&self, from: ModuleId, to: ModuleId) -> bool {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(at) = next.pop() {
            if at == to {
                return true;
            }
            let callees = self.modules[&at].spec.call.iter().filter_map(|name| self.names.get(name.as_str()));
            next.extend(callees.filter(|callee| seen.insert(**callee)));
        }
        false
    }

    /// A request's unit has ended, or may not make others wait any more: they go on.
    pub(super) fn end_turn(&mut self, now: Time, id: RequestId) {
        let Some(module_id) = self.requests.get(&id).map(|pending| pending.module) else { return };
        let module = self.modules.get_mut(&module_id).expect("a module outlives its requests");
        let Some(turn) = module.turn.take_if(|turn| turn.request == id) else { return };
        self.timers.clear(turn.until, Timer::Turn(module_id));
        for waiting in turn.waiting {
            self.unit_progressed(now, waiting);
        }
        self.release_held(now, module_id);
    }

    pub(crate) fn turn_overdue(&mut self, now: Time, module_id: ModuleId) {
        let turn = self.modules.get(&module_id).and_then(|module| module.turn.as_ref());
        if let Some(request) = turn.map(|turn| turn.request) {
            self.end_turn(now, request);
        }
    }
}
