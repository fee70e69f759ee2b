//! Streams of events: each subscribing module gets every stored event that it subscribes to, in
//! the order of the commits, one at a time, at least once. An event that it keeps failing on is set aside,
//! so that its stream goes on.

use super::{
    Advance, CommitNumber, Cursor, JobPurpose, StoreOp, StoreOutcome, StoredEvent, Stream,
    stream::{EventState, PositionState},
};
use crate::{
    action::ModuleEvent,
    blame::Crash,
    core::Core,
    ids::{ModuleId, RequestId},
    limits::{
        EVENT_ATTEMPTS_MAX, EVENT_RETRY_FIRST, EVENT_RETRY_MAX, EVENT_TIMEOUT, FETCHED_BYTES_MAX, FETCHED_MAX,
        PASSED_BY_MAX,
    },
    request::{RequestEntry, RequestState},
    run::Role,
    slots::SlotState,
    time::Time,
    timers::Timer,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json, ModuleName, Request, RequestType, Status};
use std::time::Duration;

/// The end of what is stored, as long as no read has found nothing more.
const END_UNKNOWN: Cursor = Cursor(u64::MAX);

/// How far a module's stream of events has got, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// Everything up to here is handled, set aside, or not subscribed to.
    pub position: Cursor,
    /// How often the next event was tried without success.
    pub attempts: u32,
    /// The error of the last try.
    pub error: Option<String>,
    /// When the next try follows, if that has a moment.
    pub next_try: Option<Duration>,
}

impl Core {
    /// How far the stream of a subscribing module has got; `None` where the store has not said yet.
    pub fn stream_view(&self, now: Time, name: &ModuleName) -> Option<StreamView> {
        let stream = self.layer1.streams.get(&self.modules.id(name)?)?;
        (stream.position_state == PositionState::Known).then(|| StreamView {
            position: stream.position,
            attempts: stream.attempts,
            error: (stream.attempts > 0).then(|| stream.error.clone()),
            next_try: stream.pause.map(|pause| pause.since(now)),
        })
    }

    /// Does what is next for a module's stream. May be called at any time.
    pub(crate) fn pump_stream(&mut self, now: Time, id: ModuleId) -> Option<RequestId> {
        let module = self.modules.get(id)?;
        if module.spec.subscribe.is_empty() && !self.layer1.streams.contains_key(&id) {
            return None;
        }
        let available = module.is_available() && !self.shutting_down;
        let serving = self.is_serving_run(id) && !self.shutting_down;
        self.give_again(id);
        let module = &self.modules[id];
        let stream = self.layer1.streams.get_or_insert_with(id, Stream::new);
        if stream.patterns != module.spec.subscribe {
            stream.subscribe(&module.spec.subscribe);
        }
        if let Some(pause) = stream.pause {
            if available {
                return None;
            }
            stream.pause = None;
            self.timers.clear(pause, Timer::Stream(id));
        }
        match stream.position_state {
            PositionState::Asked => return None,
            PositionState::Unknown if stream.failures > 0 && !available => return None,
            PositionState::Unknown => {
                stream.position_state = PositionState::Asked;
                let op = StoreOp::Subscription(module.spec.name.clone());
                self.submit(JobPurpose::Subscription(id), op);
                return None;
            }
            PositionState::Known => {}
        }
        if let EventState::InProgress(request) = stream.event_state
            && self.requests.get(request).is_some_and(|entry| matches!(entry.state, RequestState::Committing(_)))
        {
            stream.overlap(request);
        }
        let is_free = stream.event_state == EventState::Idle && stream.answered.has_room();
        if !is_free || !serving || stream.patterns.is_empty() {
            return None;
        }
        let (attempts, is_first) = (stream.attempts, stream.answered.is_empty());
        match stream.next() {
            // The stream goes past it, and so only when all before it is committed.
            Some(_) if attempts >= EVENT_ATTEMPTS_MAX && !is_first => None,
            Some(current) if attempts >= EVENT_ATTEMPTS_MAX => {
                let current = current.clone();
                let error = stream.error.clone();
                let op =
                    StoreOp::SetAside { module: module.spec.name.clone(), cursor: current.cursor, attempts, error };
                stream.event_state = EventState::SettingAside;
                self.submit(JobPurpose::SetAside(id), op);
                None
            }
            Some(current) => {
                let current = current.clone();
                Some(self.give(now, id, &current))
            }
            None => {
                if stream.known < stream.end && stream.reading.is_none() {
                    let op = StoreOp::ReadEvents {
                        module: module.spec.name.clone(),
                        after: stream.known,
                        patterns: stream.patterns.clone(),
                        limit: FETCHED_MAX,
                        bytes_max: FETCHED_BYTES_MAX,
                    };
                    let job = self.submit(JobPurpose::ReadEvents(id), op);
                    self.layer1.streams.get_mut(&id).expect("it was there above").reads(job);
                }
                self.advance(id, PASSED_BY_MAX);
                None
            }
        }
    }

    /// Where the commit of an event was not made: takes back what follows, and asks the store where the stream stands
    /// once nothing of that is under way.
    fn give_again(&mut self, id: ModuleId) {
        let Some(stream) = self.layer1.streams.get_mut(&id).filter(|stream| stream.answered.has_failed()) else {
            return;
        };
        if let EventState::InProgress(request) = stream.event_state
            && self.requests.get(request).is_some_and(|entry| entry.state == RequestState::Queued)
        {
            stream.event_state = EventState::Idle;
            let reason = "an event before this one was not committed, and is given again first";
            self.reply(request, Failure::new(ErrorCode::Conflict, reason).delivery(Delivery::NotStarted).into());
            self.unqueue(request);
        }
        if let Some(stream) = self.layer1.streams.get_mut(&id) {
            stream.go_back();
        }
    }

    /// As [`Core::pump_stream`]; what it puts into the queue is sent.
    pub(crate) fn stream_on(&mut self, now: Time, id: ModuleId) {
        if self.pump_stream(now, id).is_some() {
            self.pump(now, id);
        }
    }

    pub(crate) fn is_serving_run(&self, id: ModuleId) -> bool {
        self.modules[id].slots.with_role(Role::Active).any(|slot| match *slot.state() {
            SlotState::Occupied(run) => self.runs.get(&run).is_some_and(|run| run.is_ready() && run.listens()),
            SlotState::Vacant(_) | SlotState::Clearing { .. } => false,
        })
    }

    /// Puts an event into its module's queue. There is one at a time, so the queue's bounds need not count it.
    fn give(&mut self, now: Time, id: ModuleId, event: &StoredEvent) -> RequestId {
        let message = Request::new(None, RequestType::Event, payload(event, &self.layer1.epoch_beside));
        let request = self.ids.request();
        let entry = RequestEntry {
            event: Some(event.cursor),
            seen: self.layer1.streams[&id].seen,
            ..RequestEntry::new(id, None, message, now + EVENT_TIMEOUT, RequestState::Queued)
        };
        self.timers.set(entry.deadline, Timer::Deadline(request));
        let module = self.modules.get_mut(id).expect("the caller has it");
        module.queue.push_back(request, entry.held);
        self.requests.insert(request, entry);
        self.layer1.streams.get_mut(&id).expect("the caller has it").event_state = EventState::InProgress(request);
        request
    }

    /// Reports to the store how far a stream has got, if that is more than so many events further than it knows.
    fn advance(&mut self, id: ModuleId, more_than: u64) {
        let name = self.modules[id].spec.name.clone();
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        // What it has missed is reported with the position after that, so that it is reported once.
        let misses = stream.missed > 0 && stream.position >= stream.missed_upto;
        if stream.advancing.is_none() && (misses || stream.position.0.saturating_sub(stream.reported.0) > more_than) {
            let (cursor, missed) = (stream.position, if misses { std::mem::take(&mut stream.missed) } else { 0 });
            stream.advancing = Some((cursor, missed));
            self.submit(JobPurpose::Advance(id), StoreOp::Advance { module: name, cursor, missed });
        }
    }

    /// The stream of an event that is with its module, if it is still waited for.
    pub(crate) fn stream_of(&mut self, request: RequestId) -> Option<(ModuleId, &mut Stream)> {
        let entry = self.requests.get(request)?;
        entry.event?;
        let id = entry.module;
        let stream = self.layer1.streams.get_mut(&id)?;
        (stream.event_state == EventState::InProgress(request)).then_some((id, stream))
    }

    /// As [`Core::stream_of`], also where its module has the next event by now.
    fn stream_waiting_for(&mut self, request: RequestId) -> Option<(ModuleId, &mut Stream)> {
        let id = self.requests.get(request).filter(|entry| entry.event.is_some())?.module;
        let stream = self.layer1.streams.get_mut(&id)?;
        let is_awaited = stream.event_state == EventState::InProgress(request) || stream.answered.contains(request);
        is_awaited.then_some((id, stream))
    }

    /// A module has handled an event, and has changed nothing for it.
    pub(crate) fn event_handled(&mut self, request: RequestId) {
        let Some(cursor) = self.requests.get(request).and_then(|entry| entry.event) else { return };
        let Some((id, stream)) = self.stream_of(request) else { return };
        stream.handled(cursor);
        self.advance(id, 0);
    }

    /// A module has handled an event, and what it did for it is committed with that.
    pub(crate) fn event_committed(&mut self, request: RequestId) {
        let Some(cursor) = self.requests.get(request).and_then(|entry| entry.event) else { return };
        let Some((id, stream)) = self.stream_waiting_for(request) else { return };
        stream.committed(request, cursor);
        // Events after it were handled without a commit of their own.
        if stream.position > stream.reported {
            self.advance(id, 0);
        }
    }

    /// How a module's stream advances with the commit of this event, if the stream still waits for it.
    pub(crate) fn advance_of(&mut self, request: RequestId) -> Option<Advance> {
        let entry = self.requests.get(request)?;
        let (cursor, module) = (entry.event?, entry.module);
        let after = self.stream_waiting_for(request).map(|(_, stream)| stream.answered.after()).unwrap_or_default();
        Some(Advance { module: self.modules[module].spec.name.clone(), cursor, after })
    }

    /// Whether the next event of a module can be given while this one is committed.
    pub(crate) fn has_next_event(&self, module: ModuleId) -> bool {
        self.layer1.streams.get(&module).is_some_and(Stream::may_overlap)
    }

    /// What was done for an event could not be committed. Returns whether it, and what was given after it, is given
    /// again for that; otherwise its commit was the only one, and the failure its own.
    pub(crate) fn event_came_back(&mut self, now: Time, request: RequestId, outcome: &StoreOutcome) -> bool {
        let Some((id, stream)) = self.stream_waiting_for(request) else { return false };
        let came_back = stream.came_back(request);
        if came_back && matches!(outcome, StoreOutcome::Failed(failure) if failure.retryable) {
            self.store_failed(now, id);
        }
        came_back
    }

    /// An event was answered with an error, or what was done for it could not be committed.
    pub(crate) fn event_failed(&mut self, now: Time, request: RequestId, failure: &Failure) {
        let Some((id, stream)) = self.stream_of(request) else { return };
        stream.event_state = EventState::Idle;
        stream.error.clone_from(&failure.error);
        stream.attempts += 1;
        let failures = stream.attempts;
        if failures < EVENT_ATTEMPTS_MAX {
            self.pause_stream(now, id, failures);
        } else {
            let crashes = stream.take_crashes();
            self.pardon(now, id, &crashes);
        }
    }

    /// The process that had an event in progress has ended; `crashed` if the event may be the cause.
    pub(crate) fn event_interrupted(&mut self, request: RequestId, crashed: Option<(&str, Crash)>) {
        let Some((_, stream)) = self.stream_of(request) else { return };
        stream.event_state = EventState::Idle;
        if let Some((reason, crash)) = crashed {
            stream.crashed(reason, crash);
        }
    }

    /// How often an event that is with its module has been tried without success.
    pub(crate) fn event_attempts(&self, request: RequestId) -> Option<u32> {
        let stream = self.layer1.streams.get(&self.requests.get(request)?.module)?;
        (stream.event_state == EventState::InProgress(request)).then_some(stream.attempts)
    }

    /// What was done for an event could not be committed, which is not its module's failure. Since the
    /// store may not know, it is asked how far the stream has got before the event is given again.
    pub(crate) fn event_not_committed(&mut self, now: Time, request: RequestId) {
        let Some((id, stream)) = self.stream_of(request) else { return };
        stream.event_state = EventState::Idle;
        stream.position_state = PositionState::Unknown;
        self.store_failed(now, id);
    }

    fn pause_stream(&mut self, now: Time, id: ModuleId, failures: u32) {
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        let delay = EVENT_RETRY_MAX.min(EVENT_RETRY_FIRST * 2u32.saturating_pow(failures.saturating_sub(1).min(16)));
        if let Some(pause) = stream.pause.replace(now + delay) {
            self.timers.clear(pause, Timer::Stream(id));
        }
        self.timers.set(now + delay, Timer::Stream(id));
    }

    /// A stream may try again.
    pub(crate) fn stream_due(&mut self, now: Time, id: ModuleId) {
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        stream.pause = None;
        self.stream_on(now, id);
    }

    /// The store failed: it is asked again after a while.
    fn store_failed(&mut self, now: Time, id: ModuleId) {
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        stream.failures += 1;
        let failures = stream.failures;
        if self.modules[id].is_available() && !self.shutting_down {
            self.pause_stream(now, id, failures);
        }
    }

    pub(crate) fn subscribed(&mut self, now: Time, id: ModuleId, outcome: StoreOutcome) {
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        match outcome {
            StoreOutcome::Subscribed { cursor } => {
                stream.position_state = PositionState::Known;
                stream.failures = 0;
                if let Some(current) = stream.current.take_if(|current| current.cursor <= cursor) {
                    stream.done(current.cursor);
                }
                stream.position = stream.position.max(cursor);
                stream.reported = cursor;
                stream.known = stream.known.max(cursor);
                stream.end = END_UNKNOWN;
                self.stream_on(now, id);
            }
            _ => {
                stream.position_state = PositionState::Unknown;
                self.store_failed(now, id);
            }
        }
    }

    pub(crate) fn events_read(
        &mut self,
        now: Time,
        job: RequestId,
        id: ModuleId,
        outcome: StoreOutcome,
        seen: CommitNumber,
    ) {
        let Some(stream) = self.layer1.streams.get_mut(&id).filter(|stream| stream.reading == Some(job)) else {
            return;
        };
        stream.reading = None;
        let StoreOutcome::Events { events, upto, lost } = outcome else {
            self.store_failed(now, id);
            return;
        };
        stream.failures = 0;
        stream.seen = stream.seen.max(seen);
        let before = stream.known;
        for event in events.into_iter().filter(|event| event.cursor > before) {
            stream.known = event.cursor;
            stream.fetch(event);
        }
        stream.known = stream.known.max(upto);
        if stream.known == before {
            // Without this it would be read again and again.
            stream.found_nothing();
        }
        if lost > 0 {
            stream.missed += lost;
            stream.missed_upto = stream.known;
            let name = self.modules[id].spec.name.clone();
            let detail =
                format!("{lost} events of any name are gone, by age or by a limit, before {name} has seen them");
            self.announce(ModuleEvent::EventsLost, &name, None, Some(detail));
        }
        self.stream_on(now, id);
    }

    pub(crate) fn advanced(&mut self, now: Time, id: ModuleId, outcome: &StoreOutcome) {
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        let Some((cursor, missed)) = stream.advancing.take() else { return };
        // What is not reported now is reported with the next event; until then it may come twice.
        if *outcome == StoreOutcome::Done {
            stream.reported = stream.reported.max(cursor);
            self.advance(id, 0);
            self.stream_on(now, id);
        } else {
            stream.missed += missed;
        }
    }

    pub(crate) fn set_aside(&mut self, now: Time, id: ModuleId, outcome: StoreOutcome) {
        let Some(stream) = self.layer1.streams.get_mut(&id) else { return };
        let Some(current) = stream.current.clone().filter(|_| stream.event_state == EventState::SettingAside) else {
            return;
        };
        if outcome != StoreOutcome::Done {
            stream.event_state = EventState::Idle;
            self.store_failed(now, id);
            return;
        }
        let (attempts, error) = (stream.attempts, stream.error.clone());
        stream.done(current.cursor);
        stream.reported = stream.reported.max(current.cursor);
        stream.failures = 0;
        let name = self.modules[id].spec.name.clone();
        let detail = format!(
            "{} (cursor {}) failed {attempts} times, last: {error}; it is set aside, and the next one follows",
            current.event, current.cursor
        );
        self.announce(ModuleEvent::EventSetAside, &name, None, Some(detail));
        self.stream_on(now, id);
    }

    /// Events were stored: followers are notified, and the streams continue.
    pub(crate) fn events_stored(&mut self, now: Time, events: Vec<StoredEvent>, seen: CommitNumber) {
        if events.is_empty() {
            return;
        }
        for event in events {
            for stream in self.layer1.streams.values_mut() {
                stream.stored(&event);
                stream.seen = stream.seen.max(seen);
            }
            self.notify_followers(Box::new(event), seen);
        }
        let ids: Vec<ModuleId> = self.layer1.streams.keys().copied().collect();
        for id in ids {
            self.stream_on(now, id);
        }
    }

    /// The store may have committed something that it did not report: the streams read it themselves.
    pub(crate) fn look_for_events(&mut self, now: Time) {
        let ids: Vec<ModuleId> = self.layer1.streams.keys().copied().collect();
        for id in ids {
            let stream = self.layer1.streams.get_mut(&id).expect("it was listed");
            stream.may_have(END_UNKNOWN);
            self.stream_on(now, id);
        }
    }

    /// A module is forgotten, and its stream; the store keeps how far that has got.
    pub(crate) fn forget_stream(&mut self, id: ModuleId) {
        if let Some(stream) = self.layer1.streams.remove(&id)
            && let Some(pause) = stream.pause
        {
            self.timers.clear(pause, Timer::Stream(id));
        }
    }

    /// A request has ended, but not by its module: if it was an event, it is given again.
    pub(crate) fn event_returned(&mut self, request: RequestId, status: &Status) {
        if matches!(status, Status::Error(_))
            && let Some((_, stream)) = self.stream_of(request)
        {
            stream.event_state = EventState::Idle;
        }
    }
}

/// An event as a module gets it. The cursor identifies one that comes twice; the member `epoch` follows it.
pub(crate) fn payload(event: &StoredEvent, epoch: &str) -> Json {
    // A name has no control characters, so these two are all that JSON wants escaped.
    let name = event.event.replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!(r#"{{"event":"{name}","data":{},"cursor":{}{epoch}}}"#, event.data.as_str(), event.cursor);
    Json::parse(&text).expect("a checked name and JSON make JSON")
}
