//! The state machine itself: its parts, its timers, its outputs. Each kind of input has a file of
//! its own beside this one.

use crate::{
    action::{Action, Announcement, Control, ModuleEvent},
    bucket::Bucket,
    directory::Directory,
    id_map::IdMap,
    ids::{Caller, ClientId, Ids, RequestId, RunId, WaiterId},
    lacks::Lacks,
    layer1::Layer1,
    modules::Modules,
    open::Callers,
    random::Random,
    request::RequestState,
    requests::{Closed, Requests},
    room::Room,
    run::{Phase, Run},
    shutdown::Shutdown,
    starts::Starts,
    steps::{self, Table},
    time::Time,
    timers::{Timer, Timers},
    tracing::Tracing,
    waiters::Waiter,
};
use bulkhead_protocol::{Json, ModuleName, WireRequest};
use std::collections::VecDeque;

/// Limits of the host as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// Automatic restarts of all modules together, each second.
    pub restarts_per_second: u32,
    /// Automatic restarts of all modules together that need not wait.
    pub restarts_burst: u32,
    /// Starts of all modules together that may be in progress; further ones wait for a start permit.
    pub starts_at_once: u32,
    /// Requests that one client may have unanswered.
    pub client_requests_max: usize,
    /// Bytes that the unanswered requests of all clients may hold. One client may hold a quarter of it.
    pub clients_bytes_max: usize,
}

/// What a caller is waiting for under one of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outstanding {
    Request(RequestId),
    /// A request to the store.
    StoreRequest(RequestId),
    Waiter(WaiterId),
}

/// The supervisor's decisions.
///
/// After each call of a `handle_*` method, and of anything else that takes `&mut self`:
///
/// 1. call [`Core::poll_action`] until it returns `None`, and carry each action out, in order;
/// 2. call [`Core::poll_timeout`], and [`Core::handle_timeout`] when that moment has come.
///
/// Time must never run backwards between calls.
#[derive(Debug)]
pub struct Core {
    pub(crate) settings: HostSettings,
    pub(crate) random: Random,
    pub(crate) bucket: Bucket,
    pub(crate) starts: Starts,
    pub(crate) lacks: Lacks,
    pub(crate) room: Room,
    pub(crate) modules: Modules,
    pub(crate) directory: Directory,
    pub(crate) runs: IdMap<RunId, Run>,
    pub(crate) requests: Requests,
    pub(crate) callers: Callers,
    pub(crate) waiters: Table<WaiterId, Waiter>,
    pub(crate) layer1: Layer1,
    pub(crate) timers: Timers,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) ids: Ids,
    pub(crate) shutting_down: bool,
    pub(crate) shutdown: Shutdown,
}

impl Core {
    /// A core without modules; `seed` spreads its restarts.
    pub fn new(settings: HostSettings, seed: u64) -> Core {
        Core {
            bucket: Bucket::new(settings.restarts_per_second, settings.restarts_burst),
            starts: Starts::default(),
            lacks: Lacks::default(),
            room: Room::default(),
            settings,
            random: Random::new(seed),
            modules: Modules::default(),
            directory: Directory::default(),
            runs: IdMap::default(),
            requests: Requests::default(),
            callers: Callers::default(),
            waiters: Table::default(),
            layer1: Layer1::default(),
            timers: Timers::default(),
            actions: VecDeque::new(),
            ids: Ids::default(),
            shutting_down: false,
            shutdown: Shutdown::default(),
        }
    }

    /// The next thing to do, if any.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Core::handle_timeout`] is to be called, if nothing else comes before.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Deadline(request) => self.deadline_passed(now, request),
                Timer::Run(run) => self.run_due(now, run),
                Timer::Start(module, slot) => self.start_due(now, module, slot),
                Timer::Lack(lack) => self.lack_due(now, lack),
                Timer::Waiter(waiter) => self.waiter_due(now, waiter),
                Timer::StoreRequest(store_request) => self.store_request_overdue(now, store_request),
                Timer::Stream(module) => self.stream_due(now, module),
                Timer::Precedence(module) => self.precedence_overdue(now, module),
            }
        }
    }

    /// The request of an [`Action::Send`], as it goes to the module; `None` when it was answered
    /// in the meantime and need not be sent. Also returns its payload, to be shared where it is long.
    pub fn outgoing(&self, request: RequestId) -> Option<(WireRequest<'_>, &Json)> {
        let entry = self.requests.get(request)?;
        let wire = WireRequest {
            id: Some(request.0),
            kind: &entry.message.kind,
            to: None,
            payload: entry.message.payload.as_str(),
            deadline_ms: entry.message.deadline_ms,
            key: entry.message.key.as_deref(),
            of: None,
        };
        Some((wire, &entry.message.payload))
    }

    /// The module that a run belongs to.
    pub fn module_of(&self, run: RunId) -> Option<&ModuleName> {
        Some(&self.runs.get(&run)?.spec.name)
    }

    /// Whether nothing is left to stop: no process of any module, and nothing at the store that a
    /// caller waits for or that must not be lost.
    pub fn is_idle(&self) -> bool {
        self.runs.is_empty() && !self.store_is_busy()
    }

    pub(crate) fn act(&mut self, action: Action) {
        steps::count(1);
        self.actions.push_back(action);
    }

    pub(crate) fn announce(
        &mut self,
        event: ModuleEvent,
        module: &ModuleName,
        instance: Option<String>,
        detail: Option<String>,
    ) {
        self.act(Action::Announce(Box::new(Announcement { event, module: module.clone(), instance, detail })));
    }

    /// Sends a request of the host's own.
    pub(crate) fn send_control(&mut self, run_id: RunId, control: Control) {
        let id = self.ids.request();
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        if run.listens() {
            run.remember_control(id, control);
            self.act(Action::SendControl { run: run_id, id, control });
        }
    }

    /// Sets a run's timer to what its phase and its health ask for.
    pub(crate) fn arm(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get(&run_id) else { return };
        let due = match run.phase {
            _ if run.leader_ended => None,
            Phase::Starting { until } | Phase::Draining { until } | Phase::Terminating { until } => Some(until),
            Phase::Compiling { until, permit_until, .. } => {
                Some(permit_until.map_or(until, |permit| permit.min(until)))
            }
            Phase::Ready { .. } => Some(run.health_due(&self.requests)),
            Phase::Killing | Phase::Exited => None,
        };
        // While a tracer is looked for, and for a moment after one was found, no timeout counts.
        let due = match run.tracing {
            Tracing::Looking { until, .. } if run.is_judged() => due.map(|_| until),
            Tracing::By { again, .. } if run.is_judged() => due.map(|due| due.max(again)),
            _ => due,
        };
        let run = self.runs.get_mut(&run_id).expect("it was there a line ago");
        if run.timer == due {
            return;
        }
        if let Some(at) = run.timer.take() {
            self.timers.clear(at, Timer::Run(run_id));
        }
        run.timer = due;
        if let Some(at) = due {
            self.timers.set(at, Timer::Run(run_id));
        }
    }

    /// Does what is due for a process without waiting for its timer.
    pub(crate) fn look_at(&mut self, now: Time, run_id: RunId) {
        let timer = self.runs.get_mut(&run_id).and_then(|run| run.timer.take());
        if let Some(at) = timer {
            self.timers.clear(at, Timer::Run(run_id));
        }
        self.run_due(now, run_id);
    }

    fn run_due(&mut self, now: Time, run_id: RunId) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        run.timer = None;
        match run.phase {
            Phase::Ready { .. } => self.check_health(now, run_id),
            Phase::Starting { until } if until <= now => self.start_timed_out(now, run_id),
            Phase::Compiling { .. } => self.compile_due(now, run_id),
            Phase::Draining { until } if until <= now => self.drain_timed_out(now, run_id),
            Phase::Terminating { until } if until <= now => self.term_timed_out(now, run_id),
            Phase::Starting { .. }
            | Phase::Draining { .. }
            | Phase::Terminating { .. }
            | Phase::Killing
            | Phase::Exited => {}
        }
        self.arm(run_id);
    }

    /// A client's connection is gone: what it has asked for is no longer wanted.
    pub fn handle_client_gone(&mut self, now: Time, client: ClientId) {
        self.caller_gone(now, Caller::Client(client));
    }

    pub(crate) fn caller_gone(&mut self, now: Time, caller: Caller) {
        self.layer1.unnumbered.remove(&caller);
        for what in self.callers.remove(caller) {
            match what {
                Outstanding::Waiter(waiter) => self.forget_waiter(waiter),
                Outstanding::Request(request) => self.abandon(now, request),
                Outstanding::StoreRequest(store_request) => self.abandon_store_request(store_request),
            }
        }
    }

    /// No caller waits for this request any more.
    fn abandon(&mut self, now: Time, id: RequestId) {
        // Its recipient is gone with what the caller had open.
        let Some(Closed { deadline, .. }) = self.requests.close(id) else { return };
        self.timers.clear(deadline, Timer::Deadline(id));
        match self.requests[id].state {
            RequestState::LookingUp => {
                self.give_up_leading(id);
                self.leave_aside(id);
                self.requests.remove(id);
            }
            RequestState::Joined => self.unjoin(id),
            RequestState::Queued => {
                self.give_up_leading(id);
                self.unqueue(id);
            }
            RequestState::InFlight { run, .. } => {
                self.undo(now, id, "its caller has gone");
                self.give_up_leading(id);
                self.send_control(run, Control::Cancel(id));
            }
            // The work is done, and others may have asked for it by the same key.
            RequestState::Settling(_) | RequestState::Committing(_) | RequestState::Flushing => {}
        }
    }
}
