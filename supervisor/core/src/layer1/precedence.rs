//! Precedence: a request whose commits keep losing conflicts against others of its module goes before them.
//! From its first request to the store until its unit ends, no other request of the module begins a unit and
//! none is committed, so what it has read is still current when it is committed itself.
//!
//! It waits for commits of its module with a lower number, which were answered before. Everything that waits
//! for it began or was answered later, and a request that was answered waits for no precedence. It must not
//! wait for what waits for it: a call that may come back to its module ends the precedence, and what the host
//! cannot see ends by time. Waiting requests to the store are examined in the order in which they came; the
//! next one of a request that has lost too often takes precedence next, so each of them gets it.
//!
//! Other modules and clients do not wait: what one module does must not delay another.

use super::unit::Extent;
use crate::{
    core::Core,
    ids::{ModuleId, RequestId},
    limits::{CONFLICTS_BEFORE_PRECEDENCE, PRECEDENCE_MAX},
    request::RequestState,
    time::Time,
    timers::Timer,
};
use std::collections::BTreeSet;

/// A request that goes before all others of its module.
#[derive(Debug)]
pub(crate) struct Precedence {
    pub(crate) request: RequestId,
    /// Commits with a lower number go first, all others wait.
    pub(crate) since: RequestId,
    pub(crate) until: Time,
    /// Requests that were answered and whose commits wait, in the order in which they began to wait.
    pub(crate) waiting: Vec<RequestId>,
}

impl Core {
    /// Whether a store request in the handling of `of` has to wait for the precedence of another request. If it
    /// is the first of a request that has lost too often, and no other request of the module has precedence, it takes it.
    pub(super) fn waits_for_precedence(&mut self, now: Time, of: RequestId) -> bool {
        let Some(entry) = self.requests.get(of) else { return false };
        let has_begun = self.opened_unit(of).is_some_and(|open| open.id.is_some());
        if has_begun || !matches!(entry.state, RequestState::InFlight { .. }) {
            return false;
        }
        let (module_id, loses) = (entry.module, entry.conflicts >= CONFLICTS_BEFORE_PRECEDENCE);
        match &self.modules[module_id].precedence {
            Some(precedence) => precedence.request != of,
            None if loses => {
                self.take_precedence(now, module_id, of);
                false
            }
            None => false,
        }
    }

    fn take_precedence(&mut self, now: Time, module_id: ModuleId, request: RequestId) {
        let (since, until) = (self.ids.request(), now + PRECEDENCE_MAX);
        let module = self.modules.get_mut(module_id).expect("a module outlives its requests");
        module.precedence = Some(Precedence { request, since, until, waiting: Vec::new() });
        self.timers.set(until, Timer::Precedence(module_id));
    }

    /// Whether a request goes before all others of its module.
    pub(super) fn has_precedence(&self, id: RequestId) -> bool {
        let module = self.requests.get(id).map(|entry| &self.modules[entry.module]);
        module.and_then(|module| module.precedence.as_ref()).is_some_and(|precedence| precedence.request == id)
    }

    /// The newest commit of a module that a store request in the handling of `of` builds on. A request with
    /// precedence does not wait for those that wait for it.
    pub(super) fn newest_commit(&self, module_id: ModuleId, of: Option<RequestId>) -> Option<RequestId> {
        let module = &self.modules[module_id];
        match &module.precedence {
            Some(precedence) if Some(precedence.request) == of => {
                module.at_store.newest_commit_before(precedence.since)
            }
            Some(_) | None => module.at_store.newest_commit(),
        }
    }

    /// Whether the commit of a request that its module has answered waits for the precedence of another; if so, it
    /// is remembered.
    pub(super) fn commit_waits(&mut self, id: RequestId, job: RequestId) -> bool {
        let (has_key, open) = (self.requests[id].message.key.is_some(), self.opened_unit(id));
        let commits =
            open.map_or(has_key, |open| (has_key || open.extent == Extent::Changes) && open.abort_reason.is_none());
        let module = self.modules.get_mut(self.requests[id].module).expect("a module outlives its requests");
        let Some(precedence) =
            module.precedence.as_mut().filter(|precedence| precedence.request != id && precedence.since < job)
        else {
            return false;
        };
        if commits {
            precedence.waiting.push(id);
        }
        commits
    }

    /// A request calls a module. If that may call the module of the request with precedence, the call could
    /// wait for requests that wait for the request.
    pub(crate) fn calls_out(&mut self, now: Time, of: RequestId, to: ModuleId) {
        let module_id = self.requests[of].module;
        if self.has_precedence(of) && self.may_reach(to, module_id) {
            self.end_precedence(now, of);
        }
    }

    /// Whether a call to one module may lead to a call to another, by what their manifests allow.
    fn may_reach(&self, from: ModuleId, to: ModuleId) -> bool {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(at) = next.pop() {
            if at == to {
                return true;
            }
            let callees = self.modules[at].spec.call.iter().filter_map(|name| self.modules.id(name.as_str()));
            next.extend(callees.filter(|callee| seen.insert(*callee)));
        }
        false
    }

    /// A request's unit has ended, or no longer makes others wait: they go on.
    pub(super) fn end_precedence(&mut self, now: Time, id: RequestId) {
        let Some(module_id) = self.requests.get(id).map(|entry| entry.module) else { return };
        let module = self.modules.get_mut(module_id).expect("a module outlives its requests");
        let Some(precedence) = module.precedence.take_if(|precedence| precedence.request == id) else { return };
        self.timers.clear(precedence.until, Timer::Precedence(module_id));
        for waiting in precedence.waiting {
            self.unit_goes_on(now, waiting);
        }
        self.release_held(now, module_id);
    }

    pub(crate) fn precedence_overdue(&mut self, now: Time, module_id: ModuleId) {
        let precedence = self.modules.get(module_id).and_then(|module| module.precedence.as_ref());
        if let Some(request) = precedence.map(|precedence| precedence.request) {
            self.end_precedence(now, request);
        }
    }
}
