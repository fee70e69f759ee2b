//! A core, its modules, its callers and a store, and what must hold whatever happens to them. Unlike
//! the world of scripts it also lets the host itself die and come back on the same store.

use super::store::{Mood, ScopedKey, Store, counter_read, number, numbers};
use bulkhead_core::{
    Action, Advance, Caller, ClientId, CommitNumber, Control, Core, Cursor, Evidence, HostSettings, InitialState,
    ModuleRules, ModuleSpec, Recipient, RequestId, RunId, StoreOp, StoreOutcome, StoredEvent, Time, UnitId,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Exit, Failure, Json, ModuleName, Pattern, Request, RequestType, Response, Status,
    layer1::Query,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(super) type Checked = Result<(), String>;

/// What the second module subscribes to.
const PATTERNS: [&[&str]; 3] = [&["x.*"], &["x.*", "Log.*"], &["Log.*"]];

pub(super) const MODULES: [&str; 2] = ["a", "b"];

/// A process as seen from outside.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) module: &'static str,
    init: RequestId,
    pub(super) is_ready: bool,
    pub(super) has_exited: bool,
    pub(super) concurrent: bool,
    /// Requests in progress, in order, each with the attempt that it is.
    pub(super) attribute: Vec<(RequestId, u64)>,
    /// The newest commit that an answer of the store has shown it.
    seen: CommitNumber,
}

/// One try of a process at one request.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    module: &'static str,
    /// The numbers of the changes and events that belong to it, as far as they were accepted.
    changes: BTreeSet<u64>,
    /// The number of its success, if it had one.
    success: Option<u64>,
    /// Its process has asked something for it.
    has_begun: bool,
    /// It was undone, as far as can be known outside.
    is_dead: bool,
    event: Option<Cursor>,
    /// An event before its own was not committed, so that its own is given again.
    is_in_vain: bool,
    /// What it has read last in a counter, and not used.
    read: Option<u64>,
    /// The caller, where there is only one.
    asked: Option<Recipient>,
    /// What its process had seen when it answered.
    seen: CommitNumber,
}

/// A request that a caller sent.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) open: bool,
    failed: bool,
    /// By when it must be answered.
    by: Time,
    key: Option<ScopedKey>,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// Work for a module.
    Work,
    Query,
    /// A counter is read for this attempt.
    Count(u64),
    /// A change or an event with this number; the attempt that it belongs to, if it does.
    Change(u64, Option<u64>),
    /// Answered at once.
    Other,
}

pub(super) struct World {
    core: Core,
    /// Processes sometimes end on purpose.
    pub(super) may_leave: bool,
    pub(super) now: Time,
    pub(super) story: Vec<String>,
    pub(super) store: Store,
    pub(super) processes: BTreeMap<RunId, Process>,
    pub(super) asked: BTreeMap<Recipient, Asked>,
    attempts: BTreeMap<u64, Attempt>,
    /// The attempt that a query belongs to, by the number in its entity.
    queries: BTreeMap<u64, u64>,
    /// Which attempt a change or an event belongs to.
    belongs: BTreeMap<u64, u64>,
    units: BTreeMap<UnitId, u64>,
    /// The attempt that each number of a success belongs to.
    successes: BTreeMap<u64, u64>,
    /// Successes whose commit is under way, by module.
    uncommitted: BTreeMap<&'static str, BTreeSet<u64>>,
    /// What a query must not overtake, by the number in its entity.
    follows: BTreeMap<u64, BTreeSet<u64>>,
    jobs: BTreeMap<RequestId, u64>,
    /// Up to where each module has handled its events.
    handled: BTreeMap<&'static str, Cursor>,
    /// What each subscribes to: that events are passed by is tested in the stories.
    patterns: BTreeMap<&'static str, Vec<String>>,
    reported: u64,
    /// What the outcome of the store can have seen that the core is handed now.
    last_seen: CommitNumber,
    /// An event without a number was refused just now.
    refused: bool,
    pub(super) generation: u64,
    pub(super) last: u64,
    seed: u64,
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

impl World {
    pub(super) fn new(seed: u64) -> Result<World, String> {
        let mut world = World {
            core: Core::new(settings(), seed),
            now: Time::ZERO,
            story: Vec::new(),
            store: Store::default(),
            processes: BTreeMap::new(),
            asked: BTreeMap::new(),
            attempts: BTreeMap::new(),
            queries: BTreeMap::new(),
            belongs: BTreeMap::new(),
            units: BTreeMap::new(),
            successes: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            follows: BTreeMap::new(),
            jobs: BTreeMap::new(),
            handled: BTreeMap::new(),
            patterns: [("a", Vec::new()), ("b", PATTERNS[seed as usize % 3].iter().map(ToString::to_string).collect())]
                .into(),
            reported: 0,
            last_seen: CommitNumber(0),
            refused: false,
            may_leave: true,
            generation: 1,
            last: 0,
            seed,
        };
        world.begin()?;
        Ok(world)
    }

    fn begin(&mut self) -> Checked {
        for module in MODULES {
            self.note(format!("module {module}"));
            let spec = self.spec(module);
            self.core.add_module(self.now, spec, InitialState::Running).map_err(|failure| failure.error)?;
        }
        self.carry_out()
    }

    fn spec(&self, module: &str) -> ModuleSpec {
        let mut spec = ModuleSpec::new(ModuleName::new(module).unwrap(), self.generation);
        spec.subscribe = self.patterns[module].iter().map(|text| pattern(text)).collect();
        spec.emit = vec![Pattern::new("x.*").unwrap()];
        let all = vec![Pattern::new("*").unwrap()];
        spec.entities =
            bulkhead_core::Entities { read: all.clone(), create: all.clone(), write: all.clone(), delete: all };
        spec.instances = if module == "a" { 2 } else { 1 };
        spec.rules.window = 3;
        spec.restart.breaker_failures = 1000;
        spec.rules.queue_max = 6;
        spec.rules.requests_max = 6;
        spec
    }

    pub(super) fn note(&mut self, text: String) {
        self.story.push(format!("{} {text}", self.now));
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// What is committed is flushed.
    pub(super) fn flush(&mut self) -> Checked {
        let upto = self.store.flush();
        self.note(format!("flushed up to {}", upto.0));
        self.core.handle_flushed(self.now, upto);
        self.carry_out()
    }

    /// A flush fails, and then the machine.
    pub(super) fn fail_flush(&mut self) -> Checked {
        self.note("the flush fails".into());
        self.core.handle_flush_failed(self.now, &Failure::new(ErrorCode::Internal, "the disk failed"));
        self.carry_out()?;
        self.cut()
    }

    /// The machine dies, and comes back with what was flushed.
    pub(super) fn cut(&mut self) -> Checked {
        self.note("the power is cut".into());
        self.store.cut();
        self.restart()
    }

    /// The host dies, and comes back on the same store.
    pub(super) fn crash(&mut self) -> Checked {
        self.note("the host dies".into());
        self.store.crash();
        self.restart()
    }

    fn restart(&mut self) -> Checked {
        self.processes.clear();
        self.asked.clear();
        for attempt in self.attempts.values_mut() {
            // What it had seen was on the disk at the next start, or is gone, and its success with it.
            (attempt.is_dead, attempt.seen) = (true, CommitNumber(0));
        }
        self.uncommitted.clear();
        self.jobs.clear();
        self.units.clear();
        self.reported = self.store.durable.events.len() as u64;
        self.last_seen = CommitNumber(0);
        // What the store knows is all that counts now; a power cut may have taken a whole subscription.
        self.handled.clear();
        for (module, cursor) in &self.store.durable.subscriptions {
            let module = MODULES.into_iter().find(|it| it == module).expect("one of them");
            self.handled.insert(module, *cursor);
        }
        self.core = Core::new(settings(), self.seed);
        self.begin()
    }

    pub(super) fn advance(&mut self, by: Duration) -> Checked {
        let to = self.now + by;
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            self.carry_out()?;
        }
        self.now = to;
        self.carry_out()
    }

    /// A client or a process asks something.
    pub(super) fn ask(&mut self, caller: Caller, request: Request, attempt: Option<u64>) -> Checked {
        self.note(format!("{caller:?} asks {request:?}"));
        let (id, number) = (request.id, self.last);
        let timeout = request.deadline_ms.map_or(ModuleRules::default().deadline_default, Duration::from_millis);
        let what = match (&request.kind, request.to.as_deref()) {
            (RequestType::Query, None) => {
                if let Caller::Run(run) = caller {
                    let module = self.processes[&run].module;
                    let before = self.uncommitted.get(module).cloned().unwrap_or_default();
                    self.follows.insert(self.last, before);
                }
                if let Some(attempt) = attempt {
                    self.queries.insert(self.last, attempt);
                }
                let counter = Query::read(&request.payload).ok().and_then(|query| counter_read(&query));
                match (attempt, counter) {
                    (Some(attempt), Some(_)) => What::Count(attempt),
                    _ => What::Query,
                }
            }
            (RequestType::Mutation, None) | (RequestType::Event, _) => What::Change(self.last, attempt),
            (RequestType::Command | RequestType::Query | RequestType::Mutation, Some(_)) => What::Work,
            _ => What::Other,
        };
        if let Some(attempt) = attempt
            && what != What::Other
        {
            self.attempts.get_mut(&attempt).expect("it is in progress").has_begun = true;
        }
        if let What::Change(number, Some(attempt)) = what {
            self.belongs.insert(number, attempt);
            if id.is_none() {
                self.attempts.get_mut(&attempt).expect("it is in progress").changes.insert(number);
            }
        }
        if let Some(id) = id {
            let key = request.key.clone().map(|key| {
                let caller = match caller {
                    Caller::Client(_) => None,
                    Caller::Run(run) => Some(ModuleName::new(self.processes[&run].module).expect("one of them")),
                };
                (caller, request.to.clone().unwrap_or_else(|| "layer1".into()), key)
            });
            let asked = Asked { open: true, failed: false, by: self.now + timeout, key, what };
            self.asked.insert(Recipient { caller, id }, asked);
        }
        self.refused = false;
        let to = id.map(|id| Recipient { caller, id });
        self.core.handle_request(self.now, caller, request);
        self.carry_out()?;
        let is_change = |asked: &Asked| matches!(asked.what, What::Change(..));
        let failed = to.and_then(|to| self.asked.get(&to)).is_some_and(|asked| is_change(asked) && asked.failed);
        if failed || self.refused {
            self.belongs.remove(&number);
            if let Some(attempt) = attempt {
                self.attempts.get_mut(&attempt).expect("it is in progress").changes.remove(&number);
            }
        }
        Ok(())
    }

    pub(super) fn has_read(&self, attempt: u64) -> bool {
        self.attempts[&attempt].read.is_some()
    }

    /// What an attempt has read in a counter and not used yet.
    pub(super) fn take_read(&mut self, attempt: u64) -> Option<u64> {
        self.attempts.get_mut(&attempt)?.read.take()
    }

    pub(super) fn hang_up(&mut self, client: ClientId) -> Checked {
        self.note(format!("{client:?} hangs up"));
        for (to, asked) in &mut self.asked {
            asked.open &= to.caller != Caller::Client(client);
        }
        self.core.handle_client_gone(self.now, client);
        self.carry_out()
    }

    pub(super) fn ready(&mut self, run: RunId, concurrent: bool) -> Checked {
        self.note(format!("ready {run}"));
        let process = self.processes.get_mut(&run).expect("it was picked");
        (process.is_ready, process.concurrent) = (true, concurrent);
        let features = if concurrent { r#"["concurrent"]"# } else { "[]" };
        let data = format!(r#"{{"name":"x","version":"1","protocol":1,"commands":["do"],"features":{features}}}"#);
        let response = Response::success(process.init.0, Json::parse(&data).unwrap());
        self.core.handle_response(self.now, run, response);
        self.carry_out()
    }

    /// A process answers its request in progress at this position; `None` is a success. Where it has begun with
    /// nothing else, it sometimes says that this was its last answer, and ends.
    pub(super) fn answer(&mut self, run: RunId, at: usize, error: Option<ErrorCode>) -> Checked {
        let success = self.number();
        let process = self.processes.get_mut(&run).expect("it was picked");
        let (id, attempt) = process.attribute.remove(at);
        let seen = process.seen;
        let has_begun = process.attribute.iter().any(|(_, attempt)| self.attempts[attempt].has_begun);
        let last = self.may_leave && at == 0 && !has_begun && success.is_multiple_of(7);
        process.is_ready &= !last;
        let record = self.attempts.get_mut(&attempt).expect("it is in progress");
        record.seen = seen;
        let status = match error {
            None => {
                record.success = Some(success);
                self.successes.insert(success, attempt);
                Status::Success(Json::parse(&success.to_string()).unwrap())
            }
            Some(code) => {
                record.is_dead = true;
                Failure::new(code, "it did not work").into()
            }
        };
        self.note(format!("{run} answers {id} (attempt {attempt}, last: {last}): {status:?}"));
        self.core.handle_response(self.now, run, Response { last, ..Response::new(id.0, status) });
        self.carry_out()?;
        if last { self.exit(run, success.is_multiple_of(2)) } else { Ok(()) }
    }

    pub(super) fn exit(&mut self, run: RunId, is_crash: bool) -> Checked {
        self.note(format!("{run} ends"));
        let process = self.processes.get_mut(&run).expect("it was picked");
        process.has_exited = true;
        for (_, attempt) in process.attribute.drain(..) {
            self.attempts.get_mut(&attempt).expect("it was in progress").is_dead = true;
        }
        for (to, asked) in &mut self.asked {
            asked.open &= to.caller != Caller::Run(run);
        }
        let exit = if is_crash { Exit::Signal("SIGSEGV".into()) } else { Exit::Code(0) };
        self.core.handle_exited(self.now, run, exit, Evidence::default());
        self.core.handle_gone(self.now, run);
        self.carry_out()
    }

    pub(super) fn work(&mut self, read: bool, mood: Mood) -> Checked {
        self.store.work(read, mood)
    }

    pub(super) fn report(&mut self, read: bool) -> Checked {
        let Some((job, outcome, seen)) = self.store.next_outcome(read) else { return Ok(()) };
        self.note(format!("stored {job}: {outcome:?}, seen up to {}", seen.0));
        self.last_seen = seen;
        if let Some(success) = self.jobs.remove(&job) {
            self.uncommitted.values_mut().for_each(|successes| {
                successes.remove(&success);
            });
            let attempt = &self.attempts[&self.successes[&success]];
            let module = attempt.module;
            match (attempt.event, &outcome) {
                (Some(cursor), StoreOutcome::Committed { .. }) => {
                    let handled = self.handled.entry(module).or_default();
                    *handled = (*handled).max(cursor);
                }
                (Some(cursor), _) => {
                    let follows = |it: &&mut Attempt| it.module == module && it.event > Some(cursor);
                    self.attempts.values_mut().filter(follows).for_each(|it| it.is_in_vain = true);
                    // Handled after it, before the core could know that the store has committed it all the same.
                    let handled = self.handled.entry(module).or_default();
                    *handled = (*handled).min(Cursor(cursor.0 - 1));
                }
                (None, _) => {}
            }
        }
        self.core.handle_stored(self.now, job, outcome, seen);
        let carried = self.carry_out();
        self.last_seen = CommitNumber(0);
        carried
    }

    pub(super) fn order(&mut self, what: &str, module: &str) -> Checked {
        self.note(format!("{what} {module}"));
        let timeout = Duration::from_secs(60);
        match what {
            "start" => self.core.handle_start(self.now, None, module, timeout),
            "stop" => self.core.handle_stop(self.now, None, module, timeout),
            "restart" => self.core.handle_restart(self.now, None, module, timeout),
            "reload" => {
                self.generation += 1;
                let spec = self.spec(module);
                self.core.handle_reload(self.now, None, spec, timeout);
            }
            _ => self.core.handle_shutdown(self.now),
        }
        self.carry_out()
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    fn carry_out(&mut self) -> Checked {
        while let Some(action) = self.core.poll_action() {
            self.note(format!("> {action:?}"));
            self.follow(action)?;
        }
        if self.story.len().is_multiple_of(3) {
            self.core.audit();
        }
        match self.asked.iter().find(|(_, asked)| asked.open && asked.by < self.now) {
            Some((to, asked)) => Err(format!("{to:?} is not answered although its timeout has ended: {asked:?}")),
            None => Ok(()),
        }
    }

    fn follow(&mut self, action: Action) -> Checked {
        match action {
            Action::Spawn { run, module, .. } => {
                let module = MODULES.into_iter().find(|it| *it == module.as_str()).expect("one of them");
                let process = Process {
                    module,
                    init: RequestId(0),
                    is_ready: false,
                    has_exited: false,
                    concurrent: false,
                    attribute: Vec::new(),
                    seen: CommitNumber(0),
                };
                self.processes.insert(run, process);
            }
            Action::SendControl { run, id, control: Control::Init } => {
                self.processes.get_mut(&run).expect("it was started").init = id;
            }
            Action::SendControl { run, id, control: Control::Ping } => {
                self.core.handle_response(self.now, run, Response::success(id.0, Json::null()));
            }
            Action::Send { run, request } => return self.sent(run, request),
            Action::Reply { to, status } => return self.replied(to, status),
            Action::Release(run) => {
                self.processes.remove(&run);
            }
            Action::Sample(run) => self.core.handle_sample(self.now, run, None),
            Action::LookForTracer(run) => self.core.handle_tracer(self.now, run, None),
            Action::Store { job, op } => return self.asked_of_store(job, *op),
            Action::NotifyFollowers(event) => {
                let missing = |cursor: &u64| !self.store.unreported.contains(&Cursor(*cursor));
                if event.cursor.0 <= self.reported || (self.reported + 1..event.cursor.0).any(|cursor| missing(&cursor))
                {
                    return Err(format!("reported {} after {}", event.cursor, self.reported));
                }
                if event.cursor.0 > self.store.flushed.events.len() as u64 {
                    return Err(format!("reported {}, which is not on the disk", event.cursor));
                }
                self.reported = event.cursor.0;
            }
            Action::SendControl { .. }
            | Action::HastenCommits
            | Action::Terminate(_)
            | Action::Kill(_)
            | Action::Announce(_)
            | Action::RecordCrash(_)
            | Action::Quarantine { .. }
            | Action::Removed(_) => {}
            Action::LogLine { .. } => {}
            Action::EventRefused { .. } => self.refused = true,
            Action::Warn(_) => {}
        }
        Ok(())
    }

    fn sent(&mut self, run: RunId, request: RequestId) -> Checked {
        let (wire, _) = self.core.outgoing(request).ok_or("it cannot be read")?;
        let (kind, payload) = (wire.kind.clone(), wire.payload.to_owned());
        let cursor = payload.split_once(",\"cursor\":").map(|(_, rest)| rest.trim_end_matches('}').parse().unwrap());
        let attempt = self.number();
        let process = self.processes.get_mut(&run).ok_or("to no process")?;
        if process.has_exited || !process.is_ready {
            return Err("to a process that is not ready".into());
        }
        process.attribute.push((request, attempt));
        let (module, event) = (process.module, cursor.map(Cursor));
        let asked = payload.split("asked:").nth(1).map(|rest| {
            let mut parts = rest.trim_end_matches(['"', '}']).split(':').map(|part| part.parse().unwrap());
            Recipient { caller: Caller::Client(ClientId(parts.next().unwrap())), id: parts.next().unwrap() }
        });
        self.attempts.insert(attempt, Attempt { module, event, asked, ..Attempt::default() });
        if kind == RequestType::Event && event.is_none() {
            return Err(format!("an event that is not stored: {payload}"));
        }
        let Some(cursor) = event else { return Ok(()) };
        self.note_handled(module);
        let is_done =
            |next: Cursor| self.is_being_committed(module, next) || self.is_answered_without_changes(module, next);
        match self.events_after_handled(module).into_iter().find(|next| !is_done(*next)) {
            Some(next) if next == cursor => Ok(()),
            next => Err(format!("{module} is given {cursor}, its next is {next:?}")),
        }
    }

    /// Whether the module has succeeded with an event, and the commit of that is under way.
    fn is_being_committed(&self, module: &'static str, event: Cursor) -> bool {
        let of = |success: &u64| self.attempts[&self.successes[success]].event == Some(event);
        self.uncommitted.get(module).is_some_and(|them| them.iter().any(of))
    }

    /// An event is handled once it is answered with success and nothing of it is to be committed.
    pub(super) fn note_handled(&mut self, module: &'static str) {
        while let Some(next) = self.next_event(module, None) {
            if !self.is_answered_without_changes(module, next) {
                return;
            }
            self.handled.insert(module, next);
        }
    }

    fn is_answered_without_changes(&self, module: &'static str, event: Cursor) -> bool {
        self.answers_without_changes(module, event).any(|attempt| !attempt.is_in_vain)
    }

    fn answers_without_changes(&self, module: &'static str, event: Cursor) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter_map(move |(id, attempt)| {
            let is_it = attempt.event == Some(event)
                && attempt.module == module
                && attempt.success.is_some()
                && !attempt.is_dead
                && self.belongs.values().all(|it| it != id);
            is_it.then_some(attempt)
        })
    }

    /// The next event that a module has to handle, up to this one.
    pub(super) fn next_event(&self, module: &'static str, upto: Option<Cursor>) -> Option<Cursor> {
        self.events_after_handled(module).first().copied().filter(|next| upto.is_none_or(|upto| *next <= upto))
    }

    /// The events that a module has to handle.
    fn events_after_handled(&self, module: &'static str) -> Vec<Cursor> {
        let known = self.store.durable.subscriptions.get(module).copied().unwrap_or_default();
        let handled = self.handled.get(module).copied().unwrap_or_default().max(known);
        let patterns: Vec<Pattern> = self.patterns[module].iter().map(|text| pattern(text)).collect();
        let wanted = |event: &&StoredEvent| {
            event.cursor > handled && patterns.iter().any(|pattern| pattern.matches(&event.event))
        };
        self.store.durable.events.iter().filter(wanted).map(|event| event.cursor).collect()
    }

    fn asked_of_store(&mut self, job: RequestId, op: StoreOp) -> Checked {
        match &op {
            // Counters are alike, and may be answered from memory.
            StoreOp::Query { query, .. } if counter_read(query).is_some() => {}
            StoreOp::Query { unit, query } => {
                let asked = number(query.needs()[0].entity.as_str());
                let before = self.follows.remove(&asked).unwrap_or_default();
                let still = |success: &&u64| self.uncommitted.values().any(|them| them.contains(success));
                if let Some(success) = before.iter().find(still) {
                    return Err(format!("query {asked} overtakes the commit of success {success}"));
                }
                match (unit, self.queries.get(&asked).copied()) {
                    (None, None) => {}
                    (Some(unit), Some(attempt)) if *self.units.entry(*unit).or_insert(attempt) == attempt => {}
                    (unit, attempt) => return Err(format!("a query of attempt {attempt:?} in unit {unit:?}")),
                }
            }
            StoreOp::Mutate { unit, mutation, .. } => {
                let attempt = self.belongs.get(&numbers(mutation)[0]).copied();
                match (unit, attempt) {
                    (None, None) => {}
                    (Some(unit), Some(attempt)) if *self.units.entry(*unit).or_insert(attempt) == attempt => {}
                    (unit, attempt) => return Err(format!("a change of attempt {attempt:?} in unit {unit:?}")),
                }
            }
            StoreOp::Commit { .. } => self.commits(job, &op)?,
            StoreOp::Advance { module, cursor, .. } => self.advanced(module.as_str(), *cursor)?,
            StoreOp::SetAside { module, cursor, attempts, .. } => {
                let module = MODULES.into_iter().find(|it| *it == module.as_str()).expect("one of them");
                self.note_handled(module);
                if *attempts < 5 || self.next_event(module, None) != Some(*cursor) {
                    return Err(format!("{cursor} is set aside after {attempts} attempts"));
                }
                self.handled.insert(module, *cursor);
            }
            _ => {}
        }
        self.store.accept(job, op)
    }

    /// What is reported to the store as handled must be.
    fn advanced(&mut self, module: &str, cursor: Cursor) -> Checked {
        let module = MODULES.into_iter().find(|it| *it == module).expect("one of them");
        self.note_handled(module);
        match self.next_event(module, Some(cursor)) {
            None => Ok(()),
            Some(next) => Err(format!("{module} is said to have got to {cursor}, but {next} was not handled")),
        }
    }

    fn commits(&mut self, job: RequestId, op: &StoreOp) -> Checked {
        let StoreOp::Commit { unit, events, key, advance } = op else { return Ok(()) };
        let by_unit = self.units.get(unit).copied();
        let by_key = key.as_ref().and_then(|(_, reply)| self.successes.get(&reply.read::<u64>().unwrap()).copied());
        let by_event = events.first().and_then(|event| self.belongs.get(&number(&event.event)).copied());
        if let Some(Advance { module, cursor, after }) = advance {
            let module = MODULES.into_iter().find(|it| *it == module.as_str()).expect("one of them");
            self.note_handled(module);
            // What is being committed before it has to be, which the store checks; where that has failed, it refuses.
            let before: Vec<Cursor> =
                self.events_after_handled(module).into_iter().filter(|event| event < cursor).collect();
            let is_refused = before.iter().any(|event| event <= after && !self.is_being_committed(module, *event));
            // Also one that is given again because the core does not know that the store has committed those before it.
            let is_answered = |event: Cursor| self.answers_without_changes(module, event).next().is_some();
            let is_missing = |event: &&Cursor| *event > after && !is_answered(**event);
            if let Some(event) = before.iter().find(is_missing).filter(|_| !is_refused) {
                return Err(format!("{module} is committed to have got to {cursor}, but {event} was not handled"));
            }
            if after >= cursor {
                return Err(format!("{module}'s event {cursor} is to be committed after {after}"));
            }
        }
        let known: Vec<u64> = [by_unit, by_key, by_event].into_iter().flatten().collect();
        let Some(&attempt) = known.first() else { return Err("a commit of nothing".into()) };
        if known.iter().any(|other| *other != attempt) {
            return Err(format!("a commit of several attempts: {known:?}"));
        }
        let record = &self.attempts[&attempt];
        let Some(success) = record.success else { return Err(format!("attempt {attempt} has not succeeded")) };
        if record.is_dead {
            return Err(format!("attempt {attempt} was undone"));
        }
        self.uncommitted.entry(record.module).or_default().insert(success);
        self.jobs.insert(job, success);
        Ok(())
    }

    fn replied(&mut self, to: Recipient, status: Status) -> Checked {
        let asked = self.asked.get_mut(&to).ok_or("no caller asked")?;
        if !asked.open {
            return Err("it was answered before, or its caller has gone".into());
        }
        asked.open = false;
        asked.failed = matches!(status, Status::Error(_));
        let (what, key) = (asked.what.clone(), asked.key.clone());
        // A client gets what is on the disk, a module what is committed.
        let durable = match to.caller {
            Caller::Client(_) => &self.store.flushed,
            Caller::Run(run) => {
                if let (Some(process), What::Query | What::Count(_) | What::Change(..)) =
                    (self.processes.get_mut(&run), &what)
                {
                    process.seen = process.seen.max(self.last_seen);
                }
                &self.store.durable
            }
        };
        match (what, status) {
            (What::Change(number, Some(attempt)), Status::Success(_)) => {
                self.attempts.get_mut(&attempt).expect("it was in progress").changes.insert(number);
            }
            (What::Change(number, None), Status::Success(data)) => {
                let done = match &key {
                    None => durable.changes.contains(&number),
                    Some(key) => durable.keys.get(key).is_some_and(|(_, reply)| *reply == data),
                };
                if !done {
                    return Err(format!("change {number} is not stored, or its key has another answer"));
                }
            }
            (What::Change(_, Some(attempt)), Status::Error(_)) if self.attempts[&attempt].success.is_some() => {
                // The module had answered: it cannot know, so nothing of it may be committed.
                self.attempts.get_mut(&attempt).expect("it was in progress").is_dead = true;
            }
            (What::Change(number, Some(_)), Status::Error(failure))
                if failure.delivery == Some(Delivery::NotStarted) =>
            {
                self.belongs.remove(&number);
            }
            (What::Work, Status::Success(data)) => return self.work_done(&key, &data),
            (What::Work, Status::Error(failure)) => {
                let begun = |attempt: &Attempt| attempt.asked == Some(to) && attempt.has_begun;
                if failure.delivery == Some(Delivery::NotStarted) && self.attempts.values().any(begun) {
                    return Err("it says that it was not started, but it was".into());
                }
                // What was done for it so far must not be committed any more.
                let mine = |attempt: &&mut Attempt| attempt.asked == Some(to) && attempt.success.is_none();
                self.attempts.values_mut().filter(mine).for_each(|attempt| attempt.is_dead = true);
            }
            (What::Count(attempt), Status::Success(data)) => {
                self.attempts.get_mut(&attempt).expect("it was in progress").read = data.read().ok();
            }
            (_, Status::Progress(_)) => return Err("no process reports progress here".into()),
            (What::Query | What::Count(_) | What::Other | What::Change(..), Status::Success(_) | Status::Error(_)) => {}
        }
        Ok(())
    }

    /// A success is the success of something that is stored, whole.
    fn work_done(&self, key: &Option<ScopedKey>, data: &Json) -> Checked {
        let success: u64 = data.read().unwrap();
        let durable = &self.store.flushed;
        if let Some(key) = key {
            let stored = durable.keys.get(key).map(|(_, reply)| reply);
            if stored != Some(data) {
                return Err(format!("{key:?} is answered with {data:?}, stored is {stored:?}"));
            }
        }
        let Some(attempt) = self.successes.get(&success) else {
            return if key.is_some() { Ok(()) } else { Err("no process succeeded with that".into()) };
        };
        let Attempt { changes, seen, .. } = &self.attempts[attempt];
        if *seen > self.store.flushed_number() {
            return Err(format!("success {success} has seen {seen:?}, which is not on the disk"));
        }
        match changes.iter().find(|change| !durable.changes.contains(change)) {
            Some(change) => Err(format!("success {success}, but its change {change} is not stored")),
            None => Ok(()),
        }
    }

    /// What must hold of the store's content: nothing is half there, nothing of what was undone, nothing twice.
    pub(super) fn judge_store(&self) -> Checked {
        let durable = &self.store.durable;
        if let Some((key, count)) = durable.done.iter().find(|(_, count)| **count > 1) {
            return Err(format!("the work of {key:?} was done {count} times"));
        }
        for (id, attempt) in &self.attempts {
            let there = attempt.changes.iter().filter(|change| durable.changes.contains(change)).count();
            if there > 0 && there < attempt.changes.len() {
                return Err(format!("of attempt {id} only {there} changes are there: {attempt:?}"));
            }
            if there > 0 && attempt.success.is_none() {
                return Err(format!("attempt {id} did not succeed, and its changes are there: {attempt:?}"));
            }
        }
        Ok(())
    }
}

fn settings() -> HostSettings {
    HostSettings {
        restarts_per_second: 1_000_000,
        restarts_burst: 1_000_000,
        starts_at_once: 2,
        client_requests_max: 8,
        ..HostSettings::default()
    }
}
