//! Why a module is in its state, and where one request waits: put together from what is there when it is asked for. The
//! record of what happened before is in [`crate::chronicle`]; texts beyond single sentences are made by the command.

use crate::{
    chronicle::{Happening, What},
    core::{Core, Outstanding},
    ids::{Caller, ModuleId, RequestId, RunId},
    limits::WHY_REQUESTS_MAX,
    module::{InitialState, Module},
    request::{RequestEntry, RequestState},
    restart::WaitReason,
    rule::{AppliedRule, Rule},
    run::{Phase, Role, Run},
    slots::{Slot, SlotState, Vacancy},
    time::Time,
};
use bulkhead_protocol::{Delivery, ModuleName, RequestType, event, limits::NAME_BYTES_MAX};
use std::time::Duration;

/// Longest payload in which the name of a command is looked for, in bytes.
const COMMAND_BYTES_MAX: usize = 16 * 1024;

/// Why a module is in its state.
#[derive(Clone, Debug)]
pub struct Why {
    /// The settings by which it is in its state, or by which the next step comes.
    pub rules: Vec<AppliedRule>,
    /// What happened, the oldest first.
    pub history: Vec<Happening>,
    /// How much happened before that, and is not kept.
    pub earlier: u64,
    /// Requests that are in flight or wait for a process; the first ones.
    pub requests: Vec<RequestWhy>,
    /// How many more there are.
    pub more_requests: usize,
}

/// Where one request waits, and for what.
#[derive(Clone, Debug)]
pub struct RequestWhy {
    /// Its number, under which its module gets it.
    pub id: RequestId,
    /// Its type on the wire.
    pub kind: String,
    /// The command, if it is one.
    pub command: Option<String>,
    /// The module that sent it; clients are `None`.
    pub from: Option<ModuleName>,
    /// Where it is.
    pub stage: Stage,
    /// For what it waits, in one sentence.
    pub why: String,
    /// The process that has it.
    pub instance: Option<String>,
    /// What is left until its deadline; none once its caller was answered, and of an event.
    pub deadline_in: Option<Duration>,
    /// Crashes at which it was in flight.
    pub crashes: u32,
    /// How far it got in processes that have ended.
    pub delivery: Delivery,
    /// The settings that decide how long it stays there.
    pub rules: Vec<AppliedRule>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The store looks whether the work of its key was done.
    KeyLookUp,
    /// Another request does the work of its key.
    KeyJoin,
    /// In its module's queue.
    Queue,
    /// Sent to a process.
    InFlight,
    /// Answered by its module, which still has requests of its own for it at the store.
    Settling,
    /// The store commits what was done for it.
    Committing,
    /// Its answer waits for the disk.
    Flushing,
}

impl Stage {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Stage::KeyLookUp => "key_look_up",
            Stage::KeyJoin => "key_join",
            Stage::Queue => "queue",
            Stage::InFlight => "in_flight",
            Stage::Settling => "settling",
            Stage::Committing => "committing",
            Stage::Flushing => "flushing",
        }
    }
}

impl Core {
    /// Why a module is in its state, beside what [`Core::view`] shows.
    pub fn why(&self, now: Time, name: &ModuleName) -> Option<Why> {
        let id = self.modules.id(name.as_str())?;
        let module = &self.modules[id];
        let shown = self.telling_slot(module);
        let rules = match shown {
            Some(slot) => self.rules_of_slot(module, slot),
            None => Vec::new(),
        };
        let in_flight = module.slots.runs().flat_map(|run| self.runs[&run].in_flight.iter());
        let mut ids = in_flight.chain(module.queue.iter());
        let requests: Vec<RequestWhy> =
            ids.by_ref().take(WHY_REQUESTS_MAX).filter_map(|request| self.why_request(now, name, request)).collect();
        let open =
            module.slots.runs().map(|run| self.runs[&run].in_flight.len()).sum::<usize>() + module.queue.load().0;
        Some(Why {
            rules: rules.into_iter().map(|rule| rule.applied(&module.spec, &self.settings)).collect(),
            history: module.chronicle.entries().cloned().collect(),
            earlier: module.chronicle.dropped(),
            more_requests: open.saturating_sub(requests.len()),
            requests,
        })
    }

    /// Where a request to a module waits, and for what; `None` if the module has none of this number.
    pub fn why_request(&self, now: Time, name: &ModuleName, id: RequestId) -> Option<RequestWhy> {
        let entry = self.requests.get(id)?;
        let module = &self.modules[entry.module];
        if module.spec.name != *name {
            return None;
        }
        let (stage, why, instance, rules) = self.stage_of(now, id, entry, module);
        let is_short = entry.message.payload.as_str().len() <= COMMAND_BYTES_MAX;
        let command = (entry.message.kind == RequestType::Command && is_short)
            .then(|| event::command_name(&entry.message.payload))
            .flatten();
        Some(RequestWhy {
            id,
            kind: entry.message.kind.name().to_owned(),
            command: command.map(|name| name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()),
            from: self.module_that_sent(entry),
            stage,
            why,
            instance,
            deadline_in: (entry.wanted && !entry.is_event()).then(|| entry.deadline.since(now)),
            crashes: entry.crashes,
            delivery: entry.reached,
            rules: rules.into_iter().map(|rule| rule.applied(&module.spec, &self.settings)).collect(),
        })
    }

    /// The module whose process waits for the answer; `None` for a client.
    pub(crate) fn module_that_sent(&self, entry: &RequestEntry) -> Option<ModuleName> {
        match entry.recipient?.caller {
            Caller::Client(_) => None,
            Caller::Run(run) => self.module_of(run).cloned(),
        }
    }

    fn stage_of(
        &self,
        now: Time,
        id: RequestId,
        entry: &RequestEntry,
        module: &Module,
    ) -> (Stage, String, Option<String>, Vec<Rule>) {
        let bare = |stage, why: &str| (stage, why.to_owned(), None, Vec::new());
        match &entry.state {
            RequestState::LookingUp => {
                bare(Stage::KeyLookUp, "the data store is asked whether the work of its key was done before")
            }
            RequestState::Joined => {
                let running = entry.scoped_key().and_then(|key| self.layer1.keys.get(&key));
                let why = match running.map(|running| running.leader) {
                    Some(leader) => {
                        format!("request {leader} does the work of the same key, and its answer is for both")
                    }
                    None => "another request does the work of the same key".to_owned(),
                };
                (Stage::KeyJoin, why, None, Vec::new())
            }
            RequestState::Queued => {
                let at = module.queue.iter().position(|queued| queued == id).unwrap_or(0);
                let why = format!(
                    "{} of {} in the queue; {}",
                    at + 1,
                    module.queue.len(),
                    self.why_queued(now, entry.module)
                );
                (Stage::Queue, why, None, self.rules_of_queue(module))
            }
            RequestState::InFlight { run, progressed } => {
                let run_id = *run;
                let run = &self.runs[run];
                let begun = if *progressed {
                    "has shown by progress or a request that it began"
                } else {
                    "has not answered it"
                };
                let at = run.in_flight.position(id).unwrap_or(0);
                let why = match (at, run.in_flight.is_concurrent()) {
                    (0, false) => format!("{} works on it, and {begun}", run.instance),
                    (_, true) => format!("{} has it among {} at once, and {begun}", run.instance, run.in_flight.len()),
                    (ahead, false) => format!("{} has {ahead} to answer before it", run.instance),
                };
                let overdue =
                    run.overdue_at(&self.requests).filter(|at| *at <= now && run.in_flight.head() == Some(id));
                let mut parts = vec![why];
                parts.extend(self.own_requests(run_id));
                parts.extend(
                    overdue.map(|_| "its time is over, and the process is killed unless it answers soon".to_owned()),
                );
                if !entry.wanted {
                    parts.push("its caller was answered or has gone".to_owned());
                }
                let mut rules = vec![Rule::CancelGrace];
                if entry.is_event() {
                    rules.insert(0, Rule::DeadlineDefault);
                }
                (Stage::InFlight, parts.join("; "), Some(run.instance.clone()), rules)
            }
            RequestState::Settling(_) => bare(
                Stage::Settling,
                "its module has answered, and the data store is not done with what the module asked for it",
            ),
            RequestState::Committing(_) => {
                bare(Stage::Committing, "its module has answered, and the data store commits what was changed for it")
            }
            RequestState::Flushing => bare(Stage::Flushing, "its answer waits until what it rests on is on the disk"),
        }
    }

    /// For what a queue waits.
    fn why_queued(&self, now: Time, id: ModuleId) -> String {
        let module = &self.modules[id];
        if let Some(precedence) = &module.precedence {
            return format!(
                "request {} goes first, since its commits lost against others too often",
                precedence.request
            );
        }
        self.why_waiting(now, id)
    }

    fn rules_of_queue(&self, module: &Module) -> Vec<Rule> {
        match self.telling_slot(module) {
            Some(slot) if matches!(slot.state(), SlotState::Occupied(run) if self.runs[run].is_ready()) => {
                vec![Rule::Window]
            }
            Some(slot) => self.rules_of_slot(module, slot),
            None => Vec::new(),
        }
    }

    /// What a process waits for with requests of its own.
    fn own_requests(&self, run: RunId) -> Option<String> {
        let open = self.callers.get(Caller::Run(run))?;
        let mut requests: Vec<RequestId> = Vec::new();
        let (mut at_store, mut waits) = (0usize, 0usize);
        for (_, outstanding) in open.iter() {
            match outstanding {
                Outstanding::Request(id) => requests.push(id),
                Outstanding::StoreRequest(_) => at_store += 1,
                Outstanding::Waiter(_) => waits += 1,
            }
        }
        requests.sort_unstable();
        let count = requests.len();
        let mut parts: Vec<String> = requests
            .into_iter()
            .take(4)
            .filter_map(|id| {
                let name = &self.modules[self.requests.get(id)?.module].spec.name;
                Some(format!("request {id} to {name}"))
            })
            .collect();
        let more = count - parts.len();
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        parts.extend(counted(more, "more request", "more requests"));
        parts.extend(counted(at_store, "request to the data store", "requests to the data store"));
        parts.extend(counted(waits, "module's state", "modules' states"));
        (!parts.is_empty()).then(|| format!("the process itself waits for {}", parts.join(", ")))
    }

    /// The slot that says most about a module: the active one that is furthest from ready.
    fn telling_slot<'a>(&'a self, module: &'a Module) -> Option<&'a Slot> {
        module.slots.with_role(Role::Active).max_by_key(|slot| self.distance(slot))
    }

    /// The settings that decide about the state of a slot, or the next step from it.
    fn rules_of_slot(&self, module: &Module, slot: &Slot) -> Vec<Rule> {
        match slot.state() {
            SlotState::Vacant(vacancy) | SlotState::Clearing { next: vacancy, .. } => match vacancy {
                Vacancy::Waiting { why: WaitReason::Backoff { .. } | WaitReason::CrashLoop { .. }, .. }
                | Vacancy::GaveUp(_) => slot.restart.decided_by().to_vec(),
                Vacancy::Waiting { why: WaitReason::HostLimit, .. } => {
                    vec![Rule::RestartsPerSecond, Rule::RestartsBurst]
                }
                Vacancy::Waiting { why: WaitReason::Left, .. } | Vacancy::Finished(_) => vec![Rule::Policy],
                Vacancy::AwaitsPermit(_) => vec![Rule::StartsAtOnce],
                Vacancy::Stopped if was_never_ordered(module) => vec![Rule::Autostart],
                Vacancy::Waiting { why: WaitReason::HostPart, .. }
                | Vacancy::Stopped
                | Vacancy::Failed(_)
                | Vacancy::Requires(_)
                | Vacancy::Ordered
                | Vacancy::Lacking(_)
                | Vacancy::NoRoom(_) => Vec::new(),
            },
            SlotState::Occupied(run) => rules_of_run(&self.runs[run]),
        }
    }
}

/// Whether a module is stopped only because it is not started without being asked.
fn was_never_ordered(module: &Module) -> bool {
    let last = module.chronicle.entries().last();
    last.is_some_and(|last| last.what == What::Known(InitialState::Stopped))
}

fn rules_of_run(run: &Run) -> Vec<Rule> {
    match run.phase {
        Phase::Starting { .. } => vec![Rule::StartTimeout],
        Phase::Compiling { .. } => vec![Rule::CompileTimeout],
        Phase::Ready { .. } if run.in_flight.is_empty() => {
            vec![Rule::PingInterval, Rule::PingTimeout, Rule::PingMisses]
        }
        Phase::Ready { .. } => vec![Rule::CancelGrace],
        Phase::Draining { .. } if run.cause.is_some() => vec![Rule::StopTimeout],
        Phase::Terminating { .. } => vec![Rule::TermTimeout],
        Phase::Draining { .. } | Phase::Killing | Phase::Exited => Vec::new(),
    }
}
