//! Modules that a program names, without files: the same defaults and the same checks. What has no constructor is set
//! in the fields of the configuration, and checked before a host starts. So is which other users could change what is
//! run, since only the host's configuration says which users it trusts.

use crate::cross_checks::Draft;
use crate::environment::{Environment, problem};
use crate::manifest;
use crate::read::Positions;
use crate::setting::check_command;
use crate::{Line, ModuleConfig, ModuleKind, OnPanic, Origin, Problems, Transport};
use bulkhead_protocol::ModuleName;
use std::path::{Path, PathBuf};

/// Everything but what is named here is the default. A path is relative to the current directory, which is also the
/// working directory of the module.
impl ModuleConfig {
    /// A process that runs `command`. Its first word is found as in a manifest.
    ///
    /// # Errors
    /// When the name is none, or the command is missing or cannot be run.
    pub fn process<I>(name: &str, command: I) -> Result<ModuleConfig, Problems>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        check_words(name, &command)?;
        let (program, transport, on_panic) = (PathBuf::new(), Transport::Socket, OnPanic::default());
        built(name, ModuleKind::Process { command, program, transport, on_panic })
    }

    /// A shared library, which a child of the host's own loads.
    ///
    /// # Errors
    /// When the name is none, or the file cannot be a shared library of this machine.
    pub fn native(name: &str, library: impl AsRef<Path>) -> Result<ModuleConfig, Problems> {
        let (library, on_panic) = (absolute(library.as_ref()), OnPanic::default());
        built(name, ModuleKind::Native { library, on_panic })
    }

    /// A core WebAssembly module, which a child of the host's own runs. It is granted nothing; grants
    /// are set in [`ModuleKind::Wasm`].
    ///
    /// # Errors
    /// When the name is none, or the file cannot be a core WebAssembly module.
    pub fn wasm(name: &str, module: impl AsRef<Path>) -> Result<ModuleConfig, Problems> {
        let mut kind = ModuleKind::of_name("wasm").expect("there is such a kind");
        if let ModuleKind::Wasm { module: path, .. } = &mut kind {
            *path = absolute(module.as_ref());
        }
        built(name, kind)
    }

    /// A command that turns a line into a line. Its first word is found as in a manifest; what a line
    /// holds is set in [`ModuleKind::Filter`].
    ///
    /// # Errors
    /// When the name is none, or the command is missing or cannot be run.
    pub fn filter<I>(name: &str, command: I) -> Result<ModuleConfig, Problems>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        check_words(name, &command)?;
        built(name, ModuleKind::Filter { command, program: PathBuf::new(), per_message: false, line: Line::default() })
    }

    /// An MCP server over its standard input and output. Its first word is found as in a manifest.
    ///
    /// # Errors
    /// When the name is none, or the command is missing or cannot be run.
    pub fn mcp<I>(name: &str, command: I) -> Result<ModuleConfig, Problems>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        check_words(name, &command)?;
        built(name, ModuleKind::Mcp { command, program: PathBuf::new() })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn check_words(name: &str, command: &[String]) -> Result<(), Problems> {
    let name = ModuleName::new(name).map_err(|error| problem(error.to_string()))?;
    Ok(check_command(command).map_err(|message| problem(format!("module {name}: {message}")))?)
}

fn built(name: &str, kind: ModuleKind) -> Result<ModuleConfig, Problems> {
    let environment = Environment::from_process();
    let folder = environment.current_dir.clone().ok_or_else(|| {
        problem("the current directory was deleted, and a module that a program names has it for its own: change to another")
    })?;
    let name = ModuleName::new(name).map_err(|error| problem(error.to_string()))?;
    let (required, _) = kind.required();
    let config = ModuleConfig::with_defaults(name, folder, kind);
    let mut draft = Draft { config, positions: Positions::new() };
    for key in ["module.name", "module.type", required] {
        draft.config.origins.note(key, Origin::Program);
    }
    let mut problems = Vec::new();
    manifest::find_files(&mut draft, &environment, &mut problems);
    Problems::none_or(problems, || draft.config)
}
