//! The data of `status`, from a host of any version.

use crate::amount::span;
use crate::lenient::{as_it_is, list, or_empty};
use crate::style::Colour;
use bulkhead_protocol::Json;
use serde::Deserialize;

/// The whole, with modules as they are.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawStatus {
    #[serde(deserialize_with = "or_empty")]
    pub(super) host: Host,
    #[serde(deserialize_with = "or_empty")]
    pub(super) modules: Vec<Json>,
}

/// The whole.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    #[serde(deserialize_with = "or_empty")]
    pub(super) host: Host,
    #[serde(deserialize_with = "list")]
    pub(crate) modules: Vec<Module>,
}

/// The host itself.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Host {
    #[serde(deserialize_with = "or_empty")]
    pub(super) version: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) pid: Option<u32>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) uptime_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) containment: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) clients: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) state_dir: Option<String>,
    /// The longest message that it accepts.
    #[serde(deserialize_with = "or_empty")]
    pub(super) frame_bytes_max: Option<usize>,
    #[serde(deserialize_with = "as_it_is")]
    guardian_pid: Option<Json>,
    #[serde(deserialize_with = "or_empty")]
    guardian_fault: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    layer1: Layer1,
    /// Problems of its environment.
    #[serde(deserialize_with = "or_empty")]
    problems: Vec<String>,
}

impl Host {
    /// Problems that need an operator.
    pub(super) fn troubles(&self) -> Vec<String> {
        let Layer1 { broken, restart_needed } = &self.layer1;
        let store = broken.iter().chain(restart_needed).map(|trouble| format!("data store: {trouble}"));
        let around = self.problems.iter().map(|problem| format!("host: {problem}"));
        self.guardian_trouble().into_iter().chain(store).chain(around).collect()
    }

    /// The problem that there is no guardian, without which no module starts.
    pub(super) fn guardian_trouble(&self) -> Option<String> {
        let is_gone = self.guardian_pid.as_ref().is_some_and(|pid| pid.as_str() == "null");
        let fault = self.guardian_fault.as_deref().or(is_gone.then_some("not running, so no module can start"))?;
        Some(format!("guardian: {fault}"))
    }
}

/// The data store.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Layer1 {
    #[serde(deserialize_with = "or_empty")]
    broken: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    restart_needed: Option<String>,
}

/// One module.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Module {
    #[serde(deserialize_with = "or_empty")]
    pub(crate) name: String,
    #[serde(rename = "type", deserialize_with = "or_empty")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) version: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) desired: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) state: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) reason: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) pid: Option<u32>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) uptime_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) restarts: u64,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) last_exit: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) last_exit_ago_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) next: Option<Next>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) in_flight: u64,
    #[serde(deserialize_with = "or_empty")]
    pub(super) queue: u64,
    #[serde(deserialize_with = "or_empty")]
    pub(super) memory_bytes: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) containment: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) guardian_fault: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) strange_answers: u64,
    #[serde(deserialize_with = "list")]
    pub(super) instances: Vec<Instance>,
    #[serde(deserialize_with = "list")]
    pub(super) log_tail: Vec<Json>,
}

/// The next planned step.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Next {
    #[serde(deserialize_with = "or_empty")]
    pub(crate) action: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) in_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) why: String,
}

/// One process of a module.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Instance {
    #[serde(deserialize_with = "or_empty")]
    pub(super) instance: Option<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) role: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) state: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) pid: Option<u32>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) uptime_ms: Option<u64>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) in_flight: u64,
    #[serde(deserialize_with = "or_empty")]
    pub(super) memory_bytes: Option<u64>,
}

impl Module {
    /// How it ended last, and how long ago.
    pub(super) fn last_exit_text(&self) -> Option<String> {
        let exit = self.last_exit.as_ref()?;
        Some(match self.last_exit_ago_ms {
            Some(ago) => format!("{exit} {} ago", span(ago)),
            None => exit.clone(),
        })
    }
}

impl Next {
    /// The step, and when.
    pub(crate) fn step(&self) -> String {
        match self.in_ms {
            Some(ms) => format!("{} in {}", self.action, span(ms)),
            None => self.action.clone(),
        }
    }

    /// The step in words, and why.
    pub(super) fn text(&self) -> String {
        let mut text = self.step();
        if !self.why.is_empty() {
            text.push_str(&format!(": {}", self.why));
        }
        text
    }
}

/// The colour of a state.
pub(super) fn colour_of(state: &str) -> Colour {
    match state {
        "ready" => Colour::Good,
        "starting" | "compiling" | "waiting" | "stopping" | "clearing" => Colour::Busy,
        "failed" => Colour::Bad,
        _ => Colour::Faint,
    }
}
