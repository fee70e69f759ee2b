//! Events as they come from clients and modules: into the unit of the request in hand, or into the
//! store at once. How they reach those who subscribe is in [`super::streams`].

use super::{
    Cursor, NewEvent, Operation, StoreOp, Ticket,
    operations::{DEADLINE_DEFAULT, Kind, Standing},
};
use crate::{
    action::{Action, Caller, Recipient},
    core::{Core, Outstanding},
    module::{Desired, ModuleId},
    open::OPERATION_BYTES,
    routing::refused,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{ErrorCode, Failure, HeldBytes, Json, Request, Status, event};
use std::time::Duration;

/// Events without a number that one caller may have at the store.
const UNNUMBERED_MAX: usize = 4096;

impl Core {
    /// An event of a client or a module: into the unit of the request in hand, or stored at once.
    pub(crate) fn admit_event(
        &mut self,
        now: Time,
        caller: Caller,
        to: Option<Recipient>,
        request: Request,
    ) -> Result<(), Failure> {
        let name = event::event_name(&request.payload).map_err(|reason| refused(ErrorCode::BadRequest, reason))?;
        self.check_emit(caller, &name)?;
        if request.key.is_some() {
            let reason = "an event has no key, found one: publish it in the handling of a request that has one, and it is stored once";
            return Err(refused(ErrorCode::BadRequest, reason));
        }
        self.check_not_stopping(caller)?;
        if let Some(to) = to {
            self.check_caller(to, OPERATION_BYTES + request.payload.held_bytes())?;
        }
        let runs = |id: &ModuleId| self.modules[id].desired == Desired::Running;
        let subscribers = self.directory.subscribers(&name).into_iter().filter(runs).count();
        let source = match caller {
            Caller::Client(_) => None,
            Caller::Run(run) => self.module_of(run).cloned(),
        };
        let of = self.wanted_in_hand(caller, request.of)?;
        let new = NewEvent { source, event: name, payload: request.payload };
        if let Some(of) = of {
            self.publish_in_unit(of, new)?;
            if let Some(to) = to {
                let status = Status::Success(published(subscribers, None, ""));
                self.act(Action::Reply { to, status });
            }
            return Ok(());
        }
        let bytes = OPERATION_BYTES + new.event.held_bytes() + new.payload.held_bytes();
        let id = self.new_request_id();
        let deadline = now + request.deadline_ms.map_or(DEADLINE_DEFAULT, Duration::from_millis);
        match to {
            Some(to) => {
                self.opened(to, Outstanding::Operation(id), bytes);
                self.timers.set(deadline, Timer::Operation(id));
            }
            None => {
                let count = self.layer1.unnumbered.entry(caller).or_default();
                if *count >= UNNUMBERED_MAX {
                    let reason = format!("there are {UNNUMBERED_MAX} events on their way into the store already");
                    return Err(refused(ErrorCode::Overloaded, reason));
                }
                *count += 1;
            }
        }
        let standing = Standing::AtStore { kind: Kind::Event { subscribers }, interrupted: false };
        self.layer1.operations.insert(id, Operation { caller, recipient: to, of: None, deadline, standing });
        self.submit_as(id, Ticket::Operation, StoreOp::Emit(new));
        Ok(())
    }
}

/// The data of the answer to an event.
pub(super) fn published(subscribers: usize, cursor: Option<Cursor>, epoch: &str) -> Json {
    let text = match cursor {
        None => format!(r#"{{"subscribers":{subscribers}}}"#),
        Some(cursor) => format!(r#"{{"subscribers":{subscribers},"cursor":{cursor}{epoch}}}"#),
    };
    Json::parse(&text).expect("it is JSON")
}
