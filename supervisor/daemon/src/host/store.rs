//! What the data store has done, taken back into the loop.

use super::*;

impl Host {
    /// Takes one outcome of the store, if there is one, and does what follows.
    pub(crate) fn take_outcome(&mut self) -> bool {
        let Some((whose, outcome)) = self.store.poll() else { return false };
        match whose {
            Whose::Core(request) | Whose::CoreEvent(request) => {
                let told = Store::told(whose, outcome);
                self.core.handle_stored(self.now, request, told);
            }
            Whose::Host(errand) => match self.errands.take(errand) {
                Some(what) => self.errand_done(what, outcome),
                None => self.page_read(errand, outcome),
            },
        }
        self.perform();
        true
    }
}
