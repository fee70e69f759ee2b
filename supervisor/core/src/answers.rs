//! Answers on their way back: the module's own, and those that the host gives for it when a
//! deadline passes. What a crash does to requests is in [`crate::delivery`].

use crate::{
    action::{Action, Control, ModuleEvent},
    core::Core,
    delivery::{ProcessFate, delivery_verdict},
    ids::{Caller, RequestId, RunId},
    in_flight::HeadChange,
    layer1::CommitNumber,
    request::{RequestEntry, RequestState},
    requests::Closed,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Response, Status};

impl Core {
    /// Answers the caller, once; the module may not be done with the request.
    pub(crate) fn reply(&mut self, id: RequestId, status: Status) {
        let Some(closed) = self.requests.close(id) else { return };
        self.reply_closed(id, closed, status);
    }

    /// As [`Core::reply`], to a request that nothing but its caller waits for, and that is forgotten with it.
    pub(crate) fn end(&mut self, id: RequestId, status: Status) {
        let Some(closed) = self.requests.end(id) else { return };
        self.reply_closed(id, closed, status);
    }

    fn reply_closed(&mut self, id: RequestId, closed: Closed, status: Status) {
        let Closed { deadline, recipient, seen } = closed;
        self.timers.clear(deadline, Timer::Deadline(id));
        if let Some(to) = recipient {
            self.callers.close(to);
            if let Caller::Run(run) = to.caller {
                self.has_seen(run, seen);
            }
            self.act(Action::Reply { to, status });
        }
    }

    /// As [`Core::reply`]; the work itself has ended as well.
    pub(crate) fn answer(&mut self, id: RequestId, status: Status) {
        let Some(entry) = self.requests.get(id) else { return };
        if !entry.is_awaited_by_others() {
            self.reply(id, status);
            return;
        }
        self.reply(id, status.clone());
        self.event_returned(id, &status);
        self.leader_ended(id, &status);
    }

    /// A module answered something.
    pub fn handle_response(&mut self, now: Time, run_id: RunId, response: Response) {
        if response.last {
            return self.last_response(now, run_id, response);
        }
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.heard(now);
        let Some(id) = response.id.map(RequestId) else { return self.strange_answer(run_id, None) };
        let mine = matches!(
            self.requests.get(id),
            Some(RequestEntry { state: RequestState::InFlight { run, .. }, .. }) if *run == run_id
        );
        if mine && !run.has_disclaimed(id) {
            let seen = run.seen;
            self.answered(now, run_id, id, response.status, seen);
            return;
        }
        let control = run.controls.iter().position(|(control, _)| *control == id);
        match control {
            Some(at) if matches!(response.status, Status::Progress(_)) => {
                if let (Control::Init, Status::Progress(data)) = (run.controls[at].1, response.status) {
                    self.start_progressed(now, run_id, &data);
                }
            }
            Some(at) => {
                let (_, control) = run.controls.remove(at).expect("the position was found a line ago");
                self.control_answered(now, run_id, control, response.status);
            }
            None => self.strange_answer(run_id, Some(id)),
        }
    }

    /// `seen` is the newest commit that the process can have seen.
    fn answered(&mut self, now: Time, run_id: RunId, id: RequestId, status: Status, seen: CommitNumber) {
        if let Status::Progress(data) = status {
            if let Some(to) = self.requests.begun(id).recipient {
                self.reply_progress(to, id, seen, data);
            }
            return;
        }
        let entry = self.requests.saw(id, seen);
        let module_id = entry.module;
        if entry.is_plain() {
            self.conclude(id, of_module(status));
        } else {
            self.concluded(now, run_id, id, of_module(status));
        }

        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        if run.in_flight.answered(id) == HeadChange::Next {
            self.head_changed(now, run_id);
        }
        self.pump_stream(now, module_id);
        self.pump(now, module_id);
    }

    fn strange_answer(&mut self, run_id: RunId, id: Option<RequestId>) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.strange_answers += 1;
        // One line for the first and for every power of two: a flood of them must not become a
        // flood of announcements.
        if run.strange_answers.is_power_of_two() {
            let of = id.map_or("a request without an id".into(), |id| format!("request {id}"));
            let why = match run.last {
                Some(_) => "after an answer with \"last\", which says that none follows",
                None => "which is not open: answered before, or never asked",
            };
            let detail = format!("answered {of}, {why} ({} such answers)", run.strange_answers);
            let (name, instance) = (run.spec.name.clone(), run.instance.clone());
            self.announce(ModuleEvent::StrangeAnswer, &name, Some(instance), Some(detail));
        }
    }

    /// A deadline passed: the caller is answered at once, whether or not the module finishes the work.
    pub(crate) fn deadline_passed(&mut self, now: Time, id: RequestId) {
        let Some(entry) = self.requests.get(id) else { return };
        let name = self.modules[entry.module].spec.name.clone();
        match entry.state {
            RequestState::LookingUp => {
                let reason = "the deadline passed while layer1 looked whether this was done before";
                let failure = Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(Delivery::NotStarted);
                self.leave_aside(id);
                self.answer(id, failure.into());
                self.requests.remove(id);
            }
            RequestState::Joined => {
                let reason = "the deadline passed while another request with the same key was under way; the same \
                              request with the same key tells what came of it";
                let failure = Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(self.joined_delivery(id));
                self.reply(id, failure.into());
                self.unjoin(id);
            }
            RequestState::Settling(_) => {
                let reason = format!("the deadline passed before what {name} did could be committed; it is undone");
                self.undo(now, id, "its deadline passed");
                let failure = Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(Delivery::Started);
                self.answer(id, failure.into());
                self.forget_settling(now, id);
            }
            RequestState::Committing(_) => {
                let ask_again = match &entry.message.key {
                    Some(_) => "the same request with the same key tells what came of it",
                    None => "with a key, the same request could be sent again and would tell what came of it",
                };
                let reason = format!("the deadline passed while what {name} did was being committed; {ask_again}");
                self.reply(id, Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(Delivery::Unknown).into());
            }
            RequestState::Flushing => {
                let reason = format!(
                    "the deadline passed while the answer of {name} waited until what it rests on is on the disk"
                );
                self.reply(id, Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(Delivery::Unknown).into());
            }
            RequestState::Queued => {
                let (module, reached) = (entry.module, entry.reached);
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
            RequestState::InFlight { run: run_id, .. } => {
                let delivery = self.in_flight_delivery(run_id, id);
                let reached = entry.overall_delivery(delivery);
                let has_changed = self.has_changed(id);
                let reason = match delivery {
                    Delivery::Started if has_changed => {
                        format!("{name} did not answer before the deadline; what it had changed is undone")
                    }
                    Delivery::Started => format!("{name} did not answer before the deadline; it was asked to stop"),
                    Delivery::Unknown => {
                        format!(
                            "{name} did not answer before the deadline; it may not have begun, and was asked not to"
                        )
                    }
                    Delivery::NotStarted => {
                        let begin = begin(reached);
                        format!("the deadline passed before {name} could {begin}: the process that had it is ending")
                    }
                };
                self.undo(now, id, "its deadline passed");
                self.answer(id, Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(reached).into());
                self.send_control(run_id, Control::Cancel(id));
            }
        }
    }

    /// How far a request in flight to a process that runs has got.
    pub(crate) fn in_flight_delivery(&self, run_id: RunId, id: RequestId) -> Delivery {
        let (Some(run), Some(entry)) = (self.runs.get(&run_id), self.requests.get(id)) else {
            return Delivery::Unknown;
        };
        let at = run.in_flight.position(id).unwrap_or(usize::MAX);
        delivery_verdict(run, id, entry, at, ProcessFate::Runs)
    }
}

/// What a module did not do with a request, by how far that had got before.
pub(crate) fn begin(reached: Delivery) -> &'static str {
    match reached {
        Delivery::NotStarted => "begin",
        Delivery::Started | Delivery::Unknown => "begin again, after a crash",
    }
}

/// An answer as it came from a module: what only the host may say is removed.
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
