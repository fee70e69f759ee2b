//! What the host's `status` says. A member that an older or newer host leaves out is empty here:
//! a status that is shown in part beats none.

use crate::amount::span;
use crate::style::Colour;
use bulkhead_protocol::Json;
use serde::Deserialize;

/// The whole, with modules as they are.
#[derive(Deserialize)]
pub(super) struct RawStatus {
    pub(super) modules: Vec<Json>,
}

/// The whole.
#[derive(Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) host: Host,
    pub(super) modules: Vec<Module>,
}

/// The host itself.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Host {
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) uptime_ms: u64,
    pub(super) containment: String,
    pub(super) clients: u64,
    pub(super) state_dir: String,
    pub(super) layer1: Layer1,
    /// What of its surroundings is not as the host needs it.
    pub(super) problems: Vec<String>,
}

/// The data store.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Layer1 {
    pub(super) broken: Option<String>,
    pub(super) restart_needed: Option<String>,
}

impl Layer1 {
    /// What somebody has to do something about.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &str> {
        let restart = self.restart_needed.as_deref();
        self.broken.as_deref().into_iter().chain(restart)
    }
}

/// One module.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Module {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) version: Option<String>,
    pub(super) desired: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) pid: Option<u32>,
    pub(super) uptime_ms: Option<u64>,
    pub(super) restarts: u64,
    pub(super) last_exit: Option<String>,
    pub(super) last_exit_ago_ms: Option<u64>,
    pub(super) next: Option<Next>,
    pub(super) in_flight: u64,
    pub(super) queue: u64,
    pub(super) memory_bytes: Option<u64>,
    pub(super) containment: Option<String>,
    pub(super) strange_answers: u64,
    pub(super) instances: Vec<Instance>,
    pub(super) log_tail: Vec<Json>,
}

/// The next planned step.
#[derive(Deserialize)]
pub(super) struct Next {
    pub(super) action: String,
    #[serde(default)]
    pub(super) in_ms: Option<u64>,
    #[serde(default)]
    pub(super) why: String,
}

/// One process of a module.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Instance {
    pub(super) instance: Json,
    pub(super) role: String,
    pub(super) state: String,
    pub(super) pid: Option<u32>,
    pub(super) uptime_ms: Option<u64>,
    pub(super) in_flight: u64,
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
    pub(super) fn step(&self) -> String {
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
        "starting" | "waiting" | "stopping" | "clearing" => Colour::Busy,
        "failed" => Colour::Bad,
        _ => Colour::Faint,
    }
}
