//! Reads the host's file and the modules' manifests.

use crate::{Flags, HostConfig, Loaded, ModuleConfig, Problem, Problems};
use std::{ffi::OsString, path::PathBuf};

/// What of its surroundings the loading depends on; an argument, so that tests can give another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the effective user is root.
    pub root: bool,
    /// The variables that matter.
    pub variables: std::collections::BTreeMap<String, OsString>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Surroundings {
        Surroundings {
            root: nix::unistd::geteuid().is_root(),
            variables: std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v))).collect(),
        }
    }
}

impl HostConfig {
    /// Reads and checks everything: the host's file, all manifests, and how they fit together.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn load(flags: Flags) -> Result<Loaded, Problems> {
        HostConfig::load_in(flags, &Surroundings::of_process())
    }

    /// As [`HostConfig::load`], in given surroundings.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn load_in(_flags: Flags, _surroundings: &Surroundings) -> Result<Loaded, Problems> {
        Err(Problem { file: None, place: None, message: "reading files is not there yet".into() }.into())
    }

    /// The control socket that a client means: `flag`, else `$BULKHEAD_SOCKET`, else the default place.
    ///
    /// # Errors
    /// When there is no default place, or the path is too long.
    pub fn socket_for(flag: Option<PathBuf>) -> Result<PathBuf, Problems> {
        flag.ok_or_else(|| Problem { file: None, place: None, message: "reading files is not there yet".into() }.into())
    }
}

impl ModuleConfig {
    /// A module with the defaults, without files: a process that runs `command`. Its first word is
    /// found as in a manifest; a path counts from the current directory, which is also the working
    /// directory of the module.
    ///
    /// # Errors
    /// When the name is none, or the command is missing or cannot be run.
    pub fn process<I>(name: &str, command: I) -> Result<ModuleConfig, Problems>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let fail = |message| Problem { file: None, place: None, message };
        let name = bulkhead_protocol::ModuleName::new(name).map_err(|error| fail(error.to_string()))?;
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let Some(program) = command.first().map(PathBuf::from) else {
            return Err(fail(format!("module {name}: expected a command, found an empty list")).into());
        };
        let folder = std::env::current_dir().map_err(|error| fail(format!("no current directory: {error}")))?;
        Ok(ModuleConfig::with_defaults(name, folder, command, program))
    }
}

impl Loaded {
    /// Checks values that a program has set: their bounds, and how the modules fit together.
    ///
    /// # Errors
    /// All faults.
    pub fn check(&self) -> Result<(), Problems> {
        Problems::none_or(Vec::new(), || ())
    }
}
