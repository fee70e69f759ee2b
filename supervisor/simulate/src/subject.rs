//! The module that is played: what the core has to know of its manifest and of the host's file.

use crate::cli::{Cli, quoted};
use bulkhead_config::{Environment, Flags, HostConfig, ModuleConfig, ModuleKind, Origins};
use bulkhead_core::{HostSettings, ModuleSpec};
use bulkhead_protocol::ModuleName;
use std::path::Path;

/// The module.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) spec: ModuleSpec,
    pub(crate) settings: HostSettings,
    /// Where the settings of the module were set, and those of the host.
    pub(crate) origins: Origins,
    pub(crate) host_origins: Origins,
    /// What of the manifest is not played.
    pub(crate) remarks: Vec<String>,
}

/// Reads the files.
///
/// # Errors
/// A line for each fault.
pub(crate) fn load(cli: &Cli) -> Result<Subject, Vec<String>> {
    let environment = Environment { trusted_users: cli.trusted_users.clone(), ..Environment::from_process() };
    let path = Path::new(&cli.module);
    if cli.module.contains('/') || path == Path::new(".") || path == Path::new("..") {
        if !path.join("module.toml").is_file() {
            return Err(vec![format!("{}: expected a folder with a module.toml", cli.module)]);
        }
        let config = ModuleConfig::load_in(path, &environment).map_err(|problems| lines(problems.iter()))?;
        return Ok(Subject::new(&config, HostSettings::default(), Origins::default()));
    }
    let flags = Flags { config: cli.config.clone(), modules: cli.modules.clone(), ..Flags::default() };
    let loaded = HostConfig::load_in(flags, &environment).map_err(|problems| lines(problems.iter()))?;
    if let Some(config) = loaded.modules.iter().find(|config| config.name.as_str() == cli.module) {
        let host = &loaded.host;
        return Ok(Subject::new(config, host.restarts.settings(), host.origins.clone()));
    }
    let is_it = |name: &ModuleName| name.as_str() == cli.module;
    if let Some(faulty) = loaded.faulty.iter().find(|faulty| faulty.name.as_ref().is_some_and(is_it)) {
        return Err(lines(faulty.problems.iter()));
    }
    let folders: Vec<String> = loaded.host.modules.iter().map(|folder| folder.display().to_string()).collect();
    let name = quoted(&cli.module);
    Err(vec![format!(
        "expected the name of a module in {}, found {name}; --modules names other folders, and the folder of one module is \
         written with a slash, as ./NAME",
        folders.join(", ")
    )])
}

fn lines(problems: impl Iterator<Item = impl ToString>) -> Vec<String> {
    problems.map(|problem| problem.to_string()).collect()
}

impl Subject {
    fn new(config: &ModuleConfig, settings: HostSettings, host_origins: Origins) -> Subject {
        let mut spec = ModuleSpec::new(config.name.clone(), 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (spec.instances, spec.spares) = (count(config.instances), count(config.spares));
        spec.restart = config.restart.rules();
        spec.rules = config.limits.rules(None);
        if let ModuleKind::Wasm { compile_timeout, .. } = &config.kind {
            spec.rules.compile_timeout = Some(*compile_timeout);
        }
        let mut remarks = Vec::new();
        if !config.requires.is_empty() {
            let names: Vec<&str> = config.requires.iter().map(|name| name.as_str()).collect();
            remarks.push(format!("{} is required, and taken to be ready", names.join(", ")));
        }
        if !config.autostart {
            remarks.push("autostart is false: the start is taken to be ordered".to_owned());
        }
        Subject { spec, settings, origins: config.origins.clone(), host_origins, remarks }
    }
}
