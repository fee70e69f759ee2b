//! What a module is configured to be: the values in force, with their defaults. How they are written in a file is in
//! `keys.rs`; the core and the daemon decide by them.

use crate::{Declared, Dev, ModuleKind, Origin, Origins, RestartPolicy};
use bulkhead_protocol::{Json, ModuleName, Pattern};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

/// Variables of the host's environment that every module inherits; others only if `inherit_env` names them.
pub const INHERITED_ENVIRONMENT: &[&str] = &["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];

/// One module, as it is in force. Two of them are equal when nothing that a module could notice
/// differs; [`ModuleConfig::origins`] doesn't count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleConfig {
    /// Its name in this host.
    pub name: ModuleName,
    /// Its version, from the manifest; may be empty.
    pub version: String,
    /// What kind of thing runs, and what only that kind has.
    pub kind: ModuleKind,
    /// The folder of the manifest, absolute: the working directory of its processes.
    pub folder: PathBuf,
    /// Modules that have to be ready before it is started.
    pub requires: Vec<ModuleName>,
    /// Started, initialised copies that wait to take over (0).
    pub spares: usize,
    /// Copies that share the work under one name (1).
    pub instances: usize,
    /// Variables of its environment beside those that it inherits.
    pub env: BTreeMap<String, String>,
    /// Variables that it inherits beside [`INHERITED_ENVIRONMENT`].
    pub inherit_env: Vec<String>,
    /// Whether the host starts it without being asked (true).
    pub autostart: bool,
    /// When it is started again.
    pub restart: Restart,
    /// How much may wait, and how long.
    pub limits: Limits,
    /// What its processes may use.
    pub resources: Resources,
    /// What it may do beyond answering.
    pub capabilities: Capabilities,
    /// What it wants to be found by in the data store.
    pub declared: Declared,
    /// How `bulkhead dev` builds and watches it.
    pub dev: Dev,
    /// The debugger that its processes run in. No file sets this: a program does, for itself (none).
    pub debugger: Option<Debugger>,
    /// Passed to the module in `init`, always a JSON object.
    pub config: Json,
    /// Where each value came from.
    pub origins: Origins,
}

/// What runs the processes of a module, so that a person can stop them anywhere: none of them is ended for being slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debugger {
    /// The words before the command line of each process; none where that line has the debugger in itself.
    pub words: Vec<String>,
}

/// When a module is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// After which exits (on-failure).
    pub policy: RestartPolicy,
    /// How long it must have been ready for its first restart to be at once (1 s).
    pub at_once_after: Duration,
    /// The first delay; each further one is twice as long (100 ms).
    pub delay_initial: Duration,
    /// The longest delay (30 s).
    pub delay_max: Duration,
    /// Continuous readiness after which the failures are forgotten, at least twice the last delay (10 s).
    pub reset_after: Duration,
    /// Failures within [`Restart::breaker_window`] that open the circuit breaker (10).
    pub breaker_failures: usize,
    /// See [`Restart::breaker_failures`] (5 min).
    pub breaker_window: Duration,
    /// The time between two tries while the breaker is open (60 s).
    pub breaker_retry: Duration,
    /// Failed tries of the open breaker after which the host stops trying; none: never (none).
    pub give_up: Option<usize>,
}

/// How much may wait for a module, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that wait in the host (1,024).
    pub queue: usize,
    /// Bytes of the requests that wait in the host (64 MB).
    pub queue_bytes_max: usize,
    /// Requests that are sent ahead of the answers (64).
    pub window: usize,
    /// Bytes of the requests that are sent ahead of the answers; one larger request alone still goes (4 MB).
    pub window_bytes: usize,
    /// Requests of its own that the module may have unanswered (64).
    pub requests: usize,
    /// From the start of the process to its readiness (10 s).
    pub start_timeout: Duration,
    /// From `shutdown` to SIGTERM (5 s).
    pub stop_timeout: Duration,
    /// From SIGTERM to SIGKILL (2 s).
    pub term_timeout: Duration,
    /// Silence, with nothing in flight, after which the module is pinged (10 s).
    pub ping_interval: Duration,
    /// How long it has to answer a ping (1 s).
    pub ping_timeout: Duration,
    /// Unanswered pings in a row after which it counts as hung (3).
    pub ping_misses: usize,
    /// The deadline of a request that brings none (30 s).
    pub deadline_default: Duration,
    /// From `cancel` to the kill of a module that does not stop (5 s).
    pub cancel_grace: Duration,
}

/// What the processes of a module may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Bytes of data that each process may have; none: no limit (none).
    pub memory_limit: Option<u64>,
    /// Processor time for one message; none: no limit (none).
    pub cpu_time_limit: Option<Duration>,
    /// Bytes that the entities which it created may hold; none: no limit (none).
    pub storage_quota: Option<u64>,
    /// Bytes that its events may take, of which its oldest go beyond that; none: no limit (as much as
    /// `storage_quota`, but at least 4 MiB and at most 64 MiB).
    pub events_quota: Option<u64>,
    /// Bytes that the answers to its requests with keys may take; none: no limit (as much as `storage_quota`, but at
    /// least 1 MiB and at most 16 MiB).
    pub keys_quota: Option<u64>,
    /// Longest core file of each process, in bytes; none: no limit (0, which is no core file).
    pub core_limit: Option<u64>,
    /// By how much the kernel's memory killer prefers its processes to the host, in thousandths of the memory
    /// that there is (500).
    pub oom_score: usize,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources {
            memory_limit: None,
            cpu_time_limit: None,
            storage_quota: None,
            events_quota: Resources::events_quota_default(None),
            keys_quota: Resources::keys_quota_default(None),
            core_limit: Some(0),
            oom_score: 500,
        }
    }
}

impl Resources {
    /// The default of `events_quota` with this `storage_quota`.
    pub(crate) fn events_quota_default(storage_quota: Option<u64>) -> Option<u64> {
        Some(storage_quota.unwrap_or(u64::MAX).clamp(4 * MIB, 64 * MIB))
    }

    /// The default of `keys_quota` with this `storage_quota`.
    pub(crate) fn keys_quota_default(storage_quota: Option<u64>) -> Option<u64> {
        Some(storage_quota.unwrap_or(u64::MAX).clamp(MIB, 16 * MIB))
    }
}

const MIB: u64 = 1024 * 1024;

/// What a module may do beyond answering. Only what is written is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Types of entities that it may read.
    pub entity_read: Vec<Pattern>,
    /// Types of entities that it may create.
    pub entity_create: Vec<Pattern>,
    /// Types of entities that it may update.
    pub entity_write: Vec<Pattern>,
    /// Types of entities that it may delete.
    pub entity_delete: Vec<Pattern>,
    /// Events that it receives.
    pub event_subscribe: Vec<Pattern>,
    /// Events that it may send.
    pub event_emit: Vec<Pattern>,
    /// Modules that it may call, or `supervisor`.
    pub call: Vec<String>,
}

impl ModuleConfig {
    /// A configuration in which everything but these values is the default.
    pub(crate) fn with_defaults(name: ModuleName, folder: PathBuf, kind: ModuleKind) -> Self {
        ModuleConfig {
            name,
            version: String::new(),
            kind,
            folder,
            requires: Vec::new(),
            spares: 0,
            instances: 1,
            env: BTreeMap::new(),
            inherit_env: Vec::new(),
            autostart: true,
            restart: Restart::default(),
            limits: Limits::default(),
            resources: Resources::default(),
            capabilities: Capabilities::default(),
            declared: Declared::default(),
            dev: Dev::default(),
            debugger: None,
            config: Json::of(&serde_json::Map::new()),
            origins: Origins::default(),
        }
    }

    /// The whole environment of a process of the module, before the host adds the variables that
    /// name the channel. `inherited` looks up a variable of the host's environment
    /// (`|name| std::env::var_os(name)`).
    ///
    /// That of WebAssembly is empty: the process is the host's own runtime, outside of the sandbox, and
    /// some variables make it load or run other code. What the module sees is
    /// [`ModuleConfig::guest_environment`].
    pub fn environment(&self, inherited: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
        match self.kind {
            ModuleKind::Wasm { .. } => Vec::new(),
            ModuleKind::Process { .. }
            | ModuleKind::Native { .. }
            | ModuleKind::Filter { .. }
            | ModuleKind::Mcp { .. } => self.variables(INHERITED_ENVIRONMENT, inherited),
        }
    }

    /// The variables that a WebAssembly module sees: those that are named for it, and no others. Any other
    /// kind has [`ModuleConfig::environment`].
    pub fn guest_environment(&self, inherited: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
        match self.kind {
            ModuleKind::Wasm { .. } => self.variables(&[], inherited),
            ModuleKind::Process { .. }
            | ModuleKind::Native { .. }
            | ModuleKind::Filter { .. }
            | ModuleKind::Mcp { .. } => Vec::new(),
        }
    }

    /// What it inherits, and over that what is set for it.
    fn variables(&self, always: &[&str], inherited: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
        let names = always.iter().copied().chain(self.inherit_env.iter().map(String::as_str));
        let mut all: BTreeMap<OsString, OsString> =
            names.filter_map(|name| Some((name.into(), inherited(name)?))).collect();
        all.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        all.into_iter().collect()
    }

    /// Sets a variable of the module's environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self.origins.note("module.env", Origin::Program);
        self
    }

    /// Sets the module's own configuration, a JSON object.
    #[must_use]
    pub fn with_config(mut self, config: Json) -> Self {
        self.config = config;
        self.origins.note("config", Origin::Program);
        self
    }
}

impl Capabilities {
    /// The same in the form of `init`.
    pub fn to_wire(&self) -> bulkhead_protocol::Capabilities {
        let texts = |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        bulkhead_protocol::Capabilities {
            event_subscribe: texts(&self.event_subscribe),
            event_emit: texts(&self.event_emit),
            call: self.call.clone(),
            entity_read: texts(&self.entity_read),
            entity_create: texts(&self.entity_create),
            entity_write: texts(&self.entity_write),
            entity_delete: texts(&self.entity_delete),
        }
    }
}
