//! How long a module's command line and environment may be together. The host passes them on to the
//! guardian in one message; what fits that fits the kernel as well, which gives no program an argument
//! or a variable of more than 128 KiB.

use crate::cross_checks::Draft;
use crate::document::quote;
use crate::environment::Environment;
use crate::{ModuleConfig, ModuleKind, Problem};
use bulkhead_protocol::guardian::DATAGRAM_BYTES_MAX;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Room in the message for the host's part: paths, limits, its own variables.
const RESERVED_BYTES: usize = 16 * 1024;

/// Most bytes of arguments and variables, written as JSON.
const START_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - RESERVED_BYTES;

/// The most bytes around a text in the message.
const AROUND_BYTES: usize = 6;

impl Draft<ModuleConfig> {
    /// Checks that a process of the module can be started with what is passed to it, in environment like these.
    pub(crate) fn check_length(&self, environment: &Environment, problems: &mut Vec<Problem>) {
        let parts = self.config.passed_to_process(environment);
        let bytes: usize = parts.iter().map(|(_, bytes)| bytes).sum();
        if bytes <= START_BYTES_MAX {
            return;
        }
        let Some((key, longest)) = parts.into_iter().max_by_key(|(_, bytes)| *bytes) else { return };
        let section = if key.starts_with("module.inherit_env") { "module.inherit_env" } else { "module.env" };
        let section = if key.starts_with("module.command") { "module.command" } else { section };
        let message = format!(
            "{section}: expected at most {START_BYTES_MAX} bytes of arguments and variables together, written as \
             JSON, found {bytes}, {longest} of them in {key}; put what is long into a file and name that"
        );
        problems.push(self.problem(&[&key, section], &message));
    }
}

impl ModuleConfig {
    /// Each argument and variable with its key and its length.
    fn passed_to_process(&self, environment: &Environment) -> Vec<(String, usize)> {
        let length = |text: &str| Value::from(text).to_string().len() + AROUND_BYTES;
        let words = match &self.kind {
            ModuleKind::Process { command, .. }
            | ModuleKind::Filter { command, .. }
            | ModuleKind::Mcp { command, .. } => command.as_slice(),
            ModuleKind::Native { .. } | ModuleKind::Wasm { .. } => &[],
        };
        let mut parts: Vec<(String, usize)> =
            words.iter().enumerate().map(|(at, word)| (format!("module.command[{at}]"), length(word))).collect();
        if let ModuleKind::Wasm { wasi, .. } = &self.kind {
            let folders = [("wasi.read", &wasi.read), ("wasi.write", &wasi.write)];
            parts.extend(folders.iter().flat_map(|(key, folders)| {
                folders.iter().map(move |folder| {
                    let bytes = length(&folder.path.to_string_lossy()) + length(&folder.name);
                    ((*key).to_owned(), bytes)
                })
            }));
        }
        let inherited = |name: &str| environment.variables.get(&OsString::from(name)).cloned();
        let key = |name: &str| match self.env.contains_key(name) {
            true => format!("module.env.{name}"),
            false => format!("module.inherit_env, by the host's {}", quote(name)),
        };
        // What cannot be passed on is left out by the host as well.
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let own = self.environment(inherited).into_iter().filter_map(text);
        parts.extend(own.map(|(name, value)| (key(&name), length(&name) + length(&value))));
        // The variables of WebAssembly are a JSON text in one variable.
        let guest: BTreeMap<String, String> = self.guest_environment(inherited).into_iter().filter_map(text).collect();
        parts.extend(guest.iter().map(|(name, value)| {
            let twice = |text: &str| length(&Value::from(text).to_string());
            (key(name), twice(name) + twice(value))
        }));
        parts
    }
}
