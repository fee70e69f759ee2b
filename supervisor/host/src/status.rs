//! What the host says about itself and its modules: the core's view, and what only the kernel knows.

use crate::observation::Look;
use bulkhead_config::ModuleConfig;
use bulkhead_core::{ModuleView, NextStep, Role, RunView};
use serde::Serialize;
use std::time::Duration;

/// The version of the form below; a member that is added does not change it.
const SCHEMA: u32 = 1;

/// The host.
#[derive(Debug, Serialize)]
pub(crate) struct HostStatus {
    pub(crate) version: &'static str,
    pub(crate) pid: u32,
    pub(crate) guardian_pid: Option<u32>,
    pub(crate) uptime_ms: u64,
    pub(crate) state_dir: String,
    /// Where it looks for modules.
    pub(crate) module_folders: Vec<String>,
    pub(crate) socket: Option<String>,
    pub(crate) containment: Option<String>,
    pub(crate) guardian_fault: Option<String>,
    /// The longest frame that it accepts, its length not counted.
    pub(crate) frame_bytes_max: usize,
    pub(crate) clients: usize,
    pub(crate) modules: usize,
    pub(crate) ready: usize,
    pub(crate) layer1: StoreStatus,
    pub(crate) memory_bytes: Option<u64>,
    /// What a person has to fix.
    pub(crate) problems: Vec<String>,
}

/// The guardian, which ends the processes of modules, and what keeps it from that.
#[derive(Debug)]
pub(crate) struct Guarding {
    pub(crate) containment: Option<String>,
    pub(crate) fault: Option<String>,
}

/// The data store, as far as nothing has to be read from it.
#[derive(Debug, Serialize)]
pub(crate) struct StoreStatus {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) log_bytes: u64,
    pub(crate) cursor: u64,
    pub(crate) epoch: String,
    pub(crate) broken: Option<String>,
    pub(crate) readable: bool,
    pub(crate) restart_needed: Option<String>,
}

/// The answer to `status` without a name.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    schema: u32,
    host: HostStatus,
    modules: Vec<ModuleStatus>,
}

impl Status {
    pub(crate) fn new(host: HostStatus, modules: Vec<ModuleStatus>) -> Status {
        Status { schema: SCHEMA, host, modules }
    }
}

/// One module.
#[derive(Debug, Serialize)]
pub(crate) struct ModuleStatus {
    name: String,
    r#type: &'static str,
    version: String,
    folder: Option<String>,
    desired: &'static str,
    pub(crate) state: &'static str,
    reason: Option<String>,
    pid: Option<i32>,
    uptime_ms: Option<u64>,
    restarts: u64,
    last_exit: Option<String>,
    last_exit_ago_ms: Option<u64>,
    next: Option<Next>,
    in_flight: usize,
    queue: usize,
    memory_bytes: Option<u64>,
    containment: Option<String>,
    guardian_fault: Option<String>,
    strange_answers: u64,
    events_dropped: u64,
    instances: Vec<Instance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_tail: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Next {
    action: &'static str,
    in_ms: Option<u64>,
    why: String,
}

impl Next {
    pub(crate) fn new(next: NextStep) -> Next {
        Next { action: next.action, in_ms: next.after.map(millis), why: next.why }
    }
}

#[derive(Debug, Serialize)]
struct Instance {
    instance: Option<String>,
    role: &'static str,
    state: &'static str,
    pid: Option<i32>,
    uptime_ms: Option<u64>,
    in_flight: usize,
    memory_bytes: Option<u64>,
}

impl ModuleStatus {
    pub(crate) fn new(
        view: ModuleView,
        config: Option<&ModuleConfig>,
        guarding: Guarding,
        look: &Look,
    ) -> ModuleStatus {
        let instances: Vec<Instance> = view.runs.iter().map(|run| Instance::new(run, look)).collect();
        let first = view.runs.iter().find(|run| run.role == Role::Active);
        let memory: Vec<u64> = instances.iter().filter_map(|instance| instance.memory_bytes).collect();
        ModuleStatus {
            name: view.name.to_string(),
            r#type: config.map_or("unknown", |config| config.kind.name()),
            version: config.map(|config| config.version.clone()).unwrap_or_default(),
            folder: config.map(|config| config.folder.display().to_string()),
            desired: if view.desired_running { "running" } else { "stopped" },
            state: view.state.name(),
            reason: view.reason.or_else(|| {
                let tracer = view.runs.iter().find_map(|run| look.tracers.get(&run.pid?))?;
                Some(tracer.to_string())
            }),
            pid: first.and_then(|run| run.pid),
            uptime_ms: first.and_then(|run| run.ready_for).map(millis),
            restarts: view.restarts,
            last_exit_ago_ms: view.last_exit.as_ref().map(|(_, ago)| millis(*ago)),
            last_exit: view.last_exit.map(|(reason, _)| reason),
            next: view.next.map(Next::new),
            in_flight: view.in_flight,
            queue: view.queue,
            memory_bytes: (!memory.is_empty()).then(|| memory.iter().sum()),
            containment: guarding.containment,
            guardian_fault: guarding.fault,
            strange_answers: view.strange_answers,
            events_dropped: view.events_dropped,
            instances,
            log_tail: None,
        }
    }
}

impl Instance {
    fn new(run: &RunView, look: &Look) -> Instance {
        Instance {
            instance: run.instance.clone(),
            role: crate::why::role(run.role),
            state: run.state.name(),
            pid: run.pid,
            uptime_ms: run.ready_for.map(millis),
            in_flight: run.in_flight,
            memory_bytes: run.pid.and_then(|pid| look.memory.get(&pid).copied()),
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
