//! The order in which the modules of a host are stopped at its end: required modules after those that
//! require them. How one of them is stopped is in [`crate::control`].

use crate::{chronicle::Order, core::Core, ids::ModuleId, module::Desired, run::StopReason, steps, time::Time};
use bulkhead_protocol::ModuleName;
use std::collections::{BTreeSet, HashMap};

/// What is left to stop.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    /// Modules that are stopped only when those that need them have gone.
    deferred: BTreeSet<ModuleId>,
    /// How many modules with processes need a module.
    needed_by: HashMap<ModuleName, usize>,
    /// Modules with processes.
    living: BTreeSet<ModuleId>,
    /// How many of these have been asked to stop.
    stopping: usize,
}

impl Core {
    /// Stops every module, required ones after those that require them. The host has ended its work
    /// when [`Core::is_idle`].
    pub fn handle_shutdown(&mut self, now: Time) {
        self.shutting_down = true;
        let ids: Vec<ModuleId> = self.modules.ids().collect();
        for id in &ids {
            // Nothing is started any more, so nothing needs to wait for it.
            self.cancel_starts(*id);
        }
        for id in ids {
            self.reconcile(now, id);
        }
        let mut shutdown = Shutdown::default();
        for (id, module) in self.modules.iter() {
            shutdown.deferred.insert(id);
            if !module.slots.are_vacant() {
                shutdown.living.insert(id);
                for name in &module.spec.requires {
                    *shutdown.needed_by.entry(name.clone()).or_default() += 1;
                }
            }
        }
        let is_needed = |id: &ModuleId| shutdown.needed_by.contains_key(&self.modules[*id].spec.name);
        let due: Vec<ModuleId> = shutdown.deferred.iter().filter(|id| !is_needed(id)).copied().collect();
        self.shutdown = shutdown;
        self.stop_undeferred(now, due);
    }

    /// A process of a module is gone. If it was the module's last one, what it needed may be stopped now;
    /// these modules are returned, for [`Core::stop_undeferred`].
    pub(crate) fn no_longer_needed(&mut self, id: ModuleId) -> Vec<ModuleId> {
        let Some(module) = self.modules.get(id).filter(|module| module.slots.are_vacant()) else { return Vec::new() };
        if !self.shutdown.living.remove(&id) {
            return Vec::new();
        }
        if !self.shutdown.deferred.contains(&id) {
            self.shutdown.stopping -= 1;
        }
        let mut due = Vec::new();
        for name in &module.spec.requires {
            steps::count(1);
            let Some(count) = self.shutdown.needed_by.get_mut(name) else { continue };
            *count -= 1;
            if *count == 0 {
                self.shutdown.needed_by.remove(name);
                due.extend(self.modules.id(name));
            }
        }
        due.sort_unstable();
        due
    }

    pub(crate) fn stop_undeferred(&mut self, now: Time, mut due: Vec<ModuleId>) {
        due.retain(|id| self.shutdown.deferred.contains(id));
        if due.is_empty() && self.shutdown.stopping == 0 {
            // Modules that require each other in a circle: no order is right, so all are stopped.
            due = self.shutdown.deferred.iter().copied().collect();
        }
        for id in due {
            steps::count(1);
            self.shutdown.deferred.remove(&id);
            if self.shutdown.living.contains(&id) {
                self.shutdown.stopping += 1;
            }
            if self.modules.get(id).is_some() {
                self.chronicle_order(now, id, Order::Stop, None);
                self.stop(now, id, Desired::Stopped, StopReason::HostEnds);
            }
        }
    }
}
