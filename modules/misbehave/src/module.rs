//! The module itself: its state, and the dispatch from a command to its fault.

use crate::faults::FAULTS;
use bulkhead_module::{Context, Description, Error, Init, Json, Module};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// How many events are remembered.
const EVENTS_MAX: usize = 1000;

pub(crate) struct Misbehave {
    pub(crate) instance: String,
    pub(crate) config: Value,
    pub(crate) data_dir: PathBuf,
    pub(crate) count: u64,
    pub(crate) events: VecDeque<Value>,
    /// Commands that are left until one is a crash.
    pub(crate) commands_until_crash: Option<u64>,
    pub(crate) ignores_shutdown: bool,
    /// Memory that is kept.
    pub(crate) hoard: Vec<Vec<u8>>,
}

/// The `[config]` of the manifest.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Config {
    /// This many processes of the module fail in `init` before one succeeds.
    fail_starts: u64,
    /// `init` takes this long.
    init_ms: u64,
    /// As the command `crash_on`, from the start of each process.
    crash_on: Option<u64>,
    /// `init` fails, with exit code 1.
    init_error: Option<String>,
    /// Anything else is answered to `whoami`.
    #[serde(flatten)]
    _rest: serde_json::Map<String, Value>,
}

impl Module for Misbehave {
    fn describe() -> Description {
        let description = Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        FAULTS.iter().fold(description, |description, fault| match fault.idempotent {
            true => description.idempotent(fault.name, fault.about),
            false => description.command(fault.name, fault.about),
        })
    }

    fn init(init: &Init) -> Result<Self, Error> {
        let config: Config = init.config.read()?;
        let data_dir = PathBuf::from(&init.data_dir);
        std::thread::sleep(Duration::from_millis(config.init_ms));
        if let Some(sentence) = config.init_error {
            return Err(Error::failed(sentence));
        }
        if config.fail_starts > 0 {
            let file = data_dir.join("starts");
            let starts = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok()).unwrap_or(0u64) + 1;
            std::fs::write(&file, starts.to_string())?;
            if starts <= config.fail_starts {
                return Err(Error::failed(format!("start {starts} fails, as the first {} do", config.fail_starts)));
            }
        }
        Ok(Misbehave {
            instance: init.instance.clone(),
            config: init.config.read()?,
            data_dir,
            count: 0,
            events: VecDeque::new(),
            commands_until_crash: config.crash_on,
            ignores_shutdown: false,
            hoard: Vec::new(),
        })
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        let fault = FAULTS.iter().find(|fault| fault.name == name).ok_or_else(|| Error::unknown_command(name))?;
        if let Some(left) = &mut self.commands_until_crash {
            *left = left.saturating_sub(1);
            if *left == 0 {
                eprintln!("misbehave: about to crash on {name}, as crash_on said");
                crate::dying::die_by(nix::sys::signal::Signal::SIGSEGV);
            }
        }
        let harmless = matches!(name, "echo" | "count" | "read");
        if !harmless {
            let shown: String = args.as_str().chars().take(200).collect();
            eprintln!("misbehave: about to {name} {shown}");
        }
        (fault.act)(self, ctx, args)
    }

    fn event(&mut self, _: &mut Context<'_>, event: &str, data: &Json) -> Result<(), Error> {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(serde_json::json!({ "event": event, "data": data.read::<Value>()? }));
        Ok(())
    }

    fn shutdown(&mut self, _: &mut Context<'_>) -> Result<(), Error> {
        if self.ignores_shutdown {
            eprintln!("misbehave: about to hang in shutdown");
            crate::hanging::sleep_for_ever();
        }
        Ok(())
    }
}
