//! What the data store has done, taken back into the loop.

use super::*;

impl HostState {
    /// Takes one outcome of the store, if there is one, and does what follows.
    pub(crate) fn take_outcome(&mut self) -> bool {
        let Some((owner, outcome)) = self.store.poll() else { return false };
        match owner {
            JobOwner::Core(request) | JobOwner::CoreEvent(request) => {
                let told = Store::for_core(owner, outcome);
                self.core.handle_stored(self.now, request, told);
            }
            JobOwner::Host(admin_job) => match self.store_admin.take(admin_job) {
                Some(what) => self.admin_done(what, outcome),
                None => self.page_read(admin_job, outcome),
            },
        }
        self.perform();
        true
    }
}
