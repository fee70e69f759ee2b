//! What a module's manifest says, as far as the core needs it: a specification, never a runtime record.

use crate::{permissions::Entities, restart::RestartRules};
use bulkhead_protocol::{ModuleName, Pattern};
use std::time::Duration;

/// One module's specification. How it is launched is up to the host; `generation` connects the
/// two.
#[derive(Clone, Debug)]
pub struct ModuleSpec {
    /// Its name.
    pub name: ModuleName,
    /// The host's number for the launch instructions that belong to this specification.
    pub generation: u64,
    /// Modules that must be ready before this one is started.
    pub requires: Vec<ModuleName>,
    /// How many copies serve.
    pub instances: u32,
    /// How many initialised copies wait to take over.
    pub spares: u32,
    /// When it is started again.
    pub restart: RestartRules,
    /// Its limits and timeouts.
    pub rules: ModuleRules,
    /// Events that it receives.
    pub subscribe: Vec<Pattern>,
    /// Events that it may send.
    pub emit: Vec<Pattern>,
    /// Addresses that it may call.
    pub call: Vec<String>,
    /// What it may do to which entities of the store.
    pub entities: Entities,
    /// Bytes that it may have stored.
    pub storage_quota: Option<u64>,
    /// Descriptors of the host that each of its processes takes.
    pub descriptors: u32,
    /// What becomes of a process that is too slow.
    pub slowness: Slowness,
}

/// What becomes of a process that starts, answers or ends too slowly. What a person orders ends it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slowness {
    /// It is ended, unless a debugger has attached to it.
    Ended,
    /// Nothing: a debugger runs it.
    Ignored,
}

impl ModuleSpec {
    /// A specification with every default.
    pub fn new(name: ModuleName, generation: u64) -> ModuleSpec {
        ModuleSpec {
            name,
            generation,
            requires: Vec::new(),
            instances: 1,
            spares: 0,
            restart: RestartRules::default(),
            rules: ModuleRules::default(),
            subscribe: Vec::new(),
            emit: Vec::new(),
            call: Vec::new(),
            entities: Entities::default(),
            storage_quota: None,
            descriptors: 1,
            slowness: Slowness::Ended,
        }
    }
}

/// Limits and timeouts of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleRules {
    /// Requests that may wait in the host.
    pub queue_max: usize,
    /// Bytes of requests that may wait in the host, as they lie in memory.
    pub queue_bytes_max: usize,
    /// Requests that are sent ahead of the answers.
    pub window: usize,
    /// Bytes of payload that are sent ahead of the answers; one request may always go.
    pub window_bytes_max: usize,
    /// Requests of its own that the module may have unanswered.
    pub requests_max: usize,
    /// From the order to spawn to the answer to `init`; the wait for a start permit does not count.
    pub start_timeout: Duration,
    /// How much longer a start may take in which the module is compiled; without it compiling counts as
    /// any other part of the start.
    pub compile_timeout: Option<Duration>,
    /// From `shutdown` to SIGTERM.
    pub drain_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub term_timeout: Duration,
    /// Silence of an idle module before it is asked for a sign of life.
    pub ping_interval: Duration,
    /// How long it has for the answer.
    pub ping_timeout: Duration,
    /// Missed answers in a row before it counts as dead.
    pub ping_misses: u32,
    /// The deadline of a request that names none.
    pub deadline_default: Duration,
    /// From a passed deadline of the request it works on to the kill.
    pub cancel_grace: Duration,
    /// How long a module may live on after it closed its channel.
    pub close_grace: Duration,
    /// How long a module may live on after an answer with which it said that it ends.
    pub last_grace: Duration,
    /// CPU time that one message may cost.
    pub cpu_time_max: Option<Duration>,
}
