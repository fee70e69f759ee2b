//! Plays lines of a script to a core under simulated time: a step forward in time fires every
//! timer at its own moment. What the lines should lead to is not decided here.

use crate::{
    line::{Line, duration},
    spec::{name, spec},
    store::Jobs,
};
use bulkhead_core::{
    Action, Caller, ClientId, CommitNumber, Condition, Control, Core, Descriptors, Evidence, HostSettings,
    InitialState, MemoryKill, Need, Recipient, RequestId, RunId, SpawnFailure, Time, Tracer,
};
use bulkhead_protocol::{ErrorCode, Exit, Failure, Json, Request, RequestType, Response, Status};
use std::{collections::HashMap, time::Duration};

/// Timeout of a wait that names none.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An id that no request ever has.
const STRANGER: u64 = 1 << 52;

/// Something that the core asked for, and when.
pub(crate) type Happened = (Time, Action);

/// A core, and the names by which a script refers to what is in it.
pub(crate) struct Player {
    pub(crate) core: Core,
    pub(crate) settings: HostSettings,
    pub(crate) now: Time,
    labels: HashMap<RequestId, String>,
    sent: HashMap<(RunId, String), RequestId>,
    runs: HashMap<String, RunId>,
    instances: HashMap<RunId, String>,
    controls: HashMap<(RunId, String), RequestId>,
    cpu: HashMap<RunId, Duration>,
    tracers: HashMap<RunId, Tracer>,
    /// Whether the story shows looks for tracers.
    looks_are_reported: bool,
    /// Whether it also answers them.
    looks_take_time: bool,
    pub(crate) jobs: Jobs,
    happened: Vec<Happened>,
}

/// The name of a request in a script, which it carries in its payload.
pub(crate) fn label_of(payload: &str) -> String {
    if let Some((event, cursor)) = payload.split_once(",\"cursor\":") {
        let name = event.split('"').nth(3).expect("an event has a name");
        return format!("{name}@{}", cursor.trim_end_matches('}'));
    }
    let end = payload.split('"').rev().nth(1).unwrap_or(payload);
    end.trim_end_matches('.').to_owned()
}

impl Player {
    pub(crate) fn new(settings: HostSettings, seed: u64) -> Player {
        Player {
            core: Core::new(settings, seed),
            settings,
            now: Time::ZERO,
            labels: HashMap::new(),
            sent: HashMap::new(),
            runs: HashMap::new(),
            instances: HashMap::new(),
            controls: HashMap::new(),
            cpu: HashMap::new(),
            tracers: HashMap::new(),
            looks_are_reported: false,
            looks_take_time: false,
            jobs: Jobs::default(),
            happened: Vec::new(),
        }
    }

    pub(crate) fn instance(&self, run: RunId) -> &str {
        self.instances.get(&run).map_or("?", String::as_str)
    }

    pub(crate) fn label(&self, request: RequestId) -> &str {
        self.labels.get(&request).map_or("?", String::as_str)
    }

    /// Fires every timer up to `to`, each at its moment.
    pub(crate) fn advance(&mut self, to: Time) -> Vec<Happened> {
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            self.carry_out();
            let next = self.core.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer that rang at {} is due at {next:?}", self.now);
        }
        self.now = self.now.max(to);
        std::mem::take(&mut self.happened)
    }

    /// Plays one line at the present moment.
    pub(crate) fn play(&mut self, line: &Line) -> Vec<Happened> {
        self.input(line);
        self.carry_out();
        std::mem::take(&mut self.happened)
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match &action {
                Action::Spawn { run, instance, .. } => {
                    self.runs.insert(instance.clone(), *run);
                    self.instances.insert(*run, instance.clone());
                }
                Action::Send { run, request } => {
                    let (wire, _) = self.core.outgoing(*request).expect("what is sent just now can be read");
                    let label = label_of(wire.payload);
                    self.labels.insert(*request, label.clone());
                    self.sent.insert((*run, label), *request);
                }
                Action::SendControl { run, id, control } => {
                    let what = match control {
                        Control::Init => "init".to_owned(),
                        Control::Ping => "ping".to_owned(),
                        Control::Shutdown => "shutdown".to_owned(),
                        Control::Cancel(request) => format!("cancel:{}", self.label(*request)),
                    };
                    self.controls.insert((*run, what), *id);
                }
                Action::Store { job, op } => self.jobs.note(*job, op),
                // How soon something is committed is of no interest to the stories.
                Action::HastenCommits => continue,
                Action::LookForTracer(run) => {
                    if !self.looks_take_time {
                        self.core.handle_tracer(self.now, *run, self.tracers.get(run).cloned());
                    }
                    // Most stories are about other things.
                    if !self.looks_are_reported {
                        continue;
                    }
                }
                Action::Sample(run) => self.core.handle_sample(self.now, *run, self.cpu.get(run).copied()),
                _ => {}
            }
            self.happened.push((self.now, action));
        }
    }

    fn run(&self, instance: &str) -> RunId {
        *self.runs.get(instance).unwrap_or_else(|| panic!("there is no process {instance}"))
    }

    fn caller(&self, text: &str) -> Caller {
        match text.strip_prefix('c').and_then(|number| number.parse().ok()) {
            Some(number) => Caller::Client(ClientId(number)),
            None => Caller::Run(self.run(text)),
        }
    }

    /// Reads `c1:7` or `a#1:7`.
    fn recipient(&self, text: &str) -> Recipient {
        let (caller, id) = text.rsplit_once(':').unwrap_or_else(|| panic!("no caller and number: {text:?}"));
        Recipient { caller: self.caller(caller), id: id.parse().unwrap_or_else(|_| panic!("no number: {text:?}")) }
    }

    fn input(&mut self, line: &Line) {
        let now = self.now;
        let by = line.option("by").map(|by| self.recipient(by));
        let timeout = line.option("for").map_or(TIMEOUT, duration);
        match line.word(0) {
            "module" => {
                let initial = match line.words.get(2).map(String::as_str) {
                    Some("stopped") => InitialState::Stopped,
                    _ => InitialState::Running,
                };
                if let Err(failure) = self.core.add_module(now, spec(line), initial) {
                    panic!("{}", failure.error);
                }
            }
            "reload" => self.core.handle_reload(now, by, spec(line), timeout),
            "start" => self.core.handle_start(now, by, line.word(1), timeout),
            "stop" => self.core.handle_stop(now, by, line.word(1), timeout),
            "restart" => self.core.handle_restart(now, by, line.word(1), timeout),
            "remove" => self.core.handle_remove(now, &name(line.word(1))),
            // The host does not run: no timer fires. What comes next was in the channels.
            "pause" => {
                let gap = duration(line.word(1));
                self.now = now + gap;
                self.core.handle_late(self.now, gap);
            }
            "shutdown" => self.core.handle_shutdown(now),
            "looks-are-reported" => self.looks_are_reported = true,
            "looks-take-time" => (self.looks_are_reported, self.looks_take_time) = (true, true),
            "trace" => {
                let tracer = Tracer { pid: 4711, name: line.word(2).to_owned() };
                self.tracers.insert(self.run(line.word(1)), tracer);
            }
            "untrace" => {
                self.tracers.remove(&self.run(line.word(1)));
            }
            "looked" => {
                let run = self.run(line.word(1));
                self.core.handle_tracer(now, run, self.tracers.get(&run).cloned());
            }
            "leader-ended" => self.core.handle_leader_ended(now, self.run(line.word(1))),
            "lack" => self.core.handle_lack(need(line.word(1)), line.word(2)),
            "able" => self.core.handle_able(now, &need(line.word(1))),
            "descriptors" => {
                let number = |name| line.number(name).unwrap_or(0);
                let (limit, reserved, beside) = (number("limit"), number("reserved"), number("beside"));
                let reserved_then = line.number("then").unwrap_or(reserved);
                self.core.handle_descriptors(now, Descriptors { limit, reserved, reserved_then, beside });
            }
            "announce" => {
                let payload = Json::parse(&format!(r#"{{"event":"{}"}}"#, line.word(1))).unwrap();
                self.core.publish(now, payload).unwrap_or_else(|failure| panic!("{}", failure.error));
            }
            "wait" => {
                let condition = match line.word(2) {
                    "ready" => Condition::Ready,
                    "stopped" => Condition::Stopped,
                    other => panic!("no condition: {other:?}"),
                };
                self.core.handle_wait(now, by.expect("by=…"), line.word(1), condition, timeout);
            }
            "store" => {
                let (job, outcome) = self.jobs.outcome(line);
                // Where a story says nothing of the disk, all is on it.
                let seen = CommitNumber(line.number("seen").unwrap_or(0));
                self.core.handle_stored(now, job, outcome, seen);
            }
            "flushed" => self.core.handle_flushed(now, CommitNumber(line.word(1).parse().expect("a number"))),
            "flush-failed" => {
                let failure = Failure::new(ErrorCode::Internal, "the disk failed");
                self.core.handle_flush_failed(now, &failure);
            }
            "hang-up" => match self.caller(line.word(1)) {
                Caller::Client(client) => self.core.handle_client_gone(self.now, client),
                Caller::Run(_) => panic!("only a client hangs up: {line:?}"),
            },
            "cpu" => {
                let run = self.run(line.word(1));
                self.cpu.insert(run, duration(line.word(2)));
            }
            "command" | "query" | "mutation" | "event" | "ping" | "cancel" | "frobnicate" | "init" => {
                self.request(line)
            }
            _ => self.process_says(line),
        }
    }

    fn request(&mut self, line: &Line) {
        let from = line.word(1);
        let (caller, id) = match from.contains(':') {
            true => (self.recipient(from).caller, Some(self.recipient(from).id)),
            false => (self.caller(from), None),
        };
        let kind = RequestType::from_name(line.word(0));
        let label = line.option("same").unwrap_or(from);
        let filling = ".".repeat(line.number("bytes").unwrap_or(0) as usize);
        let payload = match kind {
            RequestType::Event => format!(r#"{{"event":"{}"}}"#, line.word(2)),
            RequestType::Cancel => format!(r#"{{"id":{}}}"#, line.word(2)),
            RequestType::Query | RequestType::Mutation if line.words.get(2).is_none_or(|to| to == "layer1") => {
                payload_for_store(line)
            }
            RequestType::Command if line.words.get(2).is_some_and(|to| to == "layer1") => {
                format!(r#"{{"name":"{}"}}"#, line.words.get(3).map_or("do", String::as_str))
            }
            // Payloads of `bytes=n` have n bytes more than the smallest.
            _ => {
                format!(r#"{{"name":"{}","args":"{label}{filling}"}}"#, line.words.get(3).map_or("do", String::as_str))
            }
        };
        let mut request = Request::new(id, kind.clone(), Json::parse(&payload).unwrap());
        if matches!(kind, RequestType::Command | RequestType::Query | RequestType::Mutation) {
            request.to = line.words.get(2).cloned();
        }
        if let Some(to) = line.option("to") {
            request.to = Some(to.to_owned());
        }
        request.deadline_ms = line.duration("deadline").map(|deadline| deadline.as_millis() as u64);
        request.key = line.option("key").map(str::to_owned);
        request.of = line.option("of").map(|of| match (caller, of.parse()) {
            (_, Ok(number)) => number,
            (Caller::Run(run), Err(_)) => self.sent(run, of).unwrap_or_else(|| panic!("{of} was never sent")).0,
            (Caller::Client(_), Err(_)) => panic!("no number: {of:?}"),
        });
        self.core.handle_request(self.now, caller, request);
    }

    fn process_says(&mut self, line: &Line) {
        let (now, run) = (self.now, self.run(line.word(1)));
        let last = line.option("last").is_some();
        match line.word(0) {
            "spawned" => self.core.handle_spawned(now, run, run.0 as i32 + 1000),
            "refused" => {
                self.core.handle_start_refused(now, run, need(line.word(2)), line.word(3));
            }
            "spawn-failed" => {
                let failure = match line.word(2) == "permanent" {
                    true => SpawnFailure::Permanent,
                    false => SpawnFailure::Transient,
                };
                self.core.handle_spawn_failed(now, run, failure, line.word(3));
            }
            "exit" | "end" => {
                let exit = line.word(2).parse().map_or_else(|_| Exit::Signal(line.word(2).into()), Exit::Code);
                let unsent = line.list("unsent").iter().filter_map(|label| self.sent(run, label)).collect();
                let memory_kill = line.option("memory").map(|how| match how {
                    "certain" => MemoryKill::Certain,
                    "probable" => MemoryKill::Probable,
                    other => panic!("neither certain nor probable: {other:?}"),
                });
                let evidence = Evidence { stderr: line.list("stderr"), unsent, memory_kill };
                self.core.handle_exited(now, run, exit, evidence);
                if line.word(0) == "end" {
                    self.core.handle_gone(now, run);
                }
            }
            "gone" => self.core.handle_gone(now, run),
            "lost" => {
                let unsent = line.list("unsent").iter().filter_map(|label| self.sent(run, label)).collect();
                self.core.handle_lost(now, run, unsent);
                self.core.handle_gone(now, run);
            }
            "closed" => self.core.handle_channel_closed(now, run),
            "truncated" => self.core.handle_channel_truncated(now, run, line.word(2).to_owned()),
            "violation" => self.core.handle_violation(now, run, line.word(2).to_owned()),
            "ready" => {
                let id = self.controls[&(run, "init".to_owned())];
                self.respond(run, Some(id.0), Status::Success(ready(line)), last);
            }
            "compiling" | "compiled" => {
                let id = self.controls[&(run, "init".to_owned())];
                let data = Json::parse(&format!(r#"{{"phase":"{}"}}"#, line.word(0))).unwrap();
                self.respond(run, Some(id.0), Status::Progress(data), last);
            }
            "stranger" => self.respond(run, Some(STRANGER), Status::Success(Json::null()), last),
            "nameless" => self.respond(run, None, Status::Success(Json::null()), last),
            "answer" | "error" | "progress" => {
                let label = line.word(2);
                let control = self.controls.get(&(run, label.to_owned())).copied();
                let Some(id) = self.sent(run, label).or(control) else { panic!("{label} was never sent to {run}") };
                let text = line.words.get(4).cloned().unwrap_or_else(|| "it did not work".into());
                let status = match line.word(0) {
                    "answer" => Status::Success(Json::parse("1").unwrap()),
                    "progress" => Status::Progress(Json::parse("0.5").unwrap()),
                    _ => {
                        let code = line.words.get(3).and_then(|code| ErrorCode::from_name(code));
                        Failure::new(code.unwrap_or(ErrorCode::ModuleError), text).into()
                    }
                };
                self.respond(run, Some(id.0), status, last);
            }
            other => panic!("no verb: {other:?}"),
        }
    }

    fn sent(&self, run: RunId, label: &str) -> Option<RequestId> {
        self.sent.get(&(run, label.to_owned())).copied()
    }

    fn respond(&mut self, run: RunId, id: Option<u64>, status: Status, last: bool) {
        self.core.handle_response(self.now, run, Response { id, status, last });
    }
}

/// Reads `query c1:1 layer1 Log` and `mutation c1:1 layer1 update Log version=3`.
fn payload_for_store(line: &Line) -> String {
    const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
    let word = |at: usize, default: &str| line.words.get(at).map_or(default.to_owned(), Clone::clone);
    if line.word(0) == "query" {
        return format!(r#"{{"entity":"{}"}}"#, word(3, "Log"));
    }
    let (operation, entity) = (word(3, "create"), word(4, "Log"));
    let id = if operation == "create" { String::new() } else { format!(r#","id":"{ID}""#) };
    let data = if operation == "delete" { "" } else { r#","data":{}"# };
    let version = line.number("version").map(|version| format!(r#","expected_version":{version}"#)).unwrap_or_default();
    format!(r#"{{"entity":"{entity}","operation":"{operation}"{id}{data}{version}}}"#)
}

/// The answer to `init`: `ready a#1 concurrent keys idempotent=get protocol=2`.
fn ready(line: &Line) -> Json {
    if line.words.iter().any(|word| word == "nonsense") {
        return Json::parse("{}").unwrap();
    }
    let features: Vec<String> =
        line.words[2..].iter().filter(|word| *word != "nonsense").map(|word| format!("{word:?}")).collect();
    let commands: Vec<String> =
        line.list("idempotent").iter().map(|command| format!(r#"{{"name":"{command}","idempotent":true}}"#)).collect();
    let text = format!(
        r#"{{"name":"x","version":"1","protocol":{},"commands":[{}],"features":[{}]}}"#,
        line.number("protocol").unwrap_or(1),
        commands.join(","),
        features.join(",")
    );
    Json::parse(&text).unwrap()
}

fn need(text: &str) -> Need {
    match text {
        "guardian" => Need::Guardian,
        "resources" => Need::Resources,
        "own" => Need::Own,
        part => Need::Part(part.to_owned()),
    }
}
