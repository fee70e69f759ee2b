//! An event that was set aside is given to its module once more, at a person's request.

use super::{StoredEvent, streams};
use crate::{core::Core, ids::Recipient, routing::refused, time::Time};
use bulkhead_protocol::{ErrorCode, Failure, ModuleName, Request, RequestType};

impl Core {
    /// Gives a module an event outside its stream. Its answer goes to the recipient; what the module
    /// changes is committed before that, as always.
    ///
    /// # Errors
    /// When there is no such module, or it can take nothing now.
    pub fn handle_replay(
        &mut self,
        now: Time,
        to: Recipient,
        name: &ModuleName,
        event: &StoredEvent,
    ) -> Result<(), Failure> {
        self.check_caller(to, 0)?;
        let Some(id) = self.modules.id(name) else {
            return Err(refused(ErrorCode::UnknownModule, format!("there is no module {name} any more")));
        };
        if !self.is_serving_run(id) {
            let reason = format!("{name} is not ready; its status says why, and start starts it");
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        self.enqueue(
            now,
            id,
            Some(to),
            Request::new(None, RequestType::Event, streams::payload(event, &self.layer1.epoch_beside)),
        )
    }
}
