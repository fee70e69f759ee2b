//! Requests on their way to a module and answers on their way back. What a crash does to them is in
//! [`crate::delivery`].

use crate::{
    action::{Action, Caller, Control, Recipient, RunId},
    core::{Core, Outstanding},
    module::{Desired, Module, ModuleId, SlotState},
    pending::{Pending, Place, RequestId},
    run::{Phase, Role},
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, Json, MessageError, Request, RequestType, Response, Status, event, limits,
    name::RESERVED,
};
use std::time::Duration;

/// Deadline of an event while it waits; once it is handed to a module, the module's default counts.
const EVENT_PATIENCE: Duration = Duration::from_millis(limits::DEADLINE_MS_MAX);

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
        if let Err(failure) = self.admit(now, caller, recipient, request)
            && let Some(to) = recipient
        {
            self.act(Action::Reply { to, status: failure.into() });
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
        self.check_number(recipient)?;
        match &request.kind {
            RequestType::Event => {
                let subscribers = self.publish(now, Some(caller), request.payload)?;
                if let Some(to) = recipient {
                    let data = Json::parse(&format!(r#"{{"subscribers":{subscribers}}}"#)).expect("it is JSON");
                    self.act(Action::Reply { to, status: Status::Success(data) });
                }
                Ok(())
            }
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
                self.check_caller(to)?;
                let module = self.address(caller, &request)?;
                self.enqueue(now, module, Some(to), request)
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
        let Some(outstanding) = self.callers.get(&recipient.caller) else { return Ok(()) };
        if outstanding.contains_key(&recipient.id) {
            return Err(refused(
                ErrorCode::BadRequest,
                format!("the id {} is that of a request that is not answered yet", recipient.id),
            ));
        }
        Ok(())
    }

    /// Checks what holds for every request that is not answered at once: its number is free, and its
    /// caller has not too many open.
    pub(crate) fn check_caller(&self, recipient: Recipient) -> Result<(), Failure> {
        self.check_number(Some(recipient))?;
        let caller = recipient.caller;
        let most = match caller {
            Caller::Client(_) => self.settings.client_requests_max,
            Caller::Run(run) => self.runs.get(&run).map_or(0, |run| run.spec.rules.requests_max),
        };
        if self.open_count(caller) >= most {
            return Err(refused(
                ErrorCode::Overloaded,
                format!("there are {most} requests unanswered already: wait for answers before sending more"),
            ));
        }
        Ok(())
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
        let to = match (&request.to, &request.kind) {
            (Some(to), _) => to.as_str(),
            (None, RequestType::Query | RequestType::Mutation) => "layer1",
            (None, _) => {
                return Err(refused(
                    ErrorCode::BadRequest,
                    "expected \"to\", the name of a module, in a command; found none",
                ));
            }
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

    /// Hands a request to its module: to a process that has room, else into the queue.
    fn enqueue(
        &mut self,
        now: Time,
        module_id: ModuleId,
        recipient: Option<Recipient>,
        message: Request,
    ) -> Result<(), Failure> {
        let module = self.modules.get_mut(&module_id).expect("names and modules agree");
        let rules = module.spec.rules;
        let bytes = message.payload.as_str().len();
        if !module.is_available() {
            let reason = self.why_unavailable(now, module_id);
            return Err(refused(ErrorCode::ModuleUnavailable, reason));
        }
        if module.queue.len() >= rules.queue_max {
            let name = &module.spec.name;
            let reason = format!("{name} has {} requests waiting, which is its limit", rules.queue_max);
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        if module.queue_bytes.saturating_add(bytes) > rules.queue_bytes_max && !module.queue.is_empty() {
            let name = &module.spec.name;
            let reason = format!("{name} has {} bytes waiting, which is near its limit", module.queue_bytes);
            return Err(refused(ErrorCode::Overloaded, reason));
        }
        module.queue_bytes += bytes;
        let patience = match message.kind {
            RequestType::Event => EVENT_PATIENCE,
            _ => message.deadline_ms.map_or(rules.deadline_default, Duration::from_millis),
        };
        let deadline = now + patience;
        let id = self.new_request_id();
        if let Some(Recipient { caller, id: number }) = recipient {
            self.callers.entry(caller).or_default().insert(number, Outstanding::Request(id));
        }
        self.timers.set(deadline, Timer::Deadline(id));
        let pending = Pending {
            recipient,
            wanted: true,
            module: module_id,
            message,
            deadline,
            place: Place::Queued,
            reached: Delivery::NotStarted,
            cancelled: false,
            crashes: 0,
        };
        self.requests.insert(id, pending);
        self.modules.get_mut(&module_id).expect("it was there above").queue.push_back(id);
        self.pump(now, module_id);
        Ok(())
    }

    /// Sends from a module's queue what its processes have room for.
    pub(crate) fn pump(&mut self, now: Time, module_id: ModuleId) {
        loop {
            let Some(module) = self.modules.get(&module_id) else { return };
            let Some(&id) = module.queue.front() else { return };
            let bytes = self.requests[&id].bytes();
            let Some(run) = self.choose(module, bytes) else { return };
            self.dispatch(now, module_id, id, run);
        }
    }

    /// The serving process with the fewest requests in flight, if it has room.
    fn choose(&self, module: &Module, bytes: usize) -> Option<RunId> {
        let serving = module.with_role(Role::Active).filter_map(|slot| match slot.state {
            SlotState::Occupied(id) => self.runs.get(&id).map(|run| (id, run)),
            SlotState::Vacant(_) | SlotState::Clearing { .. } => None,
        });
        serving
            .filter(|(_, run)| run.is_ready() && run.listens() && run.has_room(bytes))
            .min_by_key(|(_, run)| run.in_flight.len())
            .map(|(id, _)| id)
    }

    fn dispatch(&mut self, now: Time, module_id: ModuleId, id: RequestId, run_id: RunId) {
        let module = self.modules.get_mut(&module_id).expect("the caller has it");
        module.queue.pop_front();
        let pending = self.requests.get_mut(&id).expect("what is queued is in the table");
        let bytes = pending.bytes();
        module.queue_bytes -= bytes;
        pending.place = Place::InFlight { run: run_id, progressed: false };
        if !pending.is_event() {
            let left = pending.deadline.since(now).as_millis().max(1);
            pending.message.deadline_ms = Some(u64::try_from(left).unwrap_or(u64::MAX));
        }
        let run = self.runs.get_mut(&run_id).expect("the caller chose it");
        run.in_flight.push_back(id);
        run.in_flight_bytes += bytes;
        self.act(Action::Send { run: run_id, request: id });
        if self.runs[&run_id].in_flight.len() == 1 {
            self.head_changed(now, run_id);
        }
    }

    /// Takes a request out of its module's queue and forgets it.
    pub(crate) fn unqueue(&mut self, id: RequestId) {
        let Some(pending) = self.requests.remove(&id) else { return };
        let Some(module) = self.modules.get_mut(&pending.module) else { return };
        if let Some(at) = module.queue.iter().position(|queued| *queued == id) {
            module.queue.remove(at);
            module.queue_bytes -= pending.bytes();
        }
    }

    /// Tells the caller, once; the module may not be done with it.
    pub(crate) fn answer(&mut self, id: RequestId, status: Status) {
        let Some(pending) = self.requests.get_mut(&id) else { return };
        pending.wanted = false;
        self.timers.clear(pending.deadline, Timer::Deadline(id));
        if let Some(to) = pending.recipient.take() {
            self.settle_caller(to);
            self.act(Action::Reply { to, status });
        }
    }

    /// A module answered something.
    pub fn handle_response(&mut self, now: Time, run_id: RunId, response: Response) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.heard(now);
        let Some(id) = response.id.map(RequestId) else { return self.strange_answer(run_id, None) };
        let mine = matches!(
            self.requests.get(&id),
            Some(Pending { place: Place::InFlight { run, .. }, .. }) if *run == run_id
        );
        if mine {
            self.answered(now, run_id, id, response.status);
            return;
        }
        let control = run.controls.iter().position(|(control, _)| *control == id);
        match control {
            Some(_) if matches!(response.status, Status::Progress(_)) => {}
            Some(at) => {
                let (_, control) = run.controls.remove(at).expect("the position was found a line ago");
                self.control_answered(now, run_id, control, response.status);
            }
            None => self.strange_answer(run_id, Some(id)),
        }
    }

    fn answered(&mut self, now: Time, run_id: RunId, id: RequestId, status: Status) {
        let pending = self.requests.get_mut(&id).expect("the caller looked");
        if let Status::Progress(data) = status {
            pending.place = Place::InFlight { run: run_id, progressed: true };
            if let Some(to) = pending.recipient {
                self.act(Action::Reply { to, status: Status::Progress(data) });
            }
            return;
        }
        let module_id = pending.module;
        let bytes = pending.bytes();
        self.answer(id, of_module(status));
        self.requests.remove(&id);

        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        run.in_flight_bytes -= bytes;
        if run.in_flight.front() == Some(&id) {
            run.in_flight.pop_front();
            self.head_changed(now, run_id);
        } else {
            // An answer out of turn: from now on the order of its answers proves nothing.
            run.concurrent = true;
            run.in_flight.retain(|other| *other != id);
        }
        self.pump(now, module_id);
    }

    fn strange_answer(&mut self, run_id: RunId, id: Option<RequestId>) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.strange_answers += 1;
        // One line for the first and for every power of two: a flood of them must not become a
        // flood of announcements.
        if run.strange_answers.is_power_of_two() {
            let of = id.map_or("a request without an id".into(), |id| format!("request {id}"));
            let detail = format!(
                "answered {of}, which is not open: answered before, or never asked ({} such answers)",
                run.strange_answers
            );
            let (name, instance) = (run.spec.name.clone(), run.instance.clone());
            self.announce("module.strange_answer", &name, Some(instance), Some(detail));
        }
    }

    /// A deadline passed: the caller is answered at once, whatever becomes of the module's work.
    pub(crate) fn deadline_passed(&mut self, now: Time, id: RequestId) {
        let Some(pending) = self.requests.get(&id) else { return };
        let name = self.modules[&pending.module].spec.name.clone();
        match pending.place {
            Place::Queued => {
                let (module, reached) = (pending.module, pending.reached);
                let waits = self.why_waiting(now, module);
                let reason = match reached {
                    Delivery::NotStarted => format!("the deadline passed before {name} could begin: {waits}"),
                    Delivery::Started | Delivery::Unknown => {
                        format!("the deadline passed before {name} could begin again, after a crash: {waits}")
                    }
                };
                self.answer(id, Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(reached).into());
                self.unqueue(id);
                self.pump(now, module);
            }
            Place::InFlight { run: run_id, .. } => {
                let delivery = self.in_flight_delivery(run_id, id);
                let reason = match delivery {
                    Delivery::Started => format!("{name} did not answer before the deadline; it was told to stop"),
                    Delivery::Unknown | Delivery::NotStarted => {
                        format!("{name} did not answer before the deadline; it may not have begun, and was told not to")
                    }
                };
                self.answer(id, Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(delivery).into());
                self.send_control(run_id, Control::Cancel(id));
            }
        }
    }

    /// A caller wants a request of its own to stop.
    fn cancel(&mut self, now: Time, caller: Caller, payload: &Json) -> Result<(), Failure> {
        let number = event::cancel_target(payload).map_err(|reason| refused(ErrorCode::BadRequest, reason))?;
        let Some(outstanding) = self.callers.get(&caller).and_then(|all| all.get(&number)).copied() else {
            // It was answered while the cancel was on its way: nothing to do, and no fault of anybody.
            return Ok(());
        };
        match outstanding {
            Outstanding::Waiter(waiter) => {
                self.answer_waiter(waiter, Failure::new(ErrorCode::Cancelled, "the wait was cancelled").into());
            }
            Outstanding::Request(id) => {
                let pending = self.requests.get_mut(&id).expect("what is outstanding is in the table");
                let again = std::mem::replace(&mut pending.cancelled, true);
                match pending.place {
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
                    Place::InFlight { run, .. } => self.send_control(run, Control::Cancel(id)),
                }
            }
        }
        Ok(())
    }

    /// Publishes an event to the modules that subscribe to it; returns how many there were.
    ///
    /// # Errors
    /// When the payload is no event, or the sender may not send it.
    pub fn publish(&mut self, now: Time, from: Option<Caller>, payload: Json) -> Result<usize, Failure> {
        let name = event::event_name(&payload).map_err(|reason| refused(ErrorCode::BadRequest, reason))?;
        if let Some(Caller::Run(run)) = from
            && let Some(run) = self.runs.get(&run)
            && !run.spec.emit.iter().any(|pattern| pattern.matches(&name))
        {
            return Err(refused(
                ErrorCode::PermissionDenied,
                format!(
                    "{} may not send the event {name}: its manifest would need event_emit = [\"{name}\"] under [capabilities]",
                    run.spec.name
                ),
            ));
        }
        let subscribed = |module: &Module| {
            module.desired == Desired::Running && module.spec.subscribe.iter().any(|pattern| pattern.matches(&name))
        };
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

    /// How far a request in flight has got, as far as the order of answers proves it.
    pub(crate) fn in_flight_delivery(&self, run_id: RunId, id: RequestId) -> Delivery {
        let Some(run) = self.runs.get(&run_id) else { return Delivery::Unknown };
        let progressed =
            matches!(self.requests.get(&id), Some(Pending { place: Place::InFlight { progressed: true, .. }, .. }));
        if progressed || (!run.concurrent && run.in_flight.front() == Some(&id)) {
            Delivery::Started
        } else {
            Delivery::Unknown
        }
    }

    /// The first unanswered request of a run is another one now.
    pub(crate) fn head_changed(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.head_since = now;
        run.deadline_mark = None;
        run.overdue_sampled = false;
        if run.spec.rules.cpu_time_max.is_some() {
            self.message_began(run_id);
        }
        // A timer that rings too early finds that out by itself; only one that is too late must be moved.
        let run = &self.runs[&run_id];
        if matches!(run.phase, Phase::Ready { .. }) && run.timer.is_none_or(|at| self.health_due(run) < at) {
            self.arm(run_id);
        }
    }
}

/// A refusal: nothing was done.
pub(crate) fn refused(code: ErrorCode, reason: impl Into<String>) -> Failure {
    Failure::new(code, reason).delivery(Delivery::NotStarted)
}

/// An answer as it came from a module: what only the host may say is taken out of it.
fn of_module(status: Status) -> Status {
    let Status::Error(mut failure) = status else { return status };
    if !failure.code.allowed_from_module() {
        failure.module_code = Some(failure.code.name().to_owned());
        failure.code = ErrorCode::ModuleError;
    }
    failure.exit = None;
    failure.stderr = Vec::new();
    failure.delivery = None;
    Status::Error(failure)
}
