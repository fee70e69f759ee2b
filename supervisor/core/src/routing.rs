//! Requests as they come: who may send what to whom. Then they are [`crate::queue`]'s, and their answers
//! [`crate::answers`]'.

use crate::{
    action::{Action, Caller, Control, Recipient, RunId},
    core::{Core, Outstanding},
    layer1,
    module::{Desired, Module, ModuleId},
    open::{Open, REQUEST_BYTES},
    pending::Place,
    run::Phase,
    time::Time,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, HeldBytes, Json, MessageError, Request, RequestType, Status, event, limits,
    name::RESERVED,
};

impl Core {
    /// A request came from a client or a module. Those to `supervisor`, but for events, are the
    /// daemon's to understand; everything else is decided here.
    pub fn handle_request(&mut self, now: Time, caller: Caller, request: Request) {
        if let Caller::Run(run) = caller {
            // After its end nobody is left to be answered.
            let Some(run) = self.runs.get_mut(&run).filter(|run| run.phase != Phase::Exited) else { return };
            run.heard(now);
        }
        let recipient = request.id.map(|id| Recipient { caller, id });
        let Err(failure) = self.admit(now, caller, recipient, request) else { return };
        match (recipient, caller) {
            (Some(to), _) => self.act(Action::Reply { to, status: failure.into() }),
            (None, Caller::Run(run)) => self.act(Action::EventRefused { run, reason: failure.error }),
            (None, Caller::Client(_)) => {}
        }
    }

    /// A frame from a client that is no message: its sender is told, under its number if that could be read.
    pub fn refuse_message(&mut self, error: &MessageError) -> Status {
        Failure::new(ErrorCode::BadRequest, error.reason.clone()).delivery(Delivery::NotStarted).into()
    }

    fn admit(
        &mut self,
        now: Time,
        caller: Caller,
        recipient: Option<Recipient>,
        request: Request,
    ) -> Result<(), Failure> {
        if !matches!(request.kind, RequestType::Command | RequestType::Query | RequestType::Mutation) {
            // Those are checked with how many their caller has open.
            self.check_number(recipient)?;
        }
        match &request.kind {
            RequestType::Event => self.admit_event(now, caller, recipient, request),
            RequestType::Cancel => {
                let to = recipient.expect("only an event comes without an id");
                self.cancel(now, caller, &request.payload)?;
                self.act(Action::Reply { to, status: Status::Success(Json::null()) });
                Ok(())
            }
            RequestType::Ping => {
                let to = recipient.expect("only an event comes without an id");
                self.act(Action::Reply { to, status: Status::Success(Json::null()) });
                Ok(())
            }
            RequestType::Command | RequestType::Query | RequestType::Mutation => {
                let to = recipient.expect("only an event comes without an id");
                if is_for_store(&request) {
                    return self.admit_operation(now, to, request);
                }
                self.check_caller(to, REQUEST_BYTES + request.payload.held_bytes())?;
                let module = self.address(caller, &request)?;
                if let Some(of) = self.in_hand(caller, request.of)? {
                    self.calls_out(now, of, module);
                }
                match request.key {
                    Some(_) => self.admit_keyed(now, module, to, request)?,
                    None => self.enqueue(now, module, Some(to), request)?,
                }
                self.lift(now, module);
                Ok(())
            }
            RequestType::Init | RequestType::Shutdown => Err(refused(
                ErrorCode::BadRequest,
                format!("requests of type {:?} come from the host, not to it", request.kind.name()),
            )),
            RequestType::Unknown(name) => Err(refused(
                ErrorCode::UnknownType,
                format!("expected a request of type command, query, mutation, event, ping or cancel, found {name:?}"),
            )),
        }
    }

    /// Checks that the number of a caller's request is free.
    fn check_number(&self, recipient: Option<Recipient>) -> Result<(), Failure> {
        let Some(recipient) = recipient else { return Ok(()) };
        match self.callers.get(&recipient.caller) {
            Some(outstanding) if outstanding.contains(recipient.id) => Err(taken(recipient.id)),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks what holds for every request that is not answered at once: its number is free, its caller has
    /// not too many open, and there is room for the bytes that it will hold.
    pub(crate) fn check_caller(&self, recipient: Recipient, bytes: usize) -> Result<(), Failure> {
        let outstanding = self.callers.get(&recipient.caller);
        if outstanding.is_some_and(|outstanding| outstanding.contains(recipient.id)) {
            return Err(taken(recipient.id));
        }
        let most = match recipient.caller {
            Caller::Client(_) => self.settings.client_requests_max,
            Caller::Run(run) => self.runs.get(&run).map_or(0, |run| run.spec.rules.requests_max),
        };
        if outstanding.map_or(0, Open::len) >= most {
            return Err(refused(
                ErrorCode::Overloaded,
                format!("there are {most} requests unanswered already: wait for answers before sending more"),
            ));
        }
        self.check_bytes(recipient.caller, bytes)
    }

    /// Whether a module's process may send requests to `to`.
    ///
    /// # Errors
    /// `permission_denied`, naming the line of the manifest that would allow it.
    pub fn check_call(&self, run: RunId, to: &str) -> Result<(), Failure> {
        let Some(run) = self.runs.get(&run) else {
            return Err(refused(ErrorCode::PermissionDenied, "the process is not known any more"));
        };
        if run.spec.call.iter().any(|allowed| allowed == to) {
            return Ok(());
        }
        Err(refused(
            ErrorCode::PermissionDenied,
            format!(
                "{} may not call {to}: its manifest would need call = [\"{to}\"] under [capabilities]",
                run.spec.name
            ),
        ))
    }

    fn address(&self, caller: Caller, request: &Request) -> Result<ModuleId, Failure> {
        let Some(to) = request.to.as_deref() else {
            let reason = "expected \"to\", the name of a module, in a command; found none";
            return Err(refused(ErrorCode::BadRequest, reason));
        };
        // No manifest can grant what does not exist: whoever asks for it is told that instead.
        if let Caller::Run(run) = caller
            && !RESERVED.contains(&to)
        {
            self.check_call(run, to)?;
        }
        if let Some(module) = self.names.get(to) {
            return Ok(*module);
        }
        let reason = if RESERVED.contains(&to) {
            format!("{to} does not take requests of type {:?} in this version", request.kind.name())
        } else {
            let mut known: Vec<&str> = self.names.keys().map(|name| name.as_str()).collect();
            known.sort_unstable();
            known.truncate(20);
            let to = &to[..to.floor_char_boundary(limits::NAME_BYTES_MAX)];
            format!(
                "there is no module {to:?}; known: {}",
                if known.is_empty() { "none".into() } else { known.join(", ") }
            )
        };
        Err(refused(ErrorCode::UnknownModule, reason))
    }

    /// A caller wants a request of its own to stop.
    fn cancel(&mut self, now: Time, caller: Caller, payload: &Json) -> Result<(), Failure> {
        let number = event::cancel_target(payload).map_err(|reason| refused(ErrorCode::BadRequest, reason))?;
        let Some(outstanding) = self.callers.get(&caller).and_then(|all| all.get(number)) else {
            // It was answered while the cancel was on its way: nothing to do, and no fault of anybody.
            return Ok(());
        };
        match outstanding {
            Outstanding::Waiter(waiter) => {
                self.answer_waiter(waiter, Failure::new(ErrorCode::Cancelled, "the wait was cancelled").into());
            }
            Outstanding::Operation(id) => self.cancel_operation(now, id),
            Outstanding::Request(id) => {
                let pending = self.requests.get_mut(&id).expect("what is outstanding is in the table");
                let again = std::mem::replace(&mut pending.cancelled, true);
                match pending.place {
                    Place::LookingUp => {
                        let reason = "cancelled while layer1 looked whether this was done before";
                        self.leave_aside(id);
                        self.answer(id, refused(ErrorCode::Cancelled, reason).into());
                        self.requests.remove(&id);
                    }
                    Place::Joined => {
                        let reason = "cancelled while another request with the same key was under way";
                        let delivery = self.joined_delivery(id);
                        self.tell(id, Failure::new(ErrorCode::Cancelled, reason).delivery(delivery).into());
                        self.unjoin(id);
                    }
                    Place::Settling(_) => {
                        let name = &self.modules[&pending.module].spec.name;
                        let reason = format!("cancelled before what {name} did could be committed; it is undone");
                        self.undo(now, id, "it was cancelled");
                        let failure = Failure::new(ErrorCode::Cancelled, reason).delivery(Delivery::Started);
                        self.answer(id, failure.into());
                        self.forget_settling(now, id);
                    }
                    // What is being committed is its answer.
                    Place::Committing(_) => {}
                    Place::Queued => {
                        let (module, reached) = (pending.module, pending.reached);
                        let name = &self.modules[&module].spec.name;
                        let reason = match reached {
                            Delivery::NotStarted => format!("cancelled before {name} began"),
                            Delivery::Started | Delivery::Unknown => {
                                format!("cancelled after a crash, before {name} began again")
                            }
                        };
                        self.answer(id, Failure::new(ErrorCode::Cancelled, reason).delivery(reached).into());
                        self.unqueue(id);
                        self.pump(now, module);
                    }
                    // Once is enough: a caller must not fill the channel of a module that does not read.
                    Place::InFlight { .. } if again => {}
                    Place::InFlight { run, .. } => {
                        self.undo(now, id, "it was cancelled");
                        self.send_control(run, Control::Cancel(id));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a caller may send an event of this name.
    pub(crate) fn check_emit(&self, from: Caller, name: &str) -> Result<(), Failure> {
        if let Caller::Run(run) = from
            && let Some(run) = self.runs.get(&run)
            && !run.spec.emit.iter().any(|pattern| pattern.matches(name))
        {
            return Err(refused(
                ErrorCode::PermissionDenied,
                format!(
                    "{} may not send the event {name}: its manifest would need event_emit = [\"{name}\"] under [capabilities]",
                    run.spec.name
                ),
            ));
        }
        Ok(())
    }

    /// Publishes an event to the modules that subscribe to it and run now, and stores nothing; returns
    /// how many there were. This is for the host's own events; those of modules and clients are stored.
    ///
    /// # Errors
    /// When the payload is no event.
    pub fn publish(&mut self, now: Time, payload: Json) -> Result<usize, Failure> {
        let name = event::event_name(&payload).map_err(|reason| refused(ErrorCode::BadRequest, reason))?;
        let subscribed = |module: &Module| module.desired == Desired::Running && module.subscribes_to(&name);
        let subscribers: Vec<ModuleId> =
            self.modules.iter().filter(|(_, module)| subscribed(module)).map(|(id, _)| *id).collect();
        let mut told = 0;
        for id in subscribers {
            let request = Request::new(None, RequestType::Event, payload.clone());
            match self.enqueue(now, id, None, request) {
                Ok(()) => told += 1,
                Err(_) => self.modules.get_mut(&id).expect("it was listed").events_dropped += 1,
            }
        }
        Ok(told)
    }
}

/// Whether a request is for the store rather than for a module.
pub fn is_for_store(request: &Request) -> bool {
    match request.to.as_deref() {
        Some(to) => to == layer1::ADDRESS,
        None => matches!(request.kind, RequestType::Query | RequestType::Mutation),
    }
}

fn taken(id: u64) -> Failure {
    refused(ErrorCode::BadRequest, format!("the id {id} is that of a request that is not answered yet"))
}

/// A refusal: nothing was done.
pub(crate) fn refused(code: ErrorCode, reason: impl Into<String>) -> Failure {
    Failure::new(code, reason).delivery(Delivery::NotStarted)
}
