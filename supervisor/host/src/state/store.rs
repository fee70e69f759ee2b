//! The outcomes of the data store, taken back into the loop.

use super::*;

impl HostState {
    /// Takes one outcome of the store, if there is one, and does what follows.
    pub(crate) fn take_outcome(&mut self) -> bool {
        match self.store.poll() {
            None => return false,
            Some(News::Flushed(upto)) => self.core.handle_flushed(self.now, upto),
            Some(News::Gone) => self.core.handle_store_gone(),
            Some(News::FlushFailed(failure)) => self.core.handle_flush_failed(self.now, &failure),
            Some(News::Visible(request, seen, outcome)) => {
                self.core.handle_stored(self.now, request, outcome, seen);
            }
            Some(News::Durable(admin_job, outcome)) => match self.store_admin.take(admin_job) {
                Some(what) => self.admin_done(what, outcome),
                None => self.page_read(admin_job, outcome),
            },
        }
        self.perform();
        true
    }
}
