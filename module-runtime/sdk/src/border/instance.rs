//! One module behind the border: from text to text. It has no pointers. The parts are borrowed one by
//! one, because the host may ask for [`Instance::before_answers`] while [`Instance::answer`] waits
//! inside a function of the host.

use crate::dispatch::dispatch;
use crate::{Barrier, Context, Description, Error, Json, Module, panics};
use bulkhead_child::{Host, answer, read_init_payload};
use bulkhead_protocol::RequestType;
use std::cell::{Cell, RefCell};

pub(super) struct Instance<M: Module> {
    description: Description,
    module: RefCell<Option<M>>,
    barrier: RefCell<Option<Barrier>>,
    has_panicked: Cell<bool>,
}

impl<M: Module> Instance<M> {
    pub(super) fn new() -> Instance<M> {
        Instance {
            description: M::describe(),
            module: RefCell::new(None),
            barrier: RefCell::new(None),
            has_panicked: Cell::new(false),
        }
    }

    /// Handles one message; the arguments are what came over the border.
    pub(super) fn answer(&self, host: &mut dyn Host, kind: Option<&[u8]>, payload: Option<&[u8]>) -> String {
        let (kind, payload) = match read(kind, payload) {
            Ok(request) => request,
            Err(error) => return answer::write(Err(error), false),
        };
        let Ok(mut module) = self.module.try_borrow_mut() else {
            let error = Error::bad_request("the module is asked again while it handles a message");
            return answer::write(Err(error), false);
        };
        match panics::catch(|| self.handle(&mut module, host, &kind, &payload)) {
            Ok(result) => answer::write(result, false),
            Err(panic) => {
                self.has_panicked.set(true);
                answer::write(Err(Error::failed(panic)), true)
            }
        }
    }

    fn handle(
        &self,
        module: &mut Option<M>,
        host: &mut dyn Host,
        kind: &RequestType,
        payload: &Json,
    ) -> Result<Json, Error> {
        match (kind, module) {
            (RequestType::Init, Some(_)) => Err(Error::bad_request("the module is initialised already")),
            (RequestType::Init, none @ None) => {
                let made = M::init(&read_init_payload(payload)?)?;
                *self.barrier.borrow_mut() = made.barrier();
                *none = Some(made);
                Ok(Json::of(&self.description.ready()))
            }
            (_, None) => Err(Error::bad_request(format!("expected \"init\" first, found {:?}", kind.name()))),
            (_, Some(module)) => dispatch(module, &self.description, &mut Context { host }, kind, payload),
        }
    }

    /// Does what must be done before answers leave.
    pub(super) fn before_answers(&self) -> Result<(), Error> {
        let Ok(mut barrier) = self.barrier.try_borrow_mut() else {
            return Err(Error::failed("the barrier was asked for while it was passed"));
        };
        barrier.as_mut().map_or(Ok(()), |barrier| barrier())
    }
}

impl<M: Module> Drop for Instance<M> {
    fn drop(&mut self) {
        if self.has_panicked.get() {
            // Its destructors would run on a state that is in doubt.
            std::mem::forget((self.module.take(), self.barrier.take()));
        }
    }
}

/// The request that came over the border. No payload at all is `null`.
fn read(kind: Option<&[u8]>, payload: Option<&[u8]>) -> Result<(RequestType, Json), Error> {
    let kind = kind.ok_or_else(|| Error::bad_request("a message came without a type"))?;
    let kind = std::str::from_utf8(kind).map_err(|error| form("type", &error))?;
    let payload = match payload {
        None => Json::null(),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|error| form("payload", &error))?;
            Json::parse(text).map_err(|error| form("payload", &error))?
        }
    };
    Ok((RequestType::from_name(kind), payload))
}

fn form(what: &str, error: &dyn std::error::Error) -> Error {
    Error::bad_request(format!("the {what} of a message cannot be read: {error}"))
}
