//! Processes that contend for the same counters, on a store without faults: in any order of events, every
//! caller gets a success, no request is run more often than it says, and nothing waits for ever. Time stands
//! still, so that nothing is ended by timeout.

use super::store::{Mood, Store};
use crate::random;
use bulkhead_core::{
    Action, Caller, ClientId, Control, Core, Entities, HostSettings, InitialState, ModuleSpec, Recipient, RequestId,
    RunId, Time,
};
use bulkhead_protocol::{Json, ModuleName, Pattern, Request, RequestType, Response, Status};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

/// How often a request is run at most: it loses three times, and then takes precedence.
const RUNS_MAX: u32 = 4;

const CLIENT: Caller = Caller::Client(ClientId(1));

#[derive(Clone, Debug)]
struct Case {
    instances: u32,
    concurrent: bool,
    window: usize,
    /// What each request does: which counter, whether it only reads, hurries, or calls.
    works: Vec<u8>,
    choices: Vec<u16>,
}

fn cases() -> impl Strategy<Value = Case> {
    (1..=4u32, any::<bool>(), 1..=6usize, vec(any::<u8>(), 1..40), vec(any::<u16>(), 0..400)).prop_map(
        |(instances, concurrent, window, works, choices)| Case { instances, concurrent, window, works, choices },
    )
}

#[test]
fn requests_that_contend_all_succeed_and_lose_three_times_at_most() {
    random::run(500, cases(), |case| {
        if Contention::new(&case, None).play(&case.choices).is_ok() {
            return Ok(());
        }
        // Recording the story of each play costs more than the play.
        Contention::new(&case, Some(Vec::new())).play(&case.choices).map_err(TestCaseError::fail)
    });
}

/// How far a process has got with a request.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Begin,
    Read(u64),
    Called(u64),
    Changed(u64),
}

#[derive(Debug)]
struct Task {
    request: RequestId,
    work: u8,
    step: Step,
    /// It waits for an answer from the host.
    asks: bool,
}

#[derive(Debug)]
struct Process {
    module: &'static str,
    tasks: Vec<Task>,
}

struct Contention {
    core: Core,
    store: Store,
    concurrent: bool,
    processes: BTreeMap<RunId, Process>,
    /// Which request of a process waits under which number.
    asked: BTreeMap<Recipient, RequestId>,
    /// How often each request was sent to a process.
    runs: BTreeMap<RequestId, u32>,
    unanswered: usize,
    number: u64,
    /// What happened, if it is recorded.
    story: Option<Vec<String>>,
    wrong: Option<String>,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Write,
    Read,
    Report,
    Step(RunId, usize),
}

impl Contention {
    fn new(case: &Case, story: Option<Vec<String>>) -> Contention {
        let mut world = Contention {
            core: Core::new(HostSettings { client_requests_max: 100, ..HostSettings::default() }, 1),
            store: Store::default(),
            concurrent: case.concurrent,
            processes: BTreeMap::new(),
            asked: BTreeMap::new(),
            runs: BTreeMap::new(),
            unanswered: 0,
            number: 0,
            story,
            wrong: None,
        };
        for (module, call) in [("a", vec!["b".to_owned()]), ("b", Vec::new())] {
            let mut spec = ModuleSpec::new(ModuleName::new(module).unwrap(), 1);
            let all = vec![Pattern::new("*").unwrap()];
            spec.entities = Entities { read: all.clone(), create: all.clone(), write: all.clone(), delete: all };
            (spec.instances, spec.rules.window, spec.call) = (case.instances, case.window, call);
            world.core.add_module(Time::ZERO, spec, InitialState::Running).unwrap();
            world.carry_out();
        }
        for work in &case.works {
            world.work(CLIENT, *work, "a", None);
        }
        world
    }

    /// Sends work to a module, under a key of its own.
    fn work(&mut self, caller: Caller, work: u8, module: &str, of: Option<RequestId>) -> Recipient {
        self.number += 1;
        let payload = Json::parse(&format!(r#"{{"name":"do","args":"{work}"}}"#)).unwrap();
        let mut request = Request::new(self.number, RequestType::Command, payload).to(module);
        request.key = Some(format!("key {}", self.number));
        request.of = of.map(|id| id.0);
        let id = self.number;
        self.unanswered += usize::from(caller == CLIENT);
        self.core.handle_request(Time::ZERO, caller, request);
        self.carry_out();
        Recipient { caller, id }
    }

    fn play(mut self, choices: &[u16]) -> Result<(), String> {
        let class = self.run(choices).and_then(|()| self.judge());
        class.map_err(|wrong| format!("{wrong}\n{}", self.story.unwrap_or_default().join("\n")))
    }

    /// Lets one thing after the other happen, as chosen, and round-robin when the choices are used up.
    fn run(&mut self, choices: &[u16]) -> Result<(), String> {
        let round_robin = (0u16..).map(|number| number.wrapping_mul(7919));
        for choice in choices.iter().copied().chain(round_robin).take(100_000) {
            let events = self.events();
            let Some(event) = events.get(usize::from(choice) % events.len().max(1)) else { return Ok(()) };
            self.happens(*event);
            if choice.is_multiple_of(8) {
                self.core.audit();
            }
            if let Some(wrong) = self.wrong.take() {
                return Err(wrong);
            }
        }
        Err("it never comes to an end".into())
    }

    fn judge(&self) -> Result<(), String> {
        if self.unanswered > 0 {
            return Err(format!("{} requests wait for ever", self.unanswered));
        }
        match self.runs.iter().find(|(_, runs)| **runs > RUNS_MAX) {
            Some((request, runs)) => Err(format!("{request} was run {runs} times")),
            None => Ok(()),
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let (reads, writes, outcomes) = self.store.waiting();
        events.extend((writes > 0).then_some(Event::Write));
        events.extend((reads > 0).then_some(Event::Read));
        events.extend((outcomes > 0).then_some(Event::Report));
        for (run, process) in &self.processes {
            let at_once = if self.concurrent { process.tasks.len() } else { 1 };
            let tasks = process.tasks.iter().take(at_once).enumerate();
            events.extend(tasks.filter(|(_, task)| !task.asks).map(|(at, _)| Event::Step(*run, at)));
        }
        events
    }

    fn happens(&mut self, event: Event) {
        if let Some(story) = &mut self.story {
            story.push(format!("{event:?}"));
        }
        match event {
            Event::Write => self.store.work(false, Mood::Works).unwrap_or_else(|wrong| self.wrong = Some(wrong)),
            Event::Read => self.store.work(true, Mood::Works).unwrap_or_else(|wrong| self.wrong = Some(wrong)),
            Event::Report => {
                let (job, outcome, seen) = self.store.next_outcome(true).expect("there is one");
                self.core.handle_stored(Time::ZERO, job, outcome, seen);
                let upto = self.store.flush();
                self.core.handle_flushed(Time::ZERO, upto);
            }
            Event::Step(run, at) => self.step(run, at),
        }
        self.carry_out();
    }

    /// A process reads a counter, perhaps calls another module meanwhile, writes one more, and answers.
    fn step(&mut self, run: RunId, at: usize) {
        let process = self.processes.get_mut(&run).expect("it was listed");
        let module = process.module;
        let task = &mut process.tasks[at];
        let (request, work, step) = (task.request, task.work, task.step.clone());
        let counter = if module == "b" { 2 } else { u8::from(work.is_multiple_of(4)) };
        let (only_reads, calls) = (work / 4 % 8 == 0, module == "a" && work / 32 % 3 == 0);
        let id = format!("01981f6e-0000-7e3b-9f00-5d2c8a4b6e7{counter}");
        match step {
            Step::Begin if (1..3).contains(&(work / 4 % 8)) => self.hurry(run, request, at, work / 4 % 8 == 1),
            Step::Begin => self.ask_store(run, request, RequestType::Query, format!(r#"{{"entity":"E","id":"{id}"}}"#)),
            Step::Read(count) if only_reads => self.answer(run, at, count),
            Step::Read(count) if calls => {
                self.set(run, request, Step::Called(count));
                let to = self.work(Caller::Run(run), 4, "b", Some(request));
                self.asked.insert(to, request);
            }
            Step::Read(count) | Step::Called(count) => {
                self.number += 1;
                let (name, count) = (self.number, count + 1);
                let data = format!(r#""operation":"update","id":"{id}","data":{{"n":{count},"of":{name}}}"#);
                self.set(run, request, Step::Changed(count));
                self.ask_store(run, request, RequestType::Mutation, format!(r#"{{"entity":"E",{data}}}"#));
            }
            Step::Changed(count) => self.answer(run, at, count),
        }
    }

    /// A process asks the store something and answers without waiting for the outcome.
    fn hurry(&mut self, run: RunId, request: RequestId, at: usize, reads: bool) {
        let name = self.number + 1;
        match reads {
            true => self.ask_store(run, request, RequestType::Query, format!(r#"{{"entity":"E{name}"}}"#)),
            false => {
                let payload = format!(r#"{{"entity":"E{name}","operation":"create","data":{{}}}}"#);
                self.ask_store(run, request, RequestType::Mutation, payload);
            }
        }
        self.answer(run, at, 0);
    }

    /// A process waits for an answer, and then goes on with this step.
    fn set(&mut self, run: RunId, request: RequestId, step: Step) {
        let task = self.task(run, request).expect("it is in progress");
        (task.asks, task.step) = (true, step);
    }

    fn task(&mut self, run: RunId, request: RequestId) -> Option<&mut Task> {
        self.processes.get_mut(&run)?.tasks.iter_mut().find(|task| task.request == request)
    }

    fn ask_store(&mut self, run: RunId, request: RequestId, kind: RequestType, payload: String) {
        self.number += 1;
        let mut asks = Request::new(self.number, kind, Json::parse(&payload).unwrap());
        asks.of = Some(request.0);
        self.task(run, request).expect("it is in progress").asks = true;
        self.asked.insert(Recipient { caller: Caller::Run(run), id: self.number }, request);
        self.core.handle_request(Time::ZERO, Caller::Run(run), asks);
    }

    fn answer(&mut self, run: RunId, at: usize, count: u64) {
        let task = self.processes.get_mut(&run).expect("it was listed").tasks.remove(at);
        let response = Response::success(task.request.0, Json::parse(&count.to_string()).unwrap());
        self.core.handle_response(Time::ZERO, run, response);
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if let Some(story) = &mut self.story {
                story.push(format!("> {action:?}"));
            }
            self.follow(action);
        }
    }

    fn follow(&mut self, action: Action) {
        match action {
            Action::Spawn { run, module, .. } => {
                let module = if module.as_str() == "a" { "a" } else { "b" };
                self.processes.insert(run, Process { module, tasks: Vec::new() });
            }
            Action::SendControl { run, id, control: Control::Init } => {
                let features = if self.concurrent { r#"["concurrent"]"# } else { "[]" };
                let data = format!(r#"{{"name":"x","version":"1","protocol":1,"features":{features}}}"#);
                self.core.handle_response(Time::ZERO, run, Response::success(id.0, Json::parse(&data).unwrap()));
            }
            Action::Send { run, request } => {
                let (wire, _) = self.core.outgoing(request).expect("what is sent just now can be read");
                let digits: String = wire.payload.chars().filter(char::is_ascii_digit).collect();
                let task = Task { request, work: digits.parse().unwrap(), step: Step::Begin, asks: false };
                *self.runs.entry(request).or_default() += 1;
                self.processes.get_mut(&run).expect("it was started").tasks.push(task);
            }
            Action::Store { job, op } => {
                self.store.accept(job, *op).unwrap_or_else(|wrong| self.wrong = Some(wrong));
            }
            Action::Reply { to, status: Status::Success(data) } => self.replied(to, &data),
            Action::Reply { to, status } => self.wrong = Some(format!("{to:?} is answered {status:?}")),
            _ => {}
        }
    }

    fn replied(&mut self, to: Recipient, data: &Json) {
        let Caller::Run(run) = to.caller else {
            self.unanswered -= 1;
            return;
        };
        let request = self.asked.remove(&to).expect("it was asked");
        // Otherwise it was answered in a hurry.
        let Some(task) = self.task(run, request) else { return };
        task.asks = false;
        if task.step == Step::Begin {
            task.step = Step::Read(data.read().expect("a number was read"));
        }
    }
}
