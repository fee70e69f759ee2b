//! Events as they come from clients and modules: into the unit of the request in progress, or into the
//! store at once. How they reach their subscribers is in [`super::streams`].

use super::{
    Cursor, JobPurpose, NewEvent, StoreOp, StoreRequest,
    store_requests::{Kind, StoreRequestState},
};
use crate::{
    action::Action,
    core::{Core, Outstanding},
    ids::{Caller, ModuleId, Recipient},
    limits::{STORE_DEADLINE_DEFAULT, STORE_REQUEST_BYTES, UNNUMBERED_MAX},
    module::Desired,
    routing::refused,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{ErrorCode, Failure, HeldBytes, Json, Request, Status, event};
use std::time::Duration;

impl Core {
    /// An event of a client or a module: into the unit of the request in progress, or stored at once.
    pub(crate) fn admit_event(
        &mut self,
        now: Time,
        caller: Caller,
        to: Option<Recipient>,
        request: Request,
    ) -> Result<(), Failure> {
        let name =
            event::event_name(&request.payload).map_err(|error| refused(ErrorCode::BadRequest, error.to_string()))?;
        self.check_emit(caller, &name)?;
        if request.key.is_some() {
            let reason = "an event has no key, found one: publish it in the handling of a request that has one, and it is stored once";
            return Err(refused(ErrorCode::BadRequest, reason));
        }
        self.check_not_stopping(caller)?;
        if let Some(to) = to {
            self.check_caller(to, STORE_REQUEST_BYTES + request.payload.held_bytes())?;
        }
        let runs = |id: &ModuleId| self.modules[*id].desired == Desired::Running;
        let subscribers = self.directory.subscribers(&name).into_iter().filter(runs).count();
        let source = match caller {
            Caller::Client(_) => String::new(),
            Caller::Run(run) => self.module_of(run).map(ToString::to_string).unwrap_or_default(),
        };
        let of = self.attribute_change(caller, request.of)?;
        let new = NewEvent { source, event: name, data: event::event_data(&request.payload) };
        if let Some(of) = of {
            self.publish_in_unit(of, new)?;
            if let Some(to) = to {
                let status = Status::Success(published(subscribers, None, ""));
                self.act(Action::Reply { to, status });
            }
            return Ok(());
        }
        let bytes = STORE_REQUEST_BYTES + new.event.held_bytes() + new.data.held_bytes();
        let id = self.ids.request();
        let deadline = now + request.deadline_ms.map_or(STORE_DEADLINE_DEFAULT, Duration::from_millis);
        match to {
            Some(to) => {
                self.callers.open(to, Outstanding::StoreRequest(id), bytes);
                self.timers.set(deadline, Timer::StoreRequest(id));
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
        let state = StoreRequestState::AtStore { kind: Kind::Event { subscribers }, interrupted: false };
        self.layer1.store_requests.insert(id, StoreRequest { caller, recipient: to, of: None, deadline, state });
        self.submit_as(id, JobPurpose::StoreRequest, StoreOp::Emit(new));
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
