//! The modules of the command line: what their manifests and folders say of how they are built and watched.

use crate::input::Failed;
use crate::language;
use crate::plan::{Builds, Member};
use bulkhead_config::{Declared, Environment, ModuleConfig, ModuleKind};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many modules one program works on.
const MODULES_MAX: usize = 256;

/// A longer `package.json` is not read.
const PACKAGE_BYTES_MAX: u64 = 1024 * 1024;

/// A module that is worked on.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) requires: Vec<String>,
    /// The command that builds it; none where nothing is built.
    pub(crate) build: Option<Vec<String>>,
    pub(crate) build_timeout: Duration,
    /// The files and folders that are watched.
    pub(crate) roots: Vec<PathBuf>,
    /// What it declares for the data store, which is settled when the host starts.
    pub(crate) declared: Declared,
}

impl Project {
    /// Reads a manifest, and looks into the folder for what the language needs.
    ///
    /// # Errors
    /// The faults of the manifest, one a line.
    pub(crate) fn read(folder: &Path, environment: &Environment) -> Result<Project, String> {
        let config = ModuleConfig::load_unbuilt(folder, environment).map_err(|problems| problems.to_string())?;
        let build = match &*config.dev.build {
            [] => default_build(folder, &config.kind),
            words => Some(words.to_vec()),
        };
        let mut roots = config.dev.watch.clone();
        if roots.is_empty() {
            roots.push(folder.to_owned());
        }
        let manifest = folder.join("module.toml");
        if !roots.iter().any(|root| manifest.starts_with(root)) {
            roots.push(manifest);
        }
        Ok(Project {
            name: config.name.to_string(),
            folder: folder.to_owned(),
            requires: config.requires.iter().map(|name| name.as_str().to_owned()).collect(),
            build,
            build_timeout: config.dev.build_timeout,
            roots,
            declared: config.declared,
        })
    }

    /// What the plan knows of it.
    pub(crate) fn member(&self) -> Member {
        let builds = if self.build.is_some() { Builds::Yes } else { Builds::No };
        Member { name: self.name.clone(), requires: self.requires.clone(), builds }
    }
}

fn default_build(folder: &Path, kind: &ModuleKind) -> Option<Vec<String>> {
    let runs = match kind {
        ModuleKind::Process { command, .. } | ModuleKind::Filter { command, .. } | ModuleKind::Mcp { command, .. } => {
            command.first().filter(|word| word.contains('/')).map(PathBuf::from)
        }
        ModuleKind::Native { library, .. } => library.strip_prefix(folder).ok().map(Path::to_owned),
        ModuleKind::Wasm { module, .. } => module.strip_prefix(folder).ok().map(Path::to_owned),
    };
    language::build(&language::Folder {
        has: &|name| folder.join(name).is_file(),
        package: package(folder).as_deref(),
        runs: runs.as_deref().and_then(Path::to_str),
        is_wasm: matches!(kind, ModuleKind::Wasm { .. }),
    })
}

fn package(folder: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(folder.join("package.json")).ok()?;
    file.take(PACKAGE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// All modules of these folders, each of which is one or has some as its folders.
///
/// # Errors
/// When a folder has none, or a manifest does not check.
pub(crate) fn read_all(folders: &[PathBuf], environment: &Environment) -> Result<Vec<Project>, Failed> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let fail = |error: std::io::Error| Failed::usage(format!("{}: {error}", folder.display()));
        let folder = std::path::absolute(folder).map_err(fail)?;
        for module in modules_in(&folder).map_err(fail)? {
            if !found.contains(&module) {
                found.push(module);
            }
        }
        if !found.iter().any(|module| module.starts_with(&folder)) {
            let expected = "expected a module.toml in it or in one of its folders, found none";
            return Err(Failed::usage(format!("{}: {expected}; `bulkhead new` makes a module", folder.display())));
        }
    }
    if found.len() > MODULES_MAX {
        return Err(Failed::usage(format!("expected at most {MODULES_MAX} modules, found {}", found.len())));
    }
    let mut projects: Vec<Project> = Vec::new();
    for folder in found {
        let project = Project::read(&folder, environment).map_err(Failed::usage)?;
        if let Some(other) = projects.iter().find(|other| other.name == project.name) {
            let (one, two) = (other.folder.display(), project.folder.display());
            return Err(Failed::usage(format!(
                "expected each module once, found {} in {one} and in {two}",
                project.name
            )));
        }
        projects.push(project);
    }
    Ok(projects)
}

fn modules_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_module = |folder: &PathBuf| folder.join("module.toml").is_file();
    if is_module(&folder.to_owned()) {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut modules: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(is_module).collect();
    modules.sort();
    Ok(modules)
}
