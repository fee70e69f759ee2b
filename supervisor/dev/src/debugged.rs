//! The module that `--debug` names: how it is configured under the private host, so that a debugger runs it and no time
//! judges it. Which debugger that is, is decided in `debug`.

use crate::debug::{self, Debugging, Face, Subject};
use crate::input::{Failed, Inputs};
use crate::plan::Id;
use crate::project::Project;
use crate::terminal::Terminal;
use bulkhead_config::{Debugger, Environment, ModuleConfig, ModuleKind, RestartPolicy};
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much of a program is looked at for its first line.
const FIRST_LINE_BYTES_MAX: u64 = 256;

/// A debugger that a person has ended is back after this time.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// How often that may be before the host tries it once a minute only.
const RESTARTS: usize = 1000;

/// How long a debugger has for each step of its end.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// What `--debug` asks for.
#[derive(Debug)]
pub(crate) struct Debugged {
    pub(crate) id: Id,
    pub(crate) debugging: Debugging,
    /// The terminal of the debugger, where it has one.
    pub(crate) terminal: Option<Terminal>,
}

/// What the configuration of the module needs.
#[derive(Clone, Debug)]
pub(crate) struct Wrapper {
    name: String,
    /// The words that give the debugger its terminal.
    terminal: Vec<String>,
    environment: Environment,
}

impl Debugged {
    /// Looks for the module and its debugger, and opens a terminal for that.
    ///
    /// # Errors
    /// When there is no such module, no debugger for it, or no terminal.
    pub(crate) fn open(
        name: &str,
        projects: &[Project],
        environment: &Environment,
        inputs: &Inputs,
    ) -> Result<Debugged, Failed> {
        let Some(id) = projects.iter().position(|project| project.name == name) else {
            let known: Vec<&str> = projects.iter().map(|project| &*project.name).collect();
            let known = known.join(", ");
            return Err(Failed::usage(format!("--debug: expected a module of this command, {known}; found {name:?}")));
        };
        let config = ModuleConfig::load_unbuilt(&projects[id].folder, environment)
            .map_err(|problems| Failed::usage(problems.to_string()))?;
        let debugging = planned(&config, environment).map_err(|why| Failed::usage(format!("--debug {name}: {why}")))?;
        let terminal = match debugging.face {
            Face::Terminal => Some(Terminal::open(inputs.clone()).map_err(Failed::usage)?),
            Face::Connection => None,
        };
        Ok(Debugged { id, debugging, terminal })
    }

    /// What the host is to make of the module.
    ///
    /// # Errors
    /// When the path of this program is not known.
    pub(crate) fn wrapper(&self, projects: &[Project], environment: &Environment) -> std::io::Result<Wrapper> {
        let terminal = self.terminal.as_ref().map_or(Ok(Vec::new()), Terminal::words)?;
        Ok(Wrapper { name: projects[self.id].name.clone(), terminal, environment: environment.clone() })
    }
}

impl Wrapper {
    /// Has the module run in its debugger, if it is that one.
    ///
    /// # Errors
    /// Why there is no debugger for it any more.
    pub(crate) fn apply(&self, module: &mut ModuleConfig) -> Result<(), String> {
        if module.name.as_str() != self.name {
            return Ok(());
        }
        let debugging = planned(module, &self.environment).map_err(|why| format!("--debug {}: {why}", self.name))?;
        if let ModuleKind::Process { command, .. } = &mut module.kind {
            *command = debugging.command(command);
        }
        let of_terminal = match debugging.face {
            Face::Terminal => self.terminal.as_slice(),
            Face::Connection => &[],
        };
        module.debugger = Some(Debugger { words: [of_terminal, &debugging.words].concat() });
        // One terminal is for one process, and a debugger needs more than the module.
        (module.instances, module.spares) = (1, 0);
        (module.resources.cpu_time_limit, module.resources.memory_limit) = (None, None);
        // When a person ends the debugger, the next one runs what was built meanwhile.
        module.restart.policy = RestartPolicy::Always;
        (module.restart.delay_initial, module.restart.delay_max) = (RESTART_DELAY, RESTART_DELAY);
        module.restart.breaker_failures = RESTARTS;
        (module.limits.stop_timeout, module.limits.term_timeout) = (STOP_TIMEOUT, STOP_TIMEOUT);
        if let Ok(terminal) = env::var("TERM") {
            module.env.entry("TERM".into()).or_insert(terminal);
        }
        Ok(())
    }
}

fn planned(config: &ModuleConfig, environment: &Environment) -> Result<Debugging, String> {
    let has = |name: &str| in_path(name, environment).is_some();
    let program = match &config.kind {
        ModuleKind::Process { command, .. } if command[0].contains('/') => Some(config.folder.join(&command[0])),
        ModuleKind::Process { command, .. } => in_path(&command[0], environment),
        ModuleKind::Native { .. } | ModuleKind::Wasm { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    };
    let script = program.and_then(|program| first_line(&program));
    debug::plan(&Subject { kind: &config.kind, own: &config.dev.debug, script: script.as_deref(), has: &has })
}

fn in_path(name: &str, environment: &Environment) -> Option<PathBuf> {
    let paths = environment.variables.get(OsStr::new("PATH"))?;
    env::split_paths(paths).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The first line of a script. A program that is not built yet has none.
fn first_line(program: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(program).ok()?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let line = bytes.strip_prefix(b"#!").map(|_| bytes.split(|byte| *byte == b'\n').next().unwrap_or_default())?;
    Some(String::from_utf8_lossy(line).into_owned())
}
