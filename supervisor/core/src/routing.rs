//! Requests as they come: which caller may send what to whom. Then [`crate::queue`] has them, and their answers
//! are in [`crate::answers`].

use crate::{
    action::{Action, Control},
    answers::begin,
    core::{Core, Outstanding},
    ids::{Caller, ClientId, ModuleId, Recipient, RequestId, RunId},
    layer1,
    limits::REQUEST_BYTES,
    module::Desired,
    open::Open,
    request::RequestState,
    run::Phase,
    time::Time,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, HeldBytes, Json, MessageError, Request, RequestType, Status, event, limits,
    name::RESERVED,
};

impl Core {
    /// A request came from a client or a module. Requests to `supervisor`, except events, are handled by the
    /// host around the core; everything else is decided here.
    pub fn handle_request(&mut self, now: Time, caller: Caller, request: Request) {
        if let Caller::Run(run) = caller {
            // After its end there is no caller to answer.
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

    /// A frame from a client that is no message: its sender gets an error, under its number if that could be read.
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
        check_deadline(&request)?;
        match &request.kind {
            RequestType::Event => {
                self.check_address(&request)?;
                self.admit_event(now, caller, recipient, request)
            }
            RequestType::Cancel => {
                let to = recipient.expect("only an event comes without an id");
                self.check_address(&request)?;
                self.cancel(now, caller, &request.payload)?;
                self.act(Action::Reply { to, status: Status::Success(Json::null()) });
                Ok(())
            }
            RequestType::Ping => {
                let to = recipient.expect("only an event comes without an id");
                if let Some(module) = self.check_address(&request)? {
                    self.check_answers(now, module)?;
                }
                self.act(Action::Reply { to, status: Status::Success(Json::null()) });
                Ok(())
            }
            RequestType::Command | RequestType::Query | RequestType::Mutation => {
                let to = recipient.expect("only an event comes without an id");
                if is_for_store(&request) {
                    return self.admit_store_request(now, to, request);
                }
                self.check_caller(to, REQUEST_BYTES + request.payload.held_bytes())?;
                let module = self.address(caller, &request)?;
                if let Some(of) = self.attribute(caller, request.of)? {
                    self.calls_out(now, of, module);
                }
                match request.key {
                    Some(_) => self.admit_keyed(now, module, to, request)?,
                    None => self.enqueue(now, module, Some(to), request)?,
                }
                self.raise_priority(now, module);
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
        match self.callers.get(recipient.caller) {
            Some(outstanding) if outstanding.contains(recipient.id) => Err(taken(recipient.id)),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks what holds for every request that is not answered at once: its number is free, its caller has
    /// not too many open, and there is room for the bytes that it will hold.
    pub(crate) fn check_caller(&self, recipient: Recipient, bytes: usize) -> Result<(), Failure> {
        let outstanding = self.callers.get(recipient.caller);
        if outstanding.is_some_and(|outstanding| outstanding.contains(recipient.id)) {
            return Err(taken(recipient.id));
        }
        let most = match recipient.caller {
            Caller::Client(ClientId::ON_BEHALF) => usize::MAX,
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

    fn address(&self, caller: Caller, request: &Request) -> Result<ModuleId, Failure> {
        let Some(to) = request.to.as_deref() else {
            let reason = "expected \"to\", the name of a module, in a command; found none";
            return Err(refused(ErrorCode::BadRequest, reason));
        };
        // No manifest can grant an address that does not exist: the answer says that instead.
        if let Caller::Run(run) = caller
            && !RESERVED.contains(&to)
        {
            self.check_call(run, to)?;
        }
        if let Some(module) = self.modules.id(to) {
            return Ok(module);
        }
        if RESERVED.contains(&to) {
            let reason = format!("{to} does not take requests of type {:?} in this version", request.kind.name());
            return Err(refused(ErrorCode::UnknownModule, reason));
        }
        Err(self.unknown_module(to))
    }

    fn unknown_module(&self, to: &str) -> Failure {
        // The first twenty in alphabetical order: a mistyped name among thousands must not list them all.
        let mut known: Vec<&str> = self.modules.names().map(|name| name.as_str()).collect();
        if known.len() > 20 {
            known.select_nth_unstable(20);
            known.truncate(20);
        }
        known.sort_unstable();
        let to = &to[..to.floor_char_boundary(limits::NAME_BYTES_MAX)];
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        refused(ErrorCode::UnknownModule, format!("there is no module {to:?}; known: {known}"))
    }

    /// The module that a request names, where it need not name any; an unknown address is reported as such.
    fn check_address(&self, request: &Request) -> Result<Option<ModuleId>, Failure> {
        match request.to.as_deref() {
            None => Ok(None),
            Some(to) if RESERVED.contains(&to) => Ok(None),
            Some(to) => self.modules.id(to).map(Some).ok_or_else(|| self.unknown_module(to)),
        }
    }

    /// Checks that a module has a process that serves.
    fn check_answers(&self, now: Time, module: ModuleId) -> Result<(), Failure> {
        if self.is_serving_run(module) {
            return Ok(());
        }
        let reason = match self.modules[module].is_available() {
            true => self.why_waiting(now, module),
            false => self.why_unavailable(now, module),
        };
        Err(refused(ErrorCode::ModuleUnavailable, reason))
    }

    /// A caller wants a request of its own to stop.
    fn cancel(&mut self, now: Time, caller: Caller, payload: &Json) -> Result<(), Failure> {
        let number =
            event::cancel_target(payload).map_err(|error| refused(ErrorCode::BadRequest, error.to_string()))?;
        let Some(outstanding) = self.callers.get(caller).and_then(|all| all.get(number)) else {
            // It was answered while the cancel was on its way: nothing to do, and not an error.
            return Ok(());
        };
        match outstanding {
            Outstanding::Waiter(waiter) => {
                self.answer_waiter(waiter, Failure::new(ErrorCode::Cancelled, "the wait was cancelled").into());
            }
            Outstanding::StoreRequest(id) => self.cancel_store_request(now, id),
            Outstanding::Request(id) => {
                let again = self.requests.cancel(id);
                let entry = &self.requests[id];
                match entry.state {
                    RequestState::LookingUp => {
                        let reason = "cancelled while layer1 looked whether this was done before";
                        self.leave_aside(id);
                        self.answer(id, refused(ErrorCode::Cancelled, reason).into());
                        self.requests.remove(id);
                    }
                    RequestState::Joined => {
                        let reason = "cancelled while another request with the same key was under way";
                        let delivery = self.joined_delivery(id);
                        self.reply(id, Failure::new(ErrorCode::Cancelled, reason).delivery(delivery).into());
                        self.unjoin(id);
                    }
                    RequestState::Settling(_) => {
                        let name = &self.modules[entry.module].spec.name;
                        let reason = format!("cancelled before what {name} did could be committed; it is undone");
                        self.undo(now, id, "it was cancelled");
                        let failure = Failure::new(ErrorCode::Cancelled, reason).delivery(Delivery::Started);
                        self.answer(id, failure.into());
                        self.forget_settling(now, id);
                    }
                    // What is being committed is its answer, and so is what waits for the disk.
                    RequestState::Committing(_) | RequestState::Flushing => {}
                    RequestState::Queued => {
                        let (module, reached) = (entry.module, entry.reached);
                        let name = &self.modules[module].spec.name;
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
                    RequestState::InFlight { .. } if again => {}
                    RequestState::InFlight { run, .. } => self.cancel_in_flight(now, id, run),
                }
            }
        }
        Ok(())
    }

    /// A module that is at work on a request reports the outcome itself. What was only sent ahead, or may
    /// have been, is answered at once: the module may not begin with it for long, and need not.
    fn cancel_in_flight(&mut self, now: Time, id: RequestId, run: RunId) {
        let delivery = self.in_flight_delivery(run, id);
        self.undo(now, id, "it was cancelled");
        match delivery {
            Delivery::Started => {}
            Delivery::NotStarted | Delivery::Unknown => {
                let name = &self.runs[&run].spec.name;
                let reached = self.requests[id].overall_delivery(delivery);
                let reason = match delivery {
                    Delivery::NotStarted => {
                        format!("cancelled before {name} could {}: the process that had it is ending", begin(reached))
                    }
                    Delivery::Started | Delivery::Unknown => {
                        format!("cancelled; {name} may not have begun, and was asked not to")
                    }
                };
                self.answer(id, Failure::new(ErrorCode::Cancelled, reason).delivery(reached).into());
            }
        }
        self.send_control(run, Control::Cancel(id));
    }

    /// Publishes an event to the modules that subscribe to it and run now, and stores nothing; returns
    /// how many there were. This is for the host's own events; those of modules and clients are stored.
    ///
    /// # Errors
    /// When the payload is no event.
    pub fn publish(&mut self, now: Time, payload: Json) -> Result<usize, Failure> {
        let name = event::event_name(&payload).map_err(|error| refused(ErrorCode::BadRequest, error.to_string()))?;
        let mut recipients = 0;
        for id in self.directory.subscribers(&name) {
            if self.modules[id].desired != Desired::Running {
                continue;
            }
            let request = Request::new(None, RequestType::Event, payload.clone());
            match self.enqueue(now, id, None, request) {
                Ok(()) => recipients += 1,
                Err(_) => self.modules.get_mut(id).expect("it was listed").events_dropped += 1,
            }
        }
        Ok(recipients)
    }
}

/// Checks that there is time left for a request: one whose time is up when it comes is not begun. What is
/// answered at once needs no time.
///
/// # Errors
/// `deadline_exceeded`, and nothing was done.
pub fn check_deadline(request: &Request) -> Result<(), Failure> {
    match request.kind {
        RequestType::Command | RequestType::Query | RequestType::Mutation | RequestType::Event
            if request.deadline_ms == Some(0) =>
        {
            let reason = "its deadline had passed when it came (deadline_ms is 0), so it was not begun";
            Err(refused(ErrorCode::DeadlineExceeded, reason))
        }
        _ => Ok(()),
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
